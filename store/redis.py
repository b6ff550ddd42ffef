"""Redis: one deadline and one refusal for every command; the driver never retries.

A command that is not answered in time, and a server that is up but can't serve, are Unavailable.
"""

import asyncio
import re
from collections.abc import Awaitable
from typing import Any

import redis.asyncio
import redis.exceptions

from store.coalesce import IN_FLIGHT
from store.errors import Unavailable, first_line
from store.reader import Reader

_CANT_SERVE = (
    redis.exceptions.ReadOnlyError
    | redis.exceptions.ClusterDownError
    | redis.exceptions.OutOfMemoryError
    | redis.exceptions.TryAgainError
    | redis.exceptions.MasterDownError
)
_SAYS_SO = re.compile(
    r"\b(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|OOM|NOREPLICAS|BUSY)\b"
)


class Redis:
    """Redis: each call within `deadline` seconds, pool wait included; the driver never retries."""

    def __init__(self, client: "redis.asyncio.Redis", deadline: float) -> None:
        self.client = client
        self.deadline = deadline
        self._readers: list[Reader] = []

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
        except (redis.exceptions.RedisError, OSError) as error:
            raise _as_refusal(error) from error
        finally:
            task.cancel()

    async def fill(self) -> None:
        """Reach the server, and open what look-ups will need. Raises Unavailable."""
        await self.ask(self.client.ping())
        for _ in range(IN_FLIGHT):
            self._readers.append(await self.ask(self._new_reader()))

    async def get_many(self, keys: list[str], by: float) -> list[bytes | None]:
        """Return the values of the keys in their order, None for one that is not there.

        Redis must have answered by the event loop's time `by`. Raises Unavailable.
        """
        reader = self._idle_reader() or await self.ask(self._new_reader(), by)
        try:
            values = await reader.mget(keys, by)
        except (redis.exceptions.RedisError, OSError) as error:
            raise _as_refusal(error) from error
        self._readers.append(reader)
        return values

    def _idle_reader(self) -> Reader | None:
        while self._readers:
            reader = self._readers.pop()
            if reader.is_open:  # it may have ended while it was idle
                return reader
        return None

    async def _new_reader(self) -> Reader:
        pool = self.client.connection_pool
        connection = pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()
        return Reader(connection)

    async def ping(self) -> str | None:
        """Return None when the server answers, else why it does not."""
        try:
            await self.ask(self.client.ping())
        except Unavailable as refusal:
            return str(refusal)
        return None

    async def close(self) -> None:
        """Close every connection."""
        for reader in self._readers:
            reader.close()
        await self.client.aclose()


async def connect_redis(url: str, pool_size: int, deadline: float) -> Redis:
    """Make a client and reach the server once. Raises Unavailable when it can't be reached."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=pool_size,
        timeout=deadline,
        socket_connect_timeout=deadline,
        socket_timeout=deadline,
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


def check_redis_url(url: str) -> str:
    """Return a Redis URL as it is. Raises ValueError for what is none."""
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("no Redis URL")
    return url


def _as_refusal(error: Exception) -> Exception:
    """Return the refusal that an error of the driver's amounts to; itself when it is a bug's."""
    if isinstance(error, TimeoutError | redis.exceptions.TimeoutError):
        return Unavailable("redis", "no answer in time")
    if isinstance(error, OSError | redis.exceptions.ConnectionError | _CANT_SERVE):
        return Unavailable("redis", first_line(error))
    if isinstance(error, redis.exceptions.ResponseError) and _SAYS_SO.search(str(error)):
        return Unavailable("redis", first_line(error))
    return error


def _forget(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled():
        task.exception()  # else asyncio complains when nobody waited for it
