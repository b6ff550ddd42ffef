"""A server with pages, the visits of its users, and what holds for every page."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import TestClient
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, Route
from pyotp import TOTP

from app import CORE, LINKS
from store.one_time_tokens import Purpose
from tests.mail.mailbox import Mailbox
from tests.mail.smtp import link_of

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
PASSWORD, NEW_PASSWORD = "Analytical-Engine-1843", "Difference-Engine-1822"
ADA = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
SCHEMES = ("light", "dark")
PREFIX = "/accounts"
PRODUCT = f"Ada & Söhne <b>{45 * 'W'}"
"""As long as it may be, in one word."""
SERIOUS = {"serious", "critical"}

NEEDS_CHROMIUM = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]


class Site:
    """A server below a path of a proxy, and the mail that it writes."""

    def __init__(self, client: TestClient, mailbox: Mailbox) -> None:
        self.client, self.mailbox = client, mailbox
        self.url = ""

    @property
    def account(self) -> str:
        """The address of the account page."""
        return f"{self.url}/ui/"

    async def register(self, **fields: str) -> str:
        """Register ada, or an account with other fields; return its token."""
        response = await self.client.post("/v1/accounts", json={**ADA, **fields})
        assert response.status == 201, await response.text()
        return (await response.json())["token"]

    async def link(self, kind: str) -> str:
        """Return the link of a message of this kind."""
        message = await self.mailbox.take(kind)
        return link_of(message)

    async def reset_link(self) -> str:
        """Ask for a link to reset ada's password, and return it."""
        response = await self.client.post("/v1/password-resets", json={"email": ADA["email"]})
        assert response.status == 202
        return await self.link("reset")

    async def expired_link(self) -> str:
        """Return a link to reset ada's password that has expired."""
        core = self.client.server.app[CORE]
        account = await core.accounts.get(1)
        token = core.one_time_tokens.make(Purpose.RESET, account, 1_700_000_000)
        return self.client.server.app[LINKS].link("reset", token, account.id)

    async def log_in(
        self, password: str = PASSWORD, *, login: str = "ada", device: str = "test"
    ) -> tuple[int, Any]:
        """Log in; return the status, and the devices of the account's sessions."""
        fields = {"login": login, "password": password, "device": device}
        response = await self.client.post("/v1/sessions", json=fields)
        if response.status != 201:
            return response.status, None
        token = (await response.json())["token"]
        return response.status, await self.devices(token)

    async def devices(self, token: str) -> list[str] | None:
        """Return the devices of a token's account, None if the token is not valid."""
        headers = {"Authorization": f"Bearer {token}"}
        response = await self.client.get("/v1/sessions", headers=headers)
        if response.status != 200:
            return None
        return [each["device"] for each in (await response.json())["sessions"]]

    async def require_code(self, token: str, password: str = PASSWORD) -> list[str]:
        """Turn on the second factor of a token's account; return its recovery codes."""
        headers = {"Authorization": f"Bearer {token}"}
        paths = ("/v1/account/totp", "/v1/account/totp/confirm")
        fields: dict[str, str] = {"password": password}
        for path in paths:
            response = await self.client.post(path, json=fields, headers=headers)
            found = await response.json()
            assert response.status == 200, found
            fields = {"code": TOTP(found["secret"]).now()} if "secret" in found else {}
        return found["recovery_codes"]

    async def account_of(self, token: str) -> Any:
        """Return the account of a token."""
        headers = {"Authorization": f"Bearer {token}"}
        return await (await self.client.get("/v1/account", headers=headers)).json()


@contextlib.asynccontextmanager
async def visit(
    browser: Browser,
    url: str,
    size: str = "desktop",
    scheme: Any = "light",
    *,
    troubles: int = 0,
    answer: Callable[[Route], Awaitable[None]] | None = None,
    locale: str = "en-US",
) -> AsyncIterator[Page]:
    """Open a page or a link as its user.

    `troubles` are the errors that the console may show. `answer` answers requests to the API.
    Nothing may be loaded from elsewhere, no script may fail, no token may be in a request's URL,
    and no cookie may be set.
    """
    width, height = SIZES[size]
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        reduced_motion="reduce",
        locale=locale,
        timezone_id="UTC",
    )
    context.set_default_timeout(10_000)
    found: list[str] = []
    requests: list[str] = []
    _watch(context, found, requests)
    if answer:
        await context.route("**/latchkey/**", answer)
    page = await context.new_page()
    await page.goto(url)
    yield page
    assert await context.cookies() == []
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    assert all(each.startswith(f"{origin}{PREFIX}/") for each in requests), requests
    token = urlsplit(url).fragment
    assert not [each for each in requests if len(token) > 30 and token in each.partition("#")[0]]
    await context.close()
    assert len(found) <= troubles, found


def _watch(context: BrowserContext, found: list[str], requests: list[str]) -> None:
    context.on("console", lambda said: found.append(said.text) if said.type == "error" else None)
    context.on("weberror", lambda error: found.extend([f"failed: {error.error}"] * 100))
    context.on("request", lambda request: requests.append(request.url))
    context.on("dialog", lambda dialog: found.extend([f"dialog: {dialog.message}"] * 100))


async def check_access(page: Page) -> None:
    """Nothing is wider than the window, and axe finds nothing serious."""
    width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0, f"{width} pixels too wide"
    found = await Axe().run(page)
    serious = [each for each in found.response["violations"] if each["impact"] in SERIOUS]
    assert not serious, found.generate_report()
    assert found.response["passes"]


FOCUSED = """() => {
    const focused = document.activeElement;
    if (!focused || focused.tabIndex < 0) return ["", true]; // nothing, or the heading
    const ringed = [focused, focused.closest("label")].filter(Boolean);
    const text = focused.getAttribute("aria-label") ?? focused.labels?.[0]?.textContent
        ?? focused.textContent;
    const box = focused.getBoundingClientRect();
    const isSeen = box.width > 0 && box.bottom > 0 && box.top < innerHeight;
    const isRinged = ringed.some((each) => getComputedStyle(each).outlineStyle !== "none");
    return [text.trim(), isSeen && isRinged];
}"""


class Keyboard:
    """A user without a mouse: what has the focus can be seen, and everything can be reached."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def to(self, name: str) -> None:
        """Move the focus with Tab to what has this name."""
        for _ in range(60):
            focused, is_shown = await self.page.evaluate(FOCUSED)
            if focused == name:
                assert is_shown, f"{name} has the focus, and nothing shows it"
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"{name} cannot be reached")

    async def type(self, name: str, text: str) -> None:
        """Type a text into a field, instead of what is in it."""
        await self.to(name)
        await self.page.keyboard.press("Control+a")
        await self.page.keyboard.type(text)

    async def press(self, name: str, key: str = "Enter") -> None:
        """Press a button, or follow a link."""
        await self.to(name)
        await self.page.keyboard.press(key)
