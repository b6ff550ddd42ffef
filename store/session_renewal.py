"""Extends sessions by use: rarely, in batches, and after the response.

The rules are in docs/session-protocol.md#extend.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from store.errors import Unavailable
from store.session_record import Session

_log = logging.getLogger("latchkey.sessions")

DELAY = 0.05
"""Seconds for which uses are gathered before they are written."""
BATCH = 256
MEMORY = 100_000
"""At most twice this many sessions are remembered as extended."""


class SessionRenewer:
    """Gathers the sessions that were used and passes them to `write` in batches."""

    def __init__(self, write: Callable[[Sequence[Session]], Awaitable[None]]) -> None:
        self._write = write
        self._pending: list[Session] = []
        self._lately: set[str] = set()
        self._before: set[str] = set()
        self._turn = 0.0
        self._task: asyncio.Task[None] | None = None

    def add(self, session: Session, quiet: float) -> None:
        """Extend a session soon, unless this process did so within about `quiet` seconds."""
        now = time.monotonic()
        if now > self._turn or len(self._lately) >= MEMORY:
            self._before, self._lately = self._lately, set()
            self._turn = now + quiet / 2
        if session.sid in self._lately or session.sid in self._before:
            return
        self._lately.add(session.sid)
        self._pending.append(session)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write_soon())

    async def close(self) -> None:
        """Wait until all gathered sessions are written."""
        if self._task:
            await self._task

    async def _write_soon(self) -> None:
        try:
            await asyncio.sleep(DELAY)
            while self._pending:
                batch, self._pending = self._pending[:BATCH], self._pending[BATCH:]
                await self._write(batch)
        except Unavailable as error:
            count = len(batch) + len(self._pending)
            _log.warning("%d sessions were not renewed: %s", count, error)
            self._pending.clear()
        finally:
            self._task = None
