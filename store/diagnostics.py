"""Diagnostics of both stores, for `check`."""

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
"""The timeout in seconds for counting all accounts."""


@dataclass(frozen=True)
class DatabaseDiagnostics:
    """The state of PostgreSQL. `ahead` is how many seconds its clock is ahead of this machine's."""

    version: str
    major: int
    schema: int | None
    is_primary: bool
    is_writable: bool
    is_durable: bool
    connections: int
    """The maximum that this role may open to this database."""
    ahead: float
    problem: str | None = None
    """Why this server cannot work in it, None when it can."""
    is_pooled: bool = False
    """Whether a pooler is in between. Then its limit of connections holds, which it does not
    report."""
    isolation: str = "read committed"


@dataclass(frozen=True)
class RedisDiagnostics:
    """The state of Redis. `ahead` is how many seconds its clock is ahead of this machine's."""

    product: str
    version: str
    """The version of Redis, or of the Redis that this Valkey is compatible with."""
    is_primary: bool
    policy: str
    """`maxmemory-policy`: what it does when its memory is full."""
    keeps: bool
    """Whether it writes an append-only file."""
    ahead: float | None
    mode: str = "standalone"
    """`standalone`, `cluster` or `sentinel`."""


async def diagnose_database(database: Database) -> DatabaseDiagnostics:
    """Return the diagnostics of PostgreSQL. Raises Unavailable."""
    try:
        schema = await version_of(database.rows)
        must_migrate = schema is not None and schema < newest()
        problem = await unusable_reason(
            database.rows, is_made=schema is not None, must_migrate=must_migrate
        )
        is_pooled = await database.is_pooled()
    except psycopg2.Error as error:  # the tables may be another program's
        raise Unavailable("postgresql", first_line(error)) from error
    began = time.time()
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
    ahead = _ahead(clock, began)
    if problem is None and schema is None and is_primary and is_writable:
        problem = await rehearse(database)
    return DatabaseDiagnostics(
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
    """Count the accounts whose hashes may take longer to verify than bcrypt at cost `rounds`.

    Return the number of bcrypt hashes of a higher cost, and of hashes of other kinds. Raises
    Unavailable.
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


async def diagnose_redis(redis: Redis) -> list[RedisDiagnostics | None]:
    """Return the diagnostics of Redis, of a cluster those of each primary.

    None stands for a server that does not allow INFO. Raises Unavailable.
    """
    nodes = redis.client.get_primaries() if isinstance(redis, ClusterRedis) else [None]
    return [await _inspect(redis, node) for node in nodes]


async def limits_problem(limits: Limits) -> str | None:
    """Return why attempts cannot be counted, which takes a script and a write; None if they can."""
    try:
        await limits.register(Client("check"))
    except RateLimited:
        return None
    except (Unavailable, ResponseError) as error:
        return first_line(error)
    return None


async def sessions_problem(sessions: Sessions) -> str | None:
    """Return why sessions cannot be read and ended, None if they can. No session is ended."""
    try:
        await sessions.list_by_account(0)
        await sessions.end(Session("0" * 20, 0, "check", "token", 0, "-", 0))
    except (Unavailable, ResponseError) as error:
        return first_line(error)
    return None


async def _inspect(redis: Redis, node: Any) -> RedisDiagnostics | None:
    began = time.time()
    where = {"target_nodes": node} if node else {}
    try:
        info = await redis.execute(redis.client.info(**where))
    except ResponseError:  # a provider may have renamed INFO
        return None
    except Unavailable as error:
        if isinstance(error.__cause__, NoPermissionError):
            return None
        raise
    return _diagnostics(info, began)


def _diagnostics(info: Mapping[str, Any], began: float) -> RedisDiagnostics:
    clock, valkey = info.get("server_time_usec"), info.get("valkey_version")
    return RedisDiagnostics(
        product=f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}",
        version=str(info["redis_version"]),
        is_primary=info.get("role") == "master",
        policy=info.get("maxmemory_policy", "unknown"),
        keeps=bool(info.get("aof_enabled")),
        ahead=_ahead(clock / 1_000_000, began) if clock else None,
        mode=str(info.get("redis_mode") or info.get("server_mode") or "standalone"),
    )


def _ahead(clock: float, began: float) -> float:
    """Return how many seconds a clock is ahead that was read between `began` and now."""
    return clock - (began + time.time()) / 2
