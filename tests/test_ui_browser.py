"""The pages that links in e-mails lead to, in a real browser, with the links of real messages."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer
from playwright.async_api import Browser, Page, Route, async_playwright, expect

from app import CORE, LINKS, create_app
from mail import sender
from settings import Settings
from store.one_time_tokens import Purpose
from tests.mail.mailbox import Mailbox
from tests.mail.smtp import link_of
from tests.test_docs_browser import ARGUMENTS

CHROMIUM = shutil.which("chromium")
PASSWORD, NEW_PASSWORD = "Analytical-Engine-1843", "Difference-Engine-1822"
ADA = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
PREFIX = "/accounts"
PRODUCT = f"Ada & Söhne <b>{45 * 'W'}"
"""As long as it may be, in one word."""
DEAD = "This link was used already, or is not valid any more."
EXPIRED = "This link has expired."
DONE = "Your password is changed. Sign in to the app with it."

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]


class Site:
    """A server below a path of a proxy, and the mail that it writes."""

    def __init__(self, client: TestClient, mailbox: Mailbox) -> None:
        self.client, self.mailbox = client, mailbox
        self.url = ""

    async def register(self) -> str:
        """Register ada; return her token."""
        response = await self.client.post("/v1/accounts", json=ADA)
        assert response.status == 201
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

    async def log_in(self, password: str) -> tuple[int, Any]:
        """Log ada in; return the status, and the devices of her sessions."""
        login = {"login": "ada", "password": password, "device": "test"}
        response = await self.client.post("/v1/sessions", json=login)
        if response.status != 201:
            return response.status, None
        headers = {"Authorization": f"Bearer {(await response.json())['token']}"}
        listed = await (await self.client.get("/v1/sessions", headers=headers)).json()
        return response.status, [each["device"] for each in listed["sessions"]]


@pytest.fixture
async def site(
    settings: Settings, aiohttp_client: Any, clean: None, tmp_path: Path, monkeypatch: Any
) -> AsyncIterator[Site]:
    """A server whose links lead through a proxy, below a path of it."""
    monkeypatch.setattr(sender, "WAKE_SECONDS", (0.0, 0.01))

    async def forward(request: web.Request) -> web.Response:
        target = site.client.make_url(f"/{request.match_info['rest']}")
        names = ("Authorization", "Content-Type")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        body = await request.read()
        async with session.request(request.method, target, headers=headers, data=body) as response:
            names = ("Content-Type", "Content-Security-Policy")
            given = {name: response.headers[name] for name in names if name in response.headers}
            content = await response.read()
            return web.Response(status=response.status, body=content, headers=given)

    app = web.Application()
    app.router.add_route("*", f"{PREFIX}/{{rest:.*}}", forward)
    async with ClientSession() as session, TestServer(app) as proxy:
        url = str(proxy.make_url(PREFIX))
        settings = replace(
            settings,
            mail_url=f"file:{tmp_path}/mail",
            public_url=url,
            product_name=PRODUCT,
        )
        client = await aiohttp_client(create_app(settings))
        site = Site(client, Mailbox(tmp_path / "mail"))
        site.url = url
        yield site


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@contextlib.asynccontextmanager
async def visit(
    browser: Browser,
    url: str,
    size: str = "desktop",
    scheme: Any = "light",
    *,
    troubles: int = 0,
    answer: Callable[[Route], Awaitable[None]] | None = None,
) -> AsyncIterator[Page]:
    """Open a link as its recipient.

    `troubles` are the errors that the console may show. `answer` answers requests to the API.
    """
    width, height = SIZES[size]
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    context.set_default_timeout(10_000)
    page = await context.new_page()
    found: list[str] = []
    requests: list[str] = []
    page.on("console", lambda said: found.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    if answer:
        await page.route("**/latchkey/**", answer)
    await page.goto(url)
    yield page
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    assert all(each.startswith(f"{origin}{PREFIX}/") for each in requests), requests
    token = urlsplit(url).fragment
    assert not [each for each in requests if token and token in each.partition("#")[0]]
    await context.close()
    assert len(found) <= troubles, found


def status(page: Page) -> Any:
    return expect(page.get_by_role("status"))


async def is_tidy(page: Page) -> None:
    """Nothing is wider than the window, and the token is not in the address bar."""
    width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0
    assert "#" not in page.url
    assert await page.evaluate("history.length") <= 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
async def test_an_address_is_verified(site: Site, browser: Browser, tmp_path, size, scheme):
    token = await site.register()
    link = await site.link("verify")
    assert link.startswith(f"{site.url}/ui/verify-email#")
    for _ in range(2):  # the link may be used again
        async with visit(browser, link, size, scheme) as page:
            assert await page.title() == f"Verify your e-mail address · {PRODUCT}"
            await status(page).to_have_text("ada@example.org is verified. You can close this page.")
            await expect(page.get_by_role("button")).to_have_count(0)
            await is_tidy(page)
            await page.screenshot(path=tmp_path / f"verify-{size}-{scheme}.png")
    headers = {"Authorization": f"Bearer {token}"}
    account = await (await site.client.get("/v1/account", headers=headers)).json()
    assert account["email_verified"] is True


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
async def test_a_password_is_reset(site: Site, browser: Browser, tmp_path, size, scheme):
    await site.register()
    link = await site.reset_link()
    assert link.startswith(f"{site.url}/ui/reset-password#")
    # The one error is a 422 that the console tells of.
    async with visit(browser, link, size, scheme, troubles=1) as page:
        field = page.get_by_label("New password")
        await expect(field).to_be_focused()
        await is_tidy(page)
        await page.screenshot(path=tmp_path / f"reset-{size}-{scheme}.png")
        await field.fill("short")
        button = page.get_by_role("button", name="Set the password")
        await button.click()
        await expect(page.get_by_role("alert")).to_have_text("Use at least 8 characters.")
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(field).to_be_focused()
        await expect(field).to_have_accessible_description("Use at least 8 characters.")
        await page.get_by_label("Show the password").check()
        await expect(field).to_have_attribute("type", "text")
        await is_tidy(page)
        await page.screenshot(path=tmp_path / f"short-{size}-{scheme}.png")
        await field.fill(NEW_PASSWORD)
        async with page.expect_response(lambda response: response.request.method == "DELETE"):
            await button.click()
        await status(page).to_have_text(DONE)
        await expect(field).to_be_hidden()
        await is_tidy(page)
        await page.screenshot(path=tmp_path / f"done-{size}-{scheme}.png")
    assert await site.log_in(PASSWORD) == (401, None)
    assert await site.log_in(NEW_PASSWORD) == (201, ["test"])  # the page has left no session


async def test_with_the_keyboard_alone(site: Site, browser: Browser, tmp_path):
    await site.register()
    async with visit(browser, await site.reset_link(), troubles=1) as page:
        await expect(page.get_by_label("New password")).to_be_focused()
        await page.keyboard.type("short")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("Use at least 8 characters.")
        await page.keyboard.press("Tab")
        await expect(page.get_by_label("Show the password")).to_be_focused()
        await page.screenshot(path=tmp_path / "focus.png")
        await page.keyboard.press("Space")
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Control+a")
        await page.keyboard.type(NEW_PASSWORD)
        await expect(page.get_by_label("New password")).to_have_value(NEW_PASSWORD)
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name="Set the password")).to_be_focused()
        await page.keyboard.press("Enter")
        await status(page).to_have_text(DONE)


@pytest.mark.parametrize("size", SIZES)
async def test_an_expired_link_leads_to_a_new_one(site: Site, browser: Browser, tmp_path, size):
    await site.register()
    # A 400 for the link, a 422 for the address.
    async with visit(browser, await site.expired_link(), size, "dark", troubles=2) as page:
        await status(page).to_have_text(EXPIRED)
        field = page.get_by_label("Your e-mail address")
        button = page.get_by_role("button", name="Send a new link")
        await expect(page.get_by_label("New password")).to_be_hidden()
        await page.screenshot(path=tmp_path / f"expired-{size}.png")
        await field.fill("ada")
        await button.click()
        await expect(page.get_by_role("alert")).to_have_text("This is not an e-mail address.")
        await expect(field).to_be_focused()
        await field.fill(ADA["email"])
        await field.press("Enter")
        await status(page).to_have_text("If an account has this address, a link is on its way.")
        await is_tidy(page)
        link = await site.link("reset")
        await page.goto(link)  # in the same tab: only what is behind the # changes
        await expect(page.get_by_label("New password")).to_be_focused()
        await status(page).to_have_text("Choose a new password. You will be signed out everywhere.")


@pytest.mark.parametrize("rest", ["#nonsense", "", f"#{'a' * 5000}", "?utm_source=mail#x"])
async def test_what_is_no_link_of_this_server(site: Site, browser: Browser, rest):
    # The one error is the 400 or 422 to what may be a token.
    async with visit(browser, f"{site.url}/ui/reset-password{rest}", troubles=1) as page:
        await status(page).to_have_text(DEAD)
        await expect(page.get_by_label("Your e-mail address")).to_be_visible()
        await page.reload()
        await status(page).to_have_text(DEAD)
    async with visit(browser, f"{site.url}/ui/verify-email{rest}", troubles=1) as page:
        await status(page).to_have_text(f"{DEAD} Sign in to the app to have another link sent.")
        await expect(page.get_by_role("button")).to_have_count(0)


async def test_a_link_that_was_used_in_another_tab(site: Site, browser: Browser):
    await site.register()
    link = await site.reset_link()
    async with visit(browser, link, troubles=1) as page:
        token = link.partition("#")[2]
        fields = {"token": token, "new": NEW_PASSWORD}
        response = await site.client.post("/v1/password-resets/confirm", json=fields)
        assert response.status == 200
        await page.get_by_label("New password").fill(NEW_PASSWORD)
        await page.get_by_role("button", name="Set the password").click()
        await status(page).to_have_text(DEAD)
        await expect(page.get_by_label("New password")).to_be_hidden()
        await expect(page.get_by_label("Your e-mail address")).to_be_visible()


@pytest.mark.parametrize(
    ("status_code", "text"),
    [
        (502, "The service is temporarily unavailable. Try again in a moment."),
        (None, "The server cannot be reached. Check your connection and try again."),
    ],
    ids=["the proxy is there", "nothing is there"],
)
@pytest.mark.parametrize("page_name", ["verify-email", "reset-password"])
async def test_a_server_that_is_down_for_a_moment(
    site: Site, browser: Browser, tmp_path, status_code, text, page_name
):
    """The link is kept in the page, and nothing is typed twice."""
    await site.register()
    is_reset = page_name == "reset-password"
    link = await site.reset_link() if is_reset else await site.link("verify")
    is_down = True

    async def answer(route: Route) -> None:
        if not is_down:
            await route.continue_()
        elif status_code:
            body = "<h1>502 Bad Gateway</h1>"
            await route.fulfill(status=status_code, body=body, content_type="text/html")
        else:
            await route.abort()

    async with visit(browser, link, "phone", troubles=3, answer=answer) as page:
        await status(page).to_have_text(text)
        again = page.get_by_role("button", name="Try again")
        await expect(again).to_be_visible()
        await page.screenshot(path=tmp_path / f"down-{page_name}.png")
        await again.click()
        await status(page).to_have_text(text)
        await expect(again).to_be_visible()
        is_down = False
        await again.click()
        await expect(again).to_be_hidden()
        if not is_reset:
            await status(page).to_have_text("ada@example.org is verified. You can close this page.")
            return
        is_down = True
        field = page.get_by_label("New password")
        await field.fill(NEW_PASSWORD)
        await field.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text(text)
        await expect(field).to_have_value(NEW_PASSWORD)
        is_down = False
        await field.press("Enter")
        await status(page).to_have_text(DONE)


async def test_an_impatient_user_resets_once(site: Site, browser: Browser, monkeypatch):
    await site.register()
    recovery = site.client.server.app[CORE].recovery
    reset, calls = recovery.reset, []

    async def slow(*arguments: Any) -> Any:
        calls.append(arguments)
        await asyncio.sleep(0.3)
        return await reset(*arguments)

    monkeypatch.setattr(recovery, "reset", slow)
    async with visit(browser, await site.reset_link()) as page:
        field = page.get_by_label("New password")
        await field.fill(NEW_PASSWORD)
        for _ in range(3):
            await field.press("Enter")
        await status(page).to_have_text(DONE)
    assert len(calls) == 1


async def test_without_scripts(site: Site, browser: Browser):
    """The page does not say that it is checking. Chromium hides <noscript> from playwright."""
    context = await browser.new_context(java_script_enabled=False)
    for name in ("verify-email", "reset-password"):
        page = await context.new_page()
        await page.goto(f"{site.url}/ui/{name}#token")
        assert "<noscript><p>This page needs JavaScript.</p></noscript>" in await page.content()
        await status(page).to_be_empty()
        await expect(page.get_by_role("button")).to_have_count(0)
    await context.close()
