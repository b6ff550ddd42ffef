"""What every answer passes on its way out: the CORS headers, JSON, and an id."""

import json
from dataclasses import replace

import pytest

from server import create_app
from tests.handlers.contract import Row, play
from tests.handlers.drf_sentences import NOT_FOUND
from tests.handlers.front_requests import NAMES, OF_EVERY_KIND, ask
from tests.handlers.lumotist_rows import token

NOBODYS = token("0123456789012345678901234567890123456789")


@pytest.mark.parametrize("origin", [{}, {"Origin": "https://app.example"}])
@pytest.mark.parametrize(("method", "path", "body", "status"), OF_EVERY_KIND, ids=NAMES)
async def test_every_answer_is_json_with_the_documented_headers(
    client, method, path, body, status, origin
):
    answer = await ask(client, method, path, body, **origin)
    assert answer.status == status
    assert answer.headers.getall("Access-Control-Allow-Origin") == ["*"]
    assert answer.headers.getall("Access-Control-Allow-Headers") == ["Content-Type, Authorization"]
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Request-ID"]
    json.loads(await answer.read())


PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://app.example"}, PREFLIGHT, NOBODYS])
@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/account/login", {"POST"}),
        ("/lumotist/account/profile/", {"GET"}),
        ("/healthz", {"GET"}),
        ("/pictures/any", {"GET"}),
        ("/nowhere", {"GET", "POST"}),
        ("/lumotist/nowhere", {"GET", "POST"}),
    ],
)
async def test_options_answer_200_everywhere(client, path, methods, headers):
    answer = await client.options(path, headers=headers)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type, Authorization"
    allowed = set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    assert allowed >= methods | {"OPTIONS"}


@pytest.fixture
async def narrow(aiohttp_client, settings, clean):
    origins = ("https://app.example", "http://localhost:3000")
    return await aiohttp_client(create_app(replace(settings, cors_origins=origins)))


@pytest.mark.parametrize(("method", "path", "body", "status"), OF_EVERY_KIND, ids=NAMES)
async def test_narrowed_origins(narrow, method, path, body, status):
    """An allowed origin is echoed, another learns nothing; caches are told of the difference."""
    for origin, allowed in [
        ("https://app.example", ["https://app.example"]),
        ("http://localhost:3000", ["http://localhost:3000"]),
        ("https://app.example:444", []),
        ("https://evil.example", []),
        ("null", []),
    ]:
        answer = await ask(narrow, method, path, body, Origin=origin)
        assert answer.status in (status, 400)  # registered once, then taken
        assert answer.headers.getall("Access-Control-Allow-Origin", []) == allowed
        assert answer.headers.getall("Vary") == ["Origin"]
        assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type, Authorization"


@pytest.mark.parametrize("path", ["/account/login", "/nowhere", "/lumotist/nowhere"])
async def test_narrowed_preflights(narrow, path):
    for origin, allowed in [("https://app.example", "https://app.example"), ("https://x.y", None)]:
        answer = await narrow.options(path, headers=PREFLIGHT | {"Origin": origin})
        assert answer.status == 200
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        assert answer.headers.getall("Vary") == ["Origin"]
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    answer = await narrow.options(path)
    assert answer.status == 200
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers.getall("Vary") == ["Origin"]


async def test_request_ids(client):
    made = [(await ask(client, "GET", "/healthz")).headers["X-Request-ID"] for _ in range(3)]
    assert len(set(made)) == 3
    for given in ("abc", "0b8e-4F.x_Y", "a" * 64):
        answer = await ask(client, "GET", "/account/profile", X_Request_ID=given)
        assert answer.headers.getall("X-Request-ID") == [given]
    for given in ("", "two words", "a" * 65, "é", 'a"b', "a;b", "a/b"):
        answer = await ask(client, "GET", "/healthz", X_Request_ID=given)
        [replaced] = answer.headers.getall("X-Request-ID")
        assert replaced
        assert replaced != given


async def test_an_expectation_that_cannot_be_met(client, raw):
    """RFC 9110, 10.1.1 lets it be ignored or answered 417; either way the headers are there."""
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: wonders\r\n\r\n"
    answer = await raw(client, request)
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in answer
    assert b"\r\nContent-Type: application/json\r\n" in answer


@pytest.mark.parametrize("picture", ["nowhere", "%00", "%ff", "%ed%a0%80", "'", "a" * 5_000])
async def test_unknown_pictures(client, picture):
    await play(client, [Row(f"GET /pictures/{picture}", None, 404, NOT_FOUND)])
