"""`check`: reports whether the settings are valid and the stores are fit for this server."""

import os
import ssl
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp

import embedded
from commands.console import print_error, print_text, printable
from commands.findings import (
    Finding,
    Level,
    either,
    judge_mail,
    judge_secrets,
    judge_settings,
)
from commands.listening import CannotListen, bind_sockets, listeners, place
from commands.serving import run_loop
from commands.store_findings import judge_database, judge_hashes, judge_names, judge_redis
from commands.stores import NoStores, reach_stores
from embedded import EmbeddedStoreError
from options import core_options
from settings import Settings
from store.core import make_sessions, make_tokens
from store.diagnostics import (
    dearer_hashes,
    diagnose_database,
    diagnose_redis,
    limits_problem,
    sessions_problem,
)
from store.errors import Unavailable
from store.limits import Limits
from store.postgresql.database import connect_database
from store.redis.client import Redis, connect_redis
from store.refold import survey
from store.schema import newest

TIMEOUT = 2.0
"""Seconds for the response of the server that listens already."""


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.set_defaults(run=lambda settings, _: run(settings))


def run(settings: Settings) -> int:
    """Check everything and print the findings; return the exit status."""
    found = [Finding(Level.OK, "the settings are valid"), *judge_settings(settings)]
    found.append(judge_mail(settings))
    try:
        with reach_stores(settings) as reached:
            found += run_loop(_look(reached))  # on the same event loop as `serve`
    except NoStores as problem:  # as before the first start
        found += [Finding(Level.WARNING, str(problem)), *_judge_first_start(settings)]
    except EmbeddedStoreError as problem:
        found.append(Finding(Level.WRONG, str(problem)))
    print_text("\n".join(f"{level:<8} {printable(what)}" for level, what in found))
    wrong = sum(each.level is Level.WRONG for each in found)
    if wrong:
        print_error(f"{wrong} of {len(found)} lines are WRONG")
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
            state, rounds = await diagnose_database(database), settings.bcrypt_rounds
            for finding in judge_database(state, settings):
                yield finding
            if state.schema == newest() and not state.problem:
                for finding in judge_names(await survey(database)):
                    yield finding
                for finding in judge_hashes(*await dearer_hashes(database, rounds)):
                    yield finding
        finally:
            await database.close()
    except Unavailable as error:
        yield Finding(Level.WRONG, str(error))


async def _look_at_redis(settings: Settings) -> AsyncIterator[Finding]:
    try:
        redis = await connect_redis(settings.redis_url, 1, settings.store_timeout)
        try:
            for finding in await _judged(redis, settings):
                yield finding
            limit = settings.register_limit
            problem = await limits_problem(Limits(redis, *[limit] * 6))
            fine, bad = "Redis counts attempts", f"Redis cannot count attempts: {problem}"
            yield either(problem is None, fine, bad, Level.WRONG)
            options = core_options(settings)
            problem = await sessions_problem(make_sessions(redis, make_tokens(options), options))
            fine, bad = "Redis stores sessions", f"Redis cannot store sessions: {problem}"
            yield either(problem is None, fine, bad, Level.WRONG)
        finally:
            await redis.close()
    except Unavailable as error:
        yield Finding(Level.WRONG, str(error))


async def _judged(redis: Redis, settings: Settings) -> list[Finding]:
    mode = "cluster" if settings.redis_url.startswith("redis+cluster:") else "standalone"
    return [
        finding for state in await diagnose_redis(redis) for finding in judge_redis(state, mode)
    ]


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
    for listener in listeners(settings):
        where = place(listener)
        try:
            for each in bind_sockets(listener):
                each.close()
            yield Finding(Level.OK, f"the server can listen on {where}")
        except CannotListen as problem:
            if problem.in_use and await _is_ours(settings):
                yield Finding(Level.OK, f"the server is listening on {where}")
            else:
                yield Finding(Level.WRONG, f"the server cannot listen on {where}: {problem}")


async def _is_ours(settings: Settings) -> bool:
    """Return whether what listens there, on the internal port if there is one, is this server."""
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context())
    timeout = aiohttp.ClientTimeout(TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as client,
            client.get(f"http://{place(listeners(settings)[-1])}/readyz") as response,
        ):
            return {"status", "postgresql", "redis"} <= set(await response.json())
    except (aiohttp.ClientError, TimeoutError, ValueError, TypeError):
        return False
