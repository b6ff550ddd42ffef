"""Tables of requests and their exact responses (docs/contracts/).

    Row("POST /account/login", {"username": "test", "password": "test"},
        200, {"token": "<token = 40 hex>"})

A body of None is no body, bytes are sent unchanged, anything else is sent as JSON. A response of
None is an empty body; any other response is JSON that must be equal, with its keys in this order.

In a response `<40 hex>` matches any text of that pattern, and `<token = 40 hex>` names the text:
from then on `<token>` is this text, in responses and in requests. Two names never have the same
text, so `<new token = 40 hex>` differs from the old token.

`play(client, rows)` sends rows in their order to one server. It checks in each response what all
dialects share: CORS, Content-Type, request id, no hash.
"""

import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp.test_utils import TestClient
from yarl import URL

from handlers import DIALECTS
from handlers.mounts import Mount, parse_mounts

PATTERNS = {
    "40 hex": "[0-9a-f]{40}",
    "16 hex": "[0-9a-f]{16}",
    "64 hex": "[0-9a-f]{64}",
    "jwt": r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]{43}",
    "text": ".+",
    "url": r"https?://[^/\s]+/\S+",
    "microseconds": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
    "milliseconds": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "seconds": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "day-month-year": r"(?:0[1-9]|[12]\d|3[01])-(?:0[1-9]|1[0-2])-20\d\d",
}
"""The patterns between < and >, without capturing groups. A dialect may add a pattern."""

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=seam"}

_HOLE = re.compile(f"<(?:([^<>=]+) = )?({'|'.join(PATTERNS)})>")

Names = dict[str, str]


@dataclass(frozen=True)
class Row:
    """One request and its exact response. In `returned`, a header of None must be absent."""

    request: str
    body: Any
    status: int
    response: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    returned: Mapping[str, str | None] = field(default_factory=dict)
    media_type: str = "application/json"


def places(dialect: str) -> list[str]:
    """Return the forms of a contract's path: at / and under the name, with and without a slash."""
    return ["{path}", "{path}/", f"/{dialect}{{path}}", f"/{dialect}{{path}}/"]


async def play(
    client: TestClient, rows: Iterable[Row], names: Names | None = None, at: str = "{path}"
) -> Names:
    """Send the rows in their order; return the named texts of their responses."""
    names = {} if names is None else names
    for row in rows:
        await _play_one(client, row, names, at)
    return names


def urlencoded(**fields: str) -> bytes:
    """Return fields as a form, to be sent with the headers FORM."""
    return urlencode(fields).encode()


def multipart(**fields: str) -> bytes:
    """Return fields as multipart form data, to be sent with the headers MULTIPART."""
    head = '--seam\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    return ("".join(head.format(*pair) for pair in fields.items()) + "--seam--\r\n").encode()


async def _play_one(client: TestClient, row: Row, names: Names, at: str) -> None:
    method, path = row.request.split(" ")
    headers = {name: _fill(value, names) for name, value in row.headers.items()}
    body = row.body
    if body is not None and not isinstance(body, bytes):
        body = _fill(json.dumps(body), names).encode()
        headers = {**JSON, **headers}
    response = await client.request(
        method,
        URL(at.format(path=path), encoded=True),
        data=io.BytesIO(body) if body else body,  # aiohttp warns of large bytes
        headers=headers,
        skip_auto_headers=["Content-Type"],
    )
    raw = await response.read()
    summary = f"{row.request} {_short(body)}\nanswered {response.status} {_short(raw)}"
    assert response.status == row.status, f"{summary}\ninstead of {row.status} {row.response}"
    _check_body(raw, row, names, summary)
    for name, value in row.returned.items():
        assert response.headers.get(name) == value, (
            f"{summary}\nwith {name}: {response.headers.get(name)}"
        )
    _check_everywhere(response.headers, row, raw, summary)


def _check_body(raw: bytes, row: Row, names: Names, summary: str) -> None:
    if row.response is None:
        assert raw == b"", f"{summary}\ninstead of nothing"
        return
    got = json.loads(raw)
    wanted = _resolve(row.response, got, names)
    assert json.dumps(got) == json.dumps(wanted), f"{summary}\ninstead of {wanted}"


def mounts_at(prefixes: Mapping[str, str]) -> dict[str, Mount]:
    """Return mounts without options."""
    return {name: Mount(prefix) for name, prefix in prefixes.items()}


OPTIONS = {
    "knox": "?user=id,username,email&login-fields=expiry,token"
    "&register-path=/register&user-path=/user",
    "djoser": "?jwt=on&username-reset-confirm-url=https://app.example/{uid}/{token}",
}
"""Options that add endpoints."""

EVERY_MOUNT = " ".join(
    f"{name}={'/' if each.by_default else f'/at/{name}'}{OPTIONS.get(name, '')}"
    for name, each in DIALECTS.items()
)
"""The default mounts, and those of the dialects that are mounted only if DIALECTS names them."""

EVERY_DIALECT = parse_mounts(EVERY_MOUNT, DIALECTS)


ALLOW_METHODS = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Max-Age": "7200",
}
"""The additional headers of the response to OPTIONS, on every path."""


def _check_everywhere(headers: Mapping[str, str], row: Row, raw: bytes, summary: str) -> None:
    """Check what the contracts say of every response."""
    kind = None if row.status == 204 else row.media_type
    assert headers.get("Content-Type") == kind, f"{summary}\nas {headers.get('Content-Type')}"
    assert headers.get("Access-Control-Allow-Origin") == "*", summary
    assert headers.get("Access-Control-Allow-Headers") == "Content-Type, Authorization", summary
    assert headers.get("Access-Control-Expose-Headers") == "Retry-After, X-Request-ID", summary
    assert headers.get("X-Request-ID"), summary
    assert not re.search(rb"bcrypt|\$2[aby]\$", raw), f"a hash: {summary}"


def _resolve(wanted: Any, got: Any, names: Names) -> Any:
    """Return the expected value, with placeholders replaced by the text that they match."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return {key: _resolve(value, got.get(key), names) for key, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        return [_resolve(one, other, names) for one, other in zip(wanted, got, strict=True)]
    if isinstance(wanted, str):
        return _resolve_text(wanted, got, names)
    return wanted


def _resolve_text(wanted: str, got: Any, names: Names) -> str:
    wanted = _fill(wanted, names)
    literal, *holes = _HOLE.split(wanted)  # text, then name, pattern, text, …
    if not holes or not isinstance(got, str):
        return wanted
    regex = re.escape(literal)
    for pattern, text in zip(holes[1::3], holes[2::3], strict=True):
        regex += f"({PATTERNS[pattern]})" + re.escape(text)
    if not (match := re.fullmatch(regex, got)):
        return wanted
    for name, text in zip(holes[::3], match.groups(), strict=True):
        if name:
            _give(name, text, names)
    return got


def _give(name: str, text: str, names: Names) -> None:
    same = [other for other, value in names.items() if value == text and other != name]
    assert not same, f"<{name}> is the same as <{same[0]}>: {text}"
    names[name] = text


def _fill(text: str, names: Names) -> str:
    for name, value in names.items():
        text = text.replace(f"<{name}>", value)
    return text


def _short(body: Any) -> str:
    text = repr(body)
    return text if len(text) < 400 else f"{text[:300]}… ({len(text)})"
