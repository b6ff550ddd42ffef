"""A queue for threads in which clients take turns, so that one client cannot fill it."""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from store.client import NOBODY, Client
from store.errors import Busy, Disconnected
from store.threads import MeasuredThreads
from telemetry.observer import UNOBSERVED, ObservedCall

T = TypeVar("T")

_OVERDUE, _OVERDUE_SECONDS = 2.0, 10.0
"""A place in the queue expires after this many times `max_wait`, but at least so many seconds. The
estimate may be exceeded: others may come between, and a busy machine is several times slower."""


@dataclass(slots=True)
class _Place:
    """A waiting call. `reserved` gets a result when a thread is reserved for it."""

    client: Client
    expires: float
    """The event loop's time after which the call is not begun."""
    reserved: "asyncio.Future[None]"


class FairQueue(MeasuredThreads):
    """Runs functions on threads. Clients take turns, by the network of their address.

    A call whose client has disconnected is dropped before it begins.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        max_wait: float,
        seconds: float,
        observe: Callable[[], ObservedCall] = UNOBSERVED.thread_call,
    ) -> None:
        super().__init__(name, threads, max_wait, seconds, observe)
        self._idle = threads
        self._queues: OrderedDict[str, deque[_Place]] = OrderedDict()

    async def run(self, work: Callable[[], T], *, client: Client = NOBODY, share: float = 1.0) -> T:
        """Run the function on a thread and return its result; raise what it raises.

        `share` is the part of `max_wait` that this kind of work may use; the rest of the queue is
        left to other work. Raises Busy, and Disconnected when the client left before its turn.
        """
        loop = asyncio.get_running_loop()
        with self._observe() as observed:
            if self._idle and not self._queues:
                self._idle -= 1
            else:
                await self._wait(client, share)

            def release(_: object) -> None:
                with contextlib.suppress(RuntimeError):  # the event loop has been closed
                    loop.call_soon_threadsafe(self._release)

            call = self._pool.submit(self._measured(work, observed))
            # Not when the client stops waiting: the thread is busy until the call ends.
            call.add_done_callback(release)
            return await asyncio.wrap_future(call)

    def close(self) -> None:
        """Drop the calls that have not begun, and wait for those that have."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _wait(self, client: Client, share: float) -> None:
        """Wait until a thread is reserved. Raises Busy, Disconnected."""
        source = client.network
        queue = self._queues.get(source, ())
        before = self._threads - self._idle + len(queue)
        for other in self._queues.values():
            if other is not queue:
                before += min(len(other), len(queue) + 1)
        wait = before // self._threads * self._seconds
        if wait > self._max_wait * share:
            raise Busy(wait)
        loop = asyncio.get_running_loop()
        keep = max(_OVERDUE * self._max_wait, _OVERDUE_SECONDS)
        place = _Place(client, loop.time() + keep, loop.create_future())
        self._queues.setdefault(source, deque()).append(place)
        try:
            await place.reserved
        except asyncio.CancelledError:
            if place.reserved.cancelled():
                self._leave(source, place)
            elif place.reserved.exception() is None:
                self._release()  # a thread was reserved in the same turn of the event loop
            raise

    def _leave(self, source: str, place: _Place) -> None:
        with contextlib.suppress(KeyError, ValueError):  # `_release` passed it over in this turn
            self._queues[source].remove(place)
            if not self._queues[source]:
                del self._queues[source]

    def _release(self) -> None:
        """Take a thread back and reserve it for the next client in turn."""
        self._idle += 1
        now = asyncio.get_running_loop().time()
        while self._idle and self._queues:
            source, queue = next(iter(self._queues.items()))
            place = queue.popleft()
            if queue:
                self._queues.move_to_end(source)
            else:
                del self._queues[source]
            if place.reserved.done():
                continue
            if place.client.is_gone():
                place.reserved.set_exception(Disconnected())
            elif now > place.expires:
                place.reserved.set_exception(Busy(self._seconds))
            else:
                self._idle -= 1
                place.reserved.set_result(None)
