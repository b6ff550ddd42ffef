"""Requests that the HTTP parser rejects although their request line and headers can be read.

A line that is too long, too many headers, or a repeated header that must be unique: such a client
uses HTTP, so the dialect of its path renders the error. Anything else gets a 400 without a body.
"""

import re
from asyncio import AbstractEventLoop
from typing import NamedTuple

from aiohttp import web
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from handlers.app_keys import UNREADABLE
from handlers.errors import HeadersTooLarge, Malformed, TargetTooLong
from handlers.http.response import Response
from store.errors import AppError

MAX_LINE = 8190
MAX_HEADERS = 128
"""aiohttp's limits, which this server does not change."""

_UNIQUE_HEADERS = (
    "Content-Length",
    "Content-Location",
    "Content-Range",
    "Content-Type",
    "ETag",
    "Host",
    "Max-Forwards",
    "Server",
    "Transfer-Encoding",
    "User-Agent",
)
"""Headers that must be unique: aiohttp's parser rejects a second one."""
_IGNORED = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect"}
"""Headers that are left out when the request is parsed again: no body follows."""

_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) (/[!-~]*)(?: HTTP/1\.[01])?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}):([\t -~\x80-\xff]*)")


class Unreadable(NamedTuple):
    """The part of a request that could be read, and its error."""

    message: RawRequestMessage
    error: AppError


def read_unreadable(
    parser_error: BaseException | None, protocol: RequestHandler, loop: AbstractEventLoop
) -> Unreadable | None:
    """Return the request that the parser rejected; None if it cannot be read.

    aiohttp's parser does not expose its input. The error's traceback begins in
    `RequestHandler.data_received`, whose variable `data` is the input. A head that arrived in
    several pieces cannot be read there.
    """
    traceback = parser_error.__traceback__ if parser_error else None
    if traceback is None or traceback.tb_frame.f_code is not RequestHandler.data_received.__code__:
        return None
    data: bytes = traceback.tb_frame.f_locals.get("data", b"")
    first, *others = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    request_line = _REQUEST_LINE.fullmatch(first)
    if not request_line:
        return None
    headers = [found for line in others if (found := _HEADER.fullmatch(line))]
    error = _find_error(first, [(each[1].decode(), each[0]) for each in headers])
    if error is None:
        return None
    method, target = request_line.groups()
    if len(target) > MAX_LINE:
        target = target.partition(b"?")[0][: MAX_LINE // 2]
    kept = {each[1].lower(): each[0] for each in headers if _is_kept(each)}
    head = b"%b %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (
        method,
        target,
        b"".join(line + b"\r\n" for line in list(kept.values())[: MAX_HEADERS // 2]),
    )
    try:
        [(message, _)], _, _ = HttpRequestParser(protocol, loop, MAX_LINE).feed_data(head)
    except HttpProcessingError:
        return None
    return Unreadable(message, error)


def _is_kept(header: re.Match[bytes]) -> bool:
    return header[1].decode().lower() not in _IGNORED and len(header[0]) <= MAX_LINE


def _find_error(request_line: bytes, headers: list[tuple[str, bytes]]) -> AppError | None:
    if len(request_line) > MAX_LINE:
        return TargetTooLong()
    if len(headers) > MAX_HEADERS or any(len(line) > MAX_LINE for _, line in headers):
        return HeadersTooLarge()
    names = [name.lower() for name, _ in headers]
    for name in _UNIQUE_HEADERS:
        if names.count(name.lower()) > 1:
            return Malformed("Header", f"more than one {name}")
    return None


async def raise_error(request: web.Request) -> Response:
    """Raise the error of an unreadable request. This is an endpoint's handler."""
    raise request[UNREADABLE]
