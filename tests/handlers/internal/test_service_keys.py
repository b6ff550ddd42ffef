"""Service keys: who may use /internal, and that no key is shown or logged."""

import base64
import hashlib
import hmac
import logging
from dataclasses import replace
from urllib.parse import quote_plus

import pytest
from aiohttp import web

from app import create_app
from handlers import internal
from handlers.http.response import Response, json_response
from handlers.internal.routes import ServiceRoutes
from handlers.internal.service_keys import (
    Scope,
    ServiceKey,
    find_key,
    parse_service_keys,
)
from handlers.problems import render_error
from handlers.routes import Checks
from tests.handlers.internal.keys import KEYS, NAMES, TEXT, bearer
from tests.secrecy import WATCH

INTROSPECT = "/internal/introspect"


def basic(credentials: str) -> str:
    """Return the value of an Authorization header."""
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def test_keys_are_parsed():
    """They are watched, so that none stands in any line of a log (tests/secrecy.py)."""
    found = parse_service_keys(TEXT)
    assert WATCH.passwords >= set(KEYS.values())
    assert [(key.name, key.scope) for key in found] == [
        ("gateway", Scope.INTROSPECT),
        ("reader", Scope.READ),
        ("billing", Scope.WRITE),
    ]
    assert not any(key in repr(found) for key in KEYS.values())
    assert not any(repr(key.digest) in repr(found) for key in found)


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        (None, 401, "token_missing"),
        ("Bearer", 401, "token_missing"),
        ("Bearer ", 401, "token_missing"),
        ("Basic", 401, "token_missing"),
        ("Basic Z2F0ZXdheQ", 401, "token_missing"),
        (basic("gateway"), 401, "token_missing"),
        (basic("gateway:"), 401, "token_missing"),
        (basic("gateway:key"), 401, "token_unknown"),
        (basic(f"reader:{KEYS[Scope.WRITE]}"), 401, "token_unknown"),
        (basic(f":{KEYS[Scope.WRITE]}"), 401, "token_unknown"),
        (f"Basic {KEYS[Scope.WRITE]}", 401, "token_missing"),
        (f"Token {KEYS[Scope.WRITE]}", 401, "token_missing"),
        ("Bearer " + KEYS[Scope.WRITE][:-1], 401, "token_unknown"),
        (f"Bearer {KEYS[Scope.WRITE]} x", 401, "token_unknown"),
        ("Bearer billing:write:" + KEYS[Scope.WRITE], 401, "token_unknown"),
        ("Bearer \u00ff" * 2, 401, "token_unknown"),
    ],
)
async def test_a_request_without_a_key_is_a_401(client, given, status, code):
    headers = {} if given is None else {"Authorization": given}
    async with client.post(INTROSPECT, data={"token": "x"}, headers=headers) as response:
        problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["code"]) == (status, code)
        assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "key", ["gateway-key/with+every~kind._of-character==", KEYS[Scope.INTROSPECT]]
)
@pytest.mark.parametrize("encode", [str, quote_plus])
async def test_client_credentials(aiohttp_client, settings, key, encode):
    """As clients of OAuth 2.0 send them, encoded or not."""
    keys = parse_service_keys(f"a.name:introspect:{key}")
    client = await aiohttp_client(create_app(replace(settings, service_keys=keys)))
    headers = {"Authorization": basic(f"a.name:{encode(key)}")}
    async with client.post(INTROSPECT, data={"token": "x"}, headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_in_any_case(client, scheme):
    headers = {"Authorization": f"{scheme} {KEYS[Scope.INTROSPECT]}"}
    async with client.post(INTROSPECT, data={"token": "x"}, headers=headers) as response:
        assert response.status == 200


async def test_each_scope_includes_the_narrower_ones(
    aiohttp_client, internal_settings, monkeypatch, caplog
):
    """A narrower scope is a 403, which names the scope that is needed (RFC 6750, 3.1)."""
    caplog.set_level(logging.INFO, "latchkey.internal")
    added = ServiceRoutes(render_error, Checks(method_first=True))

    async def show(request: web.Request, key: ServiceKey) -> Response:
        return json_response({"name": key.name})

    for scope in Scope:
        added.require(scope, f"/{scope.name.lower()}", methods=("GET",))(show)
    monkeypatch.setattr(internal, "routes", added)
    client = await aiohttp_client(create_app(internal_settings))
    for required in Scope:
        for scope, key in KEYS.items():
            path = f"/internal/{required.name.lower()}"
            async with client.get(path, headers=bearer(key)) as response:
                if scope >= required:
                    assert response.status == 200
                    assert await response.json() == {"name": NAMES[scope]}
                    continue
                assert response.status == 403
                assert (await response.json(content_type=None))["code"] == "insufficient_scope"
                assert response.headers["WWW-Authenticate"] == (
                    f'Bearer error="insufficient_scope", scope="{required.name.lower()}"'
                )
    logged = [each.getMessage() for each in caplog.records if each.name == "latchkey.internal"]
    assert logged == [
        f"a request of the service {name}" for name in ("reader", "billing", "billing")
    ]
    assert not any(key in caplog.text for key in KEYS.values())


async def test_a_path_that_internal_does_not_have_is_a_problem(client):
    for path in ("/internal/", "/internal/nothing", "/internal/introspect/", "/internal//x"):
        async with client.get(path, headers=bearer(KEYS[Scope.WRITE])) as response:
            problem = await response.json(content_type="application/problem+json")
            assert (response.status, problem["code"]) == (404, "not_found")
    async with client.get(INTROSPECT, headers=bearer(KEYS[Scope.WRITE])) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("origins", [("*",), ("https://app.example",)])
async def test_web_pages_cannot_use_it(aiohttp_client, internal_settings, origins):
    client = await aiohttp_client(create_app(replace(internal_settings, cors_origins=origins)))
    headers = {"Origin": "https://app.example", **bearer(KEYS[Scope.WRITE])}
    asked = {"Access-Control-Request-Method": "POST"}
    for path in (INTROSPECT, "/internal/nothing"):
        for method, more in (("POST", {}), ("OPTIONS", asked)):
            async with client.request(method, path, headers=headers | more) as response:
                assert not [each for each in response.headers if each.startswith("Access-Control")]


async def test_without_keys_internal_does_not_exist(aiohttp_client, settings):
    client = await aiohttp_client(create_app(settings))
    for path in (INTROSPECT, "/internal/", "/internal/nothing"):
        for method in ("POST", "OPTIONS"):
            async with (
                client.request(method, path, headers=bearer(KEYS[Scope.WRITE])) as response,
                client.request(method, "/nothing") as unknown,
            ):
                assert response.status == unknown.status
                assert await response.read() == await unknown.read()
                assert response.headers.keys() == unknown.headers.keys()


@pytest.mark.parametrize("given", [*KEYS.values(), "unknown", ""])
def test_a_key_is_compared_with_every_other(monkeypatch, given):
    """So the time does not depend on which key it is, nor on how much of it is right."""
    compared, original = [], hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return original(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    keys = parse_service_keys(TEXT)
    found = find_key(keys, given)
    digest = hashlib.sha256(given.encode()).digest()
    assert compared == [(key.digest, digest) for key in keys]
    assert (found is not None) == (given in KEYS.values())
