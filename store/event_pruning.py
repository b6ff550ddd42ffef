"""The task that deletes old events, in small batches."""

import asyncio
import contextlib
import logging
import random

from store.errors import Unavailable
from store.event_log import PRUNED_AT_ONCE, EventLog

FIRST_SECONDS, EVERY_SECONDS = 60.0, 3600.0
"""How long after the start, and how often; a random share of it apart, for several processes."""
PAUSE_SECONDS = 0.2
"""Between two batches: requests come first."""

_log = logging.getLogger("latchkey.events")


class EventPruner:
    """Deletes events that are too old. `start` and `close` belong to one event loop."""

    def __init__(
        self, events: EventLog, first: float = FIRST_SECONDS, every: float = EVERY_SECONDS
    ) -> None:
        """Begin after `first` seconds, on average, and go on `every` so many."""
        self._events = events
        self._first, self._every = first, every
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop after the batch in progress."""
        self._closing.set()
        if self._task:
            await self._task

    async def _run(self) -> None:
        pause = self._first
        while not await self._is_closing(pause * random.uniform(0.5, 1.5)):  # noqa: S311
            pause = self._every
            try:
                while await self._events.prune() == PRUNED_AT_ONCE:
                    if await self._is_closing(PAUSE_SECONDS):
                        return
            except Unavailable as error:
                _log.warning("old events are not deleted: %s", error)
            except Exception:
                _log.exception("old events could not be deleted")  # a bug

    async def _is_closing(self, seconds: float) -> bool:
        """Wait for this long; return early, and whether to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return self._closing.is_set()
