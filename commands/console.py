"""What a command prints and asks: a name that a client chose cannot write on the terminal."""

import getpass
import json
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from store.names import UNSEEN

TERMINAL_SECONDS = 0.2
"""Seconds between two reports of progress at a terminal."""
LOG_SECONDS = 5.0
"""Seconds between two of them elsewhere."""
_CLEAR_LINE = "\r\x1b[K"
_UNSEEN = re.compile(UNSEEN)


class CommandError(Exception):
    """A command cannot do what it was asked for. The text is the reason, on one line.

    `status` is the exit status: 1, or 2 for invalid arguments.
    """

    def __init__(self, reason: str, status: int = 1) -> None:
        super().__init__(reason)
        self.status = status


def printable(text: str) -> str:
    r"""Return one line of text with everything invisible escaped, such as `\x1b` or `\u202e`.

    Invisible are control, format, private and unassigned characters, line breaks, white space
    other than the space, and letters without a shape. A name can neither move the cursor nor look
    like another one.
    """
    return _escape(text, _escaped)


def as_json(value: Any, indent: int | None = None, default: Callable[[Any], str] = str) -> str:
    r"""Return JSON that is readable and `printable`: what is invisible becomes `\u` escapes.

    It is the same value as with the characters themselves.
    """
    text = json.dumps(value, indent=indent, default=default, ensure_ascii=False)
    lines = text.split("\n")  # JSON has no other line break
    return "\n".join(_escape(line, lambda character: json.dumps(character)[1:-1]) for line in lines)


def as_table(rows: Sequence[Sequence[str]], right: int = 0) -> str:
    """Return a table with aligned columns, the first `right` of them to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = (
        "  ".join(
            cell.rjust(width) if place < right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in aligned)


def count_of(count: int, noun: str) -> str:
    """Return a number with its noun: `1 account`, `2 accounts`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def print_text(text: str) -> None:
    """Print lines to standard output, each of them `printable`."""
    print("\n".join(map(printable, text.split("\n"))), flush=True)


def print_error(reason: str) -> None:
    """Print one line to standard error that begins with the program's name."""
    print(f"latchkey: {printable(reason)}", file=sys.stderr, flush=True)


def is_at_a_terminal() -> bool:
    """Return whether standard input is a terminal, so that a question can be answered."""
    return sys.stdin.isatty()


def confirm(question: str) -> bool:
    """Ask whether to continue; return whether the answer is yes."""
    print(f"{printable(question)} Continue? [y/N] ", end="", file=sys.stderr, flush=True)
    with _interruptible():
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def read_password() -> str:
    """Return a password typed twice, or the first line of standard input if that is not a terminal.

    Raises CommandError.
    """
    try:
        with _interruptible():
            password = _type_twice() if is_at_a_terminal() else sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise CommandError("the password is not UTF-8") from None
    if not password:
        raise CommandError("no password was given: type it, or write it to standard input")
    return password


class Progress:
    """Reports the progress of a long command: in place at a terminal, else every few seconds."""

    def __init__(self, stream: TextIO, verb: str, things: str) -> None:
        """Report to the stream, such as `imported` 7 `of 9 accounts`."""
        self._stream = stream
        self._verb = verb
        self._things = things
        self._redraws = stream.isatty()
        self._interval = TERMINAL_SECONDS if self._redraws else LOG_SECONDS
        self._start = self._last = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    def report(self, done: int, share: float | None = None) -> None:
        """Report how many are done, and which share of all that is, unless it is too early."""
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            text = f"latchkey: {self._verb} {done} {self._things}{self._rate(done, share)}"
            line = f"{_CLEAR_LINE}{text}" if self._redraws else f"{text}\n"
            print(end=line, file=self._stream, flush=True)

    def end(self) -> None:
        """Clear the line for what is printed next."""
        if self._redraws:
            print(end=_CLEAR_LINE, file=self._stream, flush=True)

    def _rate(self, done: int, share: float | None) -> str:
        rate = f", {done / self.seconds:.0f} a second"
        if not share:
            return rate
        left = int(self.seconds / share - self.seconds)
        return f"{rate}, {share:.0%}, {left // 60}:{left % 60:02} left"


def _type_twice() -> str:
    typed = getpass.getpass("Password: ", sys.stderr)
    if getpass.getpass("Again: ", sys.stderr) != typed:
        raise CommandError("the two passwords differ")
    return typed


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have Ctrl-C end a question at once: asyncio would have a coroutine wait for the answer."""
    if threading.current_thread() is not threading.main_thread():  # the only one that has handlers
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _escape(line: str, escaped: Callable[[str], str]) -> str:
    if _is_visible(line):
        return line
    return "".join(each if _is_visible(each) else escaped(each) for each in line)


def _is_visible(text: str) -> bool:
    return text.isprintable() and not _UNSEEN.search(text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
