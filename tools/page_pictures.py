"""Take the pictures of the pages for the documentation: `make page-pictures`, after a change in ui/.

A server with embedded stores in a temporary directory serves the pages to Chromium.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs/images/pages"
PHOTO = ROOT / "store/default_gallery/06-female-Mia-512.webp"
SIZES = {"desktop": (1280, 800), "phone": (390, 780)}
COLOURS = 256
PASSWORD = "paper lantern"  # noqa: S105  # of an example
BRANDING = {
    "PRODUCT_NAME": "Example",
    "UI_ACCENT": "#7a1fa2",
    "UI_LINKS": "Imprint https://example.com/imprint | Privacy https://example.com/privacy",
}


@contextmanager
def serving(**settings: str) -> Iterator[str]:
    """Run a server; give the address of its account page."""
    with tempfile.TemporaryDirectory(prefix="latchkey-", ignore_cleanup_errors=True) as directory:
        own = {"PORT": "0", "DATA_DIR": directory, "BCRYPT_ROUNDS": "4", **settings}
        server = subprocess.Popen(
            [sys.executable, "server.py"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert server.stdout  # noqa: S101  # it is a pipe
        try:
            for line in server.stdout:
                if found := re.search(r"serving on (http://\S+)", line):
                    yield f"{found[1]}/ui/"
                    return
            sys.exit("page-pictures: the server did not start")
        finally:
            server.terminate()
            server.communicate()


def open_page(
    browser: "Browser", url: str, size: str, scheme: str, locale: str = "en-US"
) -> "Page":
    """Open an address in a window of this size and mode."""
    width, height = SIZES[size]
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        locale=locale,
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    page.goto(url)
    page.locator("#view form").wait_for()
    return page


def take(page: "Page", name: str) -> None:
    """Take a picture of a page."""
    page.mouse.move(0, 0)
    page.wait_for_load_state("networkidle")
    with Image.open(io.BytesIO(page.screenshot())) as image:
        small = image.convert("RGB").quantize(COLOURS)
        small.save(PICTURES / f"{name}.png", optimize=True)
    print((PICTURES / f"{name}.png").relative_to(ROOT))


def _sign_up(page: "Page", name: str) -> None:
    """Sign up, with a picture and three other devices."""
    page.evaluate(
        """async ([username, email, password]) => {
            const base = "../latchkey/v1/";
            const headers = {"Content-Type": "application/json"};
            const post = (path, body) => fetch(base + path,
                {method: "POST", headers, body: JSON.stringify(body)}).then((got) => got.json());
            const {token} = await post("accounts",
                {username, email, password, first_name: "Mika", device: "Mika's phone"});
            for (const device of ["Firefox, Windows", "Living room tablet"])
                await post("sessions", {login: username, password, device});
            const picture = await fetch(base + "account/picture", {method: "PUT",
                body: '{"gallery": 6}', headers: {...headers, Authorization: `Bearer ${token}`}});
            await picture.text(); // until it is read, the network is not idle
        }""",
        [name, f"{name}@example.com", PASSWORD],
    )
    page.get_by_label("E-mail or username").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.locator(".card").first.wait_for()


def _signed_out(browser: "Browser", url: str) -> None:
    page = open_page(browser, url, "desktop", "light")
    take(page, "sign-in")
    page = open_page(browser, f"{url}#sign-up", "phone", "dark")
    page.get_by_label("E-mail").fill("mika@example.com")
    page.get_by_label("Password", exact=True).fill("mika")
    page.get_by_role("button", name="Create the account").click()
    page.get_by_role("alert").wait_for()
    take(page, "sign-up")
    page = open_page(browser, url, "phone", "light", "de-DE")
    take(page, "german")


def _signed_in(browser: "Browser", url: str) -> None:
    page = open_page(browser, url, "desktop", "light")
    _sign_up(page, "mika")
    take(page, "profile")
    page.get_by_role("link", name="Devices").click()
    page.locator(".rows li").first.wait_for()
    take(page, "devices")
    page = open_page(browser, url, "phone", "light")
    _sign_up(page, "noor")
    page.get_by_role("button", name="Change the picture").click()
    page.locator("dialog img").last.wait_for()
    take(page, "gallery")
    page.locator("dialog input[type=file]").set_input_files(PHOTO)
    page.get_by_label("Zoom").fill("1.5")
    take(page, "crop")
    page = open_page(browser, url, "desktop", "dark")
    _sign_up(page, "sam")
    page.get_by_role("link", name="Security").click()
    page.get_by_role("heading", name="Security").wait_for()
    take(page, "security")
    page = open_page(browser, url, "phone", "dark")
    _sign_up(page, "kim")
    page.get_by_role("link", name="Security").click()
    page.get_by_role("button", name="Set up").click()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_label("Code").wait_for()
    take(page, "second-factor")


def main() -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # only this command needs it

    from tools import admin_pictures  # noqa: PLC0415  # it uses this module

    program = shutil.which("chromium")
    if not program:
        sys.exit("page-pictures: chromium is not installed")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        with serving() as url:
            _signed_out(browser, url)
            _signed_in(browser, url)
        with serving(**BRANDING) as url:
            take(open_page(browser, url, "desktop", "light"), "branding")
        admin_pictures.take_all(browser)
        browser.close()


if __name__ == "__main__":
    main()
