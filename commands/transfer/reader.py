"""A file of accounts, line by line: CSV with a header line or JSON lines, told apart by content."""

import contextlib
import csv
import itertools
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from store.transfer.incoming import Kind, Problem

FORMATS = ("csv", "jsonl")
LONGEST = 2**24
"""Bytes of a line: kust takes a body of 1 MiB of towns, and a picture has three sizes."""
NULL = r"\N"
EMPTY = '""'
"""In CSV: an empty field is one that is not given, so an empty text is written like this."""

_DELIMITERS = ",;\t"
_LITERAL = re.compile(r'\\*(\\N|"")')
"""A text that would be read as none, or as empty: written with one backslash more."""
_SPECIAL = re.compile(r'[,"\r\n]')


class NoAccounts(Exception):
    """This is no file of accounts; the text is one line that says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one line says, by the names that it gives; or why it can't be read."""

    line: int
    fields: Sequence[tuple[str, Any]] = ()
    problem: Problem | None = None


class Lines:
    """The lines of a file as text, one after the other.

    `number` and `bytes` say how far it is read; `take_fault` what was wrong since it was last
    asked. What is no UTF-8 becomes lone surrogates.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._fault: Kind | None = None
        self.number = 0
        self.bytes = 0

    def __iter__(self) -> Iterator[str]:
        while sent := self._stream.readline(LONGEST):
            self.number += 1
            self.bytes += len(sent)
            if len(sent) == LONGEST and not sent.endswith(b"\n"):
                self._fault = Kind.TOO_LONG
                self._pass_over()
                sent = b"\n"
            try:
                text = sent.decode()
            except UnicodeDecodeError:
                self._fault = Kind.ENCODING
                text = sent.decode(errors="surrogateescape")
            yield text.removeprefix("\ufeff") if self.number == 1 else text

    def take_fault(self) -> Kind | None:
        """Return what was wrong with the lines since the last call, and forget it."""
        fault, self._fault = self._fault, None
        return fault

    def _pass_over(self) -> None:
        while sent := self._stream.readline(LONGEST):
            self.bytes += len(sent)
            if sent.endswith(b"\n"):
                return


def read_records(
    lines: Lines, format: str | None, is_known: Callable[[str], bool]
) -> Iterator[Record]:
    """Yield what each line says. `format` is `csv`, `jsonl` or None for what it looks like.

    `is_known` tells whether a column is any of ours: a header has one. Raises NoAccounts.
    """
    texts = iter(lines)
    first = next((text for text in texts if text.strip()), "")
    texts = itertools.chain([first] if first else [], texts)
    if format == "jsonl" or (format is None and first.lstrip().startswith("{")):
        yield from _json_lines(lines, texts)
    elif first.lstrip().startswith("["):
        raise NoAccounts(
            "this is a JSON list: one object per line is required, as Django's "
            "`dumpdata auth.user --format jsonl` or `jq -c '.[]'` writes it"
        )
    elif first:
        yield from _csv(lines, texts, first, is_known)


@contextlib.contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """Open a file to read its lines, or standard input, which is called `-`."""
    if name == "-":
        yield sys.stdin.buffer
        return
    with open(name, "rb") as stream:
        yield stream


def size_of(stream: BinaryIO) -> int:
    """Return how many bytes a file has, 0 for what has no size."""
    found = os.fstat(stream.fileno())
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def csv_field(value: Any, may_be_null: bool) -> str:
    """Return what a field of CSV must be to be read as this value."""
    match value:
        case None:
            return ""
        case "":
            return EMPTY if may_be_null else ""
        case bool():
            return "true" if value else "false"
        case list():
            return f"{{{','.join(map(str, value))}}}"
        case str() if _LITERAL.fullmatch(value):
            return f"\\{value}"
        case _:
            return str(value)


def csv_line(fields: Iterable[str]) -> str:
    """Return a line of CSV, its fields quoted where they have to be.

    Before Python 3.13 the library's writer leaves a carriage return unquoted, and its reader then
    refuses it.
    """
    quoted = (
        f'"{each.replace(chr(34), chr(34) * 2)}"' if _SPECIAL.search(each) else each
        for each in fields
    )
    return ",".join(quoted) + "\n"


def _json_lines(lines: Lines, texts: Iterator[str]) -> Iterator[Record]:
    for text in texts:
        line, fault = lines.number, lines.take_fault()
        if fault:
            yield Record(line, problem=Problem(line, fault))
        elif text.strip():
            yield _json_record(line, text)


def _json_record(line: int, text: str) -> Record:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        why = f"invalid JSON: {error.msg} at character {error.pos + 1}"
        return Record(line, problem=Problem(line, Kind.UNREADABLE, value=why))
    except (ValueError, RecursionError):  # a number of thousands of digits; a thousand brackets
        return Record(line, problem=Problem(line, Kind.UNREADABLE, value="invalid JSON"))
    if not isinstance(found, dict):
        return Record(line, problem=Problem(line, Kind.UNREADABLE, value="not a JSON object"))
    if isinstance(found.get("fields"), dict) and "pk" in found:  # as Django's dumpdata has it
        found = {"id": found["pk"], **found["fields"]}
    return Record(line, list(found.items()))


def _csv(
    lines: Lines, texts: Iterator[str], first: str, is_known: Callable[[str], bool]
) -> Iterator[Record]:
    delimiter = max(_DELIMITERS, key=first.count)
    csv.field_size_limit(LONGEST)
    rows = csv.reader(texts, delimiter=delimiter, strict=True)
    header = _header(rows, is_known)
    if fault := lines.take_fault():
        raise NoAccounts(f"its header cannot be read ({fault}): save the file as UTF-8")
    while True:
        line = lines.number + 1
        try:
            row = next(rows, None)
            why = "" if row is None or len(row) in (0, len(header)) else _ragged(row, header)
        except csv.Error as error:
            row, why = [], str(error)
        if row is None:
            return
        if fault := lines.take_fault():
            yield Record(line, problem=Problem(line, fault, other=lines.number))
        elif why:
            yield Record(line, problem=Problem(line, Kind.UNREADABLE, "", why, lines.number))
        elif row:
            yield Record(line, list(zip(header, map(_given, row), strict=True)))


def _header(rows: Iterator[list[str]], is_known: Callable[[str], bool]) -> list[str]:
    try:
        header = [name.strip() for name in next(rows)]
    except csv.Error as error:
        raise NoAccounts(f"its first line is not a CSV header: {error}") from None
    if not any(map(is_known, header)):  # nor is it shown: it may be an account, hash and all
        raise NoAccounts(
            "its first line does not name a column of an account: CSV needs a header line"
        )
    return header


def _ragged(row: list[str], header: list[str]) -> str:
    return f"{len(row)} fields, where the header has {len(header)}"


def _given(text: str) -> str | None:
    if text in ("", NULL):
        return None
    if text == EMPTY:
        return ""
    return text[1:] if _LITERAL.fullmatch(text) else text
