"""Threads for work that takes a core: bounded, below the event loop, refusing when full."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from store.errors import Busy
from telemetry.observer import UNOBSERVED, ObservedCall

P = ParamSpec("P")
T = TypeVar("T")

_NICE = 10
"""Below the event loop: reads kept 71 % of their throughput beside a full pool, 59 % without."""
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Count the cores this process may use: its affinity, bounded by its cgroup's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        return max(1, min(cores or 1, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2 here, or its quota is "max"
        return cores or 1


class Workers:
    """Runs functions on `threads` threads.

    A call that would wait longer than `max_wait` seconds for a thread raises `Busy` at once;
    `seconds` is what one call takes, until it has been measured. A call whose caller is cancelled
    before it begins is dropped.
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
        self._pending = 0
        self._begun: dict[object, float] = {}

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function on a thread and return its result. Raises Busy, and what it raises."""
        with self._observe() as observed:
            wait = self._expected_wait()
            if wait > self._max_wait:
                raise Busy(wait)
            call = object()

            def timed() -> T:
                begun = self._begun[call] = time.perf_counter()
                observed.started()
                try:
                    return work(*args, **kwargs)
                finally:
                    observed.finished()
                    del self._begun[call]
                    self._seconds += 0.1 * (time.perf_counter() - begun - self._seconds)

            self._pending += 1
            try:
                return await asyncio.get_running_loop().run_in_executor(self._pool, timed)
            finally:
                self._pending -= 1

    def _expected_wait(self) -> float:
        """Return how long a call would wait, from what calls took and those at work have taken."""
        rounds = self._pending // self._threads
        if not rounds:
            return 0.0
        now = time.perf_counter()
        # A call that has outlasted the others by so much may well take that long again.
        late = sum(max(0.0, now - begun - self._seconds) for begun in list(self._begun.values()))
        return rounds * self._seconds + late / self._threads

    def close(self) -> None:
        """Drop what has not begun. Nobody waits here for a call that is under way."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def lower_priority() -> None:
    """Give the calling thread a lower priority than the event loop's."""
    # On Linux a thread has a nice value of its own; elsewhere this would slow the whole process.
    if os.uname().sysname == "Linux":
        thread = threading.get_native_id()
        own = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, max(own, _NICE))
