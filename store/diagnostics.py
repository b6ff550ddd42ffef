"""What both stores say of themselves, for an operator's check."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
from redis.exceptions import NoPermissionError, ResponseError

from store.client import Client
from store.errors import RateLimited, Unavailable, first_line
from store.fitness import unusable_reason
from store.limits import Limits
from store.postgresql.database import Database
from store.redis.client import ClusterRedis, Redis
from store.schema import newest, rehearse, version_of
from store.session_record import Session
from store.sessions import Sessions

COUNT_SECONDS = 60.0
"""What counting all accounts may take."""


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
    """That this role may open to this database."""
    ahead: float
    problem: str | None = None
    """Why this server can't work in it, if it can't."""
    is_pooled: bool = False
    """Whether a pooler stands between: then its limits count, which it does not tell."""
    isolation: str = "read committed"


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
    mode: str = "standalone"
    """What it is: `standalone`, `cluster` or `sentinel`."""


async def database_facts(database: Database) -> DatabaseFacts:
    """Ask PostgreSQL. Raises Unavailable."""
    try:
        schema = await version_of(database.rows)
        must_migrate = schema is not None and schema < newest()
        problem = await unusable_reason(
            database.rows, is_made=schema is not None, must_migrate=must_migrate
        )
        is_pooled = await database.is_pooled()
    except psycopg2.Error as error:  # the tables may be somebody else's
        raise Unavailable("postgresql", first_line(error)) from error
    asked = time.time()
    row = await database.one(
        """select current_setting('server_version'),
                  current_setting('server_version_num')::integer / 10000,
                  not pg_is_in_recovery(),
                  current_setting('transaction_read_only') = 'off',
                  'off' not in (current_setting('fsync'), current_setting('synchronous_commit')),
                  (select min(most) from (values
                      (current_setting('max_connections')::integer
                          - current_setting('superuser_reserved_connections')::integer
                          - coalesce(current_setting('reserved_connections', true), '0')::integer),
                      ((select rolconnlimit from pg_roles
                         where rolname = current_user and not rolsuper)),
                      ((select datconnlimit from pg_database where datname = current_database()))
                      ) as limits (most) where most >= 0),
                  current_setting('default_transaction_isolation'),
                  extract(epoch from clock_timestamp())::float8"""
    )
    version, major, is_primary, is_writable, is_durable, connections, isolation, clock = row
    ahead = _ahead(clock, asked)
    if problem is None and schema is None and is_primary and is_writable:
        problem = await rehearse(database)
    return DatabaseFacts(
        version,
        major,
        schema,
        is_primary,
        is_writable,
        is_durable,
        connections,
        ahead,
        problem,
        is_pooled,
        isolation,
    )


async def dearer_hashes(database: Database, rounds: int) -> tuple[int, int]:
    """Count the accounts whose hash may take longer to verify than bcrypt at cost `rounds`.

    First those of bcrypt at a higher cost, then those of other kinds. Raises Unavailable.
    """
    deadline = asyncio.get_running_loop().time() + COUNT_SECONDS
    [(higher, others)] = await database.rows(
        r"""select count(*) filter (where cost > %s),
                   count(*) filter (where cost is null and password not like '!%%')
              from (select password, substring(password from
                        '^(?:bcrypt_sha256[$]|bcrypt[$])?[$]2[aby][$]([0-9]{2})[$]')::int as cost
                      from account) as kept""",
        (rounds,),
        deadline,
    )
    return higher, others


async def redis_facts(redis: Redis) -> list[RedisFacts | None]:
    """Ask Redis, on a cluster each of its primaries; None where it may not be asked.

    Raises Unavailable.
    """
    nodes = redis.client.get_primaries() if isinstance(redis, ClusterRedis) else [None]
    return [await _inspect(redis, node) for node in nodes]


async def limits_problem(limits: Limits) -> str | None:
    """Return None when attempts can be counted, which takes a script and a write; else why not."""
    try:
        await limits.register(Client("check"))
    except RateLimited:
        return None
    except (Unavailable, ResponseError) as error:
        return first_line(error)
    return None


async def sessions_problem(sessions: Sessions) -> str | None:
    """Return None when sessions can be read and ended, else why not. There is none to be ended."""
    try:
        await sessions.list_by_account(0)
        await sessions.end(Session("0" * 20, 0, "check", "token", 0, "-", 0))
    except (Unavailable, ResponseError) as error:
        return first_line(error)
    return None


async def _inspect(redis: Redis, node: Any) -> RedisFacts | None:
    asked = time.time()
    where = {"target_nodes": node} if node else {}
    try:
        info = await redis.execute(redis.client.info(**where))
    except ResponseError:  # a provider may have renamed INFO
        return None
    except Unavailable as error:
        if isinstance(error.__cause__, NoPermissionError):
            return None
        raise
    return _facts(info, asked)


def _facts(info: Mapping[str, Any], asked: float) -> RedisFacts:
    clock, valkey = info.get("server_time_usec"), info.get("valkey_version")
    return RedisFacts(
        product=f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}",
        version=str(info["redis_version"]),
        is_primary=info.get("role") == "master",
        policy=info.get("maxmemory_policy", "unknown"),
        keeps=bool(info.get("aof_enabled")),
        ahead=_ahead(clock / 1_000_000, asked) if clock else None,
        mode=str(info.get("redis_mode") or info.get("server_mode") or "standalone"),
    )


def _ahead(clock: float, asked: float) -> float:
    """Return how far a clock is ahead that was read between `asked` and now."""
    return clock - (asked + time.time()) / 2
