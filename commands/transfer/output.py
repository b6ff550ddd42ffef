"""Where an export goes: a file for its owner alone, a device, or standard output."""

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TextIO

from commands.printing import printable
from store.files import private_file


class Writable(Protocol):
    """What an export is written to."""

    def write(self, text: str, /) -> object:
        """Write some of it."""


class NotDone(Exception):
    """What was asked is not done, or not all of it; the text is one line that says why."""


@contextlib.contextmanager
def written(name: str) -> Iterator[Writable]:
    """Open what an export is written to: a file for its owner alone, or standard output.

    A file appears under its name when it is whole, in place of what was there: neither the mode of
    that one counts, nor what it was a link to. A device or a pipe is written to as it is.
    """
    if name == "-":
        with open(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", newline="") as stream:
            yield _Escaping(stream) if sys.stdout.isatty() else stream
        return
    found = os.lstat(name).st_mode if os.path.lexists(name) else stat.S_IFREG
    if not stat.S_ISREG(found):
        if stat.S_ISLNK(found):
            raise NotDone(f"{name} is a link: name the file itself")
        flags = os.O_WRONLY | os.O_NOFOLLOW
        with open(os.open(name, flags), "w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    with private_file(Path(name)) as stream:
        yield stream


class _Escaping:
    """Standard output at a terminal: a name in CSV must not write on it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str, /) -> object:
        return self._stream.write("\n".join(map(printable, text.split("\n"))))
