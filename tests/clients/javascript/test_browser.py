"""The app's side of @latchkey/client in a real browser, in a page of another origin."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page, async_playwright

from app import create_app
from handlers.origins import parse_origins
from store.limits import parse_limit
from tests.conftest import Server
from tests.test_docs_browser import ARGUMENTS

CHROMIUM = shutil.which("chromium")
PAGE = """
<!doctype html><meta charset="utf-8"><title>An app</title><link rel="icon" href="data:,">
<script type="module">
  import * as client from "/client/src/index.js";
  const { InvalidFields, ItemStorage, Latchkey } = client;
  const url = new URLSearchParams(location.search).get("server");
  window.ends = [];
  const onSessionEnd = (problem) => ends.push(problem.code);
  window.storage = new ItemStorage(localStorage);
  window.latchkey = new Latchkey(url, { storage, onSessionEnd, device: "Page", maxWait: 3 });
  window.hasty = new Latchkey(url, { storage, onSessionEnd, maxWait: 0 });
  window.InvalidFields = InvalidFields;
  window.PASSWORD = "Analytical-Engine-1843";
  window.caught = (promise) => promise.then(() => null, (problem) => problem);
  window.told = async (promise) => {
    const problem = await caught(promise);
    return [problem.name, problem.code, problem.retryAfter ?? null, await latchkey.token()];
  };
  window.isReady = true;
</script>
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def origin(installed: Path) -> AsyncIterator[str]:
    """The origin of an app, which serves a page and the package's files."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_static("/client", installed / "node_modules/@latchkey/client")
    async with TestServer(app) as server:
        yield str(server.make_url("/"))[:-1]


@asynccontextmanager
async def opened(browser: Browser, origin: str, settings: Any) -> AsyncIterator[Page]:
    """Open the page of an app whose server has these settings; no script of it may fail."""
    context = await browser.new_context()
    page = await context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    async with Server(create_app(settings)) as server:
        url = f"{origin}/?server=http://127.0.0.1:{server.port}"
        await page.goto(url)
        await page.wait_for_function("window.isReady")
        yield page
        await context.close()
    assert failures == []


async def test_an_app_of_another_origin(browser: Browser, origin: str, settings, clean):
    async with opened(browser, origin, settings) as page:
        assert await page.evaluate(
            """async () => {
              const problem = await caught(latchkey.register({ email: "ada", password: "12345" }));
              return [problem instanceof InvalidFields, problem.of("password").map((e) => e.code),
                problem.requestId.length > 0];
            }"""
        ) == [True, ["too_short", "too_common"], True]
        assert await page.evaluate(
            """async () => {
              const { account } = await latchkey.register({ username: "ada", password: PASSWORD });
              const { first_name } = await latchkey.changeAccount({ first_name: "Ada" });
              return [account.username, first_name, (await latchkey.sessions())[0].device];
            }"""
        ) == ["ada", "Ada", "Page"]
        assert await page.evaluate(
            """async () => {
              const canvas = new OffscreenCanvas(20, 10);
              canvas.getContext("2d").fillRect(0, 0, 9, 9);
              const url = await latchkey.uploadPicture(await canvas.convertToBlob());
              const shown = new Image();
              shown.src = url;
              await shown.decode();
              await latchkey.removePicture();
              return [url === (await latchkey.account()).picture, shown.width > 0];
            }"""
        ) == [False, True]
        await page.reload()
        await page.wait_for_function("window.isReady")
        assert await page.evaluate("async () => (await latchkey.account()).username") == "ada"
        assert await page.evaluate(
            """async () => {
              const before = await latchkey.token();
              await latchkey.changePassword(PASSWORD, "Difference-Engine-1822");
              return (await latchkey.token()) !== before && (await latchkey.sessions()).length;
            }"""
        )
        assert await page.evaluate(
            """async () => {
              await latchkey.deleteAccount("Difference-Engine-1822");
              return [localStorage.length, ends.length];
            }"""
        ) == [0, 0]


async def test_a_logout_in_another_tab(browser: Browser, origin: str, settings, clean):
    async with opened(browser, origin, settings) as page:
        await page.evaluate("latchkey.register({ username: 'ada', password: PASSWORD })")
        tab = await page.context.new_page()
        await tab.goto(page.url)
        await tab.wait_for_function("window.isReady")
        assert await tab.evaluate("async () => (await latchkey.account()).username") == "ada"
        await tab.evaluate("latchkey.logOut()")
        assert await page.evaluate("told(latchkey.account())") == [
            "Problem",
            "token_missing",
            None,
            None,
        ]
        assert await page.evaluate("ends") == ["token_missing"]


async def test_waits_of_a_page(browser: Browser, origin: str, settings, clean):
    """A page may read Retry-After and the code of a 429, although it has another origin."""
    limited = replace(settings, rate_limits="on", login_limit=parse_limit("1 per 2 seconds"))
    async with opened(browser, origin, limited) as page:
        await page.evaluate("latchkey.register({ username: 'ada', password: PASSWORD })")
        problems = await page.evaluate(
            """Promise.all([1, 2, 3].map(async () => {
              const problem = await caught(hasty.logIn("ada", PASSWORD));
              return problem && [problem.code, problem.retryAfter >= 1];
            }))"""
        )
        assert problems.count(["rate_limited", True]) >= 1
        login = "async () => (await latchkey.logIn('ada', PASSWORD)).account.username"
        assert await page.evaluate(login) == "ada"
        assert await page.evaluate(
            """async () => {
              const leave = new AbortController();
              setTimeout(() => leave.abort(), 100);
              const { signal } = leave;
              const problems = await Promise.all(
                [1, 2, 3].map(() => caught(latchkey.logIn("ada", PASSWORD, { signal })))
              );
              return problems.filter((problem) => problem?.name === "AbortError").length >= 2;
            }"""
        )


async def test_an_outage_keeps_the_token(browser: Browser, origin: str, outages, clean):
    async with opened(browser, origin, outages.settings) as page:
        await page.evaluate("latchkey.register({ username: 'ada', password: PASSWORD })")
        token = await page.evaluate("latchkey.token()")
        outages.take_away("redis")
        lasting = await page.evaluate("told(hasty.account())")
        assert lasting == ["Problem", "unavailable", 1, token]
        username = page.evaluate("latchkey.account().then(({ username }) => username)")
        short = asyncio.create_task(username)
        await asyncio.sleep(0.5)
        outages.bring_back("redis")
        assert await short == "ada"
        assert await page.evaluate("ends") == []


@pytest.mark.parametrize("is_allowed", [True, False])
async def test_restricted_origins(browser: Browser, origin: str, settings, clean, is_allowed: bool):
    """The responses are hidden from a page of another origin, which keeps its token."""
    allowed = origin if is_allowed else "https://app.example"
    restricted = replace(settings, cors_origins=parse_origins(allowed))
    async with opened(browser, origin, restricted) as page:
        await page.evaluate("storage.set('0123456789abcdef')")
        found = await page.evaluate("told(latchkey.account())")
        if is_allowed:
            assert found == ["Problem", "token_unknown", None, None]
        else:
            assert found == ["ConnectionProblem", "unreachable", None, "0123456789abcdef"]
        assert len(await page.evaluate("ends")) == is_allowed
