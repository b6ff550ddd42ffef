"""Servers that are killed while they send: each event still arrives, and in order per account."""

import asyncio
import random

import pytest

from tests.program import KEY, Program, wait_for_async
from tests.webhooks.receivers import SECRET, receiving

LEASE_ENDS = "update webhook set leased_until = now()"
"""What a minute without the killed server does."""


@pytest.fixture
def deployment(stores, clean):
    return {
        "DATABASE_URL": stores[0],
        "REDIS_URL": stores[1],
        "SECRET_KEYS": KEY,
        "EVENTS": "on",
    }


def first_seen(received: list[dict]) -> dict[int, list[int]]:
    """Return the ids of each account's events, each where it was first received."""
    seen: dict[int, list[int]] = {}
    for event in received:
        ids = seen.setdefault(event["account"]["id"], [])
        if event["id"] not in ids:
            ids.append(event["id"])
    return seen


async def test_a_server_that_is_killed_while_it_sends_loses_no_event(deployment, database):
    chance = random.Random(3)  # noqa: S311
    async with receiving() as receiver:
        receiver.pause = 0.005
        webhooks = {"WEBHOOKS": f"app {receiver.url} {SECRET}"}
        for round in range(3):
            with Program(**deployment, **webhooks) as server:
                await asyncio.to_thread(server.serve)
                tokens = [
                    await asyncio.to_thread(server.register, f"kim-{round}-{number}")
                    for number in range(4)
                ]
                for token in tokens * 5:
                    change = "PATCH", "/v1/account", {"first_name": "x"}, token
                    await asyncio.to_thread(server.ask, *change)
                await asyncio.sleep(chance.uniform(0, 0.2))
                server.process.kill()
            with database.cursor() as cursor:
                cursor.execute(LEASE_ENDS)
        with database.cursor() as cursor:
            cursor.execute("select account_id, array_agg(id order by id) from event group by 1")
            written = dict(cursor.fetchall())
        assert sum(map(len, written.values())) == 3 * 24
        with Program(**deployment, **webhooks) as server:
            await asyncio.to_thread(server.serve)
            assert await wait_for_async(lambda: first_seen(receiver.received) == written)
