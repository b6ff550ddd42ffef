"""Commands to Redis: each has a timeout, and raises Unavailable when it cannot be served.

That is when there is no reply in time, or when the server is up but cannot serve. The driver never
retries.
"""

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any

import redis.asyncio
import redis.exceptions
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection

from store.batching import IN_FLIGHT
from store.errors import Unavailable, first_line
from store.redis.connection import (
    IDLE_SECONDS,
    LiveConnection,
    LiveTLSConnection,
    LiveUnixConnection,
    Trust,
)
from store.redis.errors import to_app_error
from store.redis.observed import ObservedRedis
from store.redis.reader import PrimaryReader, Reader, take_open, take_trusted
from store.redis.sentinel import watch_primary
from store.redis.topology import PLAIN, Nodes, Sentinels, parse_redis_url
from telemetry.observer import UNOBSERVED, Observer

_LIVE: dict[type, Any] = {
    Connection: LiveConnection,
    SSLConnection: LiveTLSConnection,
    UnixDomainSocketConnection: LiveUnixConnection,
}
WATCH = 1.0
"""Seconds between two queries to the Sentinels, and so how long an old primary may be read."""


class Redis:
    """One Redis. Each call ends within `timeout` seconds, the wait for a connection included."""

    def __init__(
        self,
        client: Any,
        timeout: float,
        trust: Trust | None = None,
        reader: type[Reader] = Reader,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self.client = client
        self._observer = observer
        self.timeout = timeout
        self._trust = trust or Trust(timeout)
        self._reader = reader
        self._readers: list[Reader] = []

    async def execute(self, command: Awaitable[Any], deadline: float | None = None) -> Any:
        """Execute one command or pipeline of `client`, and return its reply.

        It must end by the event loop's time `deadline`, or else within the timeout.

        Raises Unavailable.
        """
        with self._observer.redis_call():
            return await self._execute(command, deadline)

    async def execute_pipeline(self, pipeline: Any, deadline: float | None = None) -> Any:
        """Execute a pipeline by the deadline, as `execute` does. Raises Unavailable."""
        with self._observer.redis_command("PIPELINE", len(pipeline)):
            return await self.execute(pipeline.execute(), deadline)

    async def _execute(self, command: Awaitable[Any], deadline: float | None = None) -> Any:
        now = asyncio.get_running_loop().time()
        task = asyncio.ensure_future(command)
        task.add_done_callback(_forget)
        try:
            # Not asyncio.timeout: redis-py sometimes swallows a cancellation.
            await asyncio.wait(
                (task,), timeout=self.timeout if deadline is None else deadline - now
            )
            if not task.done():
                self._trust.doubt(now)
                raise Unavailable("redis", "no reply in time")
            return task.result()
        except (redis.exceptions.RedisError, OSError) as error:
            raise to_app_error(error) from error
        finally:
            task.cancel()

    async def fill(self) -> None:
        """Connect to the server, and open the connections of look-ups. Raises Unavailable."""
        await self._execute(self._ping())
        for _ in range(IN_FLIGHT):
            self._readers.append(await self._execute(self._new_reader()))

    async def get_many(self, keys: list[str], deadline: float) -> list[bytes | None]:
        """Return the values of the keys in their order, None for a key that does not exist.

        Redis must reply by the event loop's time `deadline`. Raises Unavailable.
        """
        with self._observer.redis_lookup("MGET", len(keys)):
            return await self._get_many(keys, deadline)

    async def _get_many(self, keys: list[str], deadline: float) -> list[bytes | None]:
        reader = take_open(self._readers)
        if reader and self._trust.needs_probe(reader.used_at, reader.now):
            reader = await take_trusted(reader, self._readers, self._trust, keys)
        if reader is None:
            reader = await self._execute(self._new_reader(), deadline)
        try:
            values = await reader.mget(keys, deadline)
        except (redis.exceptions.RedisError, OSError) as error:
            if isinstance(error, TimeoutError):
                self._trust.doubt(reader.now - self.timeout)
            raise to_app_error(error) from error
        self._readers.append(reader)
        return values

    async def _new_reader(self) -> Reader:
        pool = self.client.connection_pool
        connection = pool.make_connection()
        await connection.connect()
        return self._reader(connection)

    async def ping(self) -> str | None:
        """Return None when the server responds, else why it does not."""
        try:
            await self.execute(self._ping())
        except Unavailable as error:
            return str(error)
        return None

    def _ping(self) -> Awaitable[Any]:
        reply: Awaitable[Any] = self.client.ping()
        return reply

    async def close(self) -> None:
        """Close every connection."""
        for reader in self._readers:
            reader.close()
        await self.client.aclose()


class SentinelRedis(Redis):
    """The primary of a service, as Sentinels name it."""

    def __init__(
        self, at: Sentinels, pool_size: int, timeout: float, trust: Trust, observer: Observer
    ) -> None:
        self._sentinel, client = watch_primary(at, pool_size, timeout, trust, observer)
        super().__init__(client, timeout, trust, PrimaryReader, observer)
        self._watching: asyncio.Task[None] | None = None

    async def fill(self) -> None:
        """Connect to the primary, and start to query the Sentinels. Raises Unavailable."""
        await super().fill()
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH)
            with contextlib.suppress(Unavailable):  # commands raise it themselves
                await self.execute(self.client.connection_pool.get_master_address())

    async def close(self) -> None:
        """Close every connection."""
        if self._watching:
            self._watching.cancel()
        await super().close()
        await self._sentinel.aclose()


class ClusterRedis(Redis):
    """A cluster. A look-up goes to all nodes that have its keys at once."""

    def __init__(
        self, at: Nodes, pool_size: int, timeout: float, trust: Trust, observer: Observer
    ) -> None:
        from store.redis.cluster import Cluster  # noqa: PLC0415  # most servers have one Redis

        client = Cluster(at, pool_size, timeout, trust, observer)
        super().__init__(client, timeout, trust, observer=observer)
        self._turns = asyncio.Semaphore(pool_size)  # redis-py's cluster pools raise, do not wait

    async def _execute(self, command: Awaitable[Any], deadline: float | None = None) -> Any:
        """Do as on one Redis, and after a failure read the table of slots again."""
        try:
            return await super()._execute(self._in_turn(command), deadline)
        except Unavailable:
            self.client.refresh()
            raise

    async def _in_turn(self, command: Any) -> Any:
        try:
            async with self._turns:
                return await command
        finally:
            if asyncio.iscoroutine(command):
                command.close()  # otherwise Python warns if it was never awaited

    async def fill(self) -> None:
        """Learn the nodes, and connect to each primary. Raises Unavailable."""
        await self._execute(self.client.initialize())
        await self._execute(self._ping())

    def _ping(self) -> Awaitable[Any]:
        reply: Awaitable[Any] = self.client.ping(target_nodes=self.client.PRIMARIES)
        return reply

    async def _get_many(self, keys: list[str], deadline: float) -> list[bytes | None]:
        """Read the keys of each node in one round trip."""
        values: list[bytes | None] = await self._execute(
            self.client.get_many(keys, deadline), deadline
        )
        return values


async def connect_redis(
    url: str,
    pool_size: int,
    command_timeout: float,
    *,
    at_once: bool = True,
    idle_seconds: float = IDLE_SECONDS,
    observer: Observer = UNOBSERVED,
) -> Redis:
    """Return a client that is connected to a server. Raises Unavailable when it is unreachable.

    Unless `at_once`, it connects at the first command. Each command gets `command_timeout`
    seconds. A connection that was idle for `idle_seconds` is probed before it is used.
    """
    client: Redis
    trust = Trust(command_timeout, idle_seconds)
    match parse_redis_url(url):
        case Sentinels() as at:
            client = SentinelRedis(at, pool_size, command_timeout, trust, observer)
        case Nodes() as at:
            client = ClusterRedis(at, pool_size, command_timeout, trust, observer)
        case _:
            single = _single(url, pool_size, command_timeout, trust, observer)
            client = Redis(single, command_timeout, trust, observer=observer)
    try:
        if at_once:
            await client.fill()
    except Unavailable:
        await client.close()
        raise
    except redis.exceptions.RedisError as error:  # the server is of another kind than the URL says
        await client.close()
        raise Unavailable("redis", first_line(error)) from error
    return client


def _single(url: str, pool_size: int, timeout: float, trust: Trust, observer: Observer) -> Any:
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        trust=trust,
        max_connections=pool_size,
        timeout=timeout,
        socket_connect_timeout=timeout,
        socket_timeout=timeout,
        retry=None,
        retry_on_error=[],
        client_name="latchkey",
        **PLAIN,
    )
    # from_url replaces the class of connections by the one of the URL's scheme.
    pool.connection_class = _LIVE[pool.connection_class]
    client: Any = ObservedRedis.from_pool(pool)
    client.observer = observer
    return client


def check_redis_url(url: str) -> str:
    """Return a Redis URL unchanged. Raises ValueError when it is invalid."""
    parse_redis_url(url)
    return url


def _forget(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled():
        task.exception()  # otherwise asyncio logs that it was never retrieved
