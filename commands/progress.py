"""How far a long command is: redrawn in place at a terminal, else a line now and then."""

import time
from typing import TextIO

AT_A_TERMINAL = 0.2
"""Seconds between two looks."""
ELSEWHERE = 5.0
_CLEAR = "\r\x1b[K"


class Progress:
    """Tells of one thing that is done piece by piece: `doing` it with so many `things`."""

    def __init__(self, stream: TextIO, doing: str, things: str) -> None:
        self._stream = stream
        self._doing = doing
        self._things = things
        self._redraws = stream.isatty()
        self._every = AT_A_TERMINAL if self._redraws else ELSEWHERE
        self._begun = self._last = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._begun

    def at(self, done: int, share: float | None = None) -> None:
        """Say how many are done, which is this share of all, if it is time to."""
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            said = f"latchkey: {self._doing} {done} {self._things}{self._rest(done, share)}"
            print(_CLEAR + said if self._redraws else said, end="", file=self._stream)
            print(end="" if self._redraws else "\n", file=self._stream, flush=True)

    def end(self) -> None:
        """Leave the line to what comes next."""
        if self._redraws:
            print(end=_CLEAR, file=self._stream, flush=True)

    def _rest(self, done: int, share: float | None) -> str:
        rate = f", {done / self.seconds:.0f} a second"
        if not share:
            return rate
        left = self.seconds / share - self.seconds
        return f"{rate}, {share:.0%}, {int(left) // 60}:{int(left) % 60:02} left"
