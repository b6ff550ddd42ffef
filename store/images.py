"""Pictures: what a client sends becomes three small WebP squares.

Decoding happens in processes that can be ended (`store/image_decoder.py`), each of which takes one
picture at a time, on a thread that only waits for it. There are two lanes. Every picture goes to
the first, which gives it half a second of CPU time; one that is large, or is not done by then, goes
to the second, which gives it two. So no picture waits for a large one but other large ones.

Nobody holds a lane alone: of each account, and of each address, one picture at a time is decoded.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable, Mapping
from functools import partial

from store.client import NOBODY, Client
from store.errors import RateLimited
from store.image_cost import SIDES
from store.image_processes import Decoders, PayloadTooLarge
from store.threads import Workers
from telemetry.observer import UNOBSERVED, Observer

__all__ = ["SIDES", "Images"]

ACCOUNT_TURNS, ADDRESS_TURNS = 2, 16
"""Pictures of one account, and of one address, that are decoded or wait for their turn."""
JPEG_CACHE_BYTES = 16 * 1024 * 1024
"""A thousand JPEGs of 256 pixels a side."""


class Images:
    """Turns what clients send into what is kept.

    Pictures of more than `max_pixels` are refused before they are decoded. `environment` is that of
    the processes.
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
        self._small = Workers("small images", 1, max_wait, 0.05, observe)
        self._large = Workers("large images", processes, max_wait, 0.5, observe)
        self._jpegs = Workers("jpegs", 1, max_wait, 0.01, observe)
        self._decoders = Decoders(max_pixels, environment or {})
        self._turns = Turns()
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached_bytes = 0

    @property
    def workers(self) -> list[Workers]:
        """What the pictures wait for."""
        return [self._small, self._large, self._jpegs]

    async def square(
        self,
        sent: bytes,
        account_id: int = 0,
        client: Client = NOBODY,
    ) -> list[bytes]:
        """Return the picture as WebP in each of `SIDES`. Raises BadPicture, Busy, RateLimited.

        It is given up, and Busy raised for nobody, as soon as its client has left.
        """
        async with (
            self._turns.of(("account", account_id), ACCOUNT_TURNS),
            self._turns.of(("address", client.network), ADDRESS_TURNS),
        ):
            try:
                return await self._small.run(self._decoders.squares, sent, False, client.is_gone)
            except PayloadTooLarge:
                return await self._large.run(self._decoders.squares, sent, True, client.is_gone)

    async def jpeg(self, name: str, webp: bytes, client: Client = NOBODY) -> bytes:
        """Return a square that is kept as JPEG; the same name is the same square. Raises Busy."""
        if found := self._cached(name):
            return found
        async with self._turns.of(("jpegs", client.network), ADDRESS_TURNS):
            if found := self._cached(name):  # made for somebody before in this queue
                return found
            made = await self._jpegs.run(_jpeg, webp)
        self._keep(name, made)
        return made

    def close(self) -> None:
        """End the processes at once; what has not begun is dropped."""
        for workers in self.workers:
            workers.close()
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
    # Pillow is in this process only once somebody has asked for a JPEG.
    from store.image_decoder import jpeg  # noqa: PLC0415

    return jpeg(webp)


class Turns:
    """Lets one call of each key go at a time."""

    def __init__(self) -> None:
        self._turns: dict[Hashable, _Turn] = {}

    @contextlib.asynccontextmanager
    async def of(self, key: Hashable, most: int) -> AsyncIterator[None]:
        """Wait for one's turn. Raises RateLimited when `most` are there already."""
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
