"""A file of accounts or tokens: CSV with a header line or JSON lines, as records of fields."""

import contextlib
import csv
import datetime
import itertools
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from commands.console import CommandError, Progress
from store.transfer.incoming import Kind, Problem

FORMATS = ("csv", "jsonl")
MAX_LINE = 2**24
"""Bytes of a line: kust takes a body of 1 MiB of towns, and a picture has three sizes."""
CHUNK_BYTES = 2**25
"""Bytes of the lines that are in memory at a time."""
NULL = r"\N"
EMPTY = '""'
"""An empty text in CSV, where an empty field is one that is not given."""

_DELIMITERS = ",;\t"
_LITERAL = re.compile(r'\\*(\\N|"")')
"""A text that would be read as none or as empty: it is written with one more backslash."""
_SPECIAL = re.compile(r'[,"\r\n]')


@dataclass(frozen=True, slots=True)
class Record:
    """The fields of one line, by their names in the file, or why it cannot be read."""

    line: int
    fields: Sequence[tuple[str, Any]] = ()
    problem: Problem | None = None


def read_chunks(
    name: str, format: str | None, is_known: Callable[[str], bool], most: int
) -> Iterator[list[Record]]:
    """Yield the records of a file, `most` or CHUNK_BYTES of them at a time; report the progress.

    The file named `-` is standard input. `format` is `csv`, `jsonl` or None to detect it. A CSV
    header must have a column that `is_known`. Raises CommandError, OSError.
    """
    with contextlib.ExitStack() as stack:
        stream = sys.stdin.buffer if name == "-" else stack.enter_context(open(name, "rb"))
        found = os.fstat(stream.fileno())
        size = found.st_size if stat.S_ISREG(found.st_mode) else 0
        lines, progress = _Lines(stream), Progress(sys.stderr, "read", "lines")
        records = _records(lines, format, is_known)
        while chunk := _take(records, lines, most):
            yield chunk
            progress.report(lines.number, lines.bytes / size if size else None)
        progress.end()


def read_time(text: str) -> float:
    """Return a time in seconds since 1970, 0 for no time. Without a time zone it is in UTC."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return 0
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


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


class _Lines:
    """The lines of a file as text; bytes that are not UTF-8 become lone surrogates.

    `number` and `bytes` are those of the lines that were read.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._fault: Kind | None = None
        self.number = 0
        self.bytes = 0

    def __iter__(self) -> Iterator[str]:
        while sent := self._stream.readline(MAX_LINE):
            self.number += 1
            self.bytes += len(sent)
            if len(sent) == MAX_LINE and not sent.endswith(b"\n"):
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
        while sent := self._stream.readline(MAX_LINE):
            self.bytes += len(sent)
            if sent.endswith(b"\n"):
                return


def _take(records: Iterator[Record], lines: _Lines, most: int) -> list[Record]:
    some, end = [], lines.bytes + CHUNK_BYTES
    for record in itertools.islice(records, most):
        some.append(record)
        if lines.bytes >= end:
            break
    return some


def _records(
    lines: _Lines, format: str | None, is_known: Callable[[str], bool]
) -> Iterator[Record]:
    texts = iter(lines)
    first = next((text for text in texts if text.strip()), "")
    texts = itertools.chain([first] if first else [], texts)
    if format == "jsonl" or (format is None and first.lstrip().startswith("{")):
        yield from _json_lines(lines, texts)
    elif first.lstrip().startswith("["):
        raise CommandError(
            "this is a JSON list: one object per line is required, as Django's "
            "`dumpdata auth.user --format jsonl` or `jq -c '.[]'` writes it"
        )
    elif first:
        yield from _csv(lines, texts, first, is_known)


def _json_lines(lines: _Lines, texts: Iterator[str]) -> Iterator[Record]:
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
        reason = f"invalid JSON: {error.msg} at character {error.pos + 1}"
        return Record(line, problem=Problem(line, Kind.UNREADABLE, value=reason))
    except (ValueError, RecursionError):  # a number of thousands of digits; a thousand brackets
        return Record(line, problem=Problem(line, Kind.UNREADABLE, value="invalid JSON"))
    if not isinstance(found, dict):
        return Record(line, problem=Problem(line, Kind.UNREADABLE, value="not a JSON object"))
    if isinstance(found.get("fields"), dict) and "pk" in found:  # as Django's dumpdata has it
        found = {"id": found["pk"], **found["fields"]}
    return Record(line, list(found.items()))


def _csv(
    lines: _Lines, texts: Iterator[str], first: str, is_known: Callable[[str], bool]
) -> Iterator[Record]:
    delimiter = max(_DELIMITERS, key=first.count)
    csv.field_size_limit(MAX_LINE)
    rows = csv.reader(texts, delimiter=delimiter, strict=True)
    header = _header(rows, is_known)
    if fault := lines.take_fault():
        raise CommandError(f"its header cannot be read ({fault}): save the file as UTF-8")
    while True:
        line = lines.number + 1
        try:
            row = next(rows, None)
            reason = "" if row is None or len(row) in (0, len(header)) else _ragged(row, header)
        except csv.Error as error:
            row, reason = [], str(error)
        if row is None:
            return
        if fault := lines.take_fault():
            yield Record(line, problem=Problem(line, fault, other=lines.number))
        elif reason:
            yield Record(line, problem=Problem(line, Kind.UNREADABLE, "", reason, lines.number))
        elif row:
            yield Record(line, list(zip(header, map(_given, row), strict=True)))


def _header(rows: Iterator[list[str]], is_known: Callable[[str], bool]) -> list[str]:
    try:
        header = [name.strip() for name in next(rows)]
    except csv.Error as error:
        raise CommandError(f"its first line is not a CSV header: {error}") from None
    if not any(map(is_known, header)):  # nor is it shown: it may be an account, hash and all
        raise CommandError(
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
