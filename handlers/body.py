"""Reading a request's body: once, within its limits, every failure one of four refusals."""

import asyncio
import io
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multipart import MultipartParser, parse_options_header

from handlers.dialect import Malformed, TooLarge, TooSlow
from handlers.keys import BODY_TIMEOUT

MAX_BODY = 1024 * 1024


_MAX_FIELDS = 1000


async def read_body(request: web.Request, limit: int = MAX_BODY) -> bytes:
    """Return the whole body, decompressed. Raises TooLarge, TooSlow, Malformed."""
    if not request.body_exists:
        return b""
    if (request.content_length or 0) > limit:
        raise TooLarge
    body = bytearray()
    try:
        async with asyncio.timeout(request.app[BODY_TIMEOUT]):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > limit:
                    raise TooLarge
    except TimeoutError:
        raise TooSlow from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
        raise Malformed("Body", "it is cut off or can't be decompressed") from error
    return bytes(body)


def parse_json(body: bytes, charset: str | None = None) -> Any:
    """Return what a JSON body says. Raises Malformed."""
    try:
        if charset and charset.lower() not in ("utf-8", "utf8"):
            body = body.decode(charset).encode()
        return orjson.loads(body)
    except (ValueError, LookupError) as error:  # decoding errors are ValueErrors
        raise Malformed("JSON", error) from None


def parse_urlencoded(body: bytes, charset: str | None) -> dict[str, Any]:
    """Return the fields of a form, the last of each name. Raises Malformed."""
    try:
        text = body.decode(charset or "utf-8")
        return dict(
            parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
        )
    except (ValueError, LookupError) as error:
        raise Malformed("Form", error) from None


def parse_multipart(body: bytes, content_type: str) -> dict[str, str | bytes]:
    """Return the parts of a form, the last of each name: text, or bytes for a file.

    Raises Malformed.
    """
    boundary = parse_options_header(content_type)[1].get("boundary")
    if not boundary:
        raise Malformed("Multipart form", "no boundary")
    in_memory = len(body) + 1
    fields: dict[str, str | bytes] = {}
    try:
        for part in MultipartParser(
            io.BytesIO(body), boundary, len(body), spool_limit=in_memory, memory_limit=in_memory
        ):
            fields[part.name] = part.raw if part.filename else part.value
    except (ValueError, LookupError) as error:
        raise Malformed("Multipart form", error) from None
    return fields
