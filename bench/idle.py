"""Ten thousand idle keep-alive connections: what each costs in memory, against bare aiohttp."""

import contextlib
import socket
import struct
from collections.abc import Callable

from bench import machine
from bench.figures import KIBIBYTES, Figure, Result, Sample, compare
from bench.machine import CantRun
from bench.reads import NAMES
from bench.servers import Server
from bench.stage import Stage

IDLE = Figure(
    "idle",
    "10 000 idle keep-alive connections: memory for each, against bare aiohttp",
    "memory, idle connections",
    1.15,
    1.05,
    lower_is_better=True,
)
CONNECTIONS = 10_000
SPARE = 200
WARM_UP = 50
AT_ONCE = 50
_HANG_UP = struct.pack("ii", 1, 0)
"""SO_LINGER: close without TIME_WAIT, or the next ten thousand would find no port."""


def idle(stage: Stage) -> list[Result]:
    """Compare servers that are started anew for each run: memory is seldom given back."""
    if machine.raise_open_files() < CONNECTIONS + SPARE:
        raise CantRun(f"a process may not open {CONNECTIONS} connections here (ulimit -n)")
    pairs = stage.in_turn(lambda: _held_by(stage.latchkey), lambda: _held_by(_bare(stage)))
    return [compare(IDLE, ("Latchkey", NAMES["bare"]), KIBIBYTES, pairs)]


def _bare(stage: Stage) -> Callable[[], contextlib.AbstractContextManager[Server]]:
    return lambda: stage.peer("bare")


def _held_by(start: Callable[[], contextlib.AbstractContextManager[Server]]) -> Sample:
    """Return the memory that each connection takes, in KiB, after one request on it."""
    with start() as server, contextlib.ExitStack() as held:
        header = server.headers.open().readline().strip()
        request = f"GET {server.path} HTTP/1.1\r\nHost: bench\r\nAuthorization: {header}\r\n\r\n"
        _open(server, request.encode(), WARM_UP, held)
        before = server.memory()
        # Some at a time: bare aiohttp's backlog has room for 128.
        for _ in range(CONNECTIONS // AT_ONCE):
            opened = _open(server, request.encode(), AT_ONCE, held)
        taken = server.memory() - before
        _ask(opened, request.encode())  # still there
    return Sample(taken / CONNECTIONS / 1024)


def _open(
    server: Server, request: bytes, count: int, held: contextlib.ExitStack
) -> list[socket.socket]:
    """Open connections and use each of them once."""
    opened = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HANG_UP)
        opened.append(held.enter_context(connection))
    _ask(opened, request)
    return opened


def _ask(connections: list[socket.socket], request: bytes) -> None:
    for connection in connections:
        connection.sendall(request)
    for connection in connections:
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200"), answer
