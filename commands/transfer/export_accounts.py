"""`account export`: writes every account, in the form that the import reads."""

import contextlib
import os
import stat
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TextIO

from commands.columns import COLUMNS, sql_name
from commands.console import CommandError, Progress, as_json, count_of, print_error, printable
from commands.runner import command, on_tables
from commands.transfer.reader import FORMATS, csv_field, csv_line
from settings import Settings
from store.files import private_file
from store.transfer.exports import export_accounts
from store.transfer.pictures import PICTURE

REPORT_EVERY = 5_000
"""Accounts between two reports of progress."""

DESCRIPTION = """\
Write every account, in the form that import reads, password hashes included: keep it as secret as
the database. Sessions are not included, and pictures only with --pictures. JSON lines preserve
everything. The file is readable by its owner only, and replaces an existing one once it is
complete. Do not open CSV in a spreadsheet: it contains names as clients chose them, and one that
begins with = is a formula there."""


class Writable(Protocol):
    """What an export is written to."""

    def write(self, text: str, /) -> object:
        """Write a part of it."""


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.description = DESCRIPTION
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="else to stdout")
    parser.add_argument("--format", choices=FORMATS, default="jsonl", help="jsonl if not given")
    parser.add_argument(
        "--pictures", action="store_true", help="with their pictures and the gallery, as JSON lines"
    )
    run = command(
        on_tables(_run),
        check=_check,
        needs_redis=False,
        stopped="stopped: the export is incomplete",
    )
    parser.set_defaults(run=run)


def _check(chosen: Namespace) -> None:
    if chosen.pictures and chosen.format == "csv":
        reason = "--pictures: CSV cannot contain pictures, but JSON lines can; omit --format"
        raise CommandError(reason, 2)


def _run(settings: Settings, chosen: Namespace) -> int:
    exporting = export_accounts(settings.database_url, pictures=chosen.pictures)
    with exporting as (count, accounts, gallery), open_output(chosen.file) as stream:
        for picture in gallery:
            stream.write(as_json(picture) + "\n")
        names = [*COLUMNS, PICTURE] if chosen.pictures else [*COLUMNS]
        write = _csv_writer(stream) if chosen.format == "csv" else _json_writer(stream, names)
        progress = Progress(sys.stderr, "exported", f"of {count} accounts")
        for done, account in enumerate(accounts, 1):
            write([account[sql_name(name)] for name in names])
            if done % REPORT_EVERY == 0:
                progress.report(done, done / count)
        progress.end()
    where = "standard output" if chosen.file == "-" else chosen.file
    pictures = "pictures are included" if chosen.pictures else "pictures are not included"
    print_error(
        f"{where} holds {count_of(count, 'account')} with their password hashes: keep it as "
        f"secret as the database; {pictures}"
    )
    return 0


@contextlib.contextmanager
def open_output(name: str) -> Iterator[Writable]:
    """Open a file that its owner alone can read, or standard output, which is called `-`.

    A file gets its name when it is complete, in place of what was there: the mode of that does not
    count, nor where it linked to. A device or a pipe is written to as it is. Raises CommandError
    for a link.
    """
    if name == "-":
        with open(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", newline="") as stream:
            yield _EscapingOutput(stream) if sys.stdout.isatty() else stream
        return
    mode = os.lstat(name).st_mode if os.path.lexists(name) else stat.S_IFREG
    if stat.S_ISLNK(mode):
        raise CommandError(f"{name} is a link: name the file itself")
    if stat.S_ISREG(mode):
        with private_file(Path(name)) as stream:
            yield stream
        return
    flags = os.O_WRONLY | os.O_NOFOLLOW
    with open(os.open(name, flags), "w", encoding="utf-8", newline="") as stream:
        yield stream


class _EscapingOutput:
    """Standard output at a terminal: a name in CSV must not write on it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str, /) -> object:
        return self._stream.write("\n".join(map(printable, text.split("\n"))))


def _json_writer(stream: Writable, names: Sequence[str]) -> Callable[[Sequence[Any]], object]:
    def write(values: Sequence[Any]) -> object:
        account = dict(zip(names, values, strict=True))
        return stream.write(as_json(account, default=datetime.isoformat) + "\n")

    return write


def _csv_writer(stream: Writable) -> Callable[[Sequence[Any]], object]:
    stream.write(csv_line(COLUMNS))
    nullable = [column.is_nullable for column in COLUMNS.values()]
    return lambda values: stream.write(csv_line(map(csv_field, values, nullable)))
