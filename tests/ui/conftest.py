"""A server below a path of a proxy, as users reach it, and a browser for the tests of a module."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer, unused_port
from playwright.async_api import Browser, async_playwright

from app import create_app
from mail import sender
from settings import Settings
from tests.mail.mailbox import Mailbox
from tests.ui.site import ARGUMENTS, CHROMIUM, PREFIX, PRODUCT, Site

SENT = ("Authorization", "Content-Type", "If-Match")
RETURNED = ("Content-Type", "Content-Security-Policy", "Retry-After", "ETag", "Cache-Control")


@pytest.fixture
def proxy_port() -> int:
    return unused_port()


@pytest.fixture
def ui_settings(settings: Settings) -> Settings:
    """The settings of the server; a module may have others."""
    return settings


@pytest.fixture
async def site(
    ui_settings: Settings,
    proxy_port: int,
    aiohttp_client: Any,
    clean: None,
    tmp_path: Path,
    monkeypatch: Any,
) -> AsyncIterator[Site]:
    """A server whose links lead through a proxy, below a path of it."""
    monkeypatch.setattr(sender, "WAKE_SECONDS", (0.0, 0.01))

    async def forward(request: web.Request) -> web.Response:
        target = site.client.make_url(f"/{request.match_info['rest']}")
        target = target.with_query(request.query_string)
        headers = {name: request.headers[name] for name in SENT if name in request.headers}
        body = await request.read()
        method = request.method
        async with session.request(
            method, target, headers=headers, data=body, allow_redirects=False
        ) as response:
            names = (*RETURNED, "Location")
            given = {name: response.headers[name] for name in names if name in response.headers}
            content = await response.read()
            return web.Response(status=response.status, body=content, headers=given)

    app = web.Application()
    app.router.add_route("*", f"{PREFIX}/{{rest:.*}}", forward)
    async with ClientSession() as session, TestServer(app, port=proxy_port) as proxy:
        url = str(proxy.make_url(PREFIX))
        settings = replace(
            ui_settings,
            mail_url=f"file:{tmp_path}/mail",
            public_url=url,
            product_name=PRODUCT,
        )
        client = await aiohttp_client(create_app(settings))
        site = Site(client, Mailbox(tmp_path / "mail"))
        site.url = url
        yield site


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()
