"""Reads a request's body once, within its limits. Every failure is one of five errors.

A body is read completely and then parsed on the event loop, so the work is bounded before it
begins: by the body's length, by its number of values, fields, escapes or parts, and because
nothing is decompressed. A longer body (a picture) is parsed in pieces, with a turn of the event
loop between them. tests/handlers/test_event_loop.py measures the longest block of the loop.
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
"""A body that arrives at this rate or faster is read to its end. At the limits that takes 138 s,
and 15 minutes for a picture. A body of one byte per second ends with the timeout."""
MAX_VALUES = 10_000
"""The most values in a JSON body. A megabyte of empty lists takes 110 ms, 10 000 lists 2 ms."""

PIECE = 256 * 1024
"""Bytes of a long body that are parsed in one turn of the event loop."""


async def read_body(
    request: web.Request,
    limit: int = MAX_BODY,
    seconds: float | None = None,
    reported_limit: int | None = None,
    memory: web.AppKey[BodyMemory] = BODY_MEMORY,
) -> bytes:
    """Return the whole body. It is read once; later calls return or raise the same.

    At most `limit` bytes are read. The client may pause for `seconds`, by default BODY_TIMEOUT,
    and the body may take that long plus one second for each MIN_BYTES_PER_SECOND received bytes.
    An error names `reported_limit` if it is given, otherwise `limit`. `memory` counts long bodies.
    Raises PayloadTooLarge, RequestTimeout, Malformed, UnsupportedEncoding, Busy.
    """
    if BODY not in request:
        try:
            held = request[HELD_BYTES] = HeldBytes(request.app[memory])
            seconds = seconds or request.app[BODY_TIMEOUT]
            request[BODY] = await _read(request, limit, seconds, held)
        except PayloadTooLarge:
            request[BODY] = PayloadTooLarge(reported_limit or limit)
        except AppError as error:
            request[BODY] = error
    body = request[BODY]
    if isinstance(body, AppError):
        try:
            raise body
        finally:
            del body  # otherwise its traceback refers to itself, and only the collector frees it
    return body


def drop_body(request: web.Request) -> bytes | AppError | None:
    """Release a request's body; return it, its error, or None if it was not read."""
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
        request.content.feed_eof()  # otherwise aiohttp reads on and raises the same error again
        raise Malformed("Body", "it is cut off") from error
    return bytes(body)


def _check_encoding(request: web.Request) -> None:
    """Raise UnsupportedEncoding for a compressed body: 2 KB of gzip can hold a megabyte of JSON.

    No published client of a dialect compresses. Neither Django nor Flask decompresses.
    """
    codings = ",".join(request.headers.getall(hdrs.CONTENT_ENCODING, ()))
    are_compressed = {coding.strip().lower() for coding in codings.split(",")} - {"", "identity"}
    if are_compressed and request.body_exists:
        raise UnsupportedEncoding


async def read_json(request: web.Request) -> Any:
    """Return the value of a JSON body, which is parsed once. Raises what `read_body` raises."""
    body = await read_body(request)
    if PARSED not in request:
        try:
            request[PARSED] = parse_json(body, content_type_of(request).charset), None
        except Malformed as malformed:  # without its traceback, which refers to the request
            request[PARSED] = None, malformed.reason
    parsed, reason = request[PARSED]
    if reason is not None:
        raise Malformed("JSON", reason)
    return parsed


def parse_json(body: bytes, charset: str | None = None) -> Any:
    """Return the value of a JSON body, in UTF-8 or `charset`. Raises Malformed."""
    try:
        if charset is not None:
            body = body.decode(charset).encode()
        if len(body) > MAX_VALUES and _has_too_many_values(body):
            raise ValueError(f"more than {MAX_VALUES} values")
        return orjson.loads(body)
    except ValueError as error:  # decoding errors are ValueErrors
        raise Malformed("JSON", error) from None


def _has_too_many_values(body: bytes) -> bool:
    """Return whether JSON has more than MAX_VALUES values. Text in strings is not counted."""
    if _count_values(body) <= MAX_VALUES:
        return False
    if b"\\" in body:  # an escaped quote does not end a string, nor an escaped backslash escape
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if body.count(b'"') > 4 * MAX_VALUES:  # a value has two quotes, its key in an object two more
        return True
    return _count_values(b"".join(body.split(b'"')[::2])) > MAX_VALUES


def _count_values(body: bytes) -> int:
    return len(body) - len(body.translate(None, b"[{,"))


async def pieces(body: bytes, size: int = PIECE) -> AsyncIterator[bytes]:
    """Yield a body in pieces of `size` bytes, with a turn of the event loop between them."""
    for start in range(0, len(body), size):
        if start:
            await asyncio.sleep(0)
        yield body[start : start + size]
