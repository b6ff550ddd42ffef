"""The page at /docs in a real browser: all of it is there, and a request can be tried out."""

import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from settings import Settings
from tests.program import KEY, Program
from tests.secrecy import WATCH

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PREFIX = "/accounts"
TOKEN = re.compile(r"^\s*Token\s")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]


@pytest.fixture
def program(stores: tuple[str, str], clean: None) -> Iterator[Program]:
    where = {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS": KEY}
    with Program(**where) as program:
        yield program.serve()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


class Visit:
    """A page, and what went wrong or elsewhere while it was open."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.troubles: list[str] = []
        self.requests: list[str] = []
        self._origin = origin
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("requestfailed", lambda request: self.troubles.append(request.url))
        page.on("request", lambda request: self.requests.append(request.url))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(message.text)

    def strays(self) -> list[str]:
        """Return the requests that went to anybody else; what a page brings along is none."""
        ours = (f"{self._origin}/", "data:", "blob:")
        return [url for url in self.requests if not url.startswith(ours)]

    async def choose(self, dialect: str) -> None:
        await self.page.locator(".topbar select").select_option(label=dialect)

    async def authorize(self, token: str) -> None:
        """Paste a token into the field for tokens, as a reader does."""
        await self.page.locator(".auth-wrapper .authorize").click()
        dialog = self.page.locator(".modal-ux")
        field = dialog.locator(".auth-container", has_text=TOKEN).locator("input")
        await field.fill(token)
        await field.press("Enter")
        await dialog.get_by_role("button", name="Close").last.click()

    async def profile(self, path: str) -> str:
        """Try out a GET that needs the token; return the answer's status and body."""
        operation = self.page.locator(".opblock-get", has_text=path)
        await operation.locator(".opblock-summary-control").click()
        await operation.get_by_role("button", name="Try it out").click()
        await operation.get_by_role("button", name="Execute").click()
        live = operation.locator(".live-responses-table .response")
        return await live.inner_text()


@asynccontextmanager
async def visit(browser: Browser, url: str) -> AsyncIterator[Visit]:
    """Open a page as a new reader; in the end nothing may have gone wrong, or elsewhere."""
    context = await browser.new_context(viewport={"width": 1280, "height": 1600})
    context.set_default_timeout(15_000)
    page = await context.new_page()
    parts = urlsplit(url)
    visited = Visit(page, f"{parts.scheme}://{parts.netloc}")
    await page.goto(url)
    yield visited
    await context.close()
    assert visited.troubles == []
    assert visited.strays() == []
    assert len(visited.requests) > 5


@asynccontextmanager
async def proxy(port: int) -> AsyncIterator[str]:
    """Serve what a local port serves, below a path of its own."""

    async def forward(request: web.Request) -> web.Response:
        target = f"http://127.0.0.1:{port}/{request.match_info['rest']}?{request.query_string}"
        headers = {
            name: value for name, value in request.headers.items() if name in ("Authorization",)
        }
        async with session.request(request.method, target, headers=headers) as answer:
            body = await answer.read()
            kept = ("Content-Type", "Content-Security-Policy")
            given = {name: answer.headers[name] for name in kept if name in answer.headers}
            return web.Response(status=answer.status, body=body, headers=given)

    app = web.Application()
    app.router.add_route("*", f"{PREFIX}/{{rest:.*}}", forward)
    async with ClientSession() as session, TestServer(app) as server:
        yield str(server.make_url(PREFIX))


async def test_all_dialects_are_shown_and_a_request_can_be_tried_out(
    program: Program, browser: Browser, tmp_path: Path
):
    token = program.register("ada")
    WATCH.tokens.add(token)
    async with visit(browser, f"http://127.0.0.1:{program.port}/docs") as reader:
        page = reader.page
        assert await page.title() == "Latchkey"
        tags = page.locator(".opblock-tag")
        await expect(tags).to_have_count(len(Settings().dialects))
        names = [await tag.get_attribute("data-tag") for tag in await tags.all()]
        assert names == list(Settings().dialects)
        await expect(page.locator(".info")).to_contain_text("choose Authorize")
        await page.screenshot(path=tmp_path / "docs.png", full_page=True)
        await reader.authorize(token)
        said = await reader.profile("/lumotist/account/profile")
        assert "200" in said
        assert '"username": "ada"' in said
        await page.screenshot(path=tmp_path / "profile.png")


async def test_a_token_is_good_in_the_dialect_that_is_chosen_next(
    program: Program, browser: Browser
):
    token = program.register("ada")
    async with visit(browser, f"http://127.0.0.1:{program.port}/docs/") as reader:
        await reader.choose("lumotist")
        await expect(reader.page.locator(".info .title")).to_contain_text("lumotist")
        await reader.authorize(token)
        await reader.choose("kust")
        await expect(reader.page.locator(".info .title")).to_contain_text("kust")
        said = await reader.profile("/auth/users/me/")
        assert "200" in said
        assert '"username": "ada"' in said


async def test_below_a_path_of_a_proxy(program: Program, browser: Browser):
    token = program.register("ada")
    async with proxy(program.port) as url, visit(browser, f"{url}/docs") as reader:
        await reader.authorize(token)
        assert '"username": "ada"' in await reader.profile("/lumotist/account/profile")
        assert all(urlsplit(each).path.startswith(f"{PREFIX}/") for each in reader.requests)
