"""Reads from Redis by MGET on a separate connection, in two system calls.

redis-py opens the connection, with all options of the URL; then a Reader takes it over. redis-py's
own path from a command to its reply takes twice the CPU, and most requests are look-ups.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import hiredis
import redis.exceptions

from store.redis.connection import Trust

_ROLE: bytes = hiredis.pack_command(("ROLE",))


class Reader(asyncio.Protocol):
    """A connection for one MGET at a time."""

    def __init__(self, connection: Any) -> None:
        """Take over an open connection of redis-py's."""
        self._connection = connection
        self._transport: asyncio.Transport = connection._writer.transport
        self._parser = hiredis.Reader()
        self._loop = asyncio.get_running_loop()
        self.used_at = self._loop.time()
        self._reply: asyncio.Future[Any] | None = None
        self._transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Return whether the connection is open."""
        return not self._transport.is_closing()

    @property
    def now(self) -> float:
        """Return the event loop's time."""
        return self._loop.time()

    async def mget(self, keys: list[str], deadline: float) -> list[bytes | None]:
        """Return the values of keys; the server must reply by the loop's time `deadline`.

        Raises TimeoutError, redis.exceptions.ConnectionError or ResponseError. The connection is
        then closed, because a late reply would be taken for that of the next command.
        """
        reply = self._reply = self._loop.create_future()
        timer = self._loop.call_at(deadline, self._fail, TimeoutError())
        try:
            self._transport.write(self._pack(keys))
            values: list[bytes | None] = await reply
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
        self.used_at = self._loop.time()
        return values

    def _pack(self, keys: list[str]) -> bytes:
        command: bytes = hiredis.pack_command(("MGET", *keys))  # type: ignore[arg-type]  # says one
        return command

    def data_received(self, data: bytes) -> None:
        """Parse a part of the reply."""
        self._parser.feed(data)
        reply = self._parser.gets()
        if isinstance(reply, hiredis.ReplyError):
            self._fail(redis.exceptions.ResponseError(str(reply)))
        elif reply is not False and self._reply and not self._reply.done():
            self._reply.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the MGET in flight."""
        self._connection._close()  # otherwise redis-py warns that it was not closed
        self._fail(redis.exceptions.ConnectionError("the connection was closed"))

    def close(self) -> None:
        """Close the connection. An MGET in flight fails."""
        self._transport.abort()

    def _fail(self, error: Exception) -> None:
        if self._reply and not self._reply.done():
            self._reply.set_exception(error)


class PrimaryReader(Reader):
    """Reads from a primary only: a replica would reply too, from old data.

    Each MGET is followed by ROLE. A server that is a primary then was one at the MGET.
    """

    _values: list[bytes | None] | None = None

    @property
    def is_open(self) -> bool:
        """Return whether the connection is open and leads to the latest known primary."""
        end = self._connection
        return super().is_open and (end.host, end.port) == end.connection_pool.master_address

    def _pack(self, keys: list[str]) -> bytes:
        return super()._pack(keys) + _ROLE

    def data_received(self, data: bytes) -> None:
        """Parse a part of the replies: the values, then the role."""
        self._parser.feed(data)
        while (reply := self._parser.gets()) is not False:
            if isinstance(reply, hiredis.ReplyError):
                self._fail(redis.exceptions.ResponseError(str(reply)))
            elif self._values is None:
                self._values = reply
            elif reply[0] != b"master":
                self._fail(redis.exceptions.ReadOnlyError("the primary has become a replica"))
            elif self._reply and not self._reply.done():
                self._reply.set_result(self._values)
                self._values = None


class NodeReader(Reader):
    """Reads from a node of a cluster by a GET for each key, since MGET may not span slots.

    A value may be a hiredis.ReplyError, which is of its key alone.
    """

    _expected = 0

    def _pack(self, keys: list[str]) -> bytes:
        self._expected = len(keys)
        self._replies: list[Any] = []
        return b"".join([hiredis.pack_command(("GET", key)) for key in keys])  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Parse a part of the replies, until there is one for each key."""
        self._parser.feed(data)
        while (reply := self._parser.gets()) is not False:
            self._replies.append(reply)
        if len(self._replies) == self._expected and self._reply and not self._reply.done():
            self._reply.set_result(self._replies)


def take_open(readers: list[Reader]) -> Reader | None:
    """Remove and return a reader whose connection is open, None when there is none."""
    while readers:
        reader = readers.pop()
        if reader.is_open:
            return reader
        reader.close()
    return None


async def take_trusted(
    reader: Reader, readers: list[Reader], trust: Trust, keys: Sequence[str]
) -> Reader | None:
    """Return the reader if its probe succeeds.

    Otherwise return None, and close those of `readers` that were idle for as long.
    """
    try:
        if not trust.is_lost(reader.used_at):
            await reader.mget(list(keys[:1]), reader.now + trust.probe_timeout)
            return reader
    except (redis.exceptions.RedisError, OSError):
        trust.lose(reader.used_at)
    reader.close()
    for other in [each for each in readers if trust.is_lost(each.used_at)]:
        readers.remove(other)
        other.close()
    return None
