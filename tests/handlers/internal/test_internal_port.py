"""INTERNAL_PORT: internal endpoints exist on that port only."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web

from app import create_app
from commands.listening import open_sockets
from commands.serving import make_runner
from settings import Settings
from tests.handlers.internal.keys import KEYS, Scope, bearer

INTERNAL = (
    "/readyz",
    "/metrics",
    "/internal/introspect",
    "/internal/nothing",
    "/internal/",
    "/metrics?x",
    "/internal/introspect?x",
)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(scope="module", params=[("*",), ("https://app.example",)], ids=["any", "one"])
async def ports(internal_settings: Settings, request) -> AsyncIterator[tuple[int, int]]:
    """The public port and the internal port of a running server."""
    settings = replace(
        internal_settings, port=0, internal_port=free_port(), cors_origins=request.param
    )
    runner = make_runner(create_app(settings), settings)
    await runner.setup()
    for each in open_sockets(settings):
        await web.SockSite(runner, each).start()
    yield runner.addresses[0][1], settings.internal_port
    await runner.cleanup()


OF_CORS = {"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
async def test_on_the_public_port_an_internal_path_is_an_unknown_path(ports, method):
    """Status, headers and body are the same, whatever the method and the key."""
    public, _ = ports
    headers = {"Origin": "https://app.example", **bearer(KEYS[Scope.WRITE])}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{public}", headers=headers) as client:
        for path in INTERNAL:
            async with (
                client.request(method, "/nothing") as unknown,
                client.request(method, path) as response,
            ):
                assert response.status == unknown.status == (200 if method == "OPTIONS" else 404)
                assert await response.read() == await unknown.read()
                assert response.headers.keys() - OF_CORS == unknown.headers.keys() - OF_CORS


async def test_on_the_internal_port_they_exist(ports):
    _, internal = ports
    headers = bearer(KEYS[Scope.INTROSPECT])
    async with aiohttp.ClientSession(f"http://127.0.0.1:{internal}", headers=headers) as client:
        for path in ("/readyz", "/metrics", "/healthz"):
            async with client.get(path) as response:
                assert response.status == 200
        async with client.post("/internal/introspect", data={"token": "x"}) as response:
            assert await response.json() == {"active": False}
        async with client.get("/internal/nothing") as response:
            assert response.content_type == "application/problem+json"


@pytest.mark.parametrize("which", [0, 1])
async def test_everything_else_is_on_both_ports(ports, which):
    async with aiohttp.ClientSession(f"http://127.0.0.1:{ports[which]}") as client:
        async with client.get("/healthz") as response:
            assert response.status == 200
        async with client.get("/account/profile") as response:
            assert response.status == 401


@pytest.mark.parametrize("path", ["/readyz", "/internal/introspect"])
async def test_a_request_that_the_parser_rejects(ports, path):
    """It is rejected before a handler runs, in the words of the path that there is."""
    answers = []
    for port in ports:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nA: {'a' * 70_000}\r\n\r\n".encode())
        answers.append(await reader.read())
        writer.close()
    public, internal = answers
    assert public.startswith(b"HTTP/1.1 431 ")
    assert b"problem+json" not in public
    assert internal.startswith(b"HTTP/1.1 431 ")
    assert (b"problem+json" in internal) == path.startswith("/internal")


def test_no_other_endpoint_has_a_check_of_the_port(internal_settings):
    """Reads pay nothing for it."""
    app = create_app(replace(internal_settings, internal_port=9000))
    checked = {
        route.resource.canonical
        for route in app.router.routes()
        if "only_at_port" in route.handler.__qualname__
    }
    assert {path for path in checked if not path.startswith("/internal/")} == {
        "/readyz",
        "/metrics",
    }
    assert {"/internal/introspect", "/internal/{rest}"} < checked
