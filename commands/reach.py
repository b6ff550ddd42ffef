"""Reaching the stores: the ones the settings name, or the embedded ones of the data directory."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

from settings import Settings
from store import embedded
from store.accounts import Accounts
from store.operator import Operator
from store.passwords import Passwords
from store.postgresql.database import Database, connect_database
from store.redis.client import connect_redis
from store.schema import prepare
from store.tokens import Tokens

UNREACHED = "redis://nobody.invalid"
"""In place of a Redis that is not needed: it may be what has failed."""


class NoStores(embedded.CantRun):
    """There are no embedded stores to reach, and only `serve` may make them."""


@contextlib.contextmanager
def run_stores(
    settings: Settings, say: Callable[[str], None], *, may_make: bool = True
) -> Iterator[Settings]:
    """Run the embedded stores that the settings leave to us; yield settings that name both.

    Raises embedded.CantRun, InUse when another process runs them already, NoStores when they would
    have to be made and may not be.
    """
    if settings.database_url and settings.redis_url:
        yield settings
        return
    if not may_make:
        _look_for_stores(settings)
    embedded.check_installed(postgresql=not settings.database_url, redis=not settings.redis_url)
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(embedded.data_directory(Path(settings.data_dir)))
        if not settings.database_url:
            stack.enter_context(embedded.postgresql(data, say))
        if not settings.redis_url:
            stack.enter_context(embedded.redis(data, say))
        yield _named(settings, data)


@contextlib.contextmanager
def reach_stores(settings: Settings) -> Iterator[Settings]:
    """Yield settings that name both stores: running ones, or else ones run for this long.

    Raises embedded.CantRun; NoStores rather than make any: a command that was given other settings
    than the server must not work on a new, empty database.
    """
    try:
        with run_stores(settings, lambda _: None, may_make=False) as reached:
            yield reached
    except embedded.InUse:
        yield _named(settings, Path(settings.data_dir).resolve())


@contextlib.asynccontextmanager
async def database_of(settings: Settings) -> AsyncIterator[Database]:
    """Connect to the database, its tables made. Raises Unavailable."""
    database = await connect_database(settings.database_url, 1, settings.store_timeout)
    try:
        await prepare(database)
        yield database
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def access_of(
    settings: Settings, *, redis_may_be_away: bool = False
) -> AsyncIterator[tuple[Accounts, Operator]]:
    """Connect to both stores, for what spans accounts and sessions. Raises Unavailable."""
    async with contextlib.AsyncExitStack() as closing:
        database = await closing.enter_async_context(database_of(settings))
        redis = await connect_redis(
            settings.redis_url, 1, settings.store_timeout, at_once=not redis_may_be_away
        )
        closing.push_async_callback(redis.close)
        passwords = Passwords(settings.bcrypt_rounds, 1, settings.password_wait)
        closing.callback(passwords.close)
        accounts, tokens = Accounts(database), Tokens([k.encode() for k in settings.secret_keys])
        lifetimes, per_account = settings.lifetimes, settings.sessions_per_account
        yield accounts, Operator.over(accounts, redis, tokens, lifetimes, per_account, passwords)


def _look_for_stores(settings: Settings) -> None:
    """Raise NoStores unless the data directory has every store that the settings name no URL of."""
    data = Path(settings.data_dir).absolute()
    if data.exists() and not data.is_dir():
        return  # what is wrong with it is said when it is opened
    wanted = (
        ("DATABASE_URL", settings.database_url, "postgresql"),
        ("REDIS_URL", settings.redis_url, "redis"),
    )
    missing = [(name, each) for name, url, each in wanted if not url and not (data / each).exists()]
    if missing:
        names, stores = (" and ".join(each) for each in zip(*missing, strict=True))
        verb = "is" if len(missing) == 1 else "are"
        raise NoStores(
            f"{names} {verb} not set, and the data directory {data} has no {stores}: give this "
            "command the server's settings, DATA_DIR among them; only `serve` makes new stores"
        )


def _named(settings: Settings, data: Path) -> Settings:
    return replace(
        settings,
        database_url=settings.database_url or embedded.postgresql_url(data),
        redis_url=settings.redis_url or embedded.redis_url(data),
        secret_keys=settings.secret_keys or (embedded.secret_key(data),),
    )
