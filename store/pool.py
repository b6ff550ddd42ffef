"""A pool of PostgreSQL connections.

aiopg's own hands out connections that have just ended, and forgets to wake who waits when one does:
after a failover everybody in its queue would wait for their deadlines. This one asks for a place
first and looks for a connection then.
"""

import asyncio
import contextlib
import select
from collections.abc import AsyncIterator, Awaitable, Callable

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

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; one that comes back in the middle of something is closed."""
        async with self._places:
            connection = await self._take() or await self._connect()
            self._busy.add(connection)
            try:
                yield connection
            finally:
                self._busy.discard(connection)
                await self._take_back(connection)

    async def close(self) -> None:
        """Close every connection; what is under way is given up."""
        for connection in [*self._idle, *self._busy]:
            await connection.close()
        self._idle.clear()

    async def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and not _is_readable(connection):
                return connection
            await connection.close()
        return None

    async def _take_back(self, connection: Connection) -> None:
        if connection.closed:
            return
        if connection.raw.get_transaction_status() == TRANSACTION_STATUS_IDLE:
            self._idle.append(connection)
        else:
            await connection.close()


def _is_readable(connection: Connection) -> bool:
    """Tell whether an idle connection has something to say: it can only be that it ends."""
    poller = select.poll()
    poller.register(connection.raw.fileno(), select.POLLIN)
    return bool(poller.poll(0))
