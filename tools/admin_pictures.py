"""The pictures of docs/admin.md, which `make page-pictures` takes: the admin page with examples."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools.page_pictures import PASSWORD, ROOT, open_page, serving, take

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

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


def take_all(browser: "Browser") -> None:
    """Take all pictures, of a server with ten accounts and an administrator."""
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
            _take_all(browser, f"{url}admin")


def _take_all(browser: "Browser", url: str) -> None:
    page = open_page(browser, url, "desktop", "light")
    page.evaluate(_REGISTER, [NAMES, PASSWORD])
    _sign_in(page)
    page.goto(f"{url}#account/4")
    page.get_by_role("button", name="Disable").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    page.get_by_role("button", name="Enable").wait_for()
    page.goto(f"{url}#accounts")
    page.locator("tbody img").last.wait_for()
    take(page, "admin-accounts")
    page.goto(f"{url}#account/3")
    page.get_by_role("button", name="Disable").wait_for()
    take(page, "admin-account")
    page.goto(f"{url}#events")
    page.get_by_text("by the administrator admin").wait_for()
    take(page, "admin-events")
    _take_on_a_phone(browser, url)
    page = open_page(browser, url, "desktop", "dark")
    _sign_in(page)
    page.goto(f"{url}#live")
    page.evaluate(_USE, [NAMES, PASSWORD, TRAFFIC_SECONDS])
    take(page, "admin-live")


def _take_on_a_phone(browser: "Browser", url: str) -> None:
    page = open_page(browser, url, "phone", "dark")
    _sign_in(page)
    page.locator("tbody img").last.wait_for()
    take(page, "admin-phone")
    page = open_page(browser, url, "phone", "light")
    _sign_in(page)
    page.goto(f"{url}#account/3")
    page.get_by_role("button", name="Delete").click()
    page.get_by_label("Type ada to confirm").fill("ad")
    page.get_by_role("button", name="Delete the account").click()
    page.get_by_text("This is not ada.").wait_for()
    take(page, "admin-delete")
    page = open_page(browser, url, "phone", "light", "de-DE")
    _sign_in(page, "E-Mail oder Benutzername", "Passwort", "Anmelden")
    page.goto(f"{url}#gallery")
    page.locator(".pictures img").last.wait_for()
    take(page, "admin-german")


def _sign_in(
    page: "Page",
    login: str = "E-mail or username",
    password: str = "Password",  # noqa: S107  # the label
    action: str = "Sign in",
) -> None:
    page.get_by_label(login).fill("admin")
    page.get_by_label(password, exact=True).fill(PASSWORD)
    page.get_by_role("button", name=action).click()
    page.locator("table").wait_for()
