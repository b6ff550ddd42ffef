"""The page at /docs in a real browser: all of it is there, and a request can be tried out."""

import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from PIL import Image
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Response,
    ViewportSize,
    async_playwright,
    expect,
)

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
WIDTHS = (1280, 390)
ColorScheme = Literal["light", "dark"]
MOVED = "kust=/ knox=/v2?login-path=/sign-in&register-path=/sign-up wicare=/ fardel=/"
COVERED = """pre => {
    const around = pre.closest(".curl-command, .highlight-code");
    const buttons = [...around.querySelectorAll(".copy-to-clipboard, button")];
    const range = document.createRange();
    range.selectNodeContents(pre);
    const inside = (text) => buttons.map((each) => each.getBoundingClientRect()).some(
        (box) => box.left < text.right && text.left < box.right
            && box.top < text.bottom && text.top < box.bottom);
    return [buttons.length, [...range.getClientRects()].filter(inside).length];
}"""
"""How many buttons a text has, and how many of its lines they cover."""

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
        await self.open(operation)
        await self.send(operation)
        live = operation.locator(".live-responses-table .response")
        return await live.inner_text()

    def operation(self, operation_id: str) -> Locator:
        return self.page.locator(f"[id^=operations-][id$={operation_id}]")

    async def open(self, operation: Locator) -> None:
        await operation.locator(".opblock-summary-control").click()
        await operation.get_by_role("button", name="Try it out").click()

    async def send(self, operation: Locator) -> Response:
        """Send the request as it is there; return the server's response."""
        async with self.page.expect_response(lambda response: "/docs" not in response.url) as found:
            await operation.get_by_role("button", name="Execute").click()
        response = await found.value
        shown = operation.locator(".live-responses-table tbody .response-col_status").first
        await expect(shown).to_contain_text(str(response.status))
        return response

    async def try_out(self, operation_id: str) -> Response:
        """Open an operation, and send its example."""
        operation = self.operation(operation_id)
        await self.open(operation)
        return await self.send(operation)

    async def is_authorized(self, name: str) -> None:
        """Wait until the padlock of an operation is closed: there is a token for it."""
        await expect(self.operation(name).locator(".authorization__btn .locked")).to_be_visible()


@asynccontextmanager
async def visit(
    browser: Browser, url: str, width: int = 1280, scheme: ColorScheme = "light"
) -> AsyncIterator[Visit]:
    """Open a page as a new reader; in the end nothing may have gone wrong, or elsewhere."""
    viewport = ViewportSize(width=width, height=1600)
    context = await browser.new_context(viewport=viewport, color_scheme=scheme)
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
        await expect(page.locator(".info")).to_contain_text("Authorize has the token")
        await page.screenshot(path=tmp_path / "docs.png", full_page=True)
        await reader.authorize(token)
        said = await reader.profile("/account/profile")
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
        assert '"username": "ada"' in await reader.profile("/account/profile")
        assert all(urlsplit(each).path.startswith(f"{PREFIX}/") for each in reader.requests)


TOKENS = {
    "lumotist": ("register", "profile", "logout", "Token"),
    "fardel": ("register", "profile", "logout", "Bearer"),
    "latchkey": ("register", "account", "end_session", "Bearer"),
}
"""The operations that return a token, need it and end its session; the word before the token."""


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_token_of_a_response_is_used_until_it_has_ended(
    program: Program, browser: Browser, width: int
):
    for dialect, (register, needs, ends, word) in TOKENS.items():
        url = f"http://127.0.0.1:{program.port}/docs"
        async with visit(browser, url, width) as reader:
            await reader.choose(dialect)
            response = await reader.try_out(f"{dialect}_{register}")
            told = await response.json()
            token = told.get("token") or told["access_token"]
            WATCH.tokens.update(each for key, each in told.items() if key.endswith("token"))
            await reader.is_authorized(f"{dialect}_{ends}")
            for each in (needs, ends):
                response = await reader.try_out(f"{dialect}_{each}")
                assert response.ok
                assert await response.request.header_value("Authorization") == f"{word} {token}"
            unlocked = reader.operation(f"{dialect}_{ends}").locator(
                ".authorization__btn .unlocked"
            )
            await expect(unlocked).to_be_visible()


async def test_the_paths_are_those_of_the_mounts(
    stores: tuple[str, str], clean: None, browser: Browser
):
    where = {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS": KEY}
    with Program(**where, DIALECTS=MOVED) as program:
        origin = f"http://127.0.0.1:{program.serve().port}"
        for server, dialect in (("/", ""), ("/v2", "knox"), ("/:dialect", ""), ("/knox", "knox")):
            async with visit(browser, f"{origin}/docs") as reader:
                if dialect:
                    await reader.choose(dialect)
                    await expect(reader.page.locator(".info .title")).to_contain_text(dialect)
                await reader.page.locator(".servers select").select_option(server)
                if server == "/":
                    assert (await reader.try_out("knox_register")).ok
                response = await reader.try_out("knox_login")
                assert response.ok
                WATCH.tokens.add((await response.json())["token"])
                moved = server in ("/", "/v2")
                path = "/v2/sign-in/" if moved else "/knox/login/"
                assert response.url == origin + path
                shown = reader.operation("knox_login").locator(".opblock-summary-path")
                below = "/sign-in/" if dialect else "/v2/sign-in/"
                assert (await shown.inner_text()).replace("\u200b", "") == below
                if server == "/:dialect":
                    assert (
                        await reader.try_out("kust_register")
                    ).url == f"{origin}/kust/auth/users/"


async def test_two_dialects_that_share_a_path_are_both_there(program: Program, browser: Browser):
    async with visit(browser, f"http://127.0.0.1:{program.port}/docs") as reader:
        for dialect in ("wicare", "fardel"):
            response = await reader.try_out(f"{dialect}_register")
            assert response.ok
            assert urlsplit(response.url).path.rstrip("/") == "/api/auth/register"
            told = await response.json()
            assert ("access_token" in told) == (dialect == "fardel")
            WATCH.tokens.update(each for key, each in told.items() if key.endswith("token"))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_button_covers_the_token(
    program: Program, browser: Browser, tmp_path: Path, width: int, scheme: ColorScheme
):
    url = f"http://127.0.0.1:{program.port}/docs"
    async with visit(browser, url, width, scheme) as reader:
        await reader.choose("lumotist")
        WATCH.tokens.add((await (await reader.try_out("lumotist_register")).json())["token"])
        operation = reader.operation("lumotist_register")
        texts = (".live-responses-table .highlight-code > pre", ".curl-command pre.curl")
        await operation.screenshot(path=tmp_path / "token.png")
        for text in texts:
            buttons, covered = await operation.locator(text).first.evaluate(COVERED)
            assert buttons > 0
            assert covered == 0


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dialect", ["lumotist", "latchkey"])
async def test_every_type_of_body_that_sets_a_picture(
    program: Program, browser: Browser, tmp_path: Path, dialect: str, width: int
):
    image = tmp_path / "picture.png"
    Image.new("RGB", (8, 8)).save(image)
    async with visit(browser, f"http://127.0.0.1:{program.port}/docs", width) as reader:
        await reader.choose(dialect)
        told = await (await reader.try_out(f"{dialect}_register")).json()
        WATCH.tokens.add(told["token"])
        operation = reader.operation(f"{dialect}_set_picture")
        await reader.open(operation)
        types = operation.locator(".opblock-section-request-body select.content-type")
        offered = await types.locator("option").all_inner_texts()
        assert {"application/json", "multipart/form-data", "image/*"} <= set(offered)
        for each in offered:
            await types.select_option(each)
            if each == "application/json":
                assert (await reader.send(operation)).ok
                examples = operation.locator(".examples-select select")
                await examples.select_option(label="An image in Base64")
            if each in ("image/*", "application/octet-stream"):
                await operation.locator("input[type=file]").set_input_files(image)
            response = await reader.send(operation)
            assert response.ok, (each, await response.text())


async def test_one_dialect(stores: tuple[str, str], clean: None, browser: Browser):
    where = {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS": KEY}
    with Program(**where, DIALECTS="kust=/") as program:
        url = f"http://127.0.0.1:{program.serve().port}/docs"
        async with visit(browser, url) as reader:
            assert (await reader.try_out("kust_register")).ok
