"""Statements to PostgreSQL: each has a timeout, and raises Unavailable when it cannot be served.

That is when there is no reply in time, or when the server is up but cannot serve.
"""

import asyncio
import contextlib
import functools
import logging
import re
import select
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import aiopg.connection
import psycopg2
import psycopg2.extensions

from store.errors import Unavailable, first_line
from store.postgresql import hosts
from store.postgresql.pool import IDLE_SECONDS, Pool
from store.postgresql.prepared import NOT_KEPT, Prepared
from telemetry.observer import UNOBSERVED, Observer

_log = logging.getLogger("latchkey.database")

Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]

_CANT_SERVE = re.compile(r"^(08|53|57P0|25006|42501)")
"""SQLSTATE classes of a PostgreSQL that is up and cannot serve: connections, resources, shutting
down, read-only, no privilege."""
PROBE_SHARE = 4
"""A probe may take the timeout divided by this. The rest is for a new connection."""


def _poll_readable(
    read: Sequence[int], _write: Sequence[int], _error: Sequence[int], _timeout: float
) -> None:
    """Raise OSError when a descriptor is closed, which is what aiopg uses select.select for."""
    poller = select.poll()
    for descriptor in read:
        poller.register(descriptor, select.POLLIN)
    if any(event & select.POLLNVAL for _, event in poller.poll(0)):
        raise OSError(9, "Bad file descriptor")


# aiopg calls select.select on a failed query's descriptor, which fails for descriptors above 1023.
# With many clients connected, a unique violation would leave its query waiting without an end.
setattr(aiopg.connection, "select", types.SimpleNamespace(select=_poll_readable))  # noqa: B010


class Database:
    """A database: runs statements and returns rows.

    Each call ends within `timeout` seconds, the wait for a connection included.
    """

    def __init__(self, pool: Pool, timeout: float, observer: Observer = UNOBSERVED) -> None:
        self._pool = pool
        self._observe = observer.statement
        self._loop = asyncio.get_running_loop()
        self.timeout = timeout
        self._prepares = True

    async def rows(
        self, sql: str, parameters: Parameters = (), deadline: float | None = None
    ) -> list[Row]:
        """Run one statement and return its rows. A Prepared statement is prepared if possible.

        It must end by the event loop's time `deadline`, or else within the timeout. Raises
        Unavailable, and psycopg2's own errors for what the statement itself did wrong.
        """
        if deadline is None:
            deadline = self._loop.time() + self.timeout
        with self._observe(sql):
            return await self._run(sql, parameters, deadline)

    async def _run(self, sql: str, parameters: Parameters, deadline: float) -> list[Row]:
        """Run one statement, as plain text if it cannot be prepared."""
        try:
            return await self._execute(sql, parameters, deadline)
        except NOT_KEPT:
            if not isinstance(sql, Prepared):
                raise
            self._prepare_no_more()
            return await self._run(str(sql), parameters, deadline)
        except TimeoutError:
            self._pool.doubt(deadline - self.timeout)
            raise Unavailable("postgresql", "no reply in time") from None
        except (psycopg2.OperationalError, psycopg2.InterfaceError, OSError) as error:
            raise Unavailable("postgresql", first_line(error)) from error
        except psycopg2.Error as error:
            if _CANT_SERVE.match(error.pgcode or ""):
                raise Unavailable("postgresql", first_line(error)) from error
            raise

    async def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """Run one statement and return its first row, None when it has none."""
        rows = await self.rows(sql, parameters)
        return rows[0] if rows else None

    async def one(self, sql: str, parameters: Parameters = ()) -> Row:
        """Run one statement that always returns a row, and return that row."""
        rows = await self.rows(sql, parameters)
        return rows[0]

    async def is_pooled(self) -> bool:
        """Return whether a pooler such as PgBouncer is in between: it reports another process id.

        Raises psycopg2's errors.
        """
        cursor = await self._pool.take(self._loop.time() + self.timeout)
        try:
            await cursor.execute("select pg_backend_pid()")
            [pid] = await cursor.fetchone()
            return bool(pid != cursor.connection.raw.get_backend_pid())
        finally:
            self._pool.give_back(cursor)

    async def ping(self) -> str | None:
        """Return None when the server responds, else why it does not."""
        try:
            await self.row("select 1")
        except Unavailable as error:
            return str(error)
        return None

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Callable[..., Awaitable[list[Row]]]]:
        """Begin a transaction and yield a function that runs statements in it, without a timeout.

        The transaction is committed at the end, or rolled back when anything is raised.
        """
        cursor = await self._pool.take()
        try:

            async def run(sql: str, parameters: Parameters = ()) -> list[Row]:
                await cursor.execute(sql, parameters or None)
                return await cursor.fetchall() if cursor.description else []

            await run("begin")
            yield run
            await run("commit")
        except BaseException:
            await cursor.connection.close()  # the server rolls the transaction back
            raise
        finally:
            self._pool.give_back(cursor)

    async def _execute(self, sql: str, parameters: Parameters, deadline: float) -> list[Row]:
        cursor = await self._pool.take(deadline)
        # A timer that closes the connection costs a quarter of asyncio.timeout.
        timer = self._loop.call_at(deadline, cursor.connection.close)
        kept = sql if self._prepares and isinstance(sql, Prepared) else None
        try:
            text = kept.on(cursor.connection) if kept else str(sql)
            await cursor.execute(text, parameters or None)
            return await cursor.fetchall() if cursor.description else []
        except psycopg2.Error as error:
            if cursor.connection.closed and self._loop.time() >= deadline:
                raise TimeoutError from None
            # The server shuts down or is not a primary, or the connection's state is unknown.
            doubtful = kept and not isinstance(error, NOT_KEPT)
            if doubtful or _CANT_SERVE.match(error.pgcode or "08"):
                await cursor.connection.close()
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task and task.cancelling():
                raise
            # aiopg raises this when PostgreSQL cancelled the statement.
            if kept:
                await cursor.connection.close()
            raise Unavailable("postgresql", "the statement was cancelled") from None
        finally:
            timer.cancel()
            self._pool.give_back(cursor)

    def _prepare_no_more(self) -> None:
        if self._prepares:
            _log.info("statements are no longer prepared, because of a pooler or a migration")
        self._prepares = False

    async def close(self) -> None:
        """Close the pool. Statements in flight fail."""
        await self._pool.close()


async def connect_database(
    url: str,
    pool_size: int,
    statement_timeout: float,
    idle_seconds: float = IDLE_SECONDS,
    observer: Observer = UNOBSERVED,
) -> Database:
    """Open a pool of `pool_size` connections. Raises Unavailable when the server is unreachable.

    Each statement gets `statement_timeout` seconds. A connection that was idle for `idle_seconds`
    is probed before it is used.
    """
    connect = functools.partial(hosts.connect, url, statement_timeout)
    pool = Pool(connect, pool_size, statement_timeout / PROBE_SHARE, idle_seconds)
    try:
        await pool.fill()
    except (psycopg2.Error, TimeoutError, OSError) as error:
        raise Unavailable("postgresql", first_line(error)) from error
    return Database(pool, statement_timeout, observer)
