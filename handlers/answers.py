"""Answers: JSON, or nothing at all."""

from typing import Any

import orjson
from aiohttp import web


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Answer with JSON."""
    return web.Response(
        body=orjson.dumps(content),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def no_content() -> web.Response:
    """Answer 204: no body, and no Content-Type to describe one (RFC 9110, 15.3.5)."""
    return web.Response(status=204)


def sayable(header: str) -> str:
    """Return a header's value as an answer can repeat it: bytes that were no UTF-8 become `?`."""
    return header.encode(errors="replace").decode()


def allow_header(methods: tuple[str, ...]) -> str:
    """Return the Allow header of a path with these methods, as Django words it."""
    return ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])
