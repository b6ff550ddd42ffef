"""Take the pictures of docs/pages.md and docs/admin.md: `make page-pictures`.

A server with embedded stores in a temporary directory serves the pages to Chromium.
Run it after a change in ui/.
"""

import io
import os
import re
import shutil
import socket
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


TRAFFIC_SECONDS = 60
NAMES = ["mika", "ada", "kim", "lena", "noor", "omar", "ravi", "sven", "tuva", "zoe"]

_REGISTER = """async ([names, password]) => {
    const base = "../latchkey/v1/";
    const send = (path, body, token, method = "POST") => fetch(base + path, {method,
        headers: {"Content-Type": "application/json", Authorization: `Bearer ${token}`},
        body: JSON.stringify(body)}).then((response) => response.json());
    for (const [place, username] of names.entries()) {
        const {token} = await send("accounts", {username, email: `${username}@example.com`,
            password, device: "Firefox, Linux"});
        await send("account/picture", {gallery: place + 1}, token, "PUT");
        await send("sessions", {login: username, password, device: "Phone"});
    }
}"""
_USE = """async ([names, password, seconds]) => {
    const base = "../latchkey/v1/";
    const headers = {"Content-Type": "application/json"};
    const until = Date.now() + seconds * 1000;
    for (let turn = 0; Date.now() < until; turn += 1) {
        for (let count = 0; count < 6 + 5 * Math.sin(turn / 12); count += 1) {
            await (await fetch(base + "gallery")).text();
        }
        if (turn % 9 === 0) {
            const body = {login: names[turn % names.length], password, device: "Phone"};
            await (await fetch(base + "sessions",
                {method: "POST", headers, body: JSON.stringify(body)})).text();
        }
        await new Promise((resolve) => setTimeout(resolve, 150));
    }
}"""
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
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


def _open(browser: "Browser", url: str, size: str, scheme: str, locale: str = "en-US") -> "Page":
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


def _take(page: "Page", name: str) -> None:
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
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.locator(".card").first.wait_for()


def _signed_out(browser: "Browser", url: str) -> None:
    page = _open(browser, url, "desktop", "light")
    _take(page, "sign-in")
    page = _open(browser, f"{url}#sign-up", "phone", "dark")
    page.get_by_label("E-mail").fill("mika@example.com")
    page.get_by_label("Password", exact=True).fill("mika")
    page.get_by_role("button", name="Create the account").click()
    page.get_by_role("alert").wait_for()
    _take(page, "sign-up")
    page = _open(browser, url, "phone", "light", "de-DE")
    _take(page, "german")


def _signed_in(browser: "Browser", url: str) -> None:
    page = _open(browser, url, "desktop", "light")
    _sign_up(page, "mika")
    _take(page, "profile")
    page.get_by_role("link", name="Devices").click()
    page.locator(".rows li").first.wait_for()
    _take(page, "devices")
    page = _open(browser, url, "phone", "light")
    _sign_up(page, "noor")
    page.get_by_role("button", name="Change the picture").click()
    page.locator("dialog img").last.wait_for()
    _take(page, "gallery")
    page.locator("dialog input[type=file]").set_input_files(PHOTO)
    page.get_by_label("Zoom").fill("1.5")
    _take(page, "crop")
    page = _open(browser, url, "desktop", "dark")
    _sign_up(page, "sam")
    page.get_by_role("link", name="Security").click()
    page.get_by_role("heading", name="Security").wait_for()
    _take(page, "security")
    page = _open(browser, url, "phone", "dark")
    _sign_up(page, "kim")
    page.get_by_role("link", name="Security").click()
    page.get_by_role("button", name="Set up").click()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_label("Code").wait_for()
    _take(page, "second-factor")


def _administration(browser: "Browser") -> None:
    """Take the pictures of the admin page, of a server with ten accounts and an administrator."""
    with tempfile.TemporaryDirectory(prefix="latchkey-", ignore_cleanup_errors=True) as directory:
        settings = {"DATA_DIR": str(Path(directory) / "data"), "EVENTS": "on", "RATE_LIMITS": "off"}
        with serving(**settings) as url:
            subprocess.run(
                [sys.executable, "server.py", "account", "create", "--superuser", "username=admin"],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], **settings},
                input=f"{PASSWORD}\n",
                text=True,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            _take_administration(browser, f"{url}admin")


def _take_administration(browser: "Browser", url: str) -> None:
    page = _open(browser, url, "desktop", "light")
    page.evaluate(_REGISTER, [NAMES, PASSWORD])
    _sign_in_as_admin(page)
    page.goto(f"{url}#account/4")
    page.get_by_role("button", name="Disable").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    page.get_by_role("button", name="Enable").wait_for()
    page.goto(f"{url}#accounts")
    page.locator("tbody img").last.wait_for()
    _take(page, "admin-accounts")
    page.goto(f"{url}#account/3")
    page.get_by_role("button", name="Disable").wait_for()
    _take(page, "admin-account")
    page.goto(f"{url}#events")
    page.get_by_text("by the administrator admin").wait_for()
    _take(page, "admin-events")
    _take_on_a_phone(browser, url)
    page = _open(browser, url, "desktop", "dark")
    _sign_in_as_admin(page)
    page.goto(f"{url}#live")
    page.evaluate(_USE, [NAMES, PASSWORD, TRAFFIC_SECONDS])
    _take(page, "admin-live")


def _take_on_a_phone(browser: "Browser", url: str) -> None:
    page = _open(browser, url, "phone", "dark")
    _sign_in_as_admin(page)
    page.locator("tbody img").last.wait_for()
    _take(page, "admin-phone")
    page = _open(browser, url, "phone", "light")
    _sign_in_as_admin(page)
    page.goto(f"{url}#account/3")
    page.get_by_role("button", name="Delete").click()
    page.get_by_label("Type ada to confirm").fill("ad")
    page.get_by_role("button", name="Delete the account").click()
    page.get_by_text("This is not ada.").wait_for()
    _take(page, "admin-delete")
    page = _open(browser, url, "phone", "light", "de-DE")
    _sign_in_as_admin(page, "E-Mail oder Benutzername", "Passwort", "Anmelden")
    page.goto(f"{url}#gallery")
    page.locator(".pictures img").last.wait_for()
    _take(page, "admin-german")


def _sign_in_as_admin(
    page: "Page",
    login: str = "E-mail or username",
    password: str = "Password",  # noqa: S107  # the label
    action: str = "Sign in",
) -> None:
    page.get_by_label(login).fill("admin")
    page.get_by_label(password, exact=True).fill(PASSWORD)
    page.get_by_role("button", name=action).click()
    page.locator("table").wait_for()


def _passkeys(browser: "Browser", url: str) -> None:
    """`url` has the name localhost: Web Authentication knows no IP addresses."""
    page = _open(browser, url, "phone", "light")
    protocol = page.context.new_cdp_session(page)
    protocol.send("WebAuthn.enable")
    protocol.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    _sign_up(page, "mika")
    page.get_by_role("link", name="Security").click()
    page.get_by_role("button", name="Add a passkey").click()
    page.keyboard.press("Enter")
    page.get_by_text("Never used").wait_for()
    page.get_by_role("heading", name="Delete the account").scroll_into_view_if_needed()
    _take(page, "passkeys")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main() -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # only this command needs it

    program = shutil.which("chromium")
    if not program:
        sys.exit("page-pictures: chromium is not installed")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        with serving() as url:
            _signed_out(browser, url)
            _signed_in(browser, url)
        port = _free_port()
        with serving(PORT=f"{port}", PASSKEY_ORIGINS=f"http://localhost:{port}"):
            _passkeys(browser, f"http://localhost:{port}/ui/")
        with serving(**BRANDING) as url:
            _take(_open(browser, url, "desktop", "light"), "branding")
        _administration(browser)
        browser.close()


if __name__ == "__main__":
    main()
