"""Bodies of every kind, for hypothesis to choose from.

They include valid bodies, and bodies that once broke a server of this kind.
"""

import json
from typing import Any
from urllib.parse import quote_from_bytes

from hypothesis import strategies as st

NASTY = [
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",  # goes as an escape: json.dumps makes it one
    "x\udc00y",
    "\udc00\ud800",
    "🔑",
    "\u202e",
    "İ",
    "ﷺ" * 254,  # one character folds to eighteen
    "e" + "\u0301" * 2000,
    "n" * 255,
    "a" * 73,
    "%s %d {0}",
    "'; drop table account; --",
    "\\",
    "$2b$12$",
    "0",
    "-1",
    "²",
    "٣",
    "9" * 30,
    "1e400",
    "NaN",
]
NUMBERS = [0, -1, 6, 2**31, 2**63 - 1, 2**63, -(2**63), 2**64, 10**400, 1e308, 5e-324, -0.0]

TEXTS = st.sampled_from(NASTY) | st.text(max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.integers() | st.floats() | TEXTS,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(TEXTS, each, max_size=3),
    max_leaves=6,
)
"""Any JSON value, and the NaN and Infinity that Python accepts as JSON."""

LIKELY: dict[str, list[Any]] = {
    "username": ["ada", "Ada", "grace", "linus@example.com", 5],
    "email": ["ada@example.com", " ADA@Example.com", "grace@example.com", ""],
    "password": ["Analytical-Engine-1843", "Difference-Engine-1822"],
    "first_name": ["Ada", "", None],
    "last_name": ["Lovelace"],
    "towns": [[3, 1, 2], ["7"], [], [2**63 - 1]],
    "id": [1, "6", 0, 10, 11],
}

_NAMES = st.sampled_from(list(LIKELY))


@st.composite
def fields(draw: st.DrawFn) -> dict[str, Any]:
    """Fill each field with a likely value, then replace some fields and leave out others."""
    given = {name: draw(st.sampled_from(likely)) for name, likely in LIKELY.items()}
    for name in draw(st.lists(_NAMES, max_size=2)):
        given[name] = draw(VALUES)
    for name in draw(st.lists(_NAMES, max_size=2)):
        given.pop(name, None)
    return given


CHARSETS = ["utf-8", "utf-16", "utf-7", "latin-1", "idna", "rot13", "hex", "nonsense", "a\\0b", '"']


def written(value: Any) -> bytes:
    """Return a value as JSON, with lone surrogates as escapes."""
    return json.dumps(value).encode()


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return bytes unchanged, cut off, or with other bytes inserted."""
    how = draw(st.sampled_from(["whole", "whole", "cut", "other"]))
    if how == "whole" or not whole:
        return whole
    at = draw(st.integers(0, len(whole) - 1))
    if how == "cut":
        return whole[:at]
    return whole[:at] + draw(st.binary(min_size=1, max_size=4)) + whole[at + 1 :]


_CONTENT = st.sampled_from([b"ada", b"ada@example.com", b"Analytical-Engine-1843"]) | st.binary(
    max_size=20
)
_PAIRS = st.lists(st.tuples(_NAMES, _CONTENT), max_size=5)
_BOUNDARY = st.text("azAZ09'()+_,-./:=? ", max_size=70)


@st.composite
def json_bytes(draw: st.DrawFn) -> tuple[str, bytes]:
    kind = "application/json"
    if draw(st.booleans()):
        kind += f"; charset={draw(st.sampled_from(CHARSETS))}"
    return kind, draw(damaged(written(draw(fields()))))


@st.composite
def form_bytes(draw: st.DrawFn) -> tuple[str, bytes]:
    kind = "application/x-www-form-urlencoded"
    if draw(st.booleans()):
        kind += f"; charset={draw(st.sampled_from(CHARSETS))}"
    pairs = [f"{name}={quote_from_bytes(content)}" for name, content in draw(_PAIRS)]
    return kind, draw(damaged("&".join(pairs).encode()))


@st.composite
def multipart_bytes(draw: st.DrawFn) -> tuple[str, bytes]:
    boundary = draw(_BOUNDARY)
    quote = draw(st.sampled_from(['"', ""]))
    body = b""
    for name, content in draw(_PAIRS):
        more = draw(st.sampled_from(["", '; filename="a.txt"', "; filename*=utf-8''a", ";=", '"']))
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n'
        head += draw(st.sampled_from(["", "Content-Type: text/plain; charset=hex\r\n", ":\r\n"]))
        body += head.encode() + b"\r\n" + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return f"multipart/form-data; boundary={quote}{boundary}{quote}", draw(damaged(body))


KINDS = st.sampled_from(
    [
        None,
        "",
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="',
        "multipart/mixed; boundary=a",
        "text/plain",
        "application/json/;",
    ]
)

BYTES = (
    st.tuples(KINDS, st.binary(max_size=100))
    | st.tuples(KINDS, st.builds(written, fields()))
    | json_bytes()
    | form_bytes()
    | multipart_bytes()
)
"""A content type, None for no header, and a body for it."""
