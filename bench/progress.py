"""The progress line: where the run is, and what came out so far."""

import sys
import time


class Progress:
    """One line that is rewritten on a terminal; elsewhere, a line for each figure."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._step = 0
        self._title = ""
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def begin(self, title: str) -> None:
        """Name the next step."""
        self._step += 1
        self._title = title
        self.tick("")

    def tick(self, what: str) -> None:
        """Say how far the step is."""
        if sys.stdout.isatty():
            print(f"\r\033[K{self._line(what)}", end="", flush=True)

    def end(self, what: str) -> None:
        """Say what came out of the step."""
        before = "\r\033[K" if sys.stdout.isatty() else ""
        print(f"{before}{self._line(what)}", flush=True)

    def _line(self, what: str) -> str:
        minutes, seconds = divmod(int(self.elapsed), 60)
        return f"{minutes}:{seconds:02d} [{self._step}/{self._steps}] {self._title}  {what}"
