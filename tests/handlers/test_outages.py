"""Unavailable stores, missing bodies, a draining server, and input that is not HTTP."""

import asyncio
from collections import Counter
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
from aiohttp import web

from app import create_app
from handlers import app_keys
from handlers.http.connection import Runner
from handlers.system.health import Readiness
from tests.handlers.contract import Row, play
from tests.handlers.dialects.drf_messages import INVALID_TOKEN
from tests.handlers.dialects.lumotist_rows import LOG_IN, LOGIN, SIGN_UP, profile, token
from tests.handlers.sample_requests import NAMES, OF_EVERY_KIND, ask


@pytest.fixture
async def client(aiohttp_client, settings, clean):
    """A client of a new application, which may drain."""
    return await aiohttp_client(create_app(settings))


NOBODYS = token("0123456789012345678901234567890123456789")

BUSY = {"Retry-After": "1"}
NEEDS = [
    Row("GET /account/profile", None, 503, {"detail": "<text>"}, token("<token>"), BUSY),
    Row("POST /account/logout", None, 503, {"detail": "<text>"}, token("<token>"), BUSY),
    Row("POST /account/login", LOGIN, 503, {"detail": "<text>"}, {}, BUSY),
    Row(
        "POST /account/register",
        {"username": "new", "email": "new@test.com", "password": "new"},
        503,
        {"detail": "<text>"},
        {},
        BUSY,
    ),
]


@pytest.mark.parametrize("store", ["postgresql", "redis"])
async def test_a_store_that_is_away_is_a_503_and_never_a_401(
    aiohttp_client, outages, clean, store, caplog, monkeypatch
):
    monkeypatch.setattr("handlers.system.health.REUSE_SECONDS", 0.0)
    caplog.set_level("INFO", "latchkey.readiness")
    client = await aiohttp_client(create_app(outages.settings))
    names = await play(client, [SIGN_UP])
    outages.take_away(store)
    await play(client, NEEDS, names)
    # A token that no key made is recognized without a store.
    await play(client, [Row("GET /account/profile", None, 401, INVALID_TOKEN, NOBODYS)])
    health = await client.get("/healthz")
    assert (health.status, await health.json()) == (200, {"status": "ok"})
    response = await client.get("/readyz")
    assert response.status == 503
    report = await response.json()
    other = {"postgresql": "redis", "redis": "postgresql"}[store]
    assert report == {"status": "unavailable", store: "unavailable", other: "ok"}
    assert (await client.get("/readyz")).status == 503
    [logged] = [each for each in caplog.records if each.name == "latchkey.readiness"]
    assert logged.levelname == "WARNING"
    assert logged.getMessage().startswith(f"not ready: {store}: ")
    outages.bring_back(store)
    assert (await client.get("/readyz")).status == 200
    assert f"ready again: {store}" in caplog.text
    await play(client, [profile(), LOG_IN], names)  # the session is still valid


async def test_a_store_that_does_not_answer_is_a_503(aiohttp_client, outages, clean, database):
    client = await aiohttp_client(create_app(outages.settings))
    names = await play(client, [SIGN_UP])
    with database.cursor() as cursor:
        cursor.execute("begin; lock table account in access exclusive mode")
        await play(client, [NEEDS[0], NEEDS[2]], names)
        cursor.execute("rollback")
    await play(client, [profile()], names)


async def test_ready(client):
    response = await client.get("/readyz")
    assert response.status == 200
    assert await response.json() == {"status": "ok", "postgresql": "ok", "redis": "ok"}


@pytest.mark.parametrize(("method", "path", "body", "status"), OF_EVERY_KIND[:-1], ids=NAMES[:-1])
async def test_draining_closes_each_connection_behind_its_answer(
    client, method, path, body, status
):
    """All except the 413, which always closes its connection."""
    response = await ask(client, method, path, body)
    assert (response.status, response.headers.get("Connection")) == (status, None)
    client.app[app_keys.DRAINING].set()
    response = await ask(client, method, path, body)
    assert response.headers["Connection"] == "close"


async def test_whoever_asks_readyz_shares_one_trip_to_each_store():
    """Concurrent requests share one, and so do requests while a result is reused."""
    counts, gate = Counter(), asyncio.Event()

    async def ping(name, reason):
        counts[name] += 1
        await gate.wait()
        return reason

    readiness = Readiness({"a": partial(ping, "a", None), "b": partial(ping, "b", "why")})
    asking = [asyncio.create_task(readiness.check()) for _ in range(50)]
    await asyncio.sleep(0)
    asking.pop(0).cancel()  # the one that started it
    gate.set()
    assert await asyncio.gather(*asking) == [{"a": True, "b": False}] * 49
    assert await readiness.check() == {"a": True, "b": False}
    assert counts == {"a": 1, "b": 1}
    readiness._valid_until = 0.0
    await readiness.check()
    assert counts == {"a": 2, "b": 2}


async def test_readyz_turns_away_whoever_asks_while_draining(client):
    client.app[app_keys.DRAINING].set()
    assert (await client.get("/readyz")).status == 503
    assert (await client.get("/healthz")).status == 200


async def test_a_body_that_does_not_come(aiohttp_client, settings, clean, raw):
    client = await aiohttp_client(create_app(replace(settings, body_timeout=0.1)))
    response = await raw(
        client, b"POST /account/login HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"
    )
    assert response.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nConnection: close\r\n" in response
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in response
    assert b'{"detail":' in response


@pytest.mark.parametrize(
    "request_line", [b"s3cret", b"GET / s3cret", b"GET /\xffs3cret HTTP/1.1", b"S3CRET / HTTP/1.1"]
)
async def test_what_is_no_http_gets_a_bare_400(settings, clean, raw, caplog, request_line):
    runner = Runner(create_app(settings), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        place = SimpleNamespace(host="127.0.0.1", port=runner.addresses[0][1])
        response = await raw(place, request_line + b"\r\nHost: s3cret\r\nX\r\n\r\n")
    finally:
        await runner.cleanup()
    head, body = response.split(b"\r\n\r\n", 1)
    assert head.split(b" ")[1] == b"400"
    assert body == b""
    assert b"server:" not in head.lower()
    assert "s3cret" not in caplog.text.lower()
