"""A process: its memory and its time until it is ready, both beside those of bare aiohttp."""

import contextlib
import time
from collections.abc import Callable

from bench import load
from bench.figures import MEBIBYTES, SECONDS, Figure, Result, Sample, at, measured
from bench.reads import NAMES
from bench.servers import Server
from bench.stage import Stage

MEMORY_START = Figure(
    "memory-start", "memory of a process at its start, MiB", "memory", 60, 50, lower_is_better=True
)
MEMORY_READS = Figure(
    "memory-reads", "the same after many reads, MiB", "memory, reads", 75, 60, lower_is_better=True
)
READY = Figure(
    "ready", "process start until ready, stores running, s", "ready", 0.8, 0.4, lower_is_better=True
)
READY_CPU = Figure(
    "ready-cpu", "the CPU time of that, s", "ready, CPU", None, None, lower_is_better=True
)
READS = 500_000
"""For each second of the other figures' short runs: a million in a complete run."""
READS_SECONDS = 5
CONNECTIONS = 64

Start = Callable[[], contextlib.AbstractContextManager[Server]]


def process(stage: Stage) -> list[Result]:
    """Start both in turn, again and again; then read from one start of each."""
    # As in an installation: the first start, which seeds, has compiled the modules.
    ours: Start = lambda: stage.latchkey(PYTHONDONTWRITEBYTECODE="")  # noqa: E731
    bare: Start = lambda: stage.peer("bare")  # noqa: E731
    names = ("Latchkey", NAMES["bare"])
    pairs = stage.in_turn(lambda: _start(ours), lambda: _start(bare))
    reads = READS * stage.seconds
    after = [(_read(ours, reads), _read(bare, reads))]
    return [
        measured(MEMORY_START, names, MEBIBYTES, pairs),
        measured(MEMORY_READS, names, MEBIBYTES, after, f"after {reads:,} reads".replace(",", " ")),
        measured(READY, names, SECONDS, at(pairs, "ready")),
        measured(READY_CPU, names, SECONDS, at(pairs, "cpu")),
    ]


def _start(start: Start) -> Sample:
    """Return the memory after the first responses; `extra` has the seconds until they came."""
    began = time.monotonic()
    with start() as server:
        ready, cpu = time.monotonic() - began, server.cpu()
        server.settle()
        return Sample(_memory(server), extra={"ready": ready, "cpu": cpu})


def _read(start: Start, count: int) -> Sample:
    """Return the memory after at least this many reads."""
    with start() as server:
        while count > 0:
            count -= round(load.reads(server, CONNECTIONS, READS_SECONDS).value * READS_SECONDS)
        server.settle()
        return Sample(_memory(server))


def _memory(server: Server) -> float:
    return server.memory() / 2**20
