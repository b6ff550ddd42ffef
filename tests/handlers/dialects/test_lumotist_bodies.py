"""lumotist: bodies of every kind, including those that no client should send."""

import encodings
import gzip
import json

import pytest

from tests.handlers.contract import FORM, JSON, MULTIPART, Row, multipart, play, urlencoded
from tests.handlers.dialects.drf_messages import (
    BLANK,
    NOT_A_STRING,
    REQUIRED,
    not_an_object,
    wrong_media_type,
)
from tests.handlers.dialects.lumotist_rows import LOGIN, SIGN_UP, TEST, profile

MIB = 1024 * 1024
PATHS = ("/account/register", "/account/login")

KINDS = {"list": [TEST], "str": "test", "int": 5, "float": 1.5, "bool": True, "NoneType": None}


@pytest.mark.parametrize("kind", KINDS)
async def test_not_an_object(client, kind):
    body = json.dumps(KINDS[kind]).encode()
    wrapped = {"success": False, "errors": not_an_object(kind)}
    rows = [
        Row("POST /account/register", body, 400, wrapped, JSON),
        Row("POST /account/login", body, 400, not_an_object(kind), JSON),
    ]
    await play(client, rows)


BROKEN = {
    "no JSON": b"{not json",
    "cut off": b'{"username": "te',
    "two values": b"{} {}",
    "space": b" ",
    "NaN": b'{"username": NaN, "password": Infinity}',
    "no UTF-8": b'{"username": "\xff", "password": "test"}',
    "surrogate in UTF-8": b'{"username": "\xed\xa0\x80", "password": "test"}',
    "NUL": b"\0",
    "a form": b"username=test&password=test",
    "too deep": b"[" * 100_000,
    "too deep in a field": b'{"username":' + b'{"a":' * 100_000,
    "too deep and closed": b"[" * 50_000 + b"]" * 50_000,
}
CHARSETS = ("null", "utf8mb4", "base64", "a\\0b", "undefined", "punycode", "x" * 4_000)


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_malformed_json(client, body):
    response = {"detail": "JSON parse error - <text>"}
    await play(client, [Row(f"POST {path}", body, 400, response, JSON) for path in PATHS])


async def test_a_charset_that_is_not_one_of_text_counts_as_utf_8(client):
    """Clients send such names, and Django ignores them. None is looked up or used to decode.

    Python keeps each unknown name, and decodes punycode in quadratic time.
    """
    await play(client, [SIGN_UP])
    known = len(encodings._cache)
    for kind, body in ((JSON, json.dumps(LOGIN).encode()), (FORM, urlencoded(**LOGIN))):
        for charset in CHARSETS:
            headers = {"Content-Type": f"{kind['Content-Type']}; charset={charset}"}
            row = Row("POST /account/login", body, 200, {"token": "<40 hex>"}, headers)
            await play(client, [row])
    assert len(encodings._cache) == known


async def test_charset_that_the_body_is_not_in(client):
    for kind in (JSON, FORM):
        headers = {"Content-Type": f"{kind['Content-Type']}; charset=utf-32"}
        rows = [Row(f"POST {path}", b"abc", 400, {"detail": "<text>"}, headers) for path in PATHS]
        await play(client, rows)


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/plain; charset=utf-8", "application/xml", "application/jsonx"]
)
async def test_other_content_types(client, kind):
    headers = {"Content-Type": kind}
    body = json.dumps(TEST).encode()
    rows = [Row(f"POST {path}", body, 415, wrong_media_type(kind), headers) for path in PATHS]
    await play(client, rows)


async def test_no_content_type(client):
    rows = [Row(f"POST {path}", b"{}", 415, wrong_media_type("")) for path in PATHS]
    await play(client, rows)


@pytest.mark.parametrize(
    "kind",
    ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"],
)
async def test_json_by_other_names(client, kind):
    await play(client, [SIGN_UP])
    row = Row("POST /account/login", json.dumps(LOGIN).encode(), 200, {"token": "<40 hex>"})
    await play(client, [Row(row.request, row.body, 200, row.response, {"Content-Type": kind})])


@pytest.mark.parametrize(("write", "headers"), [(urlencoded, FORM), (multipart, MULTIPART)])
async def test_forms(client, write, headers):
    fields = {"username": " Åsa & Co ", "email": "asa@test.com", "password": " 100% +x=y "}
    made = {"success": True, "token": "<token = 40 hex>"}
    login = {"username": "åsa & co", "password": " 100% +x=y "}
    blank = {"success": False, "errors": {"username": BLANK, "email": REQUIRED, "password": BLANK}}
    rows = [
        Row("POST /account/register", write(**fields), 200, made, headers),
        profile("Åsa & Co", "asa@test.com"),
        Row("POST /account/login", login, 200, {"token": "<token>"}),
        Row("POST /account/login", write(**login), 200, {"token": "<token>"}, headers),
        Row("POST /account/register", write(username="", password=""), 400, blank, headers),
        Row(
            "POST /account/login",
            write(name="x"),
            400,
            {"username": REQUIRED, "password": REQUIRED},
            headers,
        ),
    ]
    await play(client, rows)


async def test_a_file_is_no_text(client):
    body = multipart(username="test", password="test").replace(
        b'name="username"', b'name="username"; filename="a.txt"'
    )
    row = Row("POST /account/login", body, 400, {"username": NOT_A_STRING}, MULTIPART)
    await play(client, [row])


BROKEN_FORMS = {
    "no UTF-8 behind %": (b"username=%ff&password=test", FORM),
    "no UTF-8": (b"username=\xff&password=test", FORM),
    "too many fields": (b"&".join(b"a%d=1" % number for number in range(5_000)), FORM),
    "no boundary": (multipart(**LOGIN), {"Content-Type": "multipart/form-data"}),
    "another boundary": (multipart(**LOGIN), {"Content-Type": "multipart/form-data; boundary=x"}),
    "cut off": (multipart(**LOGIN)[:-12], MULTIPART),
    "no parts": (b"plain", MULTIPART),
    "no UTF-8 in a part": (multipart(username="test").replace(b"test", b"\xff"), MULTIPART),
}


@pytest.mark.parametrize(("body", "headers"), BROKEN_FORMS.values(), ids=BROKEN_FORMS)
async def test_malformed_forms(client, body, headers):
    rows = [Row(f"POST {path}", body, 400, {"detail": "<text>"}, headers) for path in PATHS]
    await play(client, rows)


async def test_lone_surrogate_that_is_no_escape(client):
    """UTF-7 can encode a surrogate, which then reaches the fields; UTF-8 cannot."""
    headers = {"Content-Type": f"{FORM['Content-Type']}; charset=utf-7"}
    body = b"username=+2AA-&email=test@test.com&password=test"
    response = {"success": False, "errors": {"username": ["<text>"]}}
    in_login = Row("POST /account/login", body, 400, {"username": ["<text>"]}, headers)
    password = b"username=test&email=test@test.com&password=+2AA-"
    rows = [
        Row("POST /account/register", body, 400, response, headers),
        in_login,
        Row(
            "POST /account/register",
            password,
            400,
            {"success": False, "errors": {"password": ["<text>"]}},
            headers,
        ),
        Row("POST /account/login", password, 400, {"password": ["<text>"]}, headers),
    ]
    await play(client, rows)


def padded(size):
    text = json.dumps(TEST)
    return (text + " " * (size - len(text))).encode()


async def chunks(body):
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


async def test_a_body_of_1_mib_is_read(client):
    row = Row("POST /account/register", padded(MIB), 200, SIGN_UP.response, JSON)
    await play(client, [row])


async def test_a_longer_body_is_not(client):
    response = {"detail": "<text>"}
    rows = [Row(f"POST {path}", padded(MIB + 1), 413, response, JSON) for path in PATHS]
    await play(client, rows)


@pytest.mark.parametrize(("size", "status"), [(MIB, 200), (MIB + 1, 413)])
async def test_the_limit_holds_without_a_content_length(client, size, status):
    response = await client.post("/account/register", data=chunks(padded(size)), headers=JSON)
    assert response.status == status
    assert response.headers["Content-Type"] == "application/json"


CODINGS = ("gzip", "deflate", "br", "zstd", "x-gzip", "GZIP", "gzip, gzip", "identity, gzip", "x")


async def test_a_compressed_body_is_refused_and_identity_is_none(client):
    """It is not decompressed either if it is not read: 2 KB can hold a megabyte of JSON."""
    body = gzip.compress(json.dumps(TEST).encode())
    refused = {"detail": "The request body must not be compressed."}
    accepts = {"Accept-Encoding": "identity"}
    rows = [
        Row("POST /account/login", sent, 415, refused, JSON | {"Content-Encoding": coding}, accepts)
        for coding in CODINGS
        for sent in (body, b"not compressed")
    ]
    plain, response = json.dumps(TEST).encode(), SIGN_UP.response
    identity = JSON | {"Content-Encoding": "identity, "}
    await play(client, [*rows, Row("POST /account/register", plain, 200, response, identity)])


@pytest.mark.parametrize("path", PATHS)
async def test_bytes_in_content_type_that_are_no_utf_8(client, raw, path):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode()
    response = await raw(
        client, head + b"Content-Type: text/pl\xffain\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert response.startswith(b"HTTP/1.1 415 ")
    assert b'{"detail":"Unsupported media type' in response
