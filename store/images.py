"""Pictures: an uploaded file becomes three small WebP squares.

Processes decode the files (`store/image_decoder.py`), one picture at a time each, while a thread
waits for each. There are two lanes. Every picture first goes to the small lane, which has a limit
of half a second of CPU time. A picture that is large, or exceeds that limit, goes to the large
lane, whose limit is two seconds. So a small picture never waits for a large one.

One picture at a time is decoded for each account and for each address, so that no client can use a
lane alone.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable, Mapping
from functools import partial

from store.client import NOBODY, Client
from store.errors import RateLimited
from store.image_cost import SIDES
from store.image_processes import Decoders, LargePicture
from store.threads import BoundedThreads
from telemetry.observer import UNOBSERVED, Observer

__all__ = ["SIDES", "Images"]

ACCOUNT_TURNS, ADDRESS_TURNS = 2, 16
"""How many pictures of one account, and of one address, may be decoded or waiting."""
JPEG_CACHE_BYTES = 16 * 1024 * 1024
"""A thousand JPEGs of 256 pixels a side."""


class Images:
    """Converts uploaded files into the squares that are stored.

    Pictures of more than `max_pixels` are rejected before they are decoded. The large lane has
    `processes` processes. A call that would wait longer than `max_wait` seconds raises Busy.
    `environment` is that of the processes.
    """

    def __init__(
        self,
        processes: int,
        max_wait: float,
        max_pixels: int,
        environment: Mapping[str, str] | None = None,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._max_pixels = max_pixels
        observe = partial(observer.thread_call, "picture")
        self._small = BoundedThreads("small images", 1, max_wait, 0.05, observe)
        self._large = BoundedThreads("large images", processes, max_wait, 0.5, observe)
        self._jpegs = BoundedThreads("jpegs", 1, max_wait, 0.01, observe)
        self._decoders = Decoders(max_pixels, environment or {})
        self._turns = Turns()
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached_bytes = 0

    @property
    def threads(self) -> list[BoundedThreads]:
        """The threads that wait for the processes, and the one that makes JPEGs."""
        return [self._small, self._large, self._jpegs]

    async def square(
        self,
        sent: bytes,
        account_id: int = 0,
        client: Client = NOBODY,
    ) -> list[bytes]:
        """Return the picture as WebP in each of `SIDES`. Raises BadPicture, Busy, RateLimited.

        When the client disconnects, its decoder is ended and Busy is raised.
        """
        async with (
            self._turns.of(("account", account_id), ACCOUNT_TURNS),
            self._turns.of(("address", client.network), ADDRESS_TURNS),
        ):
            try:
                return await self._small.run(self._decoders.squares, sent, False, client.is_gone)
            except LargePicture:
                return await self._large.run(self._decoders.squares, sent, True, client.is_gone)

    async def jpeg(self, name: str, webp: bytes, client: Client = NOBODY) -> bytes:
        """Return a stored square as JPEG, cached by its name. Raises Busy, RateLimited."""
        if found := self._cached(name):
            return found
        async with self._turns.of(("jpegs", client.network), ADDRESS_TURNS):
            if found := self._cached(name):  # made for a request before this one in the queue
                return found
            made = await self._jpegs.run(_jpeg, webp)
        self._keep(name, made)
        return made

    def close(self) -> None:
        """End the processes at once, and drop the calls that have not begun."""
        for threads in self.threads:
            threads.close()
        self._decoders.close()

    def _cached(self, name: str) -> bytes | None:
        found = self._cache.get(name)
        if found is not None:
            self._cache.move_to_end(name)
        return found

    def _keep(self, name: str, content: bytes) -> None:
        if name not in self._cache:
            self._cache[name] = content
            self._cached_bytes += len(content)
        while self._cached_bytes > JPEG_CACHE_BYTES:
            _, dropped = self._cache.popitem(last=False)
            self._cached_bytes -= len(dropped)


def _jpeg(webp: bytes) -> bytes:
    # Pillow is imported into this process only when a JPEG is requested.
    from store.image_decoder import jpeg  # noqa: PLC0415

    return jpeg(webp)


class Turns:
    """Serializes the calls of each key."""

    def __init__(self) -> None:
        self._turns: dict[Hashable, _Turn] = {}

    @contextlib.asynccontextmanager
    async def of(self, key: Hashable, most: int) -> AsyncIterator[None]:
        """Wait for the key's turn. Raises RateLimited when `most` calls run or wait already."""
        turn = self._turns.setdefault(key, _Turn())
        if turn.count >= most:
            raise RateLimited(1.0)
        turn.count += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.count -= 1
            if not turn.count:
                del self._turns[key]


class _Turn:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.count = 0
