"""A pool of PostgreSQL connections.

aiopg's own hands out connections that have just ended, and forgets to wake who waits when one does:
after a failover everybody in its queue would wait for their deadlines. This one asks for a place
first and looks for a connection then.

A connection that was idle for a minute may lead nowhere by now: a NAT or a balancer forgets it and
tells neither end. It has to answer before it is used again, within a part of the deadline, and one
that does not answer takes all those with it that were idle as long.
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
"""The shortest limits of NATs and balancers are some minutes."""


class Pool:
    """At most `size` connections, made by `connect`, used again last in, first out.

    They are handed out by the one cursor that each has: opening one for every statement would
    cost a fifth of the statement.
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
        """Each with the event loop's time when it was given back; the latest are last."""
        self._busy: set[Cursor] = set()
        self._loop = asyncio.get_running_loop()
        self._doubted = -math.inf

    async def fill(self) -> None:
        """Open every connection. What was opened is closed again when one can't be."""
        try:
            for _ in range(self._size):
                self._idle.append((self._loop.time(), await self._open()))
        except BaseException:
            await self.close()
            raise

    async def take(self, deadline: float | None = None) -> Cursor:
        """Return a cursor that is nobody else's until it is given back.

        Raises TimeoutError when there is none by the event loop's time `deadline`, and what
        opening a connection raises.
        """
        if not self._places.locked() and (cursor := self._trusted_one()):
            await self._places.acquire()  # at once: there is a place
        else:
            async with asyncio.timeout_at(deadline):
                cursor = await self._wait()
        self._busy.add(cursor)
        return cursor

    def give_back(self, cursor: Cursor) -> None:
        """Take a cursor back; a connection in the middle of something is closed."""
        self._busy.discard(cursor)
        connection = cursor.connection
        if connection.closed or connection.raw.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            connection.close()
        else:
            self._idle.append((self._loop.time(), cursor))
        self._places.release()

    def doubt(self, since: float) -> None:
        """Have what is idle since before this time answer first: a statement was not answered."""
        self._doubted = since

    async def close(self) -> None:
        """Close every connection; what is under way is given up."""
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
            if _stands(cursor.connection):
                return cursor
        return None

    async def _probed_one(self) -> Cursor | None:
        """Return an idle connection that has answered, None when there is none."""
        while self._idle:
            cursor = self._idle.pop()[1]
            if not _stands(cursor.connection):
                continue
            if await self._answers(cursor):
                return cursor
            # Those below have been idle for as long or longer.
            for _, other in self._idle:
                other.connection.close()
            self._idle.clear()
        return None

    async def _answers(self, cursor: Cursor) -> bool:
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


def _stands(connection: Connection) -> bool:
    """Return whether an idle connection has not ended; one that has is closed."""
    if not connection.closed and not _is_readable(connection):
        return True
    connection.close()
    return False


def _is_readable(connection: Connection) -> bool:
    """Tell whether an idle connection has something to say: it can only be that it ends."""
    poller = select.poll()
    poller.register(connection.raw.fileno(), select.POLLIN)
    return bool(poller.poll(0))
