"""How many phones there are, and how many begin each second, if the command does not say.

Each phone begins with a registration, which takes a core for a quarter of a second by design. When
more registrations and logins come than the cores can hash, the server refuses some with a 503.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import gevent

SAMPLES = 3
SHARE = 1 / 3
"""Of the hashes that the cores manage, for phones that begin, and as much for logins later. The
rest is for what else the cores do: this program and both stores may be on the same machine."""
HASHES = 1.2
"""Hashes for each new phone: one of five dialects logs in after it registers."""
LOGINS = 0.016
"""Logins of each phone a second: one in fifty of its requests, of which there are 0.8 a second."""
MOST_PHONES = 50


class Ramp(NamedTuple):
    """`phones` in all, of which `rate` begin each second."""

    phones: int
    rate: float


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def measure(cores: int, register: Callable[[], None]) -> float:
    """Return the seconds that a registration takes while each of the cores has one."""
    took = []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        gevent.joinall([gevent.spawn(register) for _ in range(cores)], raise_error=True)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def plan(cores: int, seconds: float) -> Ramp:
    """Return the ramp for this many cores, on each of which a registration takes `seconds`."""
    hashes = SHARE * cores / seconds
    return Ramp(max(1, min(MOST_PHONES, int(hashes / LOGINS))), round(hashes / HASHES, 2))
