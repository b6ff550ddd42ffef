"""POST /internal/introspect (RFC 7662): what other services learn of a token."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from app import create_app
from handlers.app_keys import INTROSPECTION
from store.authentication import Caller
from store.session_record import record_key
from store.session_renewal import DELAY
from tests.handlers.internal.keys import KEYS, Scope, bearer

INTROSPECT = "/internal/introspect"
MIKA = {"username": "mika", "email": "mika@example.com", "password": "correct-Horse-9"}
INACTIVE = 200, {"active": False}


async def introspect(client: TestClient, token: str, **fields: str) -> tuple[int, Any]:
    """Return the status and the content of an introspection."""
    form, key = {"token": token, **fields}, bearer(KEYS[Scope.INTROSPECT])
    async with client.post(INTROSPECT, data=form, headers=key) as response:
        return response.status, await response.json(content_type=None)


async def post(client: TestClient, path: str, body: dict[str, str]) -> Any:
    """Return the content of a response that is a success."""
    async with client.post(path, json=body) as response:
        assert response.ok, await response.text()
        return await response.json()


async def log_in(client: TestClient) -> str:
    """Register an account; return its token."""
    await post(client, "/kust/auth/users/", MIKA)
    token: str = (await post(client, "/kust/auth/token/login/", MIKA))["auth_token"]
    return token


def sid_of(token: str) -> str:
    """Return the session id of a token."""
    return token[: len(token) // 2]


async def test_an_active_token(client, redis_client):
    began = int(time.time())
    token = await log_in(client)
    redis_client.expire(record_key(sid_of(token)), 5000)
    status, found = await introspect(client, token, token_type_hint="refresh_token", more="x")
    assert status == 200
    assert found.pop("exp") == pytest.approx(time.time() + 5000, abs=5)
    assert began <= found.pop("iat") <= time.time()
    assert len(found.pop("sid")) == 16
    assert found == {
        "active": True,
        "sub": "1",
        "username": "mika",
        "email": "mika@example.com",
        "email_verified": False,
        "token_type": "Bearer",
        "kind": "token",
        "dialect": "kust",
    }


async def test_its_session_is_the_one_that_the_account_sees(client):
    await post(client, "/latchkey/v1/accounts", MIKA)
    login = {"login": MIKA["email"], "password": MIKA["password"], "device": "phone"}
    opened = await post(client, "/latchkey/v1/sessions", login)
    _, found = await introspect(client, opened["token"])
    assert found["sid"] == opened["session"]["id"]
    assert (found["dialect"], found["kind"]) == ("latchkey", "device")
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found["exp"]))
    assert expires <= opened["session"]["expires"]


async def test_an_account_without_a_name_has_no_username(client, database):
    token = await log_in(client)
    with database.cursor() as cursor:
        cursor.execute(
            "update account set username = null, username_folded = null, email_verified_at = now()"
        )
    _, found = await introspect(client, token)
    assert "username" not in found
    assert (found["email"], found["email_verified"]) == ("mika@example.com", True)


async def test_the_response_is_exact(client):
    """Some services compare the text of an inactive token; no cache may keep either."""
    token = await log_in(client)
    key = bearer(KEYS[Scope.INTROSPECT])
    for given, start in ((token, b'{"active":true,"sub":"1",'), ("x", b'{"active":false}')):
        async with client.post(INTROSPECT, data={"token": given}, headers=key) as response:
            assert (await response.read()).startswith(start)
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "token", ["x", "0" * 40, "0" * 64, "%", "\x00", "\u202e" * 40, "\u00e9\0 \n", "a" * 100_000]
)
async def test_a_token_that_nobody_made_is_inactive(client, token):
    assert await introspect(client, token) == INACTIVE


async def test_a_refresh_token_is_inactive(client):
    registered = {**MIKA, "confirm_password": MIKA["password"]}
    tokens = await post(client, "/fardel/api/auth/register/", registered)
    assert (await introspect(client, tokens["access_token"]))[1]["active"] is True
    assert await introspect(client, tokens["refresh_token"]) == INACTIVE


async def test_a_session_that_ended_is_inactive(client, redis_client):
    token = await log_in(client)
    headers = {"Authorization": f"Token {token}"}
    async with client.post("/kust/auth/token/logout/", headers=headers) as response:
        assert response.status == 204
    assert await introspect(client, token) == INACTIVE
    redis_client.delete(record_key(sid_of(token)))
    assert await introspect(client, token) == INACTIVE


@pytest.mark.parametrize("change", ["is_active = false", "session_epoch = session_epoch + 1"])
async def test_the_token_of_a_disabled_account_is_inactive(client, database, change):
    token = await log_in(client)
    with database.cursor() as cursor:
        cursor.execute(f"update account set {change}")
    assert await introspect(client, token) == INACTIVE


async def test_a_session_that_expires_between_both_lookups_is_inactive(client, redis_client):
    """Its end is read after the session itself."""
    token = await log_in(client)
    introspection = client.server.app[INTROSPECTION]
    authenticate = introspection._authenticate

    async def authenticate_then_expire(token: str) -> Caller:
        caller: Caller = await authenticate(token)
        redis_client.delete(record_key(caller.session.sid))
        return caller

    introspection._authenticate = authenticate_then_expire
    assert await introspect(client, token) == INACTIVE


@pytest.mark.parametrize("store", ["postgresql", "redis"])
async def test_while_a_store_is_unavailable_no_token_is_inactive(
    aiohttp_client, internal_settings, outages, clean, store
):
    both = replace(outages.settings, service_keys=internal_settings.service_keys)
    client = await aiohttp_client(create_app(both))
    token = await log_in(client)
    outages.take_away(store)
    async with client.post(
        INTROSPECT, data={"token": token}, headers=bearer(KEYS[Scope.INTROSPECT])
    ) as response:
        assert response.status == 503
        assert (await response.json(content_type=None))["code"] == "unavailable"
        assert int(response.headers["Retry-After"]) > 0
    assert await introspect(client, "x") == INACTIVE
    outages.bring_back(store)
    assert (await introspect(client, token))[1]["active"] is True


async def test_an_introspection_is_a_use(client, redis_client, settings):
    """It extends the session, as a request with the token does: other services introspect those."""
    token = await log_in(client)
    key, day = record_key(sid_of(token)), 86_400
    fields = redis_client.get(key).decode().split()
    redis_client.set(key, " ".join([*fields[:-1], str(int(fields[-1]) - day)]), ex=day)
    _, found = await introspect(client, token)
    assert found["exp"] == pytest.approx(time.time() + day, abs=5)
    await asyncio.sleep(4 * DELAY)
    assert redis_client.ttl(key) == pytest.approx(settings.session_lifetime, abs=5)


BODIES: list[tuple[bytes, str, int, str]] = [
    (b"", "application/x-www-form-urlencoded", 422, "required"),
    (b"token=", "application/x-www-form-urlencoded", 422, "required"),
    (b"token_type_hint=x", "application/x-www-form-urlencoded", 422, "required"),
    (b"token=a&token=b", "application/x-www-form-urlencoded", 422, "invalid"),
    (b"token=%ff", "application/x-www-form-urlencoded", 400, ""),
    (b"token=%", "application/x-www-form-urlencoded; charset=utf-16", 400, ""),
    (b"token", "application/x-www-form-urlencoded", 422, "required"),
    (b"TOKEN=x&=y&&", "application/x-www-form-urlencoded", 422, "required"),
    (b"a&" * 2000, "application/x-www-form-urlencoded", 400, ""),
    (b'{"token": "x"}', "application/json", 415, ""),
    (b"token=x", "multipart/form-data; boundary=x", 415, ""),
    (b"token=x", "", 415, ""),
]


@pytest.mark.parametrize(("body", "content_type", "status", "code"), BODIES)
async def test_a_request_without_one_token_is_an_error(client, body, content_type, status, code):
    headers = {"Content-Type": content_type, **bearer(KEYS[Scope.INTROSPECT])}
    async with client.post(INTROSPECT, data=body, headers=headers) as response:
        problem = await response.json(content_type="application/problem+json")
        assert response.status == problem["status"] == status
        assert [each["code"] for each in problem.get("errors", [])] == ([code] if code else [])
        assert [each["field"] for each in problem.get("errors", [])] == (["token"] if code else [])
