"""Reading a request's body: once, within its limits, every failure one of five refusals.

A body is read whole and then parsed on the event loop, so the work for it is bounded before it
begins: by its length, by how many values, fields, escapes or parts it has, and by the fact that
nothing is decompressed. What may be longer (a picture) is parsed in pieces, with a turn of the
event loop between them. tests/handlers/test_event_loop.py measures the longest stop.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from handlers.app_keys import BODY, BODY_MEMORY, BODY_TIMEOUT, HELD_BYTES, PARSED
from handlers.body_memory import BodyMemory, HeldBytes
from handlers.content_type import content_type_of
from handlers.errors import Malformed, PayloadTooLarge, RequestTimeout, UnsupportedEncoding
from handlers.http.expectation import request_body
from store.errors import AppError

MAX_BODY = 1024 * 1024
MIN_BYTES_PER_SECOND = 8 * 1024
"""Bytes a second: a body that comes steadily at this rate is read to its end, which it must reach.
At the limits that is 138 s, and 15 minutes for a picture; a byte a second ends with the timeout."""
MAX_VALUES = 10_000
"""Values in a JSON body, at most: a megabyte of empty lists takes 110 ms, 10 000 take 2 ms."""

PIECE = 256 * 1024
"""Bytes of a long body that are parsed in one turn of the event loop."""


async def read_body(
    request: web.Request,
    limit: int = MAX_BODY,
    seconds: float | None = None,
    stated: int | None = None,
    memory: web.AppKey[BodyMemory] = BODY_MEMORY,
) -> bytes:
    """Return the whole body; read once, however often this is asked.

    It may pause for `seconds`, BODY_TIMEOUT by default, and may take that long and a second more
    for each SLOWEST bytes that have come; `stated` is the limit to tell, when that is another than
    the body's; `memory` is what a long body is counted in. Raises PayloadTooLarge,
    RequestTimeout, Malformed, UnsupportedEncoding, Busy, and the same again when asked again.
    """
    if BODY not in request:
        try:
            held = request[HELD_BYTES] = HeldBytes(request.app[memory])
            seconds = seconds or request.app[BODY_TIMEOUT]
            request[BODY] = await _read(request, limit, seconds, held)
        except PayloadTooLarge:
            request[BODY] = PayloadTooLarge(stated or limit)
        except AppError as error:
            request[BODY] = error
    body = request[BODY]
    if isinstance(body, AppError):
        try:
            raise body
        finally:
            del body  # else its traceback leads to itself, and only the collector frees it
    return body


def drop_body(request: web.Request) -> bytes | AppError | None:
    """Forget a request's body, and return what there was of it."""
    request.pop(PARSED, None)
    if held := request.pop(HELD_BYTES, None):
        held.release()
    body: bytes | AppError | None = request.pop(BODY, None)
    return body


async def _read(request: web.Request, limit: int, seconds: float, held: HeldBytes) -> bytes:
    _check_encoding(request)
    if (request.content_length or 0) > limit:
        raise PayloadTooLarge(limit)
    request_body(request)
    body, content, clock = bytearray(), request.content, asyncio.get_running_loop().time
    started = clock()
    try:
        async with asyncio.timeout_at(started + seconds) as deadline:
            while request.body_exists and (chunk := await content.readany()):
                body += chunk
                if len(body) > limit:
                    raise PayloadTooLarge(limit)
                held.grow(len(body))
                if not content.is_eof():
                    slowest = started + seconds + len(body) / MIN_BYTES_PER_SECOND
                    deadline.reschedule(min(slowest, clock() + seconds))
    except TimeoutError:
        raise RequestTimeout from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
        request.content.feed_eof()  # else aiohttp reads on, and meets the same error again
        raise Malformed("Body", "it is cut off") from error
    return bytes(body)


def _check_encoding(request: web.Request) -> None:
    """Refuse a body that is compressed, however it is: 2 KB of gzip can hold a megabyte of JSON.

    No published client of the five dialects compresses, and neither Django nor Flask decompresses.
    """
    codings = ",".join(request.headers.getall(hdrs.CONTENT_ENCODING, ()))
    are_compressed = {coding.strip().lower() for coding in codings.split(",")} - {"", "identity"}
    if are_compressed and request.body_exists:
        raise UnsupportedEncoding


async def read_json(request: web.Request) -> Any:
    """Return what a JSON body says; it is parsed once. Raises as `read_body` does."""
    body = await read_body(request)
    if PARSED not in request:
        try:
            request[PARSED] = parse_json(body, content_type_of(request).charset), None
        except Malformed as malformed:  # without its traceback, which would lead to the request
            request[PARSED] = None, malformed.reason
    parsed, reason = request[PARSED]
    if reason is not None:
        raise Malformed("JSON", reason)
    return parsed


def parse_json(body: bytes, charset: str | None = None) -> Any:
    """Return what a JSON body says. Raises Malformed."""
    try:
        if charset is not None:
            body = body.decode(charset).encode()
        if len(body) > MAX_VALUES and _has_too_many_values(body):
            raise ValueError(f"more than {MAX_VALUES} values")
        return orjson.loads(body)
    except ValueError as error:  # decoding errors are ValueErrors
        raise Malformed("JSON", error) from None


def _has_too_many_values(body: bytes) -> bool:
    """Tell whether JSON has more values than are parsed; what stands in strings does not count."""
    if _count_values(body) <= MAX_VALUES:
        return False
    if b"\\" in body:  # an escaped quote ends no string, and an escaped backslash escapes nothing
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if body.count(b'"') > 4 * MAX_VALUES:  # a value has two, and its key in an object two more
        return True
    return _count_values(b"".join(body.split(b'"')[::2])) > MAX_VALUES


def _count_values(body: bytes) -> int:
    return len(body) - len(body.translate(None, b"[{,"))


async def pieces(body: bytes, size: int = PIECE) -> AsyncIterator[bytes]:
    """Give the parts of a long body, with a turn of the event loop between them."""
    for start in range(0, len(body), size):
        if start:
            await asyncio.sleep(0)
        yield body[start : start + size]
