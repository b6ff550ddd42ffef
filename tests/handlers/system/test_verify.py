"""Forward authentication (docs/contracts/service.md#forward-authentication)."""

from dataclasses import replace
from urllib.parse import quote, unquote

import pytest

from app import create_app
from handlers import DIALECTS
from handlers.system.verify import percent_encoded
from tests.conftest import Server
from tests.handlers.contract import EVERY_DIALECT, Row, play
from tests.handlers.dialects.simplejwt_rows import INVALID, no_access

PASSWORD = "Analytical-Engine-1843"
ANY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "PROPFIND"]
PATHS = ["/verify", *(f"/{name}/verify" for name in DIALECTS)]


@pytest.fixture(scope="module")
async def server(settings):
    """A server of every dialect."""
    async with Server(create_app(replace(settings, dialects=EVERY_DIALECT))) as server:
        yield server


async def register(client, **fields):
    names = {"username": "ada", "email": "ada@example.org", **fields}
    response = await client.post("/latchkey/v1/accounts", json={**names, "password": PASSWORD})
    assert response.status == 201, await response.text()
    content = await response.json()
    return content["token"], content["session"]["id"]


def identity(response):
    return {
        name.lower(): value
        for name, value in response.headers.items()
        if name.lower().startswith(("x-account", "x-session"))
    }


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ANY_METHOD)
async def test_a_caller_is_in_headers(client, path, method):
    token, session_id = await register(client)
    for scheme in ("Bearer", "Token", "bearer"):
        headers = {"Authorization": f"{scheme} {token}"}
        response = await client.request(method, path, headers=headers)
        assert response.status == 200
        assert await response.read() == b""
        assert identity(response) == {
            "x-account-id": "1",
            "x-account-username": "ada",
            "x-account-email": "ada%40example.org",
            "x-session-dialect": "latchkey",
            "x-session-kind": "device",
            "x-session-id": session_id,
        }
        assert response.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_body_and_any_query_are_ignored(client):
    token, _ = await register(client)
    response = await client.post(
        "/verify?next=1", data=b"{" * 1000, headers={"Authorization": f"Bearer {token}"}
    )
    assert response.status == 200


async def test_flags_and_absent_values(client, database):
    token, _ = await register(client, username=None)
    headers = {"Authorization": f"Bearer {token}"}
    with database.cursor() as cursor:
        cursor.execute(
            "update account set is_staff = true, is_superuser = true, email_verified_at = now()"
        )
    found = identity(await client.get("/verify", headers=headers))
    assert "x-account-username" not in found
    flags = ("staff", "superuser", "email-verified")
    assert [found[f"x-account-{flag}"] for flag in flags] == ["1"] * 3


@pytest.mark.parametrize("username", ["Åda", "a/b", "a\u0301b", "名前", 'a"b\\c,d;e', "a%0d%0ab"])
async def test_values_are_percent_encoded(client, username):
    """Only RFC 3986's unreserved characters stay: nothing that was typed can end a header."""
    fields = {"username": username, "email": "a+b@example.org", "password": PASSWORD}
    response = await client.post("/lumotist/account/register", json=fields)
    token = (await response.json())["token"]
    response = await client.get("/verify", headers={"Authorization": f"Token {token}"})
    value = response.headers["X-Account-Username"]
    assert unquote(value) == username
    assert value.isascii()
    assert value.replace("%", "").replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert response.headers["X-Account-Email"] == "a%2Bb%40example.org"


def test_the_short_way_of_percent_encoding_is_no_other_one():
    characters = [*map(chr, range(0x300)), "€", "名", "\U0001f600"]
    for character in characters:
        for value in (character, f"a{character}", f"{character}@b", "@" + character):
            assert percent_encoded(value) == quote(value, safe="")


DRF_MISSING = {"detail": "Authentication credentials were not provided."}
DRF_INVALID = {"detail": "Invalid token."}


async def test_errors_are_in_the_words_of_the_framework(client):
    token, _ = await register(client)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await client.delete("/v1/sessions/current", headers=headers)).status == 204
    challenge = {"WWW-Authenticate": "Token"}
    rows = [
        Row("GET /verify", None, 401, DRF_MISSING),
        Row("GET /verify", None, 401, DRF_MISSING, {"Authorization": "Basic YTpi"}),
        Row("GET /verify", None, 401, DRF_INVALID, headers),
        Row("GET /verify", None, 401, DRF_INVALID, {"Authorization": "Bearer 0"}),
        Row("GET /verify", None, 401, DRF_INVALID, {"Authorization": "Bearer a b"}),
        Row("GET /verify", None, 401, DRF_INVALID, {"Authorization": "Bearer"}),
        Row("GET /verify?optional=1", None, 401, DRF_INVALID, headers),
        Row("OPTIONS /verify", None, 401, DRF_MISSING),
    ]
    for row in rows:
        method, path = row.request.split()
        response = await client.request(method, path, headers=row.headers)
        assert response.status == row.status, row
        assert await response.json() == row.response, row
        assert response.headers["WWW-Authenticate"] == challenge["WWW-Authenticate"]
        assert identity(response) == {}


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("token", [None, "0" * 40, "a b"])
async def test_a_dialect_refuses_in_its_own_words_and_always_with_401(client, name, token):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = await client.get(f"/{name}/verify", headers=headers)
    assert response.status == 401
    assert response.headers["WWW-Authenticate"]
    words = {
        "cellars": {"error": "Token not found" if token else "Invalid Header"},
        "fardel": {
            "message": "Signature verification failed" if token else "Missing Authorization Header"
        },
        "simplejwt": no_access(INVALID) if token else DRF_MISSING,
    }
    content = await response.json(content_type=None)
    if name == "latchkey":
        assert content["code"] == ("token_unknown" if token else "token_missing")
    else:
        assert content == words.get(name, DRF_INVALID if token else DRF_MISSING)


async def test_a_refresh_token_is_refused(client):
    fields = {"email": "ada@example.org", "password": PASSWORD}
    response = await client.post("/fardel/api/auth/register/", json=fields)
    tokens = await response.json()
    for name, status in (("access_token", 200), ("refresh_token", 401)):
        headers = {"Authorization": f"Bearer {tokens[name]}"}
        for path in ("/verify", "/fardel/verify"):
            assert (await client.get(path, headers=headers)).status == status


async def test_optional(client):
    response = await client.get("/verify?optional=1")
    assert response.status == 200
    assert identity(response) == {}


async def test_a_proxy_that_asks_again_gets_an_error_in_any_case(client):
    token, _ = await register(client)
    valid = {"Authorization": f"Bearer {token}"}
    for query, headers in (("again=1", valid), ("again=1&optional=1", {})):
        response = await client.get(f"/verify?{query}", headers=headers)
        assert response.status == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert identity(response) == {}
    assert (await client.get("/verify?again=0", headers=valid)).status == 200
    assert (await client.get("/verify?again=1")).status == 401
    refused = await client.get("/verify?again=1&optional=1", headers={"Authorization": "Token 0"})
    assert refused.status == 401


@pytest.mark.parametrize("store", ["postgresql", "redis"])
async def test_an_unavailable_store_is_503_and_never_401(outages, aiohttp_client, clean, store):
    client = await aiohttp_client(create_app(replace(outages.settings, dialects=EVERY_DIALECT)))
    token, _ = await register(client)
    headers = {"Authorization": f"Bearer {token}"}
    outages.take_away(store)
    for path in PATHS:
        response = await client.get(path, headers=headers)
        assert response.status == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert identity(response) == {}
    outages.bring_back(store)


async def test_the_examples_of_other_endpoints_are_untouched(client):
    """OPTIONS of any other path stays a preflight."""
    await play(client, [Row("OPTIONS /account/profile", None, 200, {})])
