"""Connections: unusual, early and incomplete requests at the level of bytes."""

import asyncio
import contextlib
import json
import re
import socket
from dataclasses import replace

import pytest

from app import create_app
from handlers.http import connection, lingering
from handlers.problem_codes import PROBLEMS
from tests.conftest import Server
from tests.handlers.contract import play
from tests.handlers.dialects.drf_messages import NOT_FOUND
from tests.handlers.dialects.lumotist_rows import SIGN_UP

ALLOWED = "https://app.example"
PICTURE = "/account/set_picture"
LOGIN = b'{"username": "nobody", "password": "none"}'


def head(start: str, *headers: str) -> bytes:
    return "\r\n".join([start, *headers, "", ""]).encode("latin-1")


async def exchange(client, sent: bytes) -> bytes:
    """Send bytes on a connection, and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(sent)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


def fields_of(response: bytes) -> dict[str, str]:
    lines = response.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return dict(line.split(": ", 1) for line in lines[1:])


def json_of(response: bytes) -> object:
    return json.loads(response.partition(b"\r\n\r\n")[2])


# What the HTTP parser rejects

LONG = "X-Long: " + "x" * 9_000
MANY = tuple(f"X-{number}: x" for number in range(150))
TWO_AGENTS = ("User-Agent: a", "User-Agent: b")
TWO_TYPES = ("Content-Type: application/json", "content-type: text/plain")
MORE_THAN_ONE = "Header parse error - more than one "
TOO_LARGE = {"detail": "The request headers are too large."}
IN_CELLARS = {"error": f"Invalid Data: {MORE_THAN_ONE}User-Agent"}


def problem(code):
    row = PROBLEMS[code]
    shown = {"type": f"/docs/errors#{code}", "title": row.title, "status": row.status}
    return {**shown, "code": code}


UNREADABLE = [
    ("POST /account/login", TWO_AGENTS, 400, {"detail": MORE_THAN_ONE + "User-Agent"}),
    ("POST /account/login?a=b", TWO_TYPES, 400, {"detail": MORE_THAN_ONE + "Content-Type"}),
    ("GET //account/profile", (LONG,), 431, TOO_LARGE),
    ("GET /user/1/", MANY, 431, TOO_LARGE),
    ("GET /nowhere", (LONG,), 431, TOO_LARGE),
    ("GET /metrics", (LONG,), 431, TOO_LARGE),
    ("POST /cellars/api/login", TWO_AGENTS, 400, IN_CELLARS),
    ("POST /cellars/api/login", (LONG,), 431, {"error": "Request Header Fields Too Large"}),
    ("POST /fardel/api/auth/login", TWO_AGENTS, 400, {"message": "Unvalid form submitted"}),
    ("GET /fardel/nowhere", (LONG,), 431, {"message": "Request Header Fields Too Large"}),
    ("GET /fardel/" + "x" * 9_000, (), 414, {"message": "Request-URI Too Long"}),
    ("GET /account/login?" + "x" * 9_000, (), 414, {"detail": "The request line is too long."}),
    ("GET /cellars/" + "x" * 9_000, (), 414, {"error": "Request-URI Too Long"}),
    ("POST /v1/sessions", TWO_TYPES, 400, problem("invalid_body")),
    ("PUT /latchkey/v1/account/email", (LONG,), 431, problem("headers_too_large")),
    ("GET /latchkey/" + "x" * 9_000, (), 414, problem("uri_too_long")),
]  # fmt: skip


async def test_what_can_be_read_is_refused_in_the_words_of_its_dialect(client):
    """With the headers of every response and an id; then the connection ends."""
    for start, headers, status, body in UNREADABLE:
        sent = head(f"{start} HTTP/1.1", "Host: a", "X-Request-ID: mine", *headers)
        response = await exchange(client, sent)
        assert response.startswith(b"HTTP/1.1 %d " % status), (start[:40], response)
        assert json_of(response) == body
        fields = fields_of(response)
        assert fields["Access-Control-Allow-Origin" if "metrics" not in start else "Server"]
        assert fields["Connection"] == "close"
        assert fields["X-Request-ID"] == "mine"


@pytest.mark.parametrize(
    "sent",
    [
        head("GET /a b HTTP/1.1", "Host: a", LONG),
        head("GET http://[ HTTP/1.1", "Host: a", LONG),
        head("GET /nowhere HTTP/1.1", "Host: a", "bad name: x"),
        head("GET /healthz HTTP/0.9", "Host: a"),
        b"x" * 20_000,
    ],
    ids=["two spaces", "bad URL", "bad header", "HTTP/0.9", "no line"],
)
async def test_what_cannot_be_read_gets_a_bare_400(client, sent):
    response = await exchange(client, sent)
    assert response.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert response.endswith(b"\r\n\r\n")


async def test_http_2_on_a_connection_of_http_1_is_refused(client):
    """Aiohttp answers it, as HTTP/2.0."""
    for version in ("2.0", "2.0\r\nUpgrade: h2c"):
        response = await exchange(client, head(f"GET /healthz HTTP/{version}", "Host: a"))
        assert response.startswith(b"HTTP/1.1 505 ")
        assert b"HTTP/2" not in response


async def test_the_response_to_an_unreadable_request_arrives_before_its_body_has_been_sent(client):
    """Further input does not reset the connection. It ends when the client closes it."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(head("POST /account/login HTTP/1.1", "Host: a", LONG, "Content-Length: 9000000"))
    for _ in range(20):
        writer.write(bytes(100_000))
        await writer.drain()
    async with asyncio.timeout(5):
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
    writer.close()


# Unusual targets


async def test_doubled_slashes_count_once_in_the_paths_of_dialects(client):
    """Clients join a base URL that ends in `/` and a path. Other paths have one form only."""
    for path, status in {
        "//account/login": 405,
        "/lumotist//account/login": 405,
        "//lumotist//account///login//?next=//x": 405,
        "//user//7/": 401,
        "//api/auth/login": 405,
        "//lumotist/nowhere": 404,
        "//metrics": 404,
        "///metrics": 404,
        "//healthz": 404,
        "//docs": 404,
        "/docs//": 404,
        "//nowhere": 404,
        "/pictures//x": 404,
        "/%2Faccount/login": 404,
    }.items():
        response = await exchange(
            client, head(f"GET {path} HTTP/1.1", "Host: a", "Connection: close")
        )
        assert response.startswith(b"HTTP/1.1 %d " % status), path
    response = await exchange(
        client, head("GET http://a//account/login HTTP/1.1", "Host: a", "Connection: close")
    )
    assert response.startswith(b"HTTP/1.1 405 ")


async def test_connect_is_answered_like_any_unknown_path(aiohttp_client, settings, clean):
    """With an id, and with the origins that CORS_ORIGINS allows."""
    sent = head("CONNECT a:80 HTTP/1.1", "Host: a", "Origin: https://evil.example")
    after = head("GET /healthz HTTP/1.1", "Host: a", "Connection: close")
    for origins, given in ((("*",), "*"), ((ALLOWED,), None)):
        client = await aiohttp_client(create_app(replace(settings, cors_origins=origins)))
        first, second, third = (await exchange(client, sent + after)).split(b"HTTP/1.1 ")
        assert (first, second[:3], third[:3]) == (b"", b"404", b"200")
        fields = fields_of(second.partition(b"{")[0] + b"\r\n\r\n")
        assert fields.get("Access-Control-Allow-Origin") == given
        assert fields["X-Request-ID"]
        assert json.loads(second[second.index(b"{") :]) == NOT_FOUND


# Bodies that are incomplete


@pytest.fixture
async def token(client) -> str:
    return (await play(client, [SIGN_UP]))["token"]


def upload(*headers: str, path: str = PICTURE, length: int = 1_000_000) -> bytes:
    lines = ("Host: a", "Content-Type: image/png", f"Content-Length: {length}", *headers)
    return head(f"POST {path} HTTP/1.1", *lines)


async def test_a_client_that_waits_to_send_gets_the_refusal_itself(client, token):
    """RFC 9110, 10.1.1: no 100 for a body that is not read, and none to HTTP/1.0."""
    expects, good = "Expect: 100-continue", f"Authorization: Token {token}"
    json_body = ("Content-Type: application/json", f"Content-Length: {len(LOGIN)}", expects)
    for sent, status in (
        (upload(expects), 401),
        (upload(expects, "Authorization: Token 0"), 401),
        (upload(expects, good, length=90_000_000), 413),
        (upload(expects, path="/nowhere"), 404),
        (head("PUT /account/login HTTP/1.1", "Host: a", *json_body), 405),
        (head("POST /account/login HTTP/1.0", *json_body) + LOGIN, 400),
        (head("GET /healthz HTTP/1.1", "Host: a", expects, "Connection: close"), 200),
        (head("GET /healthz HTTP/1.1", "Host: a", "Expect: x", "Connection: close"), 200),
    ):
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(sent)
        async with asyncio.timeout(5):
            response = await reader.readuntil(b"\r\n\r\n")
        assert re.match(rb"HTTP/1\.[01] %d " % status, response), response
        assert b"HTTP/1.0" in response or fields_of(response)["Connection"] == "close"
        writer.close()


async def test_a_client_that_waits_to_send_is_told_to_when_the_body_is_wanted(client):
    reader, writer = await asyncio.open_connection(client.host, client.port)
    lines = ("Host: a", "Content-Type: application/json", f"Content-Length: {len(LOGIN)}")
    request = head("POST /account/login HTTP/1.1", *lines, "Expect: 100-Continue")
    async with asyncio.timeout(5):
        for _ in range(2):
            writer.write(head("GET /healthz HTTP/1.1", "Host: a") + request)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert (await reader.readuntil(b"HTTP/1.1 100 Continue\r\n\r\n")).startswith(b"{")
            writer.write(LOGIN)
            response = await reader.readuntil(b"}")
            assert response.startswith(b"HTTP/1.1 400 ")
            assert b"Unable to log in" in response
    writer.close()


@pytest.mark.parametrize("length", [4_000_000, 12_000_000])
async def test_an_early_refusal_reaches_a_client_that_reads_at_the_end(client, token, length):
    """OkHttp and requests read after they have sent everything: they get the 401 and the 413."""
    good = f"Authorization: Token {token}"
    loop = asyncio.get_running_loop()
    with socket.socket() as plug:
        plug.setblocking(False)
        await loop.sock_connect(plug, (client.host, client.port))
        sent = upload(*((good,) if length > 8_000_000 else ()), length=length)
        await loop.sock_sendall(plug, sent)
        for _ in range(0, length, 100_000):
            await asyncio.sleep(0)  # the error is written, and further input is discarded
            await loop.sock_sendall(plug, bytes(100_000))
        async with asyncio.timeout(5):
            response = await loop.sock_recv(plug, 65_536)
    assert response[9:12] == (b"401" if length < 8_000_000 else b"413")


async def test_what_is_dropped_has_limits(aiohttp_client, settings, clean, monkeypatch):
    """Limits of silence, of time, and of bytes.

    A stop does not wait for it, nor for a client that does not read.
    """
    client = await aiohttp_client(create_app(settings))  # a separate server, because it is stopped
    monkeypatch.setattr(connection, "MAX_SILENCE", 0.1)
    assert (await exchange(client, upload())).startswith(b"HTTP/1.1 401 ")  # no input, then closed
    monkeypatch.setattr(connection, "MAX_SILENCE", 30.0)
    monkeypatch.setattr(connection, "MAX_SECONDS", 0.1)

    async def send_on(step: float, size: int) -> int:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(upload(length=100_000_000))
        sent = 0
        try:
            while not reader.at_eof() and sent < 100_000_000:
                writer.write(bytes(size))
                await writer.drain()
                sent += size
                await asyncio.sleep(step)
        except OSError:
            pass
        finally:
            writer.close()
        return sent

    assert await send_on(0.01, 1) < 1_000
    monkeypatch.setattr(connection, "MAX_SECONDS", 30.0)
    assert await send_on(0, 500_000) < 3 * lingering.MIN_BYTES
    monkeypatch.setattr(connection, "UNREAD_SECONDS", 0.1)
    _, sender = await asyncio.open_connection(client.host, client.port)
    sender.write(upload())
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        await asyncio.get_running_loop().sock_connect(deaf, (client.host, client.port))
        deaf.send(head("GET /openapi.json HTTP/1.1", "Host: a") * 100)
        await asyncio.sleep(0.1)
        async with asyncio.timeout(3):
            await client.server.close()
    sender.close()


async def until_closed(server: Server) -> None:
    for _ in range(1_000):
        if not server.handler.connections:
            return
        await asyncio.sleep(0.01)
    pytest.fail("a connection stays open")


async def test_what_follows_an_unreadable_request_has_limits(
    aiohttp_client, settings, clean, monkeypatch
):
    """The same limits. The response and the end of the server's output are sent first."""
    client = await aiohttp_client(create_app(settings))  # a separate server, because it is stopped
    unreadable = head("GET /account/profile HTTP/1.1", "Host: a", LONG)

    async def send_unreadable() -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(unreadable)
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
        assert len(client.server.handler.connections) == 1
        return writer

    with monkeypatch.context() as patch:
        patch.setattr(lingering, "MAX_SILENCE", 0.1)
        silent = await send_unreadable()
        await until_closed(client.server)
        silent.close()
    monkeypatch.setattr(lingering, "MAX_SILENCE", 30.0)
    writer, sent = await send_unreadable(), 0
    with contextlib.suppress(OSError):
        while sent < 100_000_000:
            writer.write(bytes(500_000))
            await writer.drain()
            sent += 500_000
    assert lingering.MIN_BYTES / 2 < sent < 3 * lingering.MIN_BYTES
    await until_closed(client.server)
    writer.close()
    writer = await send_unreadable()
    async with asyncio.timeout(3):
        await client.server.close()
    writer.close()


@pytest.mark.parametrize("waits_for", ["the body", "the client to read"])
async def test_a_stop_ends_what_does_not_end(aiohttp_client, settings, clean, waits_for):
    """At its timeout: a request without its body, and a response that is not read."""
    client = await aiohttp_client(create_app(settings))
    sent = (
        head("POST /account/login HTTP/1.1", "Host: a", f"Content-Length: {len(LOGIN)}")
        if waits_for == "the body"
        else head("GET /openapi.json HTTP/1.1", "Host: a") * 500
    )
    with socket.socket() as plug:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plug.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plug, (client.host, client.port))
        plug.send(sent)
        await asyncio.sleep(0.2)
        [stopped] = client.server.handler.connections
        assert (stopped.transport.get_write_buffer_size() > 0) == (waits_for != "the body")
        async with asyncio.timeout(10):
            await stopped.shutdown(0.2)
        await until_closed(client.server)


async def test_a_body_may_be_slow_but_not_silent(aiohttp_client, settings, clean, monkeypatch):
    """A body that arrives steadily for longer than BODY_TIMEOUT is read; a trickle is not."""
    client = await aiohttp_client(create_app(replace(settings, body_timeout=0.3)))
    monkeypatch.setattr("handlers.body.MIN_BYTES_PER_SECOND", 20)
    lines = ("Host: a", "Content-Type: application/json", f"Content-Length: {len(LOGIN)}")

    async def send(size: int, pause: float) -> bytes:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(head("POST /account/login HTTP/1.1", *lines, "Connection: close"))

        async def send_body() -> None:
            for start in range(0, len(LOGIN), size):
                writer.write(LOGIN[start : start + size])
                await asyncio.sleep(pause)

        sending = asyncio.create_task(send_body())
        async with asyncio.timeout(10):
            status = (await reader.readuntil(b"\r\n"))[9:12]
        sending.cancel()
        writer.close()
        return status

    pace = {"steady": send(8, 0.1), "a trickle": send(1, 0.1), "silent": send(40, 10)}
    found = dict(zip(pace, await asyncio.gather(*pace.values()), strict=True))
    assert found == {"steady": b"400", "a trickle": b"408", "silent": b"408"}


async def test_an_upgrade_whose_body_is_late_leaves_no_connection_deaf(client):
    """The response announces the connection's end. With the whole body it stays open."""
    asks = ("Host: a", "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 2")
    start = head("POST /account/logout HTTP/1.1", *asks)
    after = head("GET /healthz HTTP/1.1", "Host: a", "Connection: close")
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(start)
    async with asyncio.timeout(5):
        response = await reader.readuntil(b"\r\n\r\n")
        assert fields_of(response)["Connection"] == "close"
        writer.write(b"{}" + after)
        await reader.read()
    writer.close()
    received = await exchange(client, start + b"{}" + after)
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"401", b"200"]


# Responses that are not read


async def test_a_client_that_reads_nothing_for_long_is_cut_off(settings, clean):
    """Also within a response that is sent at once. A client that reads slowly is not cut off."""
    server = Server(create_app(settings))
    await server.start_server(keepalive_timeout=0.5)
    try:
        loop, request = asyncio.get_running_loop(), b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"
        with socket.socket() as plug, socket.socket() as slow:
            for each, room in ((plug, 4096), (slow, 2**17)):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
                each.setblocking(False)
                await loop.sock_connect(each, (server.host, server.port))
                await loop.sock_sendall(each, request * 500)
            for _ in range(20):
                await asyncio.sleep(0.05)
                assert await loop.sock_recv(slow, 2**20)
            assert len(server.handler.connections) == 1
    finally:
        await server.close()
