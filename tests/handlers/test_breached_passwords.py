"""The client of a range API, against a server like Have I Been Pwned's."""

import asyncio
import hashlib
import logging

import pytest
from aiohttp import web

from handlers.breached_passwords import TIMEOUT, BreachedPasswords
from telemetry.observer import Observer

KNOWN, PADDING = "hunter2", "only padding"


class Failures(Observer):
    count = 0  # of failures

    def breach_check_failed(self):
        self.count += 1


def digest(password):
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


class Api:
    """A range API. `respond` is what it does with a request; None for a genuine response."""

    def __init__(self):
        self.requests = []
        self.respond = None

    async def handle(self, request):
        self.requests.append((request.path, dict(request.headers), await request.read()))
        if self.respond:
            return await self.respond(request)
        lines = [f"{digest(KNOWN)[5:]}:17043", f"{digest(PADDING)[5:]}:0", "F" * 35 + ":3"]
        return web.Response(text="\r\n".join(lines))


@pytest.fixture
async def api(aiohttp_server):
    api = Api()
    app = web.Application()
    app.router.add_get("/range/{prefix}", api.handle)
    server = await aiohttp_server(app)
    api.url = str(server.make_url("/range"))
    return api


@pytest.fixture
def failures():
    return Failures()


@pytest.fixture
async def breached(api, failures):
    async with BreachedPasswords(api.url, failures) as breached:
        yield breached


async def test_a_known_password_is_found_by_five_digits(api, breached, failures):
    assert await breached.includes(KNOWN)
    [(path, headers, body)] = api.requests
    assert path == "/range/" + digest(KNOWN)[:5]
    assert headers["Add-Padding"] == "true"
    sent = path + repr(headers) + repr(body)
    assert KNOWN not in sent
    assert digest(KNOWN)[5:].lower() not in sent.lower()
    assert failures.count == 0


async def test_other_passwords_and_padding_are_not_found(breached, failures):
    assert not await breached.includes("an unknown password")
    assert not await breached.includes(PADDING)
    assert not await breached.includes("\ud800")  # has no UTF-8, and must not raise
    assert failures.count == 0


async def hang(request):
    await asyncio.sleep(60)


async def trickle(request):
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"0")
        await asyncio.sleep(0.05)


async def flood(request):
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(64):
        await response.write((b"A" * 35 + b":1\r\n") * 4096)
    return response


def response(**what):
    async def respond(request):
        return web.Response(**what)

    return respond


@pytest.mark.parametrize(
    "respond",
    [
        hang,
        trickle,
        flood,
        response(status=500),
        response(status=429),
        response(text="<html>"),
        response(body=b"\xff\xfe"),
    ],
    ids=["hang", "trickle", "flood", "500", "429", "html", "not ascii"],
)
async def test_a_failure_accepts_the_password(api, breached, failures, caplog, respond):
    """Its time is bounded: the wait of a test that hangs shows that, without a clock."""
    api.respond = respond
    with caplog.at_level(logging.WARNING):
        assert not await asyncio.wait_for(breached.includes(KNOWN), 20 * TIMEOUT)
    assert failures.count == 1
    assert "breached passwords: the API failed" in caplog.text
    assert KNOWN not in caplog.text
    assert digest(KNOWN)[:5] not in caplog.text


async def test_an_api_that_is_down_accepts_the_password(unused_tcp_port, failures):
    async with BreachedPasswords(f"http://127.0.0.1:{unused_tcp_port}", failures) as breached:
        assert not await breached.includes(KNOWN)
    assert failures.count == 1
