"""What both stores say of themselves, for an operator's check."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
from redis.exceptions import ResponseError

from store.client import Client
from store.errors import TooMany, Unavailable, first_line
from store.limits import Limits
from store.postgresql.database import Database
from store.redis.client import OnCluster, Redis
from store.schema import version_of


@dataclass(frozen=True)
class DatabaseFacts:
    """A PostgreSQL, as it is. `ahead` has the seconds that its clock is ahead of this machine's."""

    version: str
    major: int
    schema: int | None
    is_primary: bool
    is_writable: bool
    is_durable: bool
    connections: int
    """That anybody but its superusers may open."""
    ahead: float


@dataclass(frozen=True)
class RedisFacts:
    """A Redis, as it is. `ahead` has the seconds that its clock is ahead of this machine's."""

    product: str
    version: str
    """Of Redis; of the Redis that Valkey is compatible with."""
    is_primary: bool
    policy: str
    """What it does when its memory is full: `maxmemory-policy`."""
    keeps: bool
    """Whether it writes an append-only file."""
    ahead: float | None


async def database_facts(database: Database) -> DatabaseFacts:
    """Ask PostgreSQL. Raises Unavailable."""
    try:
        schema = await version_of(database.rows)
    except psycopg2.Error as error:  # the tables may be somebody else's
        raise Unavailable("postgresql", first_line(error)) from error
    asked = time.time()
    row = await database.one(
        """select current_setting('server_version'),
                  current_setting('server_version_num')::integer / 10000,
                  not pg_is_in_recovery(),
                  current_setting('transaction_read_only') = 'off',
                  'off' not in (current_setting('fsync'), current_setting('synchronous_commit')),
                  current_setting('max_connections')::integer
                      - current_setting('superuser_reserved_connections')::integer,
                  extract(epoch from clock_timestamp())::float8"""
    )
    version, major, is_primary, is_writable, is_durable, connections, clock = row
    ahead = _ahead(clock, asked)
    return DatabaseFacts(
        version, major, schema, is_primary, is_writable, is_durable, connections, ahead
    )


async def redis_facts(redis: Redis) -> list[RedisFacts]:
    """Ask Redis, on a cluster each of its primaries. Raises Unavailable."""
    nodes = redis.client.get_primaries() if isinstance(redis, OnCluster) else [None]
    return [await _ask(redis, node) for node in nodes]


async def why_not_counted(limits: Limits) -> str | None:
    """Return None when attempts can be counted, which takes a script and a write; else why not."""
    try:
        await limits.register(Client("check"))
    except TooMany:
        return None
    except (Unavailable, ResponseError) as error:
        return first_line(error)
    return None


async def _ask(redis: Redis, node: Any) -> RedisFacts:
    asked = time.time()
    where = {"target_nodes": node} if node else {}
    try:
        info = await redis.ask(redis.client.info(**where))
    except ResponseError as error:  # INFO may not be for everybody
        raise Unavailable("redis", first_line(error)) from error
    return _facts(info, asked)


def _facts(info: Mapping[str, Any], asked: float) -> RedisFacts:
    clock, valkey = info.get("server_time_usec"), info.get("valkey_version")
    return RedisFacts(
        product=f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}",
        version=str(info["redis_version"]),
        is_primary=info["role"] == "master",
        policy=info.get("maxmemory_policy", "unknown"),
        keeps=bool(info.get("aof_enabled")),
        ahead=_ahead(clock / 1_000_000, asked) if clock else None,
    )


def _ahead(clock: float, asked: float) -> float:
    """Return how far a clock is ahead that was read between `asked` and now."""
    return clock - (asked + time.time()) / 2
