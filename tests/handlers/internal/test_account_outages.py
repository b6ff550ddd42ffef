"""Accounts for services while a store is unavailable: a 503, and nothing is lost or half done."""

from dataclasses import replace

import pytest

from app import create_app
from handlers.internal.service_keys import parse_service_keys
from tests.handlers.internal.keys import TEXT
from tests.handlers.internal.test_accounts import ADA, PASSWORD, WITH_AN_ID, call, log_in, refused

LISTS = ["", "?ids=1,2", "?username=ada", "?email=x", "?after=1", "?search=ada&after=1"]
REQUESTS = [
    *(("GET", query, None) for query in LISTS),
    ("POST", "", {**ADA, "username": "grace", "email": None}),
    ("POST", "", {"username": "grace", "password_hash": "!"}),
    *((method, f"/1{path}", body) for method, path, body in WITH_AN_ID),
]


@pytest.fixture
async def client(aiohttp_client, outages, clean):
    """A client of a server whose stores can be taken away, and which has an account."""
    settings = replace(outages.settings, service_keys=parse_service_keys(TEXT))
    client = await aiohttp_client(create_app(settings))
    assert (await call(client, "POST", "", ADA))[0] == 201
    return client


async def test_without_postgresql(client, outages):
    _, logged_in = await log_in(client)
    before = await call(client, "GET", "/1")
    outages.take_away("postgresql")
    for key in ({}, {"Idempotency_Key": "first"}):
        for method, path, body in REQUESTS:
            assert await refused(client, method, path, body, **key) == "unavailable"
    outages.bring_back("postgresql")
    assert await call(client, "GET", "/1") == before
    _, page = await call(client, "GET", "")
    assert [account["username"] for account in page["accounts"]] == ["Ada"]
    own = {"Authorization": f"Bearer {logged_in['token']}"}
    async with client.get("/v1/account", headers=own) as response:
        assert response.status == 200
    grace = {"username": "grace", "password": PASSWORD}
    status, made = await call(client, "POST", "", grace, Idempotency_Key="first")
    assert (status, made["username"]) == (201, "grace")


async def test_without_redis(client, outages, redis_client):
    """PostgreSQL alone decides whether a session is live, so that sessions end without Redis."""
    for _ in range(3):
        await log_in(client)
    outages.take_away("redis")
    for query in ("", "?ids=1,2", "?username=ada", "?after=1", "?search=ada"):
        assert (await call(client, "GET", query))[0] == 200
    grace = {"username": "grace", "password": PASSWORD}
    assert (await call(client, "POST", "", grace, Idempotency_Key="first"))[0] == 201
    assert (await call(client, "PATCH", "/1", {"first_name": "Augusta"}))[0] == 200
    assert await refused(client, "GET", "/1/sessions") == "unavailable"
    assert await refused(client, "DELETE", "/1/sessions/0123456789abcdef") == "unavailable"
    assert await call(client, "DELETE", "/1/sessions") == (204, None)
    outages.bring_back("redis")
    assert await call(client, "GET", "/1/sessions") == (200, {"sessions": []})
    assert (await log_in(client))[0] == 201
    assert len((await call(client, "GET", "/1/sessions"))[1]["sessions"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "login"),
    [
        ("PATCH", "", {"is_active": False}, (403, "account_disabled")),
        ("PUT", "/password", {"password": "Difference-1822"}, (401, "invalid_credentials")),
        ("DELETE", "", None, (401, "invalid_credentials")),
    ],
)
async def test_what_ends_sessions_does_so_without_redis(client, outages, method, path, body, login):
    _, logged_in = await log_in(client)
    outages.take_away("redis")
    assert (await call(client, method, f"/1{path}", body))[0] in (200, 204)
    outages.bring_back("redis")
    own = {"Authorization": f"Bearer {logged_in['token']}"}
    async with client.get("/v1/account", headers=own) as response:
        problem = await response.json(content_type=None)
        assert (response.status, problem["code"]) == (401, "token_revoked")
    status, problem = await log_in(client)
    assert (status, problem["code"]) == login
