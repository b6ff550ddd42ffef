"""Reading from Redis: MGET on a connection of its own, in two system calls.

redis-py opens the connection, with all that a URL may ask for; then this takes it over. redis-py's
own way from a command to its answer takes twice the CPU, and look-ups are what most requests are.
"""

import asyncio
from typing import Any

import hiredis
import redis.exceptions


class Reader(asyncio.Protocol):
    """A connection that answers one MGET at a time."""

    def __init__(self, connection: Any) -> None:
        """Take over an open connection of redis-py's."""
        self._connection = connection
        self._transport: asyncio.Transport = connection._writer.transport
        self._parser = hiredis.Reader()
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Any] | None = None
        self._transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Tell whether the connection still stands."""
        return not self._transport.is_closing()

    async def mget(self, keys: list[str], by: float) -> list[bytes | None]:
        """Return the values of keys; the connection must have answered by the loop's time `by`.

        Raises TimeoutError, redis.exceptions.ConnectionError or ResponseError; the connection is
        then closed, since a late answer would be taken for another's.
        """
        answer = self._answer = self._loop.create_future()
        timer = self._loop.call_at(by, self._fail, TimeoutError())
        try:
            command = hiredis.pack_command(("MGET", *keys))  # type: ignore[arg-type]  # says one
            self._transport.write(command)
            values: list[bytes | None] = await answer
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
        return values

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
