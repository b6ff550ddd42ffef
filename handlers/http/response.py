"""The responses that handlers return. handlers/http/encoder.py encodes them."""

import math
from dataclasses import dataclass, field
from typing import Any

import orjson

JSON = "application/json"


@dataclass(slots=True)
class Response:
    """A status, a body with its media type, and the headers of this response.

    The middleware adds the `shared` headers of the route, the request's id, whether the connection
    `closes` after the response, and for an error its `reason`, which is logged.
    """

    status: int = 200
    body: bytes = b""
    media_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    lines: str = ""
    """More headers, encoded already: `name: value` and CRLF. No value may hold a line break."""
    shared: "SharedHeaders | None" = None
    request_id: str = ""
    closes: bool = False
    reason: str = ""

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open; aiohttp reads this of every response."""
        return not self.closes


class SharedHeaders(dict[str, str]):
    """Headers that many responses share; `lines` is their encoded form."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(headers)
        self.lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return a response with this content as JSON."""
    return Response(status, orjson.dumps(content), JSON, headers or {})


def no_content() -> Response:
    """Return a 204: no body, and therefore no Content-Type (RFC 9110, 15.3.5)."""
    return Response(204)


def safe_header_value(header: str) -> str:
    """Return a header's value for use in a response: bytes that are not UTF-8 become `?`."""
    return header.encode(errors="replace").decode()


def allow_header(methods: tuple[str, ...]) -> str:
    """Return the Allow header of a path with these methods, in Django's order."""
    return ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])


def retry_after(seconds: float) -> dict[str, str]:
    """Return the Retry-After header for a wait in seconds (RFC 9110, 10.2.3)."""
    return {"Retry-After": str(math.ceil(seconds))}
