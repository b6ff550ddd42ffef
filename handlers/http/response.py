"""Answers: what a handler says, before handlers/http/encoder.py puts it into HTTP."""

import math
from dataclasses import dataclass, field
from typing import Any

import orjson

JSON = "application/json"


@dataclass(slots=True)
class Response:
    """A status, a body with its media type, and headers of its own.

    What is added on the way out: headers that all answers of the route share, the request's id,
    whether the connection ends behind this answer, and for the log `reason` it refuses, if it does.
    """

    status: int = 200
    body: bytes = b""
    media_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    shared: "SharedHeaders | None" = None
    request_id: str = ""
    closes: bool = False
    reason: str = ""

    @property
    def keep_alive(self) -> bool:
        """Tell whether the connection is kept, as aiohttp asks it of its own responses."""
        return not self.closes


class SharedHeaders(dict[str, str]):
    """Headers that many answers share; `lines` is how they are sent."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(headers)
        self.lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Answer with JSON."""
    return Response(status, orjson.dumps(content), JSON, headers or {})


def no_content() -> Response:
    """Answer 204: no body, and no Content-Type to describe one (RFC 9110, 15.3.5)."""
    return Response(204)


def safe_header_value(header: str) -> str:
    """Return a header's value as an answer can repeat it: bytes that were no UTF-8 become `?`."""
    return header.encode(errors="replace").decode()


def allow_header(methods: tuple[str, ...]) -> str:
    """Return the Allow header of a path with these methods, as Django words it."""
    return ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])


def retry_after(seconds: float) -> dict[str, str]:
    """Return the header that says when to come back (RFC 9110, 10.2.3)."""
    return {"Retry-After": str(math.ceil(seconds))}
