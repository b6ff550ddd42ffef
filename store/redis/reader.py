"""Reading from Redis: MGET on a connection of its own, in two system calls.

redis-py opens the connection, with all that a URL may ask for; then this takes it over. redis-py's
own way from a command to its answer takes twice the CPU, and look-ups are what most requests are.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import hiredis
import redis.exceptions

from store.redis.connection import Trust

_ROLE: bytes = hiredis.pack_command(("ROLE",))


class Reader(asyncio.Protocol):
    """A connection that answers one MGET at a time."""

    def __init__(self, connection: Any) -> None:
        """Take over an open connection of redis-py's."""
        self._connection = connection
        self._transport: asyncio.Transport = connection._writer.transport
        self._parser = hiredis.Reader()
        self._loop = asyncio.get_running_loop()
        self.used_at = self._loop.time()
        self._answer: asyncio.Future[Any] | None = None
        self._transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Tell whether the connection still stands."""
        return not self._transport.is_closing()

    @property
    def now(self) -> float:
        """Return the event loop's time."""
        return self._loop.time()

    async def mget(self, keys: list[str], deadline: float) -> list[bytes | None]:
        """Return the values of keys; the server must have replied by the loop's time `deadline`.

        Raises TimeoutError, redis.exceptions.ConnectionError or ResponseError; the connection is
        then closed, since a late answer would be taken for another's.
        """
        answer = self._answer = self._loop.create_future()
        timer = self._loop.call_at(deadline, self._fail, TimeoutError())
        try:
            self._transport.write(self._pack(keys))
            values: list[bytes | None] = await answer
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
        """Take what Redis sends."""
        self._parser.feed(data)
        reply = self._parser.gets()
        if isinstance(reply, hiredis.ReplyError):
            self._fail(redis.exceptions.ResponseError(str(reply)))
        elif reply is not False and self._answer and not self._answer.done():
            self._answer.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits that there will be no answer."""
        self._connection._close()  # else redis-py complains that nobody did
        self._fail(redis.exceptions.ConnectionError("the connection was closed"))

    def close(self) -> None:
        """Close the connection; whoever waits for its answer is told."""
        self._transport.abort()

    def _fail(self, error: Exception) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(error)


class PrimaryReader(Reader):
    """Reads from a primary only: a replica would answer too, from old data.

    Each MGET is followed by ROLE. Who is a primary after it was one when it answered.
    """

    _values: list[bytes | None] | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether the connection still stands and leads to the latest primary known."""
        end = self._connection
        return super().is_open and (end.host, end.port) == end.connection_pool.master_address

    def _pack(self, keys: list[str]) -> bytes:
        return super()._pack(keys) + _ROLE

    def data_received(self, data: bytes) -> None:
        """Take what Redis sends: the values, then its role."""
        self._parser.feed(data)
        while (reply := self._parser.gets()) is not False:
            if isinstance(reply, hiredis.ReplyError):
                self._fail(redis.exceptions.ResponseError(str(reply)))
            elif self._values is None:
                self._values = reply
            elif reply[0] != b"master":
                self._fail(redis.exceptions.ReadOnlyError("the primary has become a replica"))
            elif self._answer and not self._answer.done():
                self._answer.set_result(self._values)
                self._values = None


class NodeReader(Reader):
    """Reads from a node of a cluster, which takes no MGET over several slots: a GET for each key.

    An answer may be a hiredis.ReplyError: it is its key's alone.
    """

    _expected = 0

    def _pack(self, keys: list[str]) -> bytes:
        self._expected = len(keys)
        self._replies: list[Any] = []
        return b"".join([hiredis.pack_command(("GET", key)) for key in keys])  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Take what the node sends, until there is an answer for each key."""
        self._parser.feed(data)
        while (reply := self._parser.gets()) is not False:
            self._replies.append(reply)
        if len(self._replies) == self._expected and self._answer and not self._answer.done():
            self._answer.set_result(self._replies)


def take_open(readers: list[Reader]) -> Reader | None:
    """Take a reader whose connection still stands: one may have ended while it was idle."""
    while readers:
        reader = readers.pop()
        if reader.is_open:
            return reader
        reader.close()
    return None


async def take_trusted(
    reader: Reader, readers: list[Reader], trust: Trust, keys: Sequence[str]
) -> Reader | None:
    """Return the reader if it answers; else None, and those that were idle as long are closed."""
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
