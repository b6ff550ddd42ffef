"""A pool of PostgreSQL connections.

aiopg's own hands out connections that have just ended, and forgets to wake who waits when one does:
after a failover everybody in its queue would wait for their deadlines. This one asks for a place
first and looks for a connection then.
"""

import asyncio
import select
from collections.abc import Awaitable, Callable

from aiopg import Connection
from aiopg.connection import Cursor
from psycopg2.extensions import TRANSACTION_STATUS_IDLE


class Pool:
    """At most `size` connections, made by `connect`, used again last in, first out.

    They are handed out by the one cursor that each has: opening one for every statement would
    cost a fifth of the statement.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int) -> None:
        self._connect = connect
        self._size = size
        self._places = asyncio.Semaphore(size)
        self._idle: list[Cursor] = []
        self._busy: set[Cursor] = set()

    async def fill(self) -> None:
        """Open every connection. What was opened is closed again when one can't be."""
        try:
            for _ in range(self._size):
                self._idle.append(await self._open())
        except BaseException:
            await self.close()
            raise

    async def take(self, by: float | None = None) -> Cursor:
        """Return a cursor that is nobody else's until it is given back.

        Raises TimeoutError when there is none by the event loop's time `by`, and what opening a
        connection raises.
        """
        if not self._places.locked() and (cursor := self._idle_one()):
            await self._places.acquire()  # at once: there is a place
        else:
            async with asyncio.timeout_at(by):
                cursor = await self._wait()
        self._busy.add(cursor)
        return cursor

    def give_back(self, cursor: Cursor) -> None:
        """Take a cursor back; a connection in the middle of something is closed."""
        self._busy.discard(cursor)
        connection = cursor.connection
        if not connection.closed:
            if connection.raw.get_transaction_status() == TRANSACTION_STATUS_IDLE:
                self._idle.append(cursor)
            else:
                connection.close()
        self._places.release()

    async def close(self) -> None:
        """Close every connection; what is under way is given up."""
        for cursor in [*self._idle, *self._busy]:
            await cursor.connection.close()
        self._idle.clear()

    async def _wait(self) -> Cursor:
        await self._places.acquire()
        try:
            return self._idle_one() or await self._open()
        except BaseException:
            self._places.release()
            raise

    async def _open(self) -> Cursor:
        connection = await self._connect()
        return await connection.cursor()

    def _idle_one(self) -> Cursor | None:
        while self._idle:
            cursor = self._idle.pop()
            if not cursor.connection.closed and not _is_readable(cursor.connection):
                return cursor
            cursor.connection.close()
        return None


def _is_readable(connection: Connection) -> bool:
    """Tell whether an idle connection has something to say: it can only be that it ends."""
    poller = select.poll()
    poller.register(connection.raw.fileno(), select.POLLIN)
    return bool(poller.poll(0))
