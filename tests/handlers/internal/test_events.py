"""GET /internal/events: what other services learn of changes of accounts."""

import asyncio
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from app import create_app
from handlers.app_keys import DRAINING
from tests.handlers.internal.keys import KEYS, Scope, bearer
from tests.handlers.internal.test_openapi import OPERATIONS, check

MIKA = {"username": "mika", "email": "mika@example.com", "password": "correct-Horse-9"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
async def recording(aiohttp_client, internal_settings, clean) -> TestClient:
    return await aiohttp_client(create_app(replace(internal_settings, events="on")))


async def events(client: TestClient, scope: Scope = Scope.READ, **query: Any) -> tuple[int, Any]:
    headers = bearer(KEYS[scope])
    async with client.get("/internal/events", params=query, headers=headers) as response:
        described = OPERATIONS["/events", "GET"]
        check(described, response.status, response.headers, await response.read())
        return response.status, await response.json(content_type=None)


async def register(client: TestClient, name: str = "mika") -> str:
    body = {**MIKA, "username": name, "email": f"{name}@example.com"}
    async with client.post("/account/register", json=body) as response:
        assert response.status == 200
        token: str = (await response.json())["token"]
        return token


async def test_an_event(recording):
    token = await register(recording)
    headers = {"Authorization": f"Token {token}"}
    async with recording.post("/account/delete", headers=headers) as response:
        assert response.status == 200, await response.text()
    status, found = await events(recording)
    created, deleted = found["events"]
    assert TIME.fullmatch(created.pop("time"))
    assert isinstance(created.pop("id"), int)
    assert (status, created) == (
        200,
        {
            "type": "account.created",
            "account": {"id": 1, "username": "mika"},
            "actor": {"type": "account", "name": "mika"},
            "data": {},
        },
    )
    assert deleted["type"] == "account.deleted"
    status, found = await events(recording, after=found["cursor"])
    assert (status, found["events"]) == (200, [])


async def test_pages_of_events(recording):
    for name in ("kim", "lee", "max"):
        await register(recording, name)
    _, first = await events(recording, limit=2)
    _, second = await events(recording, limit=2, after=first["cursor"])
    names = [[event["account"]["username"] for event in page["events"]] for page in (first, second)]
    assert names == [["kim", "lee"], ["max"]]


async def test_a_long_poll_returns_with_the_next_event(recording):
    _, page = await events(recording)
    waiting = asyncio.create_task(events(recording, after=page["cursor"], wait=30))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await register(recording)
    _, page = await asyncio.wait_for(waiting, 5)
    assert [event["type"] for event in page["events"]] == ["account.created"]


async def test_a_long_poll_without_an_event_ends_empty(recording):
    _, page = await events(recording)
    began = time.monotonic()
    status, waited = await events(recording, after=page["cursor"], wait=1)
    assert (status, waited["events"]) == (200, [])
    assert 0.9 < time.monotonic() - began < 5


async def test_a_server_that_stops_ends_its_long_polls(recording):
    waiting = asyncio.create_task(events(recording, wait=30))
    await asyncio.sleep(0.1)
    recording.app[DRAINING].set()
    status, page = await asyncio.wait_for(waiting, 5)
    assert (status, page["events"]) == (200, [])


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"after": "x"}, "after", "invalid"),
        ({"after": ""}, "after", "invalid"),
        ({"limit": "0"}, "limit", "invalid"),
        ({"limit": "1001"}, "limit", "invalid"),
        ({"limit": "\u0663"}, "limit", "invalid"),
        ({"wait": "61"}, "wait", "invalid"),
        ({"wait": "-1"}, "wait", "invalid"),
        ({"since": "1"}, "since", "unknown"),
    ],
)
async def test_a_query_that_is_not_valid(recording, query, field, code):
    status, problem = await events(recording, **query)
    assert (status, problem["code"]) == (422, "invalid_fields")
    assert [(each["field"], each["code"]) for each in problem["errors"]] == [(field, code)]


async def test_a_cursor_that_has_expired(recording, database):
    _, page = await events(recording)
    await register(recording)
    with database.cursor() as cursor:
        cursor.execute(
            "update event_retention set (transaction, event_id) = "
            "(select transaction, id from event); delete from event"
        )
    status, problem = await events(recording, after=page["cursor"])
    assert (status, problem["code"]) == (410, "cursor_expired")


async def test_events_require_the_scope_read(recording):
    status, problem = await events(recording, Scope.INTROSPECT)
    assert (status, problem["code"]) == (403, "insufficient_scope")
    status, _ = await events(recording, Scope.WRITE)
    assert status == 200


async def test_without_events_the_path_is_unknown(client):
    status, problem = await events(client)
    assert (status, problem["code"]) == (404, "not_found")
