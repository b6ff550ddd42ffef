"""What is done with bytes that nobody reads, so that the client gets the response to them.

Closing a connection with bytes unread resets it, and then the response is lost on its way: a client
that sends an upload to its end before it reads would see a network error, not its 401. So what
still comes is taken in and dropped, as nginx does: for as long as it comes, with limits.
"""

import asyncio
from typing import Protocol

MAX_SECONDS = 30.0
MAX_SILENCE = 5.0
"""Seconds without a byte."""
MIN_BYTES = 16 * 1024 * 1024
"""How much is taken in at most, if the largest upload that is allowed is not longer."""


class Connection(Protocol):
    """What is told of the transport that was its own."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Take in that it is closed."""

    def pause_writing(self) -> None:
        """Take in that its buffer is full."""

    def resume_writing(self) -> None:
        """Take in that its buffer has room."""


class InputDiscarder(asyncio.Protocol):
    """Takes over a transport whose last response has been written, and drops what still comes."""

    def __init__(self, connection: Connection, most: int) -> None:
        self._connection = connection
        self._left = most
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._latest = self._loop.time() + MAX_SECONDS
        self._deadline: asyncio.Timeout | None = None

    async def wait(self) -> None:
        """Return when the client has closed, or when it has had enough time, or sent enough."""
        try:
            async with asyncio.timeout(MAX_SILENCE) as self._deadline:
                await self._ended
        except TimeoutError:
            pass

    def end(self) -> None:
        """Stop waiting."""
        if not self._ended.done():
            self._ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Drop it."""
        self._left -= len(data)
        if self._left < 0:
            self.end()
        elif self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(min(self._latest, self._loop.time() + MAX_SILENCE))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell the connection, too."""
        self.end()
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """Tell the connection."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Tell the connection."""
        self._connection.resume_writing()
