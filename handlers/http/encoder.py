"""Encodes responses as bytes (RFC 9112) and writes them in batches.

The response to an ordinary request is encoded here, in a fifth of the time of aiohttp's response.
aiohttp sends all others: HTTP/1.0, HEAD, a connection that closes, CORS_ORIGINS, a long body.
"""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time

from handlers.http.response import JSON, Response, SharedHeaders

CHUNK_BYTES = 64 * 1024
"""Bytes of a body that are written at once. A longer body is sent in pieces of this size, as the
client reads it; otherwise a thousand clients that do not read hold a thousand copies."""
MAX_BATCH_BYTES = 256 * 1024
"""The most bytes that one batch holds, for all connections together. 256 reads are 115 KB."""

_STATUS = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n" for each in HTTPStatus}
_BODILESS = (204, 304)
_OF_JSON = SharedHeaders(
    {"Content-Type": JSON, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
)
"""The headers of JSON: caches must not store a token, browsers must not render it as a page."""


class WriteBatcher:
    """Writes the responses of one turn of the event loop together, at its end.

    A write to a sleeping client wakes it, which costs more than the write. In a batch the client
    is awake for all but the first write. Code that writes to a transport directly must call
    `empty` first.

    A transport pauses writing only when it is written to, so at most MAX_BATCH_BYTES are held.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []
        self._size = 0

    def send(self, transport: asyncio.Transport, content: bytes) -> None:
        """Write the content at the end of this turn, or now if the batch is full."""
        if not self._waiting:
            self._loop.call_soon(self.empty)
        self._waiting.append((transport, content))
        self._size += len(content)
        if self._size > MAX_BATCH_BYTES:
            self.empty()

    def empty(self) -> None:
        """Write the batch now."""
        waiting, self._waiting = self._waiting, []
        self._size = 0
        for transport, content in waiting:
            if not transport.is_closing():
                transport.write(content)


def encode(response: Response) -> bytes:
    """Return the bytes of a response to an HTTP/1.1 request."""
    own = response.lines + _lines(response.headers) if response.headers else response.lines
    if response.media_type == JSON:
        own += _OF_JSON.lines
    elif response.media_type:
        own += f"Content-Type: {response.media_type}\r\n"
    if response.status not in _BODILESS:
        own += f"Content-Length: {len(response.body)}\r\n"
    shared = response.shared.lines if response.shared else ""
    date = rfc822_formatted_time()
    return (
        f"{_STATUS[response.status]}{shared}{own}"
        f"X-Request-ID: {response.request_id}\r\nDate: {date}\r\n\r\n"
    ).encode() + response.body


def _lines(headers: dict[str, str]) -> str:
    lines = ""
    for name, value in headers.items():
        lines += f"{name}: {value}\r\n"
    if lines.count("\r") + lines.count("\n") != 2 * len(headers):
        raise ValueError(f"a header may not hold a line break: {', '.join(headers)}")
    return lines


def as_response(response: Response) -> web.Response:
    """Return a response as one of aiohttp's."""
    headers = {**(response.shared or {}), **response.headers}
    if response.media_type == JSON:
        headers |= _OF_JSON
    elif response.media_type:
        headers["Content-Type"] = response.media_type
    if response.request_id:
        headers["X-Request-ID"] = response.request_id
    long = len(response.body) > CHUNK_BYTES
    if long:
        headers["Content-Length"] = str(len(response.body))
    converted = web.Response(
        status=response.status,
        body=_pieces(response.body) if long else response.body or None,
        headers=headers,
    )
    for line in response.lines.splitlines():
        converted.headers.add(*line.split(": ", 1))
    if response.closes:
        converted.force_close()
    return converted


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    # aiohttp would accept a BytesIO and copy all of it.
    for start in range(0, len(body), CHUNK_BYTES):
        yield body[start : start + CHUNK_BYTES]
