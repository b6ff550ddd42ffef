"""The task that deletes old rows, in small batches: events, and requests with their responses."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable

from store.errors import Unavailable

FIRST_SECONDS, EVERY_SECONDS = 60.0, 3600.0
"""How long after the start, and how often; a random share of it apart, for several processes."""
PAUSE_SECONDS = 0.2
"""Between two batches: requests come first."""

_log = logging.getLogger("latchkey.pruning")

Prune = Callable[[], Awaitable[int]]
"""Deletes a batch of old rows, and returns how many; 0 when there are no more."""


class Pruner:
    """Deletes the rows of one table that are too old. `start` and `close` belong to one event loop.

    `name` is what the log calls them.
    """

    def __init__(
        self,
        name: str,
        prune: Prune,
        first: float = FIRST_SECONDS,
        every: float = EVERY_SECONDS,
    ) -> None:
        """Begin after `first` seconds, on average, and go on `every` so many."""
        self._name, self._prune = name, prune
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
                while await self._prune():
                    if await self._is_closing(PAUSE_SECONDS):
                        return
            except Unavailable as error:
                _log.warning("old %s are not deleted: %s", self._name, error)
            except Exception:
                _log.exception("old %s could not be deleted", self._name)  # a bug

    async def _is_closing(self, seconds: float) -> bool:
        """Wait for this long; return early, and whether to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return self._closing.is_set()
