"""Connections to both stores: how they are made, and one deadline and one refusal for every call.

A call that is not answered in time, and a store that is up but can't serve, are `Unavailable`.
"""

import asyncio
import contextlib
import re
import select
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import aiopg.connection
import psycopg2
import psycopg2.extensions
import redis.asyncio
import redis.exceptions

from store import hosts
from store.coalesce import IN_FLIGHT
from store.errors import Unavailable
from store.pool import Pool

T = TypeVar("T")
Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]

_CANT_SERVE = re.compile(r"^(08|53|57P0|25006)")
"""SQLSTATE classes of a PostgreSQL that is up and can't serve: connections, resources, shutting
down, read-only."""

_REDIS_CANT_SERVE = re.compile(
    r"\b(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|OOM|NOREPLICAS|BUSY)\b"
)


def _poll_readable(
    read: Sequence[int], _write: Sequence[int], _error: Sequence[int], _timeout: float
) -> None:
    """Do what aiopg wants of select.select: raise OSError when a descriptor is closed."""
    poller = select.poll()
    for descriptor in read:
        poller.register(descriptor, select.POLLIN)
    if any(event & select.POLLNVAL for _, event in poller.poll(0)):
        raise OSError(9, "Bad file descriptor")


# aiopg calls select.select on a failed query's descriptor. That can't see beyond 1023: with many
# clients connected, a mere unique violation would leave its query waiting for ever.
setattr(aiopg.connection, "select", types.SimpleNamespace(select=_poll_readable))  # noqa: B010


class Database:
    """PostgreSQL: rows in, rows out, each call within `deadline` seconds, pool wait included."""

    def __init__(self, pool: Pool, deadline: float) -> None:
        self._pool = pool
        self.deadline = deadline

    async def rows(
        self, sql: str, parameters: Parameters = (), by: float | None = None
    ) -> list[Row]:
        """Run one statement and return its rows.

        It must end by the event loop's time `by`, or within the deadline. Raises Unavailable, and
        psycopg2's own errors for what the statement itself did wrong.
        """
        if by is None:
            by = asyncio.get_running_loop().time() + self.deadline
        try:
            async with asyncio.timeout_at(by):
                return await self._run(sql, parameters)
        except TimeoutError:
            raise Unavailable("postgresql", "no answer in time") from None
        except (psycopg2.OperationalError, psycopg2.InterfaceError, OSError) as error:
            raise Unavailable("postgresql", _first_line(error)) from error
        except psycopg2.Error as error:
            if _CANT_SERVE.match(error.pgcode or ""):
                raise Unavailable("postgresql", _first_line(error)) from error
            raise

    async def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """Run one statement and return its first row, None when it has none."""
        rows = await self.rows(sql, parameters)
        return rows[0] if rows else None

    async def one(self, sql: str, parameters: Parameters = ()) -> Row:
        """Run one statement that always has a row, and return it."""
        rows = await self.rows(sql, parameters)
        return rows[0]

    async def ping(self) -> str | None:
        """Return None when the server answers, else why it does not."""
        try:
            await self.row("select 1")
        except Unavailable as refusal:
            return str(refusal)
        return None

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Callable[..., Awaitable[list[Row]]]]:
        """Give a function that runs statements in one transaction, with no deadline.

        It is committed at the end, or rolled back when anything is raised.
        """
        connection = await self._pool.take()
        try:
            cursor = await connection.cursor()

            async def run(sql: str, parameters: Parameters = ()) -> list[Row]:
                await cursor.execute(sql, parameters or None)
                return await cursor.fetchall() if cursor.description else []

            await run("begin")
            yield run
            await run("commit")
            cursor.close()
        except BaseException:
            await connection.close()  # the server rolls back what nobody will commit
            raise
        finally:
            self._pool.give_back(connection)

    async def _run(self, sql: str, parameters: Parameters) -> list[Row]:
        connection = await self._pool.take()
        try:
            cursor = await connection.cursor()
            await cursor.execute(sql, parameters or None)
            rows: list[Row] = await cursor.fetchall() if cursor.description else []
            cursor.close()
        except psycopg2.Error as error:
            if _CANT_SERVE.match(error.pgcode or "08"):
                await connection.close()  # its server is going away, or is not the primary
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task and task.cancelling():
                raise
            # aiopg says so when it was PostgreSQL that cancelled the statement.
            raise Unavailable("postgresql", "the statement was cancelled") from None
        finally:
            self._pool.give_back(connection)
        return rows

    async def close(self) -> None:
        """Close the pool; queries under way are given up."""
        await self._pool.close()


class Redis:
    """Redis: each call within `deadline` seconds, pool wait included; the driver never retries."""

    def __init__(self, client: "redis.asyncio.Redis", deadline: float) -> None:
        self.client = client
        self.deadline = deadline
        self._readers: list[Any] = []

    async def ask(self, command: Awaitable[Any], by: float | None = None) -> Any:
        """Await one command or pipeline, by the event loop's time `by` or within the deadline.

        Raises Unavailable.
        """
        now = asyncio.get_running_loop().time()
        task = asyncio.ensure_future(command)
        task.add_done_callback(_forget)
        try:
            # Not a timeout around it: now and then redis-py keeps a cancellation to itself.
            await asyncio.wait((task,), timeout=self.deadline if by is None else by - now)
            if not task.done():
                raise Unavailable("redis", "no answer in time")
            return task.result()
        except redis.exceptions.TimeoutError:
            raise Unavailable("redis", "no answer in time") from None
        except (redis.exceptions.ConnectionError, OSError) as error:
            raise Unavailable("redis", _first_line(error)) from error
        except (
            redis.exceptions.ReadOnlyError,
            redis.exceptions.ClusterDownError,
            redis.exceptions.OutOfMemoryError,
            redis.exceptions.TryAgainError,
            redis.exceptions.MasterDownError,
        ) as error:
            raise Unavailable("redis", _first_line(error)) from error
        except redis.exceptions.ResponseError as error:
            if _REDIS_CANT_SERVE.search(str(error)):
                raise Unavailable("redis", _first_line(error)) from error
            raise
        finally:
            task.cancel()

    async def fill(self) -> None:
        """Reach the server, and open what look-ups will need. Raises Unavailable."""
        await self.ask(self.client.ping())
        for _ in range(IN_FLIGHT):
            self._readers.append(await self.ask(self._new_reader()))

    async def get_many(self, keys: list[str], by: float) -> Mapping[str, bytes]:
        """Return the values of those of the keys that are there, read in one round trip."""
        values: list[Any] = await self.ask(self._mget(keys), by)
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}

    async def _mget(self, keys: list[str]) -> list[Any]:
        """Send MGET on a connection that is kept for it, beside the pool's.

        redis-py's way from a command to its connection and back costs more than the command.
        """
        connection = await self._reader()
        try:
            await connection.send_packed_command(
                connection.pack_command("MGET", *keys), check_health=False
            )
            values: list[Any] = await connection.read_response()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._readers.append(connection)
        return values

    async def _reader(self) -> Any:
        while self._readers:
            connection = self._readers.pop()
            if not connection._reader.at_eof():  # it may have ended while it was idle
                return connection
            await connection.disconnect(nowait=True)
        return await self._new_reader()

    async def _new_reader(self) -> Any:
        pool = self.client.connection_pool
        connection = pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()
        return connection

    async def ping(self) -> str | None:
        """Return None when the server answers, else why it does not."""
        try:
            await self.ask(self.client.ping())
        except Unavailable as refusal:
            return str(refusal)
        return None

    async def close(self) -> None:
        """Close every connection."""
        for connection in self._readers:
            await connection.disconnect()
        await self.client.aclose()


async def connect_database(url: str, pool_size: int, deadline: float) -> Database:
    """Open a pool at its full size. Raises Unavailable when the server can't be reached."""
    pool = Pool(lambda: hosts.connect(url, deadline), pool_size)
    try:
        await pool.fill()
    except (psycopg2.Error, TimeoutError, OSError) as error:
        raise Unavailable("postgresql", _first_line(error)) from error
    return Database(pool, deadline)


async def connect_redis(url: str, pool_size: int, deadline: float) -> Redis:
    """Make a client and reach the server once. Raises Unavailable when it can't be reached."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=pool_size,
        timeout=deadline,
        socket_connect_timeout=deadline,
        retry=None,
        retry_on_error=[],
        client_name="latchkey",
    )
    client = Redis(redis.asyncio.Redis.from_pool(pool), deadline)
    try:
        await client.fill()
    except Unavailable:
        await client.close()
        raise
    return client


def check_database_url(url: str) -> str:
    """Return a libpq connection string as it is. Raises ValueError for what is none."""
    try:
        psycopg2.extensions.parse_dsn(url)
    except psycopg2.ProgrammingError:
        raise ValueError("no libpq connection string") from None  # its own error shows the password
    return url


def check_redis_url(url: str) -> str:
    """Return a Redis URL as it is. Raises ValueError for what is none."""
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("no Redis URL")
    return url


async def keep_trying(
    connect: Callable[[], Awaitable[T]], patience: float, say: Callable[[str], None]
) -> T:
    """Call `connect` until it succeeds, for `patience` seconds; then raise its Unavailable."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience
    pause, said = 0.1, ""
    while True:
        try:
            return await connect()
        except Unavailable as refusal:
            if loop.time() + pause > give_up:
                raise
            if str(refusal) != said:
                said = str(refusal)
                say(f"waiting for {said}")
        await asyncio.sleep(pause)
        pause = min(2 * pause, 1.0)


def _forget(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled():
        task.exception()  # else asyncio complains when nobody waited for it


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
