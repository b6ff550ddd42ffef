"""A pool of PostgreSQL connections.

aiopg's own hands out connections that have just ended, and forgets to wake who waits when one does:
after a failover everybody in its queue would wait for their deadlines. This one asks for a place
first and looks for a connection then.
"""

import asyncio
import select
from collections.abc import Awaitable, Callable

from aiopg import Connection
from psycopg2.extensions import TRANSACTION_STATUS_IDLE


class Pool:
    """At most `size` connections, made by `connect`, used again last in, first out."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int) -> None:
        self._connect = connect
        self._size = size
        self._places = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()

    async def fill(self) -> None:
        """Open every connection. What was opened is closed again when one can't be."""
        try:
            for _ in range(self._size):
                self._idle.append(await self._connect())
        except BaseException:
            await self.close()
            raise

    async def take(self) -> Connection:
        """Return a connection that is nobody else's until it is given back."""
        await self._places.acquire()
        try:
            connection = await self._idle_one() or await self._connect()
        except BaseException:
            self._places.release()
            raise
        self._busy.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Take a connection back; one in the middle of something is closed."""
        self._busy.discard(connection)
        if not connection.closed:
            if connection.raw.get_transaction_status() == TRANSACTION_STATUS_IDLE:
                self._idle.append(connection)
            else:
                connection.close()
        self._places.release()

    async def close(self) -> None:
        """Close every connection; what is under way is given up."""
        for connection in [*self._idle, *self._busy]:
            await connection.close()
        self._idle.clear()

    async def _idle_one(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and not _is_readable(connection):
                return connection
            await connection.close()
        return None


def _is_readable(connection: Connection) -> bool:
    """Tell whether an idle connection has something to say: it can only be that it ends."""
    poller = select.poll()
    poller.register(connection.raw.fileno(), select.POLLIN)
    return bool(poller.poll(0))
