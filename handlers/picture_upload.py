"""Reads a picture or the id of one from a body: the picture alone, a form, or JSON."""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from handlers.app_keys import BODY, PICTURE_LIMITS, PICTURE_MEMORY
from handlers.body import MAX_BODY, PIECE, parse_json, read_body
from handlers.content_type import content_type_of
from handlers.dialects.drf import check_object
from handlers.errors import Malformed, PayloadTooLarge, UnsupportedMediaType
from handlers.forms import (
    BINARY,
    MULTIPART,
    URLENCODED,
    Form,
    decode_base64,
    parse_multipart,
    parse_urlencoded,
)
from handlers.http.response import JSON, safe_header_value
from store.errors import AppError, NoSuchPicture

_LONG = 16 * 1024
"""A JSON string of more bytes is decoded in pieces."""
_MAX_SHORT = 16
"""The most strings that may precede the long one; a body has two fields."""
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_PLACEHOLDER = "\0the long string"

CheckFields = Callable[[Mapping[str, Any]], None]
"""Raises an error for the fields of a JSON body. A long string has been replaced by a short one."""


class NotBase64(AppError):
    """The text of a picture is not base64."""

    code = "invalid_picture"


class PictureMissing(AppError):
    """The body has neither a picture nor an id."""

    code = "invalid_fields"


class NothingSent(NoSuchPicture):
    """The body is empty, or null is the only id that it has."""


async def read_upload(
    request: web.Request, id_field: str = "id", check: CheckFields | None = None
) -> bytes | int:
    """Return the bytes of an uploaded picture, or the id of a chosen one.

    `id_field` is the field of JSON or of a form that has the id.

    Raises PictureMissing, NoSuchPicture, NotBase64, UnsupportedMediaType, drf.InvalidFields, and
    what `check` and `read_body` raise.
    """
    sent = await _read(request, id_field, check)
    request[BODY] = b""  # while the picture waits for a thread, it is in memory once
    limit = request.app[PICTURE_LIMITS].bytes
    if isinstance(sent, bytes) and len(sent) > limit:
        raise PayloadTooLarge(limit)
    return sent


async def _read(request: web.Request, id_field: str, check: CheckFields | None) -> bytes | int:
    content_type, limits = content_type_of(request), request.app[PICTURE_LIMITS]
    is_raw = content_type.media_type.startswith("image/") or content_type.media_type == BINARY
    if not is_raw and content_type.media_type not in (JSON, MULTIPART, URLENCODED):
        if request.body_exists:
            raise UnsupportedMediaType(safe_header_value(request.headers.get("Content-Type", "")))
        raise NothingSent
    limit = limits.bytes if is_raw else limits.body_bytes
    if content_type.media_type == URLENCODED:
        limit = MAX_BODY  # no client sends a picture in this form
    reported_limit = min(limit, limits.bytes)
    body = await read_body(request, limit, limits.seconds, reported_limit, PICTURE_MEMORY)
    if is_raw:
        return body
    if content_type.media_type == MULTIPART:
        return await _from_form(await parse_multipart(body, content_type), id_field)
    if content_type.media_type == URLENCODED:
        return await _from_form(parse_urlencoded(body, content_type.charset), id_field)
    if not body:
        raise NothingSent
    return await _from_json(body, content_type.charset, id_field, check)


async def _from_form(form: Form, id_field: str) -> bytes | int:
    match form.get("picture"):
        case bytes() as file:
            return file
        case str() as text if text:
            return await from_base64(text.encode(errors="replace"))
    files = form.files
    if not form.get(id_field) and len(files) == 1:
        return files[0]
    if not isinstance(form.get(id_field), str):
        raise PictureMissing
    return _picture_id(form[id_field])


async def _from_json(
    body: bytes, charset: str | None, id_field: str, check: CheckFields | None
) -> bytes | int:
    """Read JSON whose long string may be a picture. Only the rest is parsed at once."""
    long, rest = b"", body
    if charset is None and (span := _find_long_string(body)):
        start, end = span
        long = body[start:end]
        rest = body[:start] + orjson.dumps(_PLACEHOLDER)[1:-1] + body[end:]
    if len(rest) > MAX_BODY:
        raise Malformed("JSON", "it is too long")
    data = check_object(parse_json(rest, charset))
    if check:
        check(data)
    picture: Any = data.get("picture")
    if picture == _PLACEHOLDER and long:
        return await from_base64(await _unescape(long))
    if isinstance(picture, str) and picture:
        return await from_base64(picture.encode(errors="replace"))
    if data and id_field not in data:
        raise PictureMissing
    return _picture_id(data.get(id_field))


def _find_long_string(body: bytes) -> tuple[int, int] | None:
    """Return the start and end of the first long JSON string, without its quotes.

    None if there is none, or if it has an escaped quote: then it is not base64.
    """
    at = 0
    for _ in range(_MAX_SHORT):
        start = body.find(b'"', at)
        if start < 0:
            return None
        end = body.find(b'"', start + 1)
        if end - start > _LONG:
            return None if body[end - 1] == ord("\\") else (start + 1, end)
        short = _STRING.match(body, start, start + _LONG)
        if short is None:
            return None
        at = short.end()
    return None


async def _unescape(text: bytes) -> bytes:
    """Return the value of a long JSON string, which must be ASCII. Raises NotBase64."""
    unescaped, at = bytearray(), 0
    while at < len(text):
        end = at + PIECE
        if end < len(text) and (escape := text.rfind(b"\\", end - 5, end)) > 0:
            end = escape  # do not split an escape
        try:
            unescaped += orjson.loads(b'"%b"' % text[at:end]).encode("ascii")
        except ValueError as error:
            raise NotBase64 from error
        at = end
        await asyncio.sleep(0)
    return bytes(unescaped)


async def from_base64(text: bytes) -> bytes:
    """Decode base64, or a data: URL of it (RFC 2397). Raises NotBase64."""
    if text.startswith(b"data:"):
        text = text[text.find(b",") + 1 :]
    try:
        return await decode_base64(text)
    except ValueError as error:
        raise NotBase64 from error


def _picture_id(value: object) -> int:
    """Read an id, a number or a string of digits. Raises NoSuchPicture."""
    if value is None:
        raise NothingSent
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    raise NoSuchPicture
