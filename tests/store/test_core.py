"""The core closes what it opened, in a safe order, also when opening it fails half-way."""

import asyncio
import socket
from dataclasses import replace

import pytest

from options import core_options
from store.all_accounts import AllAccounts
from store.core import open_core, open_database
from store.errors import Unavailable
from store.event_writer import EventWriter
from store.session_record import Session, record_key

KEY = "a key for this test alone, long enough"


@pytest.fixture
def options(settings, clean):
    return replace(core_options(settings), start_timeout=0)


@pytest.fixture
def nowhere():
    """The address of a port that nothing listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


async def tasks():
    """Return the tasks that go on, once those that were cancelled have ended."""
    for _ in range(3):
        await asyncio.sleep(0)
    return asyncio.all_tasks()


def connected(database, redis_client):
    """Return the connections to both stores, but for those that look into them."""
    with database.cursor() as cursor:
        cursor.execute("select pid from pg_stat_activity where pid <> pg_backend_pid()")
        found = {("postgresql", pid) for (pid,) in cursor.fetchall()}
    return found | {("redis", each["id"]) for each in redis_client.client_list()}


async def test_what_was_opened_is_closed(options, database, redis_client):
    before, tasks_before = connected(database, redis_client), await tasks()
    async with open_core(options) as core:
        await core.passwords.hash("secret")
        opened = connected(database, redis_client) - before
        assert {store for store, _ in opened} == {"postgresql", "redis"}
    assert await tasks() == tasks_before
    with pytest.raises(RuntimeError, match="shutdown"):
        await core.passwords.hash("secret")
    for _ in range(500):  # PostgreSQL ends a process for each
        if not opened & connected(database, redis_client):
            break
        await asyncio.sleep(0.01)
    assert not opened & connected(database, redis_client)


async def test_sessions_are_renewed_before_redis_is_closed(options, redis_client):
    """What was used in the last moment is written while Redis can still be reached."""
    sid = "0" * 20
    redis_client.set(record_key(sid), "any", ex=10)
    async with open_core(options) as core:
        core.sessions.renew(Session(sid, 1, "kust", "token", 1, core.tokens.signing_key, 0))
        assert redis_client.ttl(record_key(sid)) <= 10
    assert redis_client.ttl(record_key(sid)) > 10


@pytest.mark.parametrize("store", ["postgresql", "redis"])
async def test_a_store_that_is_unavailable_is_reported_and_leaves_nothing_open(
    options, nowhere, store
):
    urls = {
        "postgresql": {"database_url": f"postgresql://postgres@{nowhere}/postgres"},
        "redis": {"redis_url": f"redis://{nowhere}"},
    }
    before, lines = await tasks(), []
    with pytest.raises(Unavailable, match=store):
        async with open_core(replace(options, start_timeout=0.4, **urls[store]), lines.append):
            pytest.fail("it was opened")
    assert lines
    assert all(store in each for each in lines)
    assert await tasks() == before


async def test_without_a_start_timeout_there_is_one_attempt(options, nowhere):
    lines = []
    with pytest.raises(Unavailable):
        async with open_core(replace(options, redis_url=f"redis://{nowhere}"), lines.append):
            pytest.fail("it was opened")
    assert lines == []


async def test_redis_need_not_be_there_for_what_does_not_use_it(options, nowhere):
    without = replace(options, redis_url=f"redis://{nowhere}")
    async with open_core(without, redis_required=False) as core:
        assert await AllAccounts(core.database, EventWriter()).count() == 0
        with pytest.raises(Unavailable, match="redis"):
            await core.admin.live_sessions(1)
    async with open_database(without) as database:
        assert await database.rows("select count(*) from account") == [(0,)]


async def test_no_secret_is_in_what_the_options_print(options):
    secret = replace(
        options, database_url=f"postgresql://{KEY}", redis_url=f"redis://{KEY}", secret_keys=(KEY,)
    )
    assert KEY not in repr(secret)
