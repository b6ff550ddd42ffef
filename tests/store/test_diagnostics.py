"""What a check asks both stores, where they have less than they should."""

from collections.abc import AsyncIterator, Iterator

import pytest

from store.diagnostics import diagnose_database, diagnose_redis, limits_problem, sessions_problem
from store.errors import Unavailable
from store.limits import Limits, parse_limit
from store.postgresql.database import connect_database
from store.redis.client import Redis, connect_redis
from tests import redis_servers
from tests.store.databases import ask, own_database

LONG_TIMEOUT = 20.0
RARELY = [parse_limit("1/hour")] * 6


@pytest.fixture(scope="module")
def restricted_url() -> Iterator[str]:
    """A Redis of a provider that has renamed commands."""
    renamed = [word for name in ("INFO", "EVAL") for word in ("--rename-command", name, "")]
    with redis_servers.alone(*renamed) as url:
        yield url


@pytest.fixture
async def restricted(restricted_url: str) -> AsyncIterator[Redis]:
    client = await connect_redis(restricted_url, 2, LONG_TIMEOUT)
    yield client
    await client.close()


async def test_a_redis_whose_commands_are_renamed_is_reported(restricted):
    assert await diagnose_redis(restricted) == [None]
    assert "unknown command" in (await limits_problem(Limits(restricted, *RARELY)) or "")


async def test_a_redis_that_counts_and_keeps_has_no_problem(core):
    """Also past the limit: an attempt that is rejected was counted."""
    limits = Limits(core.redis, *RARELY)
    assert [await limits_problem(limits) for _ in range(3)] == [None] * 3
    assert await sessions_problem(core.sessions) is None
    [diagnostics] = await diagnose_redis(core.redis)
    assert diagnostics is not None
    assert diagnostics.is_primary


async def test_a_table_of_another_program_is_reported(stores):
    with own_database(stores) as url:
        ask(url, "create table schema_version (other int)")
        database = await connect_database(url, 1, LONG_TIMEOUT)
        with pytest.raises(Unavailable, match='column "version" does not exist'):
            await diagnose_database(database)
        await database.close()
