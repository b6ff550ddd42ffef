"""A bounded queue for threads in which clients take turns, so that one of them cannot fill it."""

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from store.client import NOBODY, Client
from store.errors import Busy, Disconnected
from store.threads import lower_priority
from telemetry.observer import UNOBSERVED, ObservedCall

T = TypeVar("T")

_OVERDUE, _OVERDUE_SECONDS = 2.0, 10.0
"""How many times `max_wait` a place is kept, and for how long at least: others may come between
after it was promised, and a busy machine takes several times as long for what comes before it."""


@dataclass(slots=True)
class _Place:
    """A call that waits. `granted` gets a result when a thread is reserved for it."""

    client: Client
    until: float
    granted: "asyncio.Future[None]"


class FairQueue:
    """Runs functions on `threads` threads. Clients take turns, by the network of their address.

    A call that would wait longer than `max_wait` seconds for a thread raises `Busy` at once;
    `seconds` is what one call takes, until it has been measured. What a client that has
    disconnected was waiting for is dropped before it begins.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        max_wait: float,
        seconds: float,
        observe: Callable[[], ObservedCall] = UNOBSERVED.thread_call,
    ) -> None:
        self._threads = threads
        self._max_wait = max_wait
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(threads, name, initializer=lower_priority)
        self._observe = observe
        self._idle = threads
        self._lines: OrderedDict[str, deque[_Place]] = OrderedDict()

    async def run(self, work: Callable[[], T], *, client: Client = NOBODY, share: float = 1.0) -> T:
        """Run the function on a thread and return its result; raises what it raises.

        `share` is how much of `max_wait` this kind of work may use: the rest of the queue is kept
        for others. Raises Busy, and Disconnected when the client left before its turn.
        """
        loop = asyncio.get_running_loop()
        with self._observe() as observed:
            if self._idle and not self._lines:
                self._idle -= 1
            else:
                await self._wait(client, share)

            def timed() -> T:
                begun = time.perf_counter()
                observed.started()
                try:
                    return work()
                finally:
                    observed.finished()
                    self._seconds += 0.1 * (time.perf_counter() - begun - self._seconds)

            def ended(_: object) -> None:
                with contextlib.suppress(RuntimeError):  # the event loop has been closed
                    loop.call_soon_threadsafe(self._release)

            working = self._pool.submit(timed)
            # Not when its client stops waiting: the thread works on, and is not free yet.
            working.add_done_callback(ended)
            return await asyncio.wrap_future(working)

    def close(self) -> None:
        """Stop the threads; what has not begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _wait(self, client: Client, share: float) -> None:
        """Wait until a thread is reserved. Raises Busy, Disconnected."""
        source = client.network
        line = self._lines.get(source, ())
        before = self._threads - self._idle + len(line)
        for other in self._lines.values():
            if other is not line:
                before += min(len(other), len(line) + 1)
        wait = before // self._threads * self._seconds
        if wait > self._max_wait * share:
            raise Busy(wait)
        loop = asyncio.get_running_loop()
        keep = max(_OVERDUE * self._max_wait, _OVERDUE_SECONDS)
        place = _Place(client, loop.time() + keep, loop.create_future())
        self._lines.setdefault(source, deque()).append(place)
        try:
            await place.granted
        except asyncio.CancelledError:
            if place.granted.cancelled():
                self._leave(source, place)
            elif place.granted.exception() is None:
                self._release()  # a thread was reserved in this very turn
            raise

    def _leave(self, source: str, place: _Place) -> None:
        with contextlib.suppress(KeyError, ValueError):  # `_release` passed it over in this turn
            self._lines[source].remove(place)
            if not self._lines[source]:
                del self._lines[source]

    def _release(self) -> None:
        """Take a thread back and reserve it for the next client in turn."""
        self._idle += 1
        now = asyncio.get_running_loop().time()
        while self._idle and self._lines:
            source, line = next(iter(self._lines.items()))
            place = line.popleft()
            if line:
                self._lines.move_to_end(source)
            else:
                del self._lines[source]
            if place.granted.done():
                continue
            if place.client.is_gone():
                place.granted.set_exception(Disconnected())
            elif now > place.until:
                place.granted.set_exception(Busy(self._seconds))
            else:
                self._idle -= 1
                place.granted.set_result(None)
