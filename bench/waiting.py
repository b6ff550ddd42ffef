"""Reads while five hundred logins wait for their bcrypt, against reads alone."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Iterator

from bench import load
from bench.accounts import name_of
from bench.client import Connection
from bench.figures import MILLISECONDS, REQUESTS, Figure, Result, Sample, at, compare
from bench.logins import SETTINGS
from bench.servers import Server
from bench.stage import Stage

RATE = Figure(
    "waiting",
    "reads while 500 logins wait, against reads alone",
    "reads beside 500 logins",
    0.90,
    0.95,
)
P99 = Figure(
    "waiting-p99",
    "p99 of those reads, against their p99 alone",
    "their p99",
    1.7,
    1.5,
    lower_is_better=True,
)
LOGINS = 500
CONNECTIONS = 64
NAMES = ("while 500 logins wait", "alone")


def waiting(stage: Stage) -> list[Result]:
    """Compare two servers on one core, of which one has the logins and stands still in between."""
    with stage.latchkey(**SETTINGS) as busy, stage.latchkey(**SETTINGS) as idle:
        for server in (busy, idle):
            load.reads(server, CONNECTIONS, 1)
        with waiting_logins(busy, LOGINS) as crowd:

            def beside() -> Sample:
                busy.resume()
                time.sleep(0.1)
                sample = load.reads(busy, CONNECTIONS, stage.seconds)
                busy.pause()
                return sample

            busy.pause()
            pairs = stage.in_turn(beside, lambda: load.reads(idle, CONNECTIONS, stage.seconds))
            busy.resume()
    note = f"{crowd.answered} logins were answered meanwhile; the CPU time has their bcrypt in it"
    return [
        compare(RATE, NAMES, REQUESTS, pairs, note),
        compare(P99, NAMES, MILLISECONDS, at(pairs, "p99")),
    ]


@contextlib.contextmanager
def waiting_logins(server: Server, count: int) -> Iterator["WaitingLogins"]:
    """Keep this many logins waiting in this block, from a thread of its own."""
    waiting = WaitingLogins(server, count)
    thread = threading.Thread(target=waiting.run)
    thread.start()
    try:
        if not waiting.begun.wait(30):
            raise RuntimeError("the logins did not begin")
        yield waiting
    finally:
        waiting.stop()
        thread.join()
    assert waiting.refused == 0, f"{waiting.refused} logins were refused"


class WaitingLogins:
    """Logs in on many connections at a time, each again as soon as it is answered."""

    def __init__(self, server: Server, count: int) -> None:
        self._server = server
        self._count = count
        self._names = map(name_of, itertools.count())
        self._loop = asyncio.new_event_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self.begun = threading.Event()
        self.answered = self.refused = 0

    def run(self) -> None:
        """Run until stopped."""
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._run())
        self._loop.close()

    def stop(self) -> None:
        """Hang up everywhere."""

        def cancel() -> None:
            for task in self._tasks:
                task.cancel()

        self._loop.call_soon_threadsafe(cancel)

    async def _run(self) -> None:
        connections = [await Connection.open(self._server.port) for _ in range(self._count)]
        self._tasks = [asyncio.ensure_future(self._keep_on(each)) for each in connections]
        await asyncio.sleep(1)  # until all have been looked up and stand in line
        self.begun.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in connections:
            connection.close()

    async def _keep_on(self, connection: Connection) -> None:
        for name in self._names:
            answer = await connection.log_in(name)
            self.answered += 1
            self.refused += answer.status != 200
