"""Idle connections that a NAT or a balancer has forgotten: they stay open and lead nowhere."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

import pytest
from psycopg2.extensions import parse_dsn

from app import create_app
from store.errors import Unavailable
from store.postgresql.database import connect_database
from store.redis.client import Redis, connect_redis
from tests.program import registration

DEADLINE = 1.5
"""A probe may take a quarter of it."""
MANY = 5


@dataclass
class Front:
    """A TCP port in front of a unix socket."""

    target: str
    port: int = 0
    opened: int = 0
    silenced: int = 0
    """The connections up to this number forward nothing more, and stay open."""
    resets: bool = False
    """Whether one of those is reset instead when something is sent over it."""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    pumps: list[asyncio.Task[None]] = field(default_factory=list)

    def silence(self, *, resets: bool = False) -> None:
        self.silenced, self.resets = self.opened, resets

    @property
    def still_open(self) -> int:
        """How many connections nobody has closed."""
        return sum(not pump.done() for pump in self.pumps) // 2

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        number = self.opened
        far_reader, far_writer = await asyncio.open_unix_connection(self.target)
        self.writers += [writer, far_writer]
        self.pumps += [
            asyncio.create_task(self._pump(number, reader, far_writer)),
            asyncio.create_task(self._pump(number, far_reader, writer)),
        ]

    async def _pump(
        self, number: int, source: asyncio.StreamReader, target: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while some := await source.read(65536):
                if number > self.silenced:
                    target.write(some)
                elif self.resets:
                    self.writers[2 * number - 2].transport.abort()
            target.close()


@contextlib.asynccontextmanager
async def front_of(target: str) -> AsyncIterator[Front]:
    front = Front(target)
    server = await asyncio.start_server(front.serve, "127.0.0.1", 0)
    front.port = server.sockets[0].getsockname()[1]
    try:
        yield front
    finally:
        server.close()
        for pump in front.pumps:
            pump.cancel()
        await asyncio.gather(*front.pumps, return_exceptions=True)
        for writer in front.writers:
            writer.close()


@pytest.fixture
async def postgresql(stores) -> AsyncIterator[Front]:
    async with front_of(f"{parse_dsn(stores[0])['host']}/.s.PGSQL.5432") as front:
        yield front


@pytest.fixture
async def redis(stores) -> AsyncIterator[Front]:
    async with front_of(unquote(urlsplit(stores[1]).path)) as front:
        yield front


def database_url(front: Front) -> str:
    return f"postgresql://postgres@127.0.0.1:{front.port}/postgres"


def redis_url(front: Front) -> str:
    return f"redis://127.0.0.1:{front.port}"


@contextlib.asynccontextmanager
async def asking_postgresql(front: Front, **options):
    """Give what asks PostgreSQL several things at once."""
    database = await connect_database(database_url(front), MANY, DEADLINE, **options)
    ask = (lambda: database.row("select pg_sleep(0.01)"),)
    yield lambda times=MANY: [asyncio.ensure_future(each()) for each in ask * times]
    await database.close()


@contextlib.asynccontextmanager
async def connected(front: Front, url: str = "", **options) -> AsyncIterator[Redis]:
    client = await connect_redis(url or redis_url(front), MANY, DEADLINE, **options)
    try:
        yield client
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def asking_redis(front: Front, **options):
    """Give what asks Redis several things at once, over both kinds of connections."""

    def deadline() -> float:
        return asyncio.get_running_loop().time() + DEADLINE

    async with connected(front, **options) as client:
        ask = (
            lambda: client.get_many(["a"], deadline()),
            lambda: client.execute(client.client.set("a", "b")),
        )
        yield lambda times=MANY: [asyncio.ensure_future(each()) for each in ask * times]


STORES = {"postgresql": asking_postgresql, "redis": asking_redis}


@pytest.mark.parametrize("store", STORES)
async def test_nobody_is_refused_over_a_connection_that_was_idle_for_long(store, postgresql, redis):
    front = {"postgresql": postgresql, "redis": redis}[store]
    async with STORES[store](front, idle_seconds=0.2) as ask:
        await asyncio.gather(*ask())
        before = front.opened
        await asyncio.gather(*ask())
        assert front.opened == before  # what answers is used again
        front.silence()
        await asyncio.sleep(0.25)
        await asyncio.gather(*ask())
        assert front.opened > before
        await asyncio.sleep(0.25)
        before = front.opened
        await asyncio.gather(*ask())
        assert front.opened == before  # a probe that is answered costs no connection


async def until_open(front: Front, connections: int) -> None:
    for _ in range(2_000):
        if front.still_open == connections:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{front.still_open} connections stay open, not {connections}")


async def test_one_silent_connection_to_postgresql_ends_those_that_were_idle_as_long(postgresql):
    async with asking_postgresql(postgresql, idle_seconds=0.2) as ask:
        await asyncio.gather(*ask())
        postgresql.silence()
        await asyncio.sleep(0.25)
        await asyncio.gather(*ask(1))
        await until_open(postgresql, 1)


async def test_one_silent_reader_of_redis_ends_those_that_were_idle_as_long(redis):
    """The connection of the pool stays: it is looked at when it is used."""
    async with connected(redis, idle_seconds=0.2) as client:
        assert redis.opened > 2
        redis.silence()
        await asyncio.sleep(0.25)
        deadline = asyncio.get_running_loop().time() + DEADLINE
        assert await client.get_many(["none"], deadline) == [None]
        await until_open(redis, 2)


async def test_a_client_that_leaves_during_a_probe_of_postgresql_takes_no_place(postgresql):
    async with asking_postgresql(postgresql, idle_seconds=0.2) as ask:
        await asyncio.gather(*ask())
        postgresql.silence()
        await asyncio.sleep(0.25)
        probing = ask()
        await asyncio.sleep(0.05)  # less than a probe may take
        for each in probing:
            each.cancel()
        assert {type(each) for each in await asyncio.gather(*probing, return_exceptions=True)} == {
            asyncio.CancelledError
        }
        await until_open(postgresql, 0)
        await asyncio.gather(*ask())


@pytest.mark.parametrize("resets", [False, True])
async def test_a_pooled_connection_to_redis_is_opened_again(redis, resets):
    """It does not answer its probe, or is reset by it; the command is sent over a new one."""
    async with connected(redis, idle_seconds=0.2) as client:
        for value in ("a", "b"):
            await client.execute(client.client.set("idle", value))
            before = redis.opened
            redis.silence(resets=resets)
            await asyncio.sleep(0.25)
        assert await client.execute(client.client.get("idle")) == b"b"
        assert redis.opened == before + 1


async def test_a_user_who_may_not_ping_or_name_connections_keeps_them(redis, redis_client):
    """A probe that is refused has been answered."""
    redis_client.acl_setuser(
        "few", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-ping", "-client"]
    )
    try:
        url = f"redis://few:x@127.0.0.1:{redis.port}"
        async with connected(redis, url, idle_seconds=0.2, at_once=False) as client:
            for value in ("a", "b"):
                await client.execute(client.client.set("few", value))
                await asyncio.sleep(0.25)
            assert await client.execute(client.client.get("few")) == b"b"
            assert redis.opened == 1
    finally:
        redis_client.acl_deluser("few")


@pytest.mark.parametrize("store", ["postgresql", pytest.param("redis", marks=pytest.mark.slow)])
async def test_after_one_timeout_no_idle_connection_is_trusted(store, postgresql, redis):
    """Idle for less than the limit: the first ones wait in vain, and nobody after them."""
    front = {"postgresql": postgresql, "redis": redis}[store]
    async with STORES[store](front) as ask:
        await asyncio.gather(*ask())
        await asyncio.sleep(0.01)
        front.silence()
        outcomes = await asyncio.gather(*ask(1), return_exceptions=True)
        assert {type(each) for each in outcomes} == {Unavailable}
        outcomes = await asyncio.gather(*ask(), return_exceptions=True)
        assert [each for each in outcomes if isinstance(each, Exception)] == []


@pytest.mark.slow
async def test_a_client_sees_one_503_at_most(postgresql, redis, aiohttp_client, settings, clean):
    """Both stores' connections are silent, and were idle for less than the limit."""
    own = replace(
        settings,
        database_url=database_url(postgresql),
        redis_url=redis_url(redis),
        store_timeout=DEADLINE,
        database_pool=MANY,
    )
    client = await aiohttp_client(create_app(own))
    made = await client.post("/account/register", json=registration("silent"))
    token = (await made.json())["token"]
    login = {"username": "silent", "password": registration("silent")["password"]}

    async def reads() -> list[int]:
        headers = {"Authorization": f"Token {token}"}
        return [(await client.get("/account/profile", headers=headers)).status for _ in range(5)]

    async def logs_in() -> list[int]:
        return [(await client.post("/account/login", json=login)).status for _ in range(5)]

    assert await reads() + await logs_in() == [200] * 10
    for front in (postgresql, redis):
        front.silence()
        statuses = await reads() + await logs_in() + await reads()
        assert statuses.count(503) <= 1, statuses
        assert statuses.count(200) + statuses.count(503) == 15
