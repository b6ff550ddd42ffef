"""Reading a request's body: once, within its limits, every failure one of four refusals."""

import asyncio
import codecs
import io
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multipart import MultipartParser, parse_options_header

from handlers.dialect import Malformed, TooLarge, TooSlow
from handlers.keys import BODY, BODY_TIMEOUT
from store.errors import Refused

MAX_BODY = 1024 * 1024


_MAX_FIELDS = 1000
_MAX_ESCAPES = 50_000
"""A megabyte of them would hold the event loop for a fifth of a second; no client has so many."""
_CHARSET = re.compile(r"ascii|utf-(7|8|16|32)|iso8859-|cp\d|koi8-|gb|big5|euc_|shift_jis")


async def read_body(
    request: web.Request,
    limit: int = MAX_BODY,
    seconds: float | None = None,
    stated: int | None = None,
) -> bytes:
    """Return the whole body, decompressed; read once, however often this is asked.

    It must be there within `seconds`, BODY_TIMEOUT by default; `stated` is the limit to tell, when
    that is another than the body's. Raises TooLarge, TooSlow, Malformed, and the same again when
    asked again.
    """
    if BODY not in request:
        try:
            request[BODY] = await _read(request, limit, seconds or request.app[BODY_TIMEOUT])
        except TooLarge:
            request[BODY] = TooLarge(stated or limit)
        except Refused as refusal:
            request[BODY] = refusal
    body = request[BODY]
    if isinstance(body, Refused):
        try:
            raise body
        finally:
            del body  # else its traceback leads to itself, and only the collector frees it
    return body


async def _read(request: web.Request, limit: int, seconds: float) -> bytes:
    if (request.content_length or 0) > limit:
        raise TooLarge(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while request.body_exists and (chunk := await request.content.readany()):
                body += chunk
                if len(body) > limit:
                    raise TooLarge(limit)
    except TimeoutError:
        raise TooSlow from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
        request.content.feed_eof()  # else aiohttp reads on, and meets the same error again
        raise Malformed("Body", "it is cut off or can't be decompressed") from error
    return bytes(body)


def parse_json(body: bytes, charset: str | None = None) -> Any:
    """Return what a JSON body says. Raises Malformed."""
    try:
        return orjson.loads(body if charset is None else _decode(body, charset))
    except (ValueError, LookupError) as error:  # decoding errors are ValueErrors
        raise Malformed("JSON", error) from None


class Form(dict[str, Any]):
    """The fields of a form, the last of each name; `lists` has all of them."""

    def __init__(self, pairs: Iterable[tuple[str, str | bytes]]) -> None:
        self.lists: dict[str, list[str | bytes]] = {}
        for name, value in pairs:
            self.lists.setdefault(name, []).append(value)
            self[name] = value


def parse_urlencoded(body: bytes, charset: str | None) -> Form:
    """Return the fields of an urlencoded form. Raises Malformed."""
    try:
        if body.count(b"%") > _MAX_ESCAPES:
            raise ValueError("too many escapes")
        text = _decode(body, charset or "utf-8")
        return Form(
            parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
        )
    except (ValueError, LookupError) as error:
        raise Malformed("Form", error) from None


def parse_multipart(body: bytes, content_type: str) -> Form:
    """Return the parts of a multipart form: text, or bytes for a file. Raises Malformed."""
    boundary = parse_options_header(content_type)[1].get("boundary")
    if not boundary:
        raise Malformed("Multipart form", "no boundary")
    in_memory = len(body) + 1
    try:
        parts = MultipartParser(
            io.BytesIO(body), boundary, len(body), spool_limit=in_memory, memory_limit=in_memory
        )
        return Form((part.name, part.raw if part.filename else part.value) for part in parts)
    except (ValueError, LookupError) as error:
        raise Malformed("Multipart form", error) from None


def _decode(body: bytes, charset: str) -> str:
    """Decode a body. Raises LookupError for what is no charset of text, such as punycode."""
    if not _CHARSET.match(codecs.lookup(charset).name):
        raise LookupError(f"unknown encoding: {charset}")
    return body.decode(charset)
