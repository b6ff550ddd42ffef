"""What commands print: a name that a client chose must not write on the operator's terminal."""

import json
import re
import sys
from collections.abc import Callable
from typing import Any, TextIO

from store.names import UNSEEN

_UNSEEN = re.compile(UNSEEN)


def printable(text: str) -> str:
    r"""Return a text of one line with everything that can't be seen escaped, as `\x1b` or `\u202e`.

    Control, format, private and unassigned characters, line breaks, white space but the space, and
    letters that show nothing: a name neither moves the cursor nor looks like another.
    """
    if text.isprintable() and not _UNSEEN.search(text):
        return text
    return "".join(map(_escaped, text))


def as_json(value: Any, indent: int | None = None, default: Callable[[Any], str] = str) -> str:
    r"""Return JSON as people read it: letters stand as they are, the rest is `\u` and four digits.

    It is the same value as with the characters themselves.
    """
    text = json.dumps(value, indent=indent, default=default, ensure_ascii=False)
    return "\n".join(map(_json_line, text.split("\n")))  # JSON has no other line break within


def say(text: str) -> None:
    """Print lines to standard output; what is in them can't write on the terminal."""
    print(_lines(text), flush=True)


def complain(what: str, stream: TextIO | None = None) -> None:
    """Print one line to standard error that begins with the program's name."""
    print(f"latchkey: {printable(what)}", file=stream or sys.stderr, flush=True)


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def _json_line(line: str) -> str:
    if line.isprintable() and not _UNSEEN.search(line):
        return line
    return "".join(
        character
        if character.isprintable() and not _UNSEEN.match(character)
        else json.dumps(character)[1:-1]
        for character in line
    )


def _escaped(character: str) -> str:
    if character.isprintable() and not _UNSEEN.match(character):
        return character
    code = ord(character)
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )
