"""The server's side of the processes that decode pictures: it starts, limits and ends them."""

import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from store.errors import BadPicture, Busy, PictureProblem
from store.image_cost import LARGE, SIDES, SQUARES

_log = logging.getLogger("latchkey.images")

SMALL_CPU_SECONDS, LARGE_CPU_SECONDS = 0.5, 2.0
"""The CPU time that a picture may take, by lane: see store/images.py."""
WALL_SECONDS = 30.0
"""The limit for a decoder that does not get the processor, or hangs."""
POLL_SECONDS = 0.1
"""The interval at which a decoder checks whether its client has disconnected."""

_ROOT = Path(__file__).parents[1]
_COMMAND = (sys.executable, "-m", "store.image_decoder")
_MAX_MESSAGE = 4 * 1024 * 1024  # more than 512 by 512 pixels take in any form


class LargePicture(Exception):
    """The picture needs the large lane."""


class Decoders:
    """A pool of processes that decode pictures. One is started when all others are in use."""

    def __init__(self, max_pixels: int, environment: Mapping[str, str]) -> None:
        """Reject pictures of more than `max_pixels`; `environment` is that of the processes."""
        self._max_pixels = max_pixels
        self._environment = environment
        self._lock = threading.Lock()
        self._idle: list[_Decoder] = []
        self._all: set[_Decoder] = set()
        self._closed = False

    def squares(self, sent: bytes, large: bool, is_gone: Callable[[], bool]) -> list[bytes]:
        """Return the picture as WebP in each of `SIDES`. Blocks: to be called on a thread.

        Raises BadPicture, LargePicture; Busy when its client has left or no process starts.
        """
        if is_gone():
            raise Busy(1.0)
        decoder = self._take()
        try:
            reply = decoder.decode(bytes([large]) + sent, is_gone)
        except (EOFError, OSError, _GivenUp) as reason:
            self._drop(decoder)
            if self._closed or isinstance(reason, _GivenUp):
                raise Busy(1.0) from None
            raise self._explain(decoder.status, large) from None
        with self._lock:
            self._idle.append(decoder)
        if reply[0] == LARGE:
            raise LargePicture
        if reply[0] != SQUARES:
            raise BadPicture(PictureProblem[reply[0].decode()], self._max_pixels)
        return reply[1:]

    def close(self) -> None:
        """End every process, in use or not."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for decoder in self._all:
                decoder.kill()
        for decoder in idle:
            self._drop(decoder)

    def _take(self) -> "_Decoder":
        with self._lock:
            while self._idle:
                decoder = self._idle.pop()
                if decoder.is_running:
                    return decoder
                self._all.discard(decoder)
                decoder.end()
            if self._closed:
                raise Busy(1.0)
            try:
                decoder = _Decoder(self._max_pixels, self._environment)
            except OSError as error:
                _log.error("cannot start a process that decodes pictures: %s", error)
                raise Busy(1.0) from error
            self._all.add(decoder)
            return decoder

    def _drop(self, decoder: "_Decoder") -> None:
        with self._lock:
            self._all.discard(decoder)
        decoder.end()

    def _explain(self, status: int, large: bool) -> Exception:
        """Return the exception to raise when a process ended before it replied."""
        if status == -signal.SIGPROF:
            return BadPicture(PictureProblem.COSTLY, self._max_pixels) if large else LargePicture()
        _log.warning("the process that decoded a picture ended with status %d", status)
        return BadPicture(
            PictureProblem.COSTLY if status == -signal.SIGKILL else PictureProblem.DAMAGED,
            self._max_pixels,
        )


class _GivenUp(Exception):
    pass


class _Decoder:
    """One process, used by one thread at a time."""

    def __init__(self, max_pixels: int, environment: Mapping[str, str]) -> None:
        from multiprocessing.connection import Connection  # noqa: PLC0415  # 0.4 MB

        here, there = socket.socketpair()
        with there:
            try:
                self._process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603
                    [*_COMMAND, *map(str, (max_pixels, SMALL_CPU_SECONDS, LARGE_CPU_SECONDS))],
                    cwd=_ROOT,
                    env=dict(environment),
                    stdin=there.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            except BaseException:
                here.close()
                raise
        self._connection = Connection(here.detach())

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def status(self) -> int:
        return self._process.wait()

    def decode(self, request: bytes, is_gone: Callable[[], bool]) -> list[bytes]:
        """Return the messages of the answer. Raises EOFError or OSError when the process ends."""
        self._connection.send_bytes(request)
        last = time.monotonic() + WALL_SECONDS
        while not self._connection.poll(POLL_SECONDS):
            if time.monotonic() > last or is_gone():
                raise _GivenUp
        reply = [self._connection.recv_bytes(_MAX_MESSAGE)]
        if reply[0] == SQUARES:
            reply += [self._connection.recv_bytes(_MAX_MESSAGE) for _ in SIDES]
        return reply

    def kill(self) -> None:
        """End the process. A thread that waits for its reply gets EOFError."""
        self._process.kill()

    def end(self) -> None:
        """End the process and release its resources."""
        self._process.kill()
        self._process.wait()
        self._connection.close()
