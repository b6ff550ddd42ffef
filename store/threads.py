"""Threads for CPU-bound work: a limited number, with a limited wait, at a low priority."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from store.errors import Busy
from telemetry.observer import UNOBSERVED, Call, ObservedCall

P = ParamSpec("P")
T = TypeVar("T")

_NICE = 10
"""The threads' nice value. Beside a full pool, reads kept 71 % of their throughput, else 59 %."""
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Return how many cores this process may use: its affinity, limited by its cgroup's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        return max(1, min(cores or 1, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2 here, or its quota is "max"
        return cores or 1


class MeasuredThreads:
    """A pool of `threads` threads that measures how long its calls take.

    A call that would wait longer than `max_wait` seconds for a thread raises Busy at once.
    `seconds` is the first estimate of what one call takes, until calls were measured.
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
        self._begun: dict[object, float] = {}

    def _measured(self, work: Callable[[], T], observed: Call) -> Callable[[], T]:
        """Return the function that runs `work` on a thread and measures it."""
        call = object()

        def run() -> T:
            begun = self._begun[call] = time.perf_counter()
            observed.started()
            try:
                return work()
            finally:
                observed.finished()
                del self._begun[call]
                self._seconds += 0.1 * (time.perf_counter() - begun - self._seconds)

        return run


class BoundedThreads(MeasuredThreads):
    """Runs functions on threads, in the order of the calls.

    A call that is cancelled before it begins never runs.
    """

    _pending = 0

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function on a thread and return its result. Raises Busy, and what it raises."""
        with self._observe() as observed:
            wait = self._expected_wait()
            if wait > self._max_wait:
                raise Busy(wait)
            measured = self._measured(partial(work, *args, **kwargs), observed)
            self._pending += 1
            try:
                return await asyncio.get_running_loop().run_in_executor(self._pool, measured)
            finally:
                self._pending -= 1

    def _expected_wait(self) -> float:
        """Estimate in seconds how long a call would wait for a thread."""
        turns = self._pending // self._threads
        if not turns:
            return 0.0
        now = time.perf_counter()
        # A call that has outlasted the mean by so much may well take that long again.
        late = sum(max(0.0, now - begun - self._seconds) for begun in list(self._begun.values()))
        return turns * self._seconds + late / self._threads

    def close(self) -> None:
        """Drop the calls that have not begun, without waiting for those that have."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def lower_priority() -> None:
    """Give the calling thread a lower priority than the event loop has."""
    # On Linux each thread has its own nice value. Elsewhere this would slow the whole process.
    if os.uname().sysname == "Linux":
        thread = threading.get_native_id()
        own = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, max(own, _NICE))
