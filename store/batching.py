"""Batched look-ups: keys that are requested close together share one round trip.

This is not a cache. A key joins only a batch that has not been sent, so every value was read after
it was requested.
"""

import asyncio
import contextvars
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from telemetry.observer import UNOBSERVED, Observer

K = TypeVar("K")
V = TypeVar("V")

BATCH = 512
"""The maximum number of keys in one statement."""

IN_FLIGHT = 2
"""Batches in flight at once. Further keys gather until one returns, so batches grow with load."""

GATHER_TURNS = 8
"""Turns of the event loop, at most, for which a batch gathers while it has fewer keys than are in
flight. Without this, every other batch has only a few keys, which costs 1 to 3 % of a read."""

SPIN_SECONDS = 0.0004
"""How long the event loop spins for a lone key. Sleeping until the reply arrives takes longer than
the reply, and as much CPU: a lone read took 464 µs without this and 320 with it, of which 280 and
291 µs were CPU."""


class BatchLoader(Generic[K, V]):
    """Looks up keys through `fetch(keys, deadline)`, which returns the values that it found.

    `deadline` is the event loop's time at which the oldest key of the batch has waited `timeout`
    seconds; `fetch` must return or raise by then. Keys must be validated first: an invalid one
    would make the shared statement fail for the other keys of its batch.
    """

    def __init__(
        self,
        fetch: Callable[[list[K], float], Awaitable[Mapping[K, V]]],
        timeout: float,
        *,
        batch: int = BATCH,
        in_flight: int = IN_FLIGHT,
        observer: Observer = UNOBSERVED,
        name: str = "",
    ) -> None:
        self._loop = asyncio.get_running_loop()  # asking for it at each key costs a getpid(2)
        self._fetch = fetch
        self._observer = observer
        self._name = name
        self._note_request = observer.lookup_requests(name)
        self._timeout = timeout
        self._batch = batch
        self._context = contextvars.copy_context()  # not that of a request
        self._free = in_flight
        """How many more batches may be in flight."""
        self._keys_in_flight = 0
        self._waiting: dict[K, tuple[float, list[asyncio.Future[V | None]]]] = {}
        """Keys that are not sent yet, each with the time since which it waits."""
        self._gather_scheduled = False
        self._batches: set[asyncio.Task[None]] = set()
        self._closed = False

    def get(self, key: K) -> "asyncio.Future[V | None]":
        """Return a future of the key's value, None when there is none.

        Each caller gets its own future, so cancelling one does not affect the others. It raises
        what `fetch` raised for the key's batch.
        """
        if self._note_request is not None:
            self._note_request(key)
        waiter: asyncio.Future[V | None] = self._loop.create_future()
        if (waiting := self._waiting.get(key)) is not None:
            waiting[1].append(waiter)
            return waiter
        self._waiting[key] = self._loop.time(), [waiter]
        self._gather_soon(GATHER_TURNS)
        return waiter

    def close(self) -> None:
        """Cancel the batches in flight and the futures of all keys, also of later ones."""
        self._closed = True
        for batch in self._batches:
            batch.cancel()
        self._cancel_waiting()

    def _cancel_waiting(self) -> None:
        for _, waiters in self._waiting.values():
            for waiter in waiters:
                waiter.cancel()
        self._waiting.clear()

    def _gather_soon(self, turns: int) -> None:
        """Call `_gather` after this turn of the event loop, unless that is scheduled already."""
        if self._free and not self._gather_scheduled:
            self._gather_scheduled = True
            self._loop.call_soon(self._gather, turns)

    def _gather(self, turns: int) -> None:
        """Send a batch, up to `turns` later if it has fewer keys than are in flight."""
        self._gather_scheduled = False
        if self._closed:
            self._cancel_waiting()
        elif turns and len(self._waiting) < self._keys_in_flight:
            self._gather_soon(turns - 1)
        elif self._waiting:
            self._send()

    def _send(self) -> None:
        """Send a batch: of all that wait, or of the oldest if they are too many."""
        keys = list(itertools.islice(self._waiting, self._batch))
        deadline = self._waiting[keys[0]][0] + self._timeout
        requests = {key: self._waiting.pop(key)[1] for key in keys}
        self._free -= 1
        self._keys_in_flight += len(keys)
        load = self._load(requests, deadline)
        batch = self._loop.create_task(load, context=self._context.copy())
        self._batches.add(batch)
        batch.add_done_callback(self._batches.discard)
        batch.add_done_callback(lambda _: self._release(requests))
        if self._waiting:
            self._gather_soon(GATHER_TURNS)
        elif len(keys) == 1:
            self._stay_awake(requests[keys[0]][0], time.perf_counter() + SPIN_SECONDS)

    def _release(self, requests: dict[K, list["asyncio.Future[V | None]"]]) -> None:
        """Cancel the futures that a batch leaves, and let the next batch go.

        This is called by the batch, and again when its task is done: a task that was cancelled may
        not have begun.
        """
        if requests:
            self._free += 1
            self._keys_in_flight -= len(requests)
            for waiter in _undone(requests):
                waiter.cancel()
            requests.clear()
            if self._waiting:
                self._gather_soon(GATHER_TURNS)

    def _stay_awake(self, waiter: "asyncio.Future[V | None]", until: float) -> None:
        """Keep the event loop turning until a lone key has its value, or until `until`."""
        if not waiter.done() and time.perf_counter() < until:
            os.sched_yield()  # the store may be waiting for this core
            self._loop.call_soon(self._stay_awake, waiter, until)

    async def _load(
        self, requests: dict[K, list["asyncio.Future[V | None]"]], deadline: float
    ) -> None:
        try:
            with self._observer.lookup_batch(self._name, requests):
                found = await self._fetch(list(requests), deadline)
        except Exception as error:
            for waiter in _undone(requests):
                waiter.set_exception(error)
                waiter.exception()  # marks it as retrieved: its caller may be cancelled now
        else:
            for key, waiters in requests.items():
                value = found.get(key)
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(value)
        finally:
            self._release(requests)


def _undone(requests: Mapping[K, list["asyncio.Future[V]"]]) -> list["asyncio.Future[V]"]:
    return [waiter for waiters in requests.values() for waiter in waiters if not waiter.done()]
