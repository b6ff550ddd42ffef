"""Redis: one deadline and one refusal for every command; the driver never retries.

A command that is not answered in time, and a server that is up but can't serve, are Unavailable.
"""

import asyncio
import re
from collections.abc import Awaitable, Mapping
from typing import Any

import redis.asyncio
import redis.exceptions

from store.coalesce import IN_FLIGHT
from store.errors import Unavailable, first_line

_REDIS_CANT_SERVE = re.compile(
    r"\b(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|OOM|NOREPLICAS|BUSY)\b"
)


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
            raise Unavailable("redis", first_line(error)) from error
        except (
            redis.exceptions.ReadOnlyError,
            redis.exceptions.ClusterDownError,
            redis.exceptions.OutOfMemoryError,
            redis.exceptions.TryAgainError,
            redis.exceptions.MasterDownError,
        ) as error:
            raise Unavailable("redis", first_line(error)) from error
        except redis.exceptions.ResponseError as error:
            if _REDIS_CANT_SERVE.search(str(error)):
                raise Unavailable("redis", first_line(error)) from error
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


def _forget(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled():
        task.exception()  # else asyncio complains when nobody waited for it
