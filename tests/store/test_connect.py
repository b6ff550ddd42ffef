"""Stores that stop replying, become unavailable, or are up and cannot serve."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import tempfile
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
import redis
from psycopg2.extensions import parse_dsn

import embedded
from store.errors import Unavailable
from store.postgresql import hosts
from store.postgresql.database import Database, connect_database
from store.redis.client import Redis, connect_redis
from store.retry import retry

TIMEOUT = 0.3
LONG_TIMEOUT = 20.0
"""A deadline that no busy machine reaches."""
NEVER = 4.5
"""Seconds after which a test gives up on what should have ended at its deadline: less than the
5 s after which the driver of Redis gives up by itself."""


@pytest.fixture(scope="module")
def own_stores() -> Iterator[tuple[str, str]]:
    """Run stores that a test may freeze and misconfigure."""
    with (
        tempfile.TemporaryDirectory(prefix="lk-", ignore_cleanup_errors=True) as directory,
        embedded.open_data_directory(Path(directory)) as data,
        embedded.run_postgresql(data, print) as database_url,
        embedded.run_redis(data, print) as redis_url,
    ):
        yield database_url, redis_url


@pytest.fixture
def admin(own_stores) -> Iterator["psycopg2.extensions.cursor"]:
    """A cursor of a superuser on the same PostgreSQL."""
    connection = psycopg2.connect(own_stores[0])
    connection.autocommit = True
    with connection.cursor() as cursor:
        yield cursor
        cursor.execute(  # a statement that was given up runs on
            """select pg_terminate_backend(pid, 10000) from pg_stat_activity
                where application_name = 'latchkey'"""
        )
    connection.close()


Reach = Callable[..., "contextlib.AbstractAsyncContextManager[Database]"]


@pytest.fixture
def reach(own_stores, admin) -> Reach:
    """Connect to PostgreSQL."""

    @contextlib.asynccontextmanager
    async def reach(more: str = "", size: int = 1, command_timeout: float = LONG_TIMEOUT):
        database = await connect_database(own_stores[0] + more, size, command_timeout)
        try:
            yield database
        finally:
            await database.close()

    return reach


@contextlib.asynccontextmanager
async def redis_client_of(
    url: str, size: int, command_timeout: float = LONG_TIMEOUT
) -> AsyncIterator[Redis]:
    client = await connect_redis(url, size, command_timeout)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def own_redis(own_stores) -> AsyncIterator[Redis]:
    async with redis_client_of(own_stores[1], 16) as client:
        yield client


async def soon(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Retry until there is a reply: on a busy machine it may take longer than a timeout."""
    async with asyncio.timeout(LONG_TIMEOUT):
        while True:
            with contextlib.suppress(Unavailable):
                return await ask()


@contextlib.contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    """Stop processes without ending them: they hold their connections and do not reply."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def backends(admin) -> list[int]:
    """Return the processes that serve the pool."""
    admin.execute("select pid from pg_stat_activity where application_name = 'latchkey'")
    return [pid for (pid,) in admin.fetchall()]


def postmaster(admin) -> int:
    admin.execute("select pg_read_file('postmaster.pid')")
    return int(admin.fetchone()[0].split()[0])


async def process_of(own_redis: Redis) -> int:
    return (await own_redis.client.info("server"))["process_id"]


# Frozen


async def test_a_frozen_postgresql_is_unavailable_and_then_serves_again(reach, admin):
    """Within the timeout; and no later command gets the reply of an earlier one."""
    async with reach(size=2, command_timeout=TIMEOUT) as database:
        with frozen(backends(admin)):
            async with asyncio.timeout(NEVER):
                asked = (database.row("select %s", (n,)) for n in range(6))
                outcomes = await asyncio.gather(*asked, return_exceptions=True)
            assert {type(each) for each in outcomes} == {Unavailable}
            assert outcomes[0].store == "postgresql"
            assert await soon(lambda: database.row("select 6")) == (6,)  # on a new connection
        asked = (soon(lambda n=n: database.row("select %s", (n,))) for n in range(7, 13))
        assert await asyncio.gather(*asked) == [(n,) for n in range(7, 13)]


@pytest.mark.slow
async def test_a_postgresql_that_accepts_no_connection_is_unavailable(reach, admin, own_stores):
    """While the pool would replace its connections, too, and when it is first connected."""
    main = postmaster(admin)
    async with reach(command_timeout=TIMEOUT) as database:
        with frozen([main, *backends(admin)]):
            async with asyncio.timeout(NEVER):
                for _ in range(2):
                    with pytest.raises(Unavailable):
                        await database.row("select 1")
                assert "postgresql" in await database.ping()
                with pytest.raises(Unavailable):
                    await connect_database(own_stores[0], 1, TIMEOUT)
        assert await soon(lambda: database.row("select 1")) == (1,)


@pytest.mark.slow
async def test_a_frozen_redis_is_unavailable_and_then_serves_again(own_stores):
    """Within the deadline, the wait for a connection included."""
    async with redis_client_of(own_stores[1], 4, TIMEOUT) as client:

        async def echo(n: int) -> bytes:
            return await client.execute(client.client.echo(str(n)))

        with frozen([await process_of(client)]):
            async with asyncio.timeout(NEVER):
                outcomes = await asyncio.gather(*map(echo, range(20)), return_exceptions=True)
                pipeline = client.client.pipeline(transaction=False).echo("a").echo("b")
                with pytest.raises(Unavailable):
                    await client.execute(pipeline.execute())
                assert "redis" in await client.ping()
        assert {type(each) for each in outcomes} == {Unavailable}
        assert outcomes[0].store == "redis"
        results = await asyncio.gather(*(soon(lambda n=n: echo(n)) for n in range(20)))
        assert results == [b"%d" % n for n in range(20)]


@pytest.mark.parametrize("left", [0.1, 0.0, -1.0])
async def test_a_call_may_have_less_time_than_the_deadline(reach, own_redis, left):
    """What has waited for its batch has waited, and may have no time left at all."""
    clock = asyncio.get_running_loop().time
    async with reach() as database, asyncio.timeout(NEVER):
        with pytest.raises(Unavailable):
            await database.rows("select pg_sleep(60)", deadline=clock() + left)
        with frozen([await process_of(own_redis)]), pytest.raises(Unavailable):
            await own_redis.get_many(["a"], clock() + left)


async def test_a_deadline_that_falls_into_the_sending_of_a_command_holds(own_stores):
    """The driver may lose a cancellation there, and would wait for as long as it likes."""
    clock = asyncio.get_running_loop().time
    async with redis_client_of(own_stores[1], 80, NEVER / 3) as client:
        await asyncio.gather(*(client.ping() for _ in range(40)))  # all are connected
        with frozen([await process_of(client)]):
            asked = [client.execute(client.client.echo("x"), clock() + n * 5e-5) for n in range(40)]
            asked += [client.get_many(["a"], clock() + n * 5e-5) for n in range(40)]
            async with asyncio.timeout(NEVER):
                outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(each) for each in outcomes} == {Unavailable}


# Unreachable


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///postgres?host=/nonexistent",
        "postgresql://127.0.0.1:1/postgres",
        "nonsense",
    ],
)
async def test_a_postgresql_that_is_not_there_is_unavailable(url):
    with pytest.raises(Unavailable) as raised:
        await connect_database(url, 2, TIMEOUT)
    assert raised.value.store == "postgresql"
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "wanted", ["read-write", "primary", "prefer-standby", "read-only", "standby"]
)
async def test_only_a_postgresql_of_the_wanted_kind_is_connected_to(reach, admin, wanted):
    """This one is a primary and takes writes; libpq has the names of the kinds."""
    option = f"&target_session_attrs={wanted}"
    if wanted in ("read-only", "standby"):
        with pytest.raises(Unavailable, match=f"no host is {wanted}"):
            async with reach(option):
                pass
        assert await gone(admin)
    else:
        async with reach(option) as database:
            assert await database.one("select 1") == (1,)


async def test_a_url_without_a_host_leaves_the_choice_to_libpq(own_stores, monkeypatch):
    monkeypatch.setenv("PGHOST", parse_dsn(own_stores[0])["host"])
    database = await connect_database("postgresql:///postgres?user=postgres", 1, LONG_TIMEOUT)
    assert await database.one("select 1") == (1,)
    await database.close()


async def test_what_is_no_redis_is_unavailable():
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable) as raised:
            await connect_redis(f"redis://127.0.0.1:{port}", 2, LONG_TIMEOUT)
    assert raised.value.store == "redis"


@pytest.mark.parametrize("url", ["unix:///nonexistent/s", "redis://127.0.0.1:1"])
async def test_a_redis_that_is_not_there_is_unavailable(url):
    with pytest.raises(Unavailable) as raised:
        await connect_redis(url, 2, TIMEOUT)
    assert raised.value.store == "redis"


async def test_a_pool_that_cannot_be_filled_leaves_no_connection_behind(own_stores, admin):
    """As when PostgreSQL has fewer places: the server tries again, and must not use them up."""
    admin.execute("create role few login connection limit 2")
    url = own_stores[0].replace("user=postgres", "user=few")
    gc.disable()
    with warnings.catch_warnings(action="ignore"):  # what a collection would close, it complains of
        try:
            with pytest.raises(Unavailable, match="too many connections"):
                await connect_database(url, 4, 5.0)
            assert await gone(admin)
        finally:
            gc.enable()
            gc.collect()


async def gone(admin) -> bool:
    """Return whether every process that served a pool ends soon."""
    for _ in range(100):
        if not backends(admin):
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_server_waits_for_a_store_that_starts_later():
    attempts, reported = [], []

    async def connect() -> str:
        attempts.append(1)
        if len(attempts) < 3:
            raise Unavailable("redis", "not yet")
        return "connected"

    assert await retry(connect, 60, reported.append) == "connected"
    assert reported == ["waiting for redis: not yet"]


async def test_a_server_does_not_wait_for_ever():
    async def connect() -> None:
        raise Unavailable("redis", "never")

    with pytest.raises(Unavailable, match="never"):
        await retry(connect, 0.2, lambda reported: None)


# Up, and can't serve


@pytest.fixture
def misconfigure(own_stores) -> Iterator[Callable[..., None]]:
    """Set options of Redis, and set them back."""
    with redis.Redis.from_url(own_stores[1]) as admin, contextlib.ExitStack() as stack:

        def misconfigure(**options: str) -> None:
            for name, value in options.items():
                option = name.replace("_", "-")
                [before] = admin.config_get(option).values()
                stack.callback(admin.config_set, option, before)
                admin.config_set(option, value)

        stack.callback(admin.replicaof, "no", "one")
        misconfigure.admin = admin
        yield misconfigure


@pytest.mark.parametrize("options", [{"maxmemory": "1"}, {"min_replicas_to_write": "3"}])
async def test_a_redis_that_takes_no_writes_is_unavailable(own_redis, misconfigure, options):
    """OOM and NOREPLICAS: errors of a server that is up. Alone, in a pipeline, in a script."""
    misconfigure(**options)
    await unwritable(own_redis)


async def test_a_redis_that_permits_no_writes_is_unavailable(own_redis, misconfigure):
    """NOPERM, which redis-py takes out of the message."""
    misconfigure.admin.execute_command("ACL", "SETUSER", "default", "-@write")
    try:
        await unwritable(own_redis)
    finally:
        misconfigure.admin.execute_command("ACL", "SETUSER", "default", "+@all")


async def test_a_redis_that_became_a_replica_is_unavailable(own_redis, misconfigure):
    """READONLY, and MASTERDOWN when it does not serve old data either."""
    misconfigure.admin.replicaof("127.0.0.1", "1")
    await unwritable(own_redis)
    misconfigure(replica_serve_stale_data="no")
    with pytest.raises(Unavailable):
        await own_redis.get_many(["a", "b"], asyncio.get_running_loop().time() + LONG_TIMEOUT)


async def unwritable(own_redis: Redis) -> None:
    client = own_redis.client
    pipeline = client.pipeline(transaction=False).set("a", "b").set("c", "d")
    script = "return redis.call('ZADD', KEYS[1], 1, 'a')"
    for write in (
        lambda: client.set("a", "b"),
        lambda: client.eval(script, 1, "z"),
        pipeline.execute,
    ):
        with pytest.raises(Unavailable):
            await own_redis.execute(write())


async def test_a_redis_that_is_busy_with_a_script_is_unavailable(own_redis, misconfigure):
    """BUSY, once the script has run for its time limit. This one ends by itself."""
    misconfigure(lua_time_limit="1")
    await asyncio.gather(*(own_redis.ping() for _ in range(16)))  # all are connected
    long = asyncio.create_task(own_redis.execute(own_redis.client.eval("for i = 1, 2e8 do end", 0)))
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable, match="BUSY"):
        await own_redis.execute(own_redis.client.mget(["a"]))
    misconfigure.admin.script_kill()
    await asyncio.gather(long, return_exceptions=True)


async def test_what_a_command_itself_did_wrong_is_no_outage(own_redis):
    """A bug must not look like an unavailable store."""
    client = own_redis.client
    await own_redis.execute(client.set("text", "x"))
    with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
        await own_redis.execute(client.zadd("text", {"a": 1}))


async def test_a_postgresql_that_is_read_only_is_unavailable_and_its_connection_dropped(
    reach, admin
):
    """It became a standby: the next connection may find the new primary."""
    admin.execute("create table if not exists written (number int)")
    async with reach("&options=-cdefault_transaction_read_only%3Don") as database:
        before = await database.one("select pg_backend_pid()")
        with pytest.raises(Unavailable, match="read-only"):
            await database.row("insert into written values (1) returning number")
        assert await database.one("select pg_backend_pid()") != before


async def test_a_statement_that_postgresql_cancels_is_unavailable(reach, admin):
    """As with a statement_timeout. It must not look like a client that disconnected."""
    async with reach() as database:
        [pid] = await database.one("select pg_backend_pid()")
        asked = asyncio.create_task(database.row("select pg_sleep(60)"))
        await asleep(admin, pid)
        admin.execute("select pg_cancel_backend(%s)", (pid,))
        [outcome] = await asyncio.gather(asked, return_exceptions=True)
        assert isinstance(outcome, Unavailable)
        assert await database.row("select 1") == (1,)


async def asleep(admin, pid: int) -> None:
    """Wait until a statement is under way."""
    for _ in range(1000):
        admin.execute("select wait_event = 'PgSleep' from pg_stat_activity where pid = %s", (pid,))
        if admin.fetchone() == (True,):
            return
        await asyncio.sleep(0.01)


# Dropped connections


async def test_a_connection_that_was_ended_is_replaced(reach, admin):
    """Its own statement fails; the next one does not."""
    async with reach() as database:
        [pid] = await database.one("select pg_backend_pid()")
        asked = asyncio.create_task(database.row("select pg_sleep(60)"))
        await asleep(admin, pid)
        admin.execute("select pg_terminate_backend(%s)", (pid,))
        with pytest.raises(Unavailable):
            await asked
        assert await database.one("select pg_backend_pid()") != (pid,)


async def test_a_waiter_for_a_connection_that_is_ended_gets_its_replacement(reach, admin):
    """Well before its deadline: one fault must not fail every call in the queue."""
    async with reach() as database:
        [pid] = await database.one("select pg_backend_pid()")
        asked = asyncio.create_task(database.row("select pg_sleep(60)"))
        await asleep(admin, pid)
        waiting = [asyncio.create_task(database.row("select 1")) for _ in range(3)]
        await asyncio.sleep(0.01)
        admin.execute("select pg_terminate_backend(%s)", (pid,))
        done, _ = await asyncio.wait(waiting, timeout=NEVER)
        for task in (asked, *waiting):
            task.cancel()
        await asyncio.gather(asked, *waiting, return_exceptions=True)
        assert len(done) == 3


async def test_idle_connections_that_have_ended_are_not_handed_out(reach, admin):
    """Nor when the event loop had no time to notice."""
    async with reach(size=2) as database:
        await asyncio.gather(*(database.row("select pg_sleep(0.05)") for _ in range(2)))
        for pid in backends(admin):
            admin.execute("select pg_terminate_backend(%s)", (pid,))
        admin.execute("select pg_sleep(0.2)")
        assert await database.row("select 1") == (1,)


async def test_a_value_that_comes_in_many_parts_is_read_whole(own_redis):
    value = os.urandom(1_000_000)
    await own_redis.execute(own_redis.client.set("long", value))
    by = asyncio.get_running_loop().time() + LONG_TIMEOUT
    assert await own_redis.get_many(["long", "none"], by) == [value, None]
    await own_redis.execute(own_redis.client.delete("long"))


async def test_one_connection_to_redis_is_enough(own_stores):
    """`REDIS_POOL` may be 1: no kind of command keeps it from the others."""
    clock = asyncio.get_running_loop().time
    async with redis_client_of(own_stores[1], 1, NEVER) as client:
        for _ in range(2):
            assert await client.get_many(["a"], clock() + NEVER) == [None]
            assert await client.ping() is None


async def test_idle_connections_that_redis_has_ended_are_not_used(own_redis, misconfigure):
    """As after its restart, or by its own `timeout`: no request fails once it is back."""
    clock = asyncio.get_running_loop().time
    for _ in range(2):
        reads = (own_redis.get_many(["a"], clock() + LONG_TIMEOUT) for _ in range(4))
        pings = (own_redis.execute(own_redis.client.ping()) for _ in range(4))
        await asyncio.gather(*reads, *pings)
        misconfigure.admin.client_kill_filter(_type="normal", skipme=True)
        await asyncio.sleep(0.05)


async def test_a_connection_that_is_closed_twice_affects_no_other(own_stores):
    """Its descriptor may be a client's by then."""
    connection = await hosts.connect(own_stores[0], LONG_TIMEOUT)
    number = connection.raw.fileno()
    own, theirs = socket.socketpair()
    connection.close()
    os.dup2(own.fileno(), number)
    heard = asyncio.Event()
    asyncio.get_running_loop().add_reader(number, heard.set)
    try:
        connection.close()
        theirs.send(b"x")
        async with asyncio.timeout(NEVER):
            await heard.wait()
    finally:
        asyncio.get_running_loop().remove_reader(number)
        os.close(number)
        own.close()
        theirs.close()


async def test_a_client_that_leaves_spoils_no_connection(reach):
    """A request that is cancelled in the middle of a statement, over and over."""
    async with reach(size=2) as database:
        for n in range(20):
            asked = asyncio.create_task(database.row("select pg_sleep(0.01)"))
            await asyncio.sleep(0.001 * n)
            asked.cancel()
            await asyncio.wait([asked])
            assert await database.row("select %s", (n,)) == (n,)


# Descriptors beyond what select(2) can see


@pytest.fixture
def many_files() -> Iterator[None]:
    """Open so many files that the next descriptor is above 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    yield
    for file in files:
        os.close(file)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_failed_statement_ends_on_a_high_descriptor(many_files, reach, admin):
    """With many clients connected, a unique violation is raised, and its connection stays open."""
    admin.execute("create table if not exists single (number int unique)")
    async with reach() as database:
        pid = await database.one("select pg_backend_pid()")
        insert = "insert into single values (1) on conflict do nothing returning number"
        await database.row(insert)
        async with asyncio.timeout(NEVER):
            with pytest.raises(psycopg2.errors.UniqueViolation):
                await database.row("insert into single values (1) returning number")
        assert await database.one("select pg_backend_pid()") == pid


# Transactions


async def test_a_transaction_is_committed_whole_or_not_at_all(reach, admin):
    admin.execute("create table if not exists whole (number int)")
    async with reach() as database:

        async def insert(*numbers: object) -> None:
            async with database.transaction() as run:
                for number in numbers:
                    await run("insert into whole values (%s)", (number,))

        with pytest.raises(psycopg2.Error):
            await insert(1, "no number")
        await insert(2, 3)
        assert await database.rows("select number from whole order by number") == [(2,), (3,)]
