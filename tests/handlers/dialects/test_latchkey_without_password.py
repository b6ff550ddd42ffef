"""Accounts that sign in with ID tokens have no password: a fresh session stands in for it."""

import json
from dataclasses import replace

import pytest

from app import create_app
from tests.handlers.dialects.latchkey_rows import ADA, PASSWORD

CONFIRMED = [
    ("PUT", "/v1/account/email", {"email": "new@example.org"}, 202),
    ("POST", "/v1/account/totp", {}, 200),
    ("POST", "/v1/account/deletion", {}, 204),
    ("DELETE", "/v1/account", {}, 204),
]


@pytest.fixture
async def send(settings, aiohttp_client, clean, tmp_path, database):
    """Send a request as ada, whose account has an unusable password; return status and code."""
    url = "https://accounts.example"
    settings = replace(settings, mail_url=f"file:{tmp_path}", public_url=url)
    client = await aiohttp_client(create_app(settings))
    token = (await (await client.post("/v1/accounts", json=ADA)).json())["token"]
    with database.cursor() as cursor:
        cursor.execute("update account set password = '!'")

    async def send(method: str, path: str, body: dict) -> tuple[int, str | None]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        response = await client.request(method, path, data=json.dumps(body), headers=headers)
        content = await response.json(content_type=None) if response.status >= 400 else {}
        return response.status, content.get("code")

    return send


@pytest.mark.parametrize(("method", "path", "body", "status"), CONFIRMED)
async def test_a_fresh_session_confirms(send, method, path, body, status):
    assert await send(method, path, body) == (status, None)


@pytest.mark.parametrize(("method", "path", "body", "status"), CONFIRMED)
async def test_an_older_session_does_not(send, redis_client, method, path, body, status):
    for key in redis_client.scan_iter("session:*"):
        record = redis_client.get(key).decode().split(" ", 6)
        record[5] = str(int(record[5]) - 700)
        redis_client.set(key, " ".join(record), keepttl=True)
    assert await send(method, path, body) == (403, "fresh_login_required")


@pytest.mark.parametrize(("method", "path", "body", "status"), CONFIRMED)
async def test_no_password_is_the_right_one(send, method, path, body, status):
    assert await send(method, path, {**body, "password": PASSWORD}) == (422, "wrong_password")
