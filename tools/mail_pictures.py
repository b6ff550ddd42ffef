"""Take the pictures of docs/mail.md: `make mail-pictures`, after a change in mail/.

Each HTML message, in light and in dark mode, as Chromium shows it. Each picture records the digest
of its message, which a test compares, so that nothing else needs a browser.
"""

import datetime
import hashlib
import io
import shutil
import sys
from pathlib import Path

from PIL import Image, PngImagePlugin

from mail.messages import Messages
from mail.settings import MailOptions
from store.mail_queue import KINDS, QueuedMail

PICTURES = Path(__file__).parent.parent / "docs/images/mail"
MODES = ("light", "dark")
WIDTH, HEIGHT = 560, 200
COLOURS = 64
_LINK = "https://accounts.example/ui/{}#AQAAAAAAAAABAAAAAGsH6KIAAAAAAAAAAOyR2XYzE13rCuHdQB6J6mM"
_PAGES = {
    "verify": "verify-email",
    "change": "verify-email",
    "reset": "reset-password",
    "activate": "activate",
    "rename": "username",
}
_DIGEST = "message"


def html_of(kind: str) -> str:
    """Return the HTML version of an example."""
    created = datetime.datetime(2026, 11, 26, 8, 0, tzinfo=datetime.UTC)
    expires = created + datetime.timedelta(hours=1) if kind in _PAGES else None
    mail = QueuedMail(1, kind, 1, "mika@example.com", None, None, expires, created, 1)
    options = MailOptions("", "no-reply@accounts.example", "", "en", "Latchkey", "", "", "")
    link = _LINK.format(_PAGES[kind]) if kind in _PAGES else ""
    html = Messages(options).compose(mail, mail.address, link).get_body(("html",))
    assert html is not None  # noqa: S101  # each message has one
    return str(html.get_content())


def digest(kind: str) -> str:
    """Return the digest that the pictures of a message record."""
    return hashlib.sha256(html_of(kind).encode()).hexdigest()


def picture_of(kind: str, mode: str) -> Path:
    """Return where a picture is."""
    return PICTURES / f"{kind}-{mode}.png"


def recorded(picture: Path) -> str:
    """Return the digest that a picture records."""
    with Image.open(picture) as image:
        return str(image.info.get(_DIGEST))


def _save(screenshot: bytes, kind: str, mode: str) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text(_DIGEST, digest(kind))
    with Image.open(io.BytesIO(screenshot)) as image:
        small = image.convert("RGB").quantize(COLOURS)
        small.save(picture_of(kind, mode), optimize=True, pnginfo=notes)


def main() -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # the test does without

    program = shutil.which("chromium")
    if not program:
        sys.exit("mail-pictures: chromium is not installed")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for mode in MODES:
            page = browser.new_page(
                viewport={"width": WIDTH, "height": HEIGHT},
                color_scheme="dark" if mode == "dark" else "light",
            )
            for kind in KINDS:
                page.set_content(html_of(kind))
                _save(page.screenshot(full_page=True), kind, mode)
                print(picture_of(kind, mode).relative_to(PICTURES.parent.parent.parent))
        browser.close()


if __name__ == "__main__":
    main()
