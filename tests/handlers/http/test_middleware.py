"""The middleware: CORS headers, JSON errors, and request ids."""

import json
from dataclasses import replace
from uuid import uuid4

import pytest

from app import create_app
from tests.handlers.contract import ALLOW_METHODS, Row, play
from tests.handlers.dialects.drf_messages import NOT_FOUND
from tests.handlers.dialects.lumotist_rows import token
from tests.handlers.sample_requests import NAMES, OF_EVERY_KIND, ask

CORS = "Access-Control"
EVERYWHERE = {
    "Access-Control-Allow-Origin": ["*"],
    "Access-Control-Allow-Headers": ["Content-Type, Authorization"],
    "Access-Control-Expose-Headers": ["Retry-After, X-Request-ID"],
}
PROBES = ("/healthz", "/readyz", "/metrics")
NOBODYS = token("0123456789012345678901234567890123456789")


@pytest.mark.parametrize("origin", [{}, {"Origin": "https://app.example"}])
@pytest.mark.parametrize(("method", "path", "body", "status"), OF_EVERY_KIND, ids=NAMES)
async def test_every_answer_is_json_with_the_documented_headers(
    client, method, path, body, status, origin
):
    response = await ask(client, method, path, body, **origin)
    assert response.status == status
    cors = {name: response.headers.getall(name) for name in response.headers if name[:14] == CORS}
    assert cors == ({} if path in PROBES else EVERYWHERE)
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Request-ID"]
    json.loads(await response.read())


APP = {"Origin": "https://app.example"}
PREFLIGHT = APP | {"Access-Control-Request-Method": "PATCH"}
ASKS = "Access-Control-Request-Headers"


@pytest.mark.parametrize(
    "path",
    [
        "/account/login",
        "/lumotist/account/profile/",
        "/auth/users/me/",
        "/pictures/any",
        "/openapi.json",
        "/nowhere",
        "/lumotist/nowhere",
    ],
)
async def test_options_answer_200_everywhere(client, path):
    """With every method, so that a page sees the dialect's 405 instead of a network error."""
    everywhere = {name: value for name, [value] in EVERYWHERE.items()} | ALLOW_METHODS
    more = everywhere | {
        "Access-Control-Allow-Headers": "Content-Type, Authorization, X-Request-ID, "
        "X-Requested-With, traceparent, tracestate, baggage, sentry-trace"
    }
    for headers, expected in [
        ({}, everywhere),
        (APP, everywhere),
        (PREFLIGHT, everywhere),
        (NOBODYS, everywhere),
        (PREFLIGHT | {ASKS: "authorization,content-type"}, everywhere),
        (PREFLIGHT | {ASKS: "Authorization, "}, everywhere),
        (PREFLIGHT | {ASKS: "authorization,x-request-id"}, more),
        (PREFLIGHT | {ASKS: "Baggage, Sentry-Trace"}, more),
        (PREFLIGHT | {ASKS: "x-of-nobody"}, more),
    ]:
        response = await client.options(path, headers=headers)
        assert (response.status, await response.json()) == (200, {})
        assert response.headers.items() >= expected.items(), headers


async def test_probes_and_metrics_are_for_no_web_page(client, narrow):
    """Not even their existence is disclosed, with and without CORS_ORIGINS."""
    for path in PROBES:
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            for each in (client, narrow):
                asked = PREFLIGHT | {ASKS: "x-request-id"}
                response = await each.request(method, path, headers=asked)
                assert response.status == (405 if method == "POST" else 200)
                assert not [name for name in response.headers if name[:14] == CORS], path
                assert "Vary" not in response.headers
                if method in ("POST", "OPTIONS"):
                    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_probes_have_their_methods(client):
    for path in ("/healthz", "/readyz"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            response = await client.request(method, path)
            body = {"detail": f'Method "{method}" not allowed.'}
            assert (response.status, await response.json()) == (405, body)
        head = await client.head(path)
        got = await client.get(path)
        assert (head.status, await head.read()) == (200, b"")
        assert head.headers["Content-Length"] == got.headers["Content-Length"]


@pytest.fixture
async def narrow(aiohttp_client, settings, clean):
    origins = ("https://app.example", "http://localhost:3000")
    return await aiohttp_client(create_app(replace(settings, cors_origins=origins)))


@pytest.mark.parametrize(("method", "path", "body", "status"), OF_EVERY_KIND, ids=NAMES)
async def test_narrowed_origins(narrow, method, path, body, status):
    """An allowed origin is echoed, another is not; Vary tells caches of the difference."""
    for origin, allowed in [
        ("https://app.example", ["https://app.example"]),
        ("http://localhost:3000", ["http://localhost:3000"]),
        ("https://app.example:444", []),
        ("https://evil.example", []),
        ("null", []),
    ]:
        response = await ask(narrow, method, path, body, Origin=origin)
        assert response.status in (status, 400)  # registered once, then taken
        if path in PROBES:
            continue
        assert response.headers.getall("Access-Control-Allow-Origin", []) == allowed
        assert response.headers.getall("Vary") == ["Origin"]
        for name in ("Access-Control-Allow-Headers", "Access-Control-Expose-Headers"):
            assert response.headers.getall(name) == EVERYWHERE[name]
        assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize("path", ["/account/login", "/nowhere", "/lumotist/nowhere"])
async def test_narrowed_preflights(narrow, path):
    for origin, allowed in [("https://app.example", "https://app.example"), ("https://x.y", None)]:
        response = await narrow.options(path, headers=PREFLIGHT | {"Origin": origin})
        assert response.status == 200
        assert response.headers.get("Access-Control-Allow-Origin") == allowed
        assert response.headers.getall("Vary") == ["Origin"]
        assert response.headers.items() >= ALLOW_METHODS.items()
    response = await narrow.options(path)
    assert response.status == 200
    assert "Access-Control-Allow-Origin" not in response.headers
    assert response.headers.getall("Vary") == ["Origin"]


async def test_request_ids(client):
    made = [(await ask(client, "GET", "/healthz")).headers["X-Request-ID"] for _ in range(3)]
    assert len(set(made)) == 3
    for given in ("abc", "0b8e-4F.x_Y", "a" * 39, "b" * 32 + "-" + "c" * 31, str(uuid4())):
        response = await ask(client, "GET", "/account/profile", X_Request_ID=given)
        assert response.headers.getall("X-Request-ID") == [given]
    secrets = ("0f" * 20, "0f" * 32, "Token." + "0F" * 20, "x" * 43)  # or what looks like one
    for given in (*secrets, "", "two words", "a-" * 33, "é", 'a"b', "a;b", "a/b"):
        response = await ask(client, "GET", "/healthz", X_Request_ID=given)
        [replaced] = response.headers.getall("X-Request-ID")
        assert replaced
        assert replaced != given


async def test_an_expectation_that_cannot_be_met(client, raw):
    """RFC 9110, 10.1.1 allows to ignore it or to return 417. Both have the headers."""
    request = b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: wonders\r\n\r\n"
    response = await raw(client, request)
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in response
    assert b"\r\nContent-Type: application/json\r\n" in response


@pytest.mark.parametrize("picture", ["nowhere", "%00", "%ff", "%ed%a0%80", "'", "a" * 5_000])
async def test_unknown_pictures(client, picture):
    await play(client, [Row(f"GET /pictures/{picture}", None, 404, NOT_FOUND)])
