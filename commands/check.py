"""`check`: whether what the settings name is there, and fit for what this server does with it."""

import asyncio
import enum
import re
import resource
import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import ip_address
from typing import NamedTuple

import aiohttp
from aiohttp import web

from commands.listening import CannotListen, bind_sockets, place
from commands.naming import odd_names
from commands.printing import printable
from commands.reach import NoStores, reach_stores
from handlers import Conflict
from settings import Settings
from store.embedded import CantRun
from store.errors import Unavailable
from store.facts import DatabaseFacts, RedisFacts, database_facts, redis_facts, why_not_counted
from store.limits import Limits
from store.postgresql.database import connect_database
from store.redis.client import connect_redis
from store.refold import survey
from store.schema import newest

CreateApp = Callable[[Settings], web.Application]

OLDEST_POSTGRESQL = 13
OLDEST_REDIS = (6, 2)
FEWEST_FILES = 10_000
"""Open files: each client takes one."""
MOST_AHEAD = 1.0
"""Seconds between two clocks."""
PATIENCE = 2.0


class Level(enum.StrEnum):
    """How bad it is. Only what is WRONG changes the exit status."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    WRONG = "WRONG"


class Finding(NamedTuple):
    """One line of what is said."""

    level: Level
    what: str


def add(parser: ArgumentParser, create_app: CreateApp) -> None:
    """Describe the command's arguments."""
    parser.set_defaults(run=lambda settings, _: run(settings, create_app))


def run(settings: Settings, create_app: CreateApp) -> int:
    """Look at everything and print what was found; return the exit status."""
    found = [Finding(Level.OK, "the settings can be used"), *judge_settings(settings, create_app)]
    try:
        with reach_stores(settings) as reached:
            found += asyncio.run(_look(reached))
    except NoStores as problem:  # as before the first start
        found.append(Finding(Level.WARNING, str(problem)))
    except CantRun as problem:
        found.append(Finding(Level.WRONG, str(problem)))
    for level, what in found:
        print(f"{level:<8} {printable(what)}")
    wrong = sum(each.level is Level.WRONG for each in found)
    if wrong:
        print(f"latchkey: {wrong} of {len(found)} lines are WRONG", file=sys.stderr)
    return 1 if wrong else 0


def judge_settings(settings: Settings, create_app: CreateApp) -> Iterator[Finding]:
    """Say what the settings mean here."""
    mounted = ", ".join(f"{name} at {each.prefix}" for name, each in settings.dialects.items())
    try:
        create_app(settings)
        yield Finding(Level.OK, f"the dialects don't collide: {mounted}")
    except Conflict as problem:
        yield Finding(Level.WRONG, f"DIALECTS: {problem}")
    if "kust" in settings.dialects:
        yield Finding(Level.NOTE, "kust shows every account to every account")
    keys = len(settings.secret_keys)
    kept = f"SECRET_KEYS: {keys} given" if keys else "SECRET_KEYS: made, and kept in DATA_DIR"
    yield Finding(Level.OK, kept)
    if settings.rate_limits == "off":
        yield Finding(Level.WARNING, "RATE_LIMITS is off: nobody's attempts are counted")
    yield _either(
        bool(settings.trusted_proxies) or _is_loopback(settings.host),
        "clients are told apart by their addresses",
        f"TRUSTED_PROXIES is empty and HOST is {settings.host}: behind a load balancer, all "
        "clients would count as one",
    )
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield _either(
        files == resource.RLIM_INFINITY or files >= FEWEST_FILES,
        f"{files} files may be open",
        f"only {files} files may be open, and each client takes one: raise `ulimit -n`",
    )


def judge_database(facts: DatabaseFacts, settings: Settings) -> Iterator[Finding]:
    """Say whether this PostgreSQL will do."""
    yield _either(
        facts.major >= OLDEST_POSTGRESQL,
        f"PostgreSQL {facts.version} answers",
        f"PostgreSQL {facts.version} is too old: {OLDEST_POSTGRESQL} or later is needed",
        Level.WRONG,
    )
    yield _either(
        facts.is_primary and facts.is_writable,
        "PostgreSQL is a primary, and can be written to",
        f"PostgreSQL is {'read-only' if facts.is_primary else 'a standby'}: every login fails",
        Level.WRONG,
    )
    yield _either(
        facts.is_durable,
        "PostgreSQL keeps what it has committed",
        "PostgreSQL may forget what it has committed (fsync or synchronous_commit is off): "
        "sessions that were ended could come back",
    )
    yield _judge_schema(facts.schema, newest())
    needed = settings.database_pool * settings.workers
    yield _either(
        needed <= facts.connections,
        f"DATABASE_POOL x WORKERS is {needed}, of {facts.connections} connections",
        f"DATABASE_POOL x WORKERS is {needed}, and PostgreSQL takes {facts.connections} "
        "connections: too many, unless a pooler stands between",
    )
    yield _judge_clock("PostgreSQL", facts.ahead)


def judge_redis(facts: RedisFacts) -> Iterator[Finding]:
    """Say whether this Redis will do."""
    version = tuple(int(part) for part in re.findall(r"\d+", facts.version)[:2])
    yield _either(
        version >= OLDEST_REDIS,
        f"{facts.product} answers",
        f"Redis {facts.version} is too old: {'.'.join(map(str, OLDEST_REDIS))} or later is needed",
        Level.WRONG,
    )
    yield _either(
        facts.is_primary,
        "Redis is a primary",
        "Redis is a replica: every login fails, and ended sessions may still be good",
        Level.WRONG,
    )
    yield _either(
        facts.policy == "noeviction",
        "Redis evicts nothing",
        f"Redis has maxmemory-policy {facts.policy}: evicting sessions logs people out; "
        "set noeviction",
    )
    yield _either(
        facts.keeps,
        "Redis writes an append-only file",
        "Redis writes no append-only file: a restart logs people out; set appendonly yes",
    )
    if facts.ahead is not None:
        yield _judge_clock("Redis", facts.ahead)


def _judge_schema(there: int | None, ours: int) -> Finding:
    if there is None:
        return Finding(Level.OK, "the database is empty: the first start makes its tables")
    if there < ours:
        return Finding(
            Level.WARNING,
            f"the schema is of version {there}: the next start migrates it to {ours}",
        )
    return _either(
        there == ours,
        f"the schema is of version {there}, as this program's",
        f"the schema is of version {there}, of a newer release; this program's is {ours}",
    )


def _judge_clock(whose: str, ahead: float) -> Finding:
    far = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    return _either(
        abs(ahead) <= MOST_AHEAD,
        f"{whose}'s clock and this machine's agree",
        f"{whose}'s clock is {far}",
    )


async def _look(settings: Settings) -> list[Finding]:
    return [
        finding
        for look in (_look_at_database, _look_at_redis, _look_at_port)
        async for finding in look(settings)
    ]


async def _look_at_database(settings: Settings) -> AsyncIterator[Finding]:
    try:
        database = await connect_database(settings.database_url, 1, settings.store_timeout)
        try:
            facts = await database_facts(database)
            for finding in judge_database(facts, settings):
                yield finding
            if facts.schema == newest():
                odd = [*odd_names(await survey(database))]
                for what in odd:
                    yield Finding(Level.WARNING, what)
                if not odd:
                    yield Finding(Level.OK, "the names of all accounts are fit to be kept")
        finally:
            await database.close()
    except Unavailable as refusal:
        yield Finding(Level.WRONG, str(refusal))


async def _look_at_redis(settings: Settings) -> AsyncIterator[Finding]:
    try:
        redis = await connect_redis(settings.redis_url, 1, settings.store_timeout)
        try:
            for facts in await redis_facts(redis):
                for finding in judge_redis(facts):
                    yield finding
            limit = settings.register_limit
            why = await why_not_counted(Limits(redis, *[limit] * 4))
            fine, bad = "Redis counts attempts", f"Redis can't count attempts: {why}"
            yield _either(why is None, fine, bad, Level.WRONG)
        finally:
            await redis.close()
    except Unavailable as refusal:
        yield Finding(Level.WRONG, str(refusal))


async def _look_at_port(settings: Settings) -> AsyncIterator[Finding]:
    where = place(settings)
    try:
        for each in bind_sockets(settings):
            each.close()
        yield Finding(Level.OK, f"{where} can be listened on")
    except CannotListen as problem:
        if problem.in_use and await _is_ours(settings):
            yield Finding(Level.OK, f"{where} is listened on by this server")
        else:
            yield Finding(Level.WRONG, f"{where} can't be listened on: {problem}")


async def _is_ours(settings: Settings) -> bool:
    """Tell whether who listens there answers as this server does."""
    patience = aiohttp.ClientTimeout(PATIENCE)
    try:
        async with (
            aiohttp.ClientSession(timeout=patience) as client,
            client.get(f"http://{place(settings)}/readyz") as answer,
        ):
            return {"status", "postgresql", "redis"} <= set(await answer.json())
    except (aiohttp.ClientError, TimeoutError, ValueError, TypeError):
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _either(fits: bool, fine: str, otherwise: str, level: Level = Level.WARNING) -> Finding:
    return Finding(Level.OK, fine) if fits else Finding(level, otherwise)
