"""`check`: whether what the settings name is there, and fit for what this server does with it."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp

import embedded
from app import core_options
from commands.findings import (
    Finding,
    Level,
    either,
    judge_database,
    judge_hashes,
    judge_mail,
    judge_redis,
    judge_secrets,
    judge_settings,
)
from commands.listening import CannotListen, bind_sockets, place
from commands.naming import odd_names
from commands.printing import printable
from commands.serving import run_loop
from commands.stores import NoStores, reach_stores
from embedded import EmbeddedStoreError
from settings import Settings
from store.core import make_sessions, make_tokens
from store.diagnostics import (
    database_facts,
    dearer_hashes,
    limits_problem,
    redis_facts,
    sessions_problem,
)
from store.errors import Unavailable
from store.limits import Limits
from store.postgresql.database import connect_database
from store.redis.client import Redis, connect_redis
from store.refold import survey
from store.schema import newest

PATIENCE = 2.0


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.set_defaults(run=lambda settings, _: run(settings))


def run(settings: Settings) -> int:
    """Look at everything and print what was found; return the exit status."""
    found = [Finding(Level.OK, "the settings are valid"), *judge_settings(settings)]
    found.append(judge_mail(settings))
    try:
        with reach_stores(settings) as reached:
            found += run_loop(_look(reached))  # on the same event loop as `serve`
    except NoStores as problem:  # as before the first start
        found += [Finding(Level.WARNING, str(problem)), *_judge_first_start(settings)]
    except EmbeddedStoreError as problem:
        found.append(Finding(Level.WRONG, str(problem)))
    for level, what in found:
        print(f"{level:<8} {printable(what)}")
    wrong = sum(each.level is Level.WRONG for each in found)
    if wrong:
        print(f"latchkey: {wrong} of {len(found)} lines are WRONG", file=sys.stderr)
    return 1 if wrong else 0


def _judge_first_start(settings: Settings) -> Iterator[Finding]:
    """Report why a start could not make the embedded stores."""
    try:
        embedded.check_installed(postgresql=not settings.database_url, redis=not settings.redis_url)
    except EmbeddedStoreError as problem:
        yield Finding(Level.WRONG, str(problem))
    data = Path(settings.data_dir).absolute()
    there = next(each for each in (data, *data.parents) if each.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding(Level.WRONG, f"DATA_DIR: {there} is not writable")


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
            facts, rounds = await database_facts(database), settings.bcrypt_rounds
            for finding in judge_database(facts, settings):
                yield finding
            if facts.schema == newest() and not facts.problem:
                odd = [*odd_names(await survey(database))]
                for what in odd:
                    yield Finding(Level.WARNING, what)
                for finding in judge_hashes(*await dearer_hashes(database, rounds)):
                    yield finding
                if not odd:
                    yield Finding(Level.OK, "the names of all accounts are valid")
        finally:
            await database.close()
    except Unavailable as refusal:
        yield Finding(Level.WRONG, str(refusal))


async def _look_at_redis(settings: Settings) -> AsyncIterator[Finding]:
    try:
        redis = await connect_redis(settings.redis_url, 1, settings.store_timeout)
        try:
            for finding in await _judged(redis, settings):
                yield finding
            limit = settings.register_limit
            why = await limits_problem(Limits(redis, *[limit] * 4))
            fine, bad = "Redis counts attempts", f"Redis cannot count attempts: {why}"
            yield either(why is None, fine, bad, Level.WRONG)
            options = core_options(settings)
            why = await sessions_problem(make_sessions(redis, make_tokens(options), options))
            fine, bad = "Redis stores sessions", f"Redis cannot store sessions: {why}"
            yield either(why is None, fine, bad, Level.WRONG)
        finally:
            await redis.close()
    except Unavailable as refusal:
        yield Finding(Level.WRONG, str(refusal))


async def _judged(redis: Redis, settings: Settings) -> list[Finding]:
    mode = "cluster" if settings.redis_url.startswith("redis+cluster:") else "standalone"
    return [finding for facts in await redis_facts(redis) for finding in judge_redis(facts, mode)]


async def startup_warnings(given: Settings, settings: Settings) -> list[str]:
    """Return what is wrong with Redis and the secrets although the server could start.

    `given` are the settings as they were read; `settings` name both stores. Raises Unavailable.
    """
    redis = await connect_redis(settings.redis_url, 1, settings.store_timeout)
    try:
        found = [*judge_secrets(given), *await _judged(redis, settings)]
    finally:
        await redis.close()
    return [each.what for each in found if each.level in (Level.WARNING, Level.WRONG)]


async def _look_at_port(settings: Settings) -> AsyncIterator[Finding]:
    where = place(settings)
    try:
        for each in bind_sockets(settings):
            each.close()
        yield Finding(Level.OK, f"the server can listen on {where}")
    except CannotListen as problem:
        if problem.in_use and await _is_ours(settings):
            yield Finding(Level.OK, f"the server is listening on {where}")
        else:
            yield Finding(Level.WRONG, f"the server cannot listen on {where}: {problem}")


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
