"""Discards input that is not read, so that the client receives its response.

A connection that is closed with unread input is reset, and its response is lost: a client that
sends a whole upload before it reads would see a network error instead of its 401. Therefore further
input is read and discarded, as nginx does, within these limits.
"""

import asyncio
from typing import Protocol

MAX_SECONDS = 30.0
MAX_SILENCE = 5.0
"""Seconds without input."""
MIN_BYTES = 16 * 1024 * 1024
"""The most bytes that are discarded, or the length of the largest allowed upload if longer."""


class Connection(Protocol):
    """The protocol that the transport had before; it receives the transport's events."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Handle the end of the connection."""

    def pause_writing(self) -> None:
        """Handle a full write buffer."""

    def resume_writing(self) -> None:
        """Handle a write buffer that has room again."""


class InputDiscarder(asyncio.Protocol):
    """Takes over a transport after its last response, and discards further input."""

    def __init__(self, connection: Connection, most: int) -> None:
        self._connection = connection
        self._left = most
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._latest = self._loop.time() + MAX_SECONDS
        self._deadline: asyncio.Timeout | None = None

    async def wait(self) -> None:
        """Return when the client has closed the connection, or when a limit is reached."""
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
        """Discard the data."""
        self._left -= len(data)
        if self._left < 0:
            self.end()
        elif self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(min(self._latest, self._loop.time() + MAX_SILENCE))

    def connection_lost(self, exc: BaseException | None) -> None:
        """End, and pass the event on."""
        self.end()
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass the event on."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Pass the event on."""
        self._connection.resume_writing()
