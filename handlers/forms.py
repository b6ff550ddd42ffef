"""Parses bodies of JSON and of forms, urlencoded or multipart, as Django does.

tests/handlers/test_forms_like_django.py compares the two and lists the differences.
"""

import base64
import contextlib
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from aiohttp import hdrs, web
from multipart import MultipartSegment, ParserError, PushMultipartParser

from handlers.body import pieces, read_body, read_json
from handlers.content_type import (
    ContentType,
    content_type_of,
    parse_content_type,
    parse_parameters,
)
from handlers.errors import Malformed, UnsupportedMediaType
from handlers.http.response import JSON, safe_header_value

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
BINARY = "application/octet-stream"

_MAX_FIELDS = 1000
_MAX_ESCAPES = 50_000
"""A megabyte of escapes blocks the event loop for 0.2 s. No client sends so many."""
_MAX_PART_HEADER = 1024
_PIECE = 64 * 1024
"""Bytes of a multipart form that are parsed in one turn: 1 MiB of headers takes 50 ms."""
_MAX_BOUNDARY = 256


class Form(dict[str, Any]):
    """The fields of a form, the last of each name; `lists` has all of them.

    A field is text, a file is bytes. An empty file input is left out: browsers send one for each
    file input without a file.
    """

    def __init__(self, pairs: Iterable[tuple[str, str | bytes]]) -> None:
        self.lists: dict[str, list[str | bytes]] = {}
        for name, value in pairs:
            self.lists.setdefault(name, []).append(value)
            self[name] = value

    @property
    def files(self) -> list[bytes]:
        """All files, whatever the names of their fields."""
        return [each for values in self.lists.values() for each in values if type(each) is bytes]


async def read_parsed(request: web.Request) -> Any:
    """Return the value of a JSON body or the fields of a form; {} for an empty body.

    Raises Malformed, UnsupportedMediaType, and what `read_body` raises.
    """
    body = await read_body(request)
    if not body:
        return {}
    content_type = content_type_of(request)
    if content_type.media_type == JSON:
        return await read_json(request)
    if content_type.media_type == URLENCODED:
        return parse_urlencoded(body, content_type.charset)
    if content_type.media_type == MULTIPART:
        return await parse_multipart(body, content_type)
    raise UnsupportedMediaType(safe_header_value(request.headers.get(hdrs.CONTENT_TYPE, "")))


def parse_urlencoded(body: bytes, charset: str | None = None) -> Form:
    """Return the fields of an urlencoded form. Raises Malformed."""
    errors = "strict"
    try:
        if charset is not None:  # escapes are UTF-8 in any charset
            errors = "surrogatepass"
            body = body.decode(charset).encode("utf-8", errors)
        if body.count(b"&") >= _MAX_FIELDS:
            raise ValueError("too many fields")
        if body.count(b"%") > _MAX_ESCAPES:
            raise ValueError("too many escapes")
        pairs = (each.partition(b"=") for each in body.split(b"&") if each)
        return Form((_unquote(name, errors), _unquote(value, errors)) for name, _, value in pairs)
    except ValueError as error:
        raise Malformed("Form", error) from None


def _unquote(text: bytes, errors: str) -> str:
    return unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8", errors)


async def parse_multipart(body: bytes, content_type: ContentType) -> Form:
    """Return the fields of a multipart form. Raises Malformed."""
    boundary = content_type.parameters.get("boundary", "")
    if not boundary:
        raise Malformed("Multipart form", "the Content-Type header has no boundary parameter")
    try:
        parser = _Parser(
            boundary[: _MAX_BOUNDARY + 1],
            max_header_size=_MAX_PART_HEADER,
            max_segment_count=_MAX_FIELDS,
        )
        if len(boundary) > _MAX_BOUNDARY:
            raise ValueError("the boundary is too long")
        fields: list[tuple[str, str | bytes]] = []
        with parser:
            part, content = _Part(), bytearray()
            async for piece in pieces(body, _PIECE):
                for event in parser.parse(piece):
                    if isinstance(event, MultipartSegment):
                        part, content = _read_head(event), bytearray()
                    elif event:
                        content += event
                    elif part.name is not None:
                        fields += await _read_part(part.name, part, content)
        return Form(fields)
    except (ValueError, LookupError) as error:
        raise Malformed("Multipart form", error) from None


class _Parser(PushMultipartParser):  # type: ignore[misc]  # the library has no types
    def _on_segment_headerline(self, line: bytes) -> None:
        # RFC 7578 has no folded headers. Joining them takes quadratic time: 190 ms for 730 KB.
        if line[:1] in (b" ", b"\t"):
            raise ParserError("a folded header")
        super()._on_segment_headerline(line)

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> MultipartSegment:
        return _Head(headerlist)


class _Head(MultipartSegment):  # type: ignore[misc]
    """The headers of a part. The library's class parses them a second time, more slowly."""

    def __init__(self, headerlist: list[tuple[str, str]]) -> None:
        self.headerlist = headerlist
        self.bytes_received = 0
        self.complete = False


class _Part(NamedTuple):
    """A part as its headers describe it."""

    name: str | None = None
    filename: str = ""
    is_file: bool = False
    may_be_file: bool = False
    charset: str | None = None
    is_base64: bool = False


def _read_head(segment: MultipartSegment) -> _Part:
    _, parameters = parse_parameters(segment.header("Content-Disposition", ""))
    own = parse_content_type(segment.header("Content-Type", ""))
    encoding = segment.header("Content-Transfer-Encoding", "")
    filename = parameters.get("filename") or parameters.get("filename*", "")
    return _Part(
        parameters.get("name"),
        filename,
        # Some libraries send no filename with a picture.
        bool(filename) or "filename" in parameters or own.media_type.startswith("image/"),
        own.media_type == BINARY,
        own.charset,
        encoding.strip().lower() == "base64",
    )


async def _read_part(name: str, part: _Part, content: bytearray) -> list[tuple[str, str | bytes]]:
    """Return the part's field, text or the bytes of a file; no field for an empty file."""
    sent = bytes(content)
    if part.is_file:
        sent = await decode_base64(sent) if part.is_base64 else sent
        return [(name, sent)] if sent or part.filename else []
    if part.is_base64:
        with contextlib.suppress(ValueError):  # Django then takes the text as it is
            sent = await decode_base64(sent)
    try:
        return [(name, sent.decode(part.charset or "utf-8"))]
    except UnicodeDecodeError:
        if part.may_be_file:
            return [(name, sent)]
        raise


async def decode_base64(sent: bytes) -> bytes:
    """Decode base64 of any length. White space is ignored. Raises ValueError."""
    decoded, left = bytearray(), b""
    async for piece in pieces(sent):
        left += piece.translate(None, b" \t\r\n\v\f")
        if left and len(decoded) % 3:  # the previous piece ended with padding
            raise ValueError("base64 that goes on behind its end")
        whole = len(left) // 4 * 4
        decoded += base64.b64decode(left[:whole], validate=True)
        left = left[whole:]
    if left:
        raise ValueError("base64 that is cut off")
    return bytes(decoded)
