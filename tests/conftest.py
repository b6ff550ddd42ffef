"""One PostgreSQL, one Redis and one application for each process; emptied before each test."""

import contextlib
import gc
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import embedded
from app import create_app
from handlers.http.connection import Runner
from settings import Settings
from tests import redis_servers
from tests.secrecy import watching

KEY = "a key for the tests, long enough for one"

# A shell's background jobs ignore Ctrl-C, and so would every program that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection() -> None:
    """Collect without the garbage collector: nearly all that is made then stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Spare the garbage collector all that was collected, as the server does after its start."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts processes goes first: at the end, one long file would leave a core idle."""
    items.sort(key=lambda item: not {"handlers", "store"}.isdisjoint(item.path.parts))


@pytest.fixture(scope="session", autouse=True)
def secrecy() -> Iterator[None]:
    """No token and no password of any test may stand in any line of any log."""
    with pytest.MonkeyPatch.context() as patch, watching(patch) as watch:
        yield
    leaks = watch.leaks()
    assert not leaks, f"logged: {leaks}"


@pytest.fixture(scope="session")
def stores() -> Iterator[tuple[str, str]]:
    """Run real stores for the whole run; give their URLs. PostgreSQL does not wait for the disk."""
    with (
        tempfile.TemporaryDirectory(prefix="latchkey-", ignore_cleanup_errors=True) as directory,
        embedded.open_data_directory(Path(directory)) as data,
        embedded.run_postgresql(data, print) as database_url,
        redis_servers.alone()
        if redis_servers.SERVER
        else embedded.run_redis(data, print) as redis_url,
    ):
        with contextlib.closing(psycopg2.connect(database_url)) as connection:
            connection.autocommit = True
            set_fsync(connection, "off")
        yield database_url, redis_url


def set_fsync(connection: "psycopg2.extensions.connection", value: str) -> None:
    """Set `fsync` for the whole server, and wait until new connections have it, too."""
    with connection.cursor() as cursor:
        cursor.execute(f"alter system set fsync = {value}")
        cursor.execute("select pg_reload_conf()")
        while cursor.execute("show fsync") or cursor.fetchone() != (value,):
            time.sleep(0.001)


@pytest.fixture(scope="session")
def database(stores: tuple[str, str]) -> Iterator["psycopg2.extensions.connection"]:
    """A connection to look into PostgreSQL with."""
    connection = psycopg2.connect(stores[0])
    connection.autocommit = True
    yield connection
    connection.close()


@pytest.fixture
def durable(database: "psycopg2.extensions.connection") -> Iterator[None]:
    """PostgreSQL writes each commit to the disk, as it does in a deployment."""
    set_fsync(database, "on")
    yield
    set_fsync(database, "off")


@pytest.fixture(scope="session")
def redis_client(stores: tuple[str, str]) -> Iterator["redis.Redis"]:
    """A connection to look into Redis with."""
    client = redis.Redis.from_url(stores[1])
    yield client
    client.close()


@pytest.fixture
def clean(database: "psycopg2.extensions.connection", redis_client: "redis.Redis") -> None:
    """Empty both stores; the next account's id is 1. The gallery stays."""
    empty_stores(database, redis_client)


def empty_stores(database: "psycopg2.extensions.connection", redis_client: "redis.Redis") -> None:
    """Do what `clean` does, for a fixture that serves a whole module."""
    redis_client.flushdb()
    with database.cursor() as cursor:
        cursor.execute("select to_regclass('account') is not null")
        if cursor.fetchone() == (True,):
            cursor.execute(
                """delete from mail; delete from idempotent_request;
                   delete from event; delete from webhook;
                   update event_retention set transaction = '0', event_id = 0;
                   delete from account; alter sequence account_id restart"""
            )


@pytest.fixture(scope="session")
def settings(stores: tuple[str, str]) -> Settings:
    """Settings as a deployment has them, but for bcrypt's cost.

    Deadlines are for the tests that are about them: elsewhere a busy machine must decide nothing.
    """
    return Settings(
        database_url=stores[0],
        redis_url=stores[1],
        secret_keys=(KEY,),
        bcrypt_rounds=4,
        rate_limits="off",
        store_timeout=20.0,
        password_wait=60.0,
        database_pool=2,
    )


class Server(TestServer):
    """An application on connections of ours, as the program itself runs it."""

    async def _make_runner(self, **settings: Any) -> Runner:
        return Runner(self.app, **settings)


@pytest.fixture(scope="session")
async def server(settings: Settings) -> AsyncIterator[Server]:
    """One running application with these settings, for all tests that need no other."""
    async with Server(create_app(settings)) as server:
        yield server


@pytest.fixture
async def client(server: Server, clean: None) -> AsyncIterator[TestClient]:
    """A client of the running application, whose stores are empty."""
    client = TestClient(server)
    yield client
    await client.session.close()


@pytest.fixture
def aiohttp_client(
    aiohttp_client: Callable[..., Awaitable[TestClient]],
) -> Callable[[web.Application], Awaitable[TestClient]]:
    """Make clients of applications that are run as the program runs them."""
    return lambda app: aiohttp_client(Server(app))
