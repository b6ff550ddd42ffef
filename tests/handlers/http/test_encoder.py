"""Encoded responses: in the order of their requests, complete, and without duplicate headers."""

import asyncio
import re
import socket
import tracemalloc

import pytest

from handlers.http.connection import MAX_CONSECUTIVE
from handlers.http.encoder import as_response, encode
from handlers.http.response import Response, SharedHeaders, json_response


def get(number: int, path: str = "/healthz", more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-ID: {number}\r\n{more}\r\n".encode()


@pytest.mark.parametrize(
    "odd",
    [
        get(2),
        get(2, "/readyz"),
        get(2, "/nowhere"),
        get(2, "/healthz?a=b"),
        get(2).replace(b"GET", b"HEAD"),
        get(2, more="Expect: 100-continue\r\n"),
        get(2, "//lumotist//account//login"),
    ],
    ids=["plain", "slow", "unknown", "query", "HEAD", "Expect", "slashes"],
)
async def test_answers_come_in_the_order_of_their_requests(client, odd):
    """Also if aiohttp writes some of them, and if some are ready before others."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(get(1) + odd + get(3) + get(4, more="Connection: close\r\n"))
    async with asyncio.timeout(5):
        received = (await reader.read()).decode()
    writer.close()
    assert re.findall(r"X-Request-ID: (\d)", received) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b=c", "a\nb", "a\rb"])
def test_a_header_with_a_line_break_is_never_sent(value):
    with pytest.raises(ValueError, match="line break"):
        encode(json_response({}, 200, {"Allow": value}))


async def test_json_is_kept_by_nobody_and_taken_for_nothing_else(client):
    """RFC 9111, 5.2.2.5. The versions of the software are not disclosed."""
    for path in ("/healthz", "/account/profile", "/nowhere"):
        async with client.get(path) as response:
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Server"] == "Latchkey"


@pytest.mark.parametrize("status", [200, 204, 304, 404])
async def test_both_ways_of_writing_say_the_same(status):
    """The response of aiohttp has the same headers as the one that is encoded here."""
    body, media_type = (b"", "") if status in (204, 304) else (b"{}", "application/json")
    response = Response(
        status,
        body,
        media_type,
        {"ETag": '"a"'},
        "X-Account-Id: 7\r\nX-Session-Kind: token\r\n",
        SharedHeaders({"Server": "b"}),
        "c",
    )
    head, _, sent = encode(response).decode().partition("\r\n\r\n")
    ours = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    ours.pop("Date")
    theirs = as_response(response)
    assert sent.encode() == (theirs.body or b"") == body
    ours.pop("Content-Length", None)
    assert ours["X-Session-Kind"] == "token"
    assert ours == dict(theirs.headers)


PIPELINED = [
    ("/docs/swagger-ui.css", "identity", 180),
    ("/docs/swagger-ui.css", "gzip", 400),
    ("/openapi.json", "identity", 180),
    ("/healthz", "identity", 4_000),
]
"""Requests of a client that does not read, and how many: 188, 26, 72 KB and 320 bytes."""


async def some_turns() -> None:
    """Run the event loop until nothing changes for a client that does not read."""
    for _ in range(3_000):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("path", "encoding", "times"), PIPELINED)
async def test_a_client_that_pipelines_and_does_not_read_has_little_held(
    client, path, encoding, times
):
    """The transport's flow control sees every response, also on Python 3.12 and later."""
    async with client.get(path) as response:  # read once, so that the files are loaded
        await response.read()
    request = get(1, path, f"Accept-Encoding: {encoding}\r\n")
    with socket.socket() as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.setblocking(False)
        await asyncio.get_running_loop().sock_connect(greedy, (client.host, client.port))
        tracemalloc.start()
        try:
            greedy.send(request * times)
            await some_turns()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 5 * 2**18


async def test_a_client_that_pipelines_does_not_keep_others_waiting(client):
    """Request ids count requests; on 3.13 all 190 were handled before the other client's."""
    loop, ids = asyncio.get_running_loop(), re.compile(rb"X-Request-ID: \w+-(\w+)")
    with socket.socket() as greedy, socket.socket() as other:
        for each in (greedy, other):
            each.setblocking(False)
            await loop.sock_connect(each, (client.host, client.port))
        await some_turns()
        request = get(1).replace(b"X-Request-ID: 1\r\n", b"")
        greedy.send(request * 190)
        other.send(request)
        numbers = []
        for each in (greedy, other):
            async with asyncio.timeout(5):
                found = ids.search(await loop.sock_recv(each, 65536))
            assert found
            numbers.append(int(found[1], 16))
    assert numbers[1] - numbers[0] < 3 * MAX_CONSECUTIVE
