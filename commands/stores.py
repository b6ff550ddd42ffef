"""Reaching the stores: the ones the settings name, or the embedded ones of the data directory."""

import contextlib
import os
import pwd
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import embedded
from commands.listening import Listener, place
from mail.settings import PORT, directory_url
from options import core_options
from settings import Settings
from store.addresses import parse_address
from store.core import Core, CoreOptions, open_core, open_database
from store.event_writer import Actor, EventWriter
from store.postgresql.database import Database

UNREACHED = "redis://nobody.invalid"
"""In place of a Redis that is not needed: it may be what has failed."""


class NoStores(embedded.EmbeddedStoreError):
    """There are no embedded stores to reach, and only `serve` may make them."""


@contextlib.contextmanager
def run_stores(
    settings: Settings, report: Callable[[str], None], *, may_make: bool = True
) -> Iterator[Settings]:
    """Run the embedded stores that the settings leave to us; yield settings that name both.

    Raises EmbeddedStoreError, DataDirectoryInUse when another process runs them already, NoStores
    when they would have to be made and may not be.
    """
    if settings.database_url and settings.redis_url:
        yield settings
        return
    if not may_make:
        _look_for_stores(settings)
    embedded.check_installed(postgresql=not settings.database_url, redis=not settings.redis_url)
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(embedded.open_data_directory(Path(settings.data_dir)))
        if not settings.database_url:
            stack.enter_context(embedded.run_postgresql(data, report))
        if not settings.redis_url:
            stack.enter_context(embedded.run_redis(data, report))
        yield _named(settings, data)


@contextlib.contextmanager
def reach_stores(settings: Settings) -> Iterator[Settings]:
    """Yield settings that name both stores: running ones, or else ones run for this long.

    Raises EmbeddedStoreError; NoStores rather than make any: a command that was given other
    settings than the server must not work on a new, empty database.
    """
    try:
        with run_stores(settings, lambda _: None, may_make=False) as reached:
            yield reached
    except embedded.DataDirectoryInUse:
        yield _named(settings, Path(settings.data_dir).resolve())


def database_of(settings: Settings) -> AbstractAsyncContextManager[Database]:
    """Connect to the database alone, its tables made. Raises Unavailable."""
    return open_database(_options(settings))


def core_of(
    settings: Settings, *, redis_required: bool = True
) -> AbstractAsyncContextManager[Core]:
    """Connect to both stores. Raises Unavailable.

    Unless `redis_required`, Redis is connected to when it is first used.
    """
    return open_core(_options(settings), redis_required=redis_required)


def event_writer(settings: Settings) -> EventWriter:
    """Return the writer of a command's events: the actor is the user that runs it."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a number
        name = str(os.getuid())
    name = re.sub(r"[^A-Za-z0-9_.@-]", "_", name)[:100]
    return core_options(settings).events.acting_as(Actor("operator", name))


def _options(settings: Settings) -> CoreOptions:
    """Return what a command needs: one connection to each store, one thread, no second attempt."""
    return replace(
        core_options(settings),
        events=event_writer(settings),
        database_pool=1,
        redis_pool=1,
        cores=1,
        start_timeout=0,
        rate_limits=None,
    )


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
            "command the server's settings, DATA_DIR among them; only `serve` creates new stores"
        )


def _named(settings: Settings, data: Path) -> Settings:
    named = replace(
        settings,
        database_url=settings.database_url or embedded.postgresql_url(data),
        redis_url=settings.redis_url or embedded.redis_url(data),
        secret_keys=settings.secret_keys or (embedded.secret_key(data),),
    )
    return named if settings.database_url else _with_own_defaults(named, data)


def _with_own_defaults(settings: Settings, data: Path) -> Settings:
    """Return settings under which mail goes to files and links lead to this machine.

    The admin page is there if no other machine reaches it, by a proxy or without. All this is for
    an embedded database, unless the settings say more.
    """
    address = parse_address(settings.host)
    is_loopback = address.is_loopback if address else settings.host == "localhost"
    is_reached = settings.trusted_proxies or settings.public_url or not is_loopback
    has_admin = "latchkey" in settings.dialects and not is_reached
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    name, _, _ = place(Listener(host, settings.port)).rpartition(":")
    return replace(
        settings,
        mail_url=settings.mail_url or directory_url(data / "mail"),
        own_url=f"http://{name}:{PORT}",
        admin=settings.admin or ("on" if has_admin else "off"),
    )
