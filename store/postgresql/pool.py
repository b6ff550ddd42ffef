"""A pool of PostgreSQL connections.

aiopg's pool returns connections that have just ended, and does not wake its waiters when one ends:
after a failover each of them would wait until its deadline. This pool first reserves a place, then
looks for a connection.

A NAT or a load balancer may drop an idle connection without notice to either end. So a connection
that was idle for a minute is probed before it is used, within a part of the timeout. If the probe
fails, all connections that were idle for as long are closed with it.
"""

import asyncio
import math
import select
from collections.abc import Awaitable, Callable

import psycopg2
from aiopg import Connection
from aiopg.connection import Cursor
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

IDLE_SECONDS = 60.0
"""The shortest idle timeouts of NATs and load balancers are some minutes."""
OPENED_TOGETHER = 8
"""Connections that are opened at a time at the start. One after the other, they take ten round
trips each, with TLS and a password."""


class Pool:
    """At most `size` connections, opened by `connect` and reused last in, first out.

    Each connection has one cursor, which is what `take` returns: opening a cursor for each
    statement would cost a fifth of the statement.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        size: int,
        probe_timeout: float = 1.0,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """Keep `size` connections. A probe of an idle one is given `probe_timeout` seconds."""
        self._connect = connect
        self._size = size
        self._probe_timeout = probe_timeout
        self._idle_seconds = idle_seconds
        self._places = asyncio.Semaphore(size)
        self._idle: list[tuple[float, Cursor]] = []
        """Each with the event loop's time when it was given back, in that order."""
        self._busy: set[Cursor] = set()
        self._loop = asyncio.get_running_loop()
        self._doubted = -math.inf

    async def fill(self) -> None:
        """Open every connection, the first one alone. If one fails, all are closed."""
        try:
            await self._add()
            while left := self._size - len(self._idle):
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(left, OPENED_TOGETHER)):
                        group.create_task(self._add())
        except BaseException as error:
            await self.close()
            if isinstance(error, BaseExceptionGroup):  # of the task group
                raise error.exceptions[0] from None
            raise

    async def _add(self) -> None:
        cursor = await self._open()
        self._idle.append((self._loop.time(), cursor))

    async def take(self, deadline: float | None = None) -> Cursor:
        """Return a cursor for exclusive use until it is given back.

        Raises TimeoutError when there is none by the event loop's time `deadline`, and what
        opening a connection raises.
        """
        if not self._places.locked() and (cursor := self._trusted_one()):
            await self._places.acquire()  # returns at once: a place is free
        else:
            async with asyncio.timeout_at(deadline):
                cursor = await self._wait()
        self._busy.add(cursor)
        return cursor

    def give_back(self, cursor: Cursor) -> None:
        """Take a cursor back. Its connection is closed if a transaction is open."""
        self._busy.discard(cursor)
        connection = cursor.connection
        if connection.closed or connection.raw.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            connection.close()
        else:
            self._idle.append((self._loop.time(), cursor))
        self._places.release()

    def doubt(self, since: float) -> None:
        """Probe each connection that is idle since before this time: a statement got no reply."""
        self._doubted = since

    async def close(self) -> None:
        """Close every connection. Statements in flight fail."""
        for cursor in [*(cursor for _, cursor in self._idle), *self._busy]:
            await cursor.connection.close()
        self._idle.clear()

    async def _wait(self) -> Cursor:
        await self._places.acquire()
        try:
            return self._trusted_one() or await self._probed_one() or await self._open()
        except BaseException:
            self._places.release()
            raise

    async def _open(self) -> Cursor:
        connection = await self._connect()
        return await connection.cursor()

    def _trusted_one(self) -> Cursor | None:
        """Return an idle connection that needs no probe, None when there is none."""
        trusted = max(self._doubted, self._loop.time() - self._idle_seconds)
        while self._idle and self._idle[-1][0] >= trusted:
            cursor = self._idle.pop()[1]
            if _is_alive(cursor.connection):
                return cursor
        return None

    async def _probed_one(self) -> Cursor | None:
        """Return an idle connection whose probe succeeded, None when there is none."""
        while self._idle:
            cursor = self._idle.pop()[1]
            if not _is_alive(cursor.connection):
                continue
            if await self._responds(cursor):
                return cursor
            # Those below have been idle for as long or longer.
            for _, other in self._idle:
                other.connection.close()
            self._idle.clear()
        return None

    async def _responds(self, cursor: Cursor) -> bool:
        timer = self._loop.call_later(self._probe_timeout, cursor.connection.close)
        try:
            await cursor.execute("select 1")
            await cursor.fetchall()
        except (psycopg2.Error, OSError):
            cursor.connection.close()
            return False
        except BaseException:
            cursor.connection.close()
            raise
        finally:
            timer.cancel()
        return not cursor.connection.closed


def _is_alive(connection: Connection) -> bool:
    """Return whether an idle connection is open; close it when its server ended it."""
    if not connection.closed and not _is_readable(connection):
        return True
    connection.close()
    return False


def _is_readable(connection: Connection) -> bool:
    """Return whether an idle connection has data to read, which means that the server ended it."""
    poller = select.poll()
    poller.register(connection.raw.fileno(), select.POLLIN)
    return bool(poller.poll(0))
