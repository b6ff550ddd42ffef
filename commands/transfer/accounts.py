"""`account import` and `account export`: accounts move in, and out, by the million."""

import asyncio
import os
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from textwrap import fill
from typing import Any, BinaryIO

from commands.printing import as_json, complain, say
from commands.progress import Progress
from commands.stores import UNREACHED, database_of, reach_stores
from commands.transfer.columns import (
    COLUMNS,
    MAY_BE_NULL,
    PICTURE,
    SQL_NAMES,
    Reader,
    gallery_of,
    is_known,
)
from commands.transfer.messages import number, sentence, summary
from commands.transfer.output import NotDone, Writable, written
from commands.transfer.reader import (
    FORMATS,
    Lines,
    NoAccounts,
    Record,
    csv_field,
    csv_line,
    opened,
    read_records,
    size_of,
)
from embedded import EmbeddedStoreError
from settings import Settings
from store.errors import AppError
from store.transfer.exports import export_accounts
from store.transfer.imports import Import, open_import
from store.transfer.incoming import Problem, Tally

CHUNK = 5_000
CHUNK_BYTES = 2**25
"""Lines in memory at a time, and their bytes."""


IMPORT = """\
Import accounts from CSV with a header line, or from JSON lines, with the password hashes as another
application made them (Django, werkzeug, bcrypt): no one needs a new password. Everything is checked
first; if a line has a problem, nothing is imported. An account that already exists, with the same
username, e-mail and (if given) id, is skipped: after an interruption, run it again."""

COLUMNS_HELP = f"""\
The columns:
{fill(", ".join(COLUMNS), 98, initial_indent="  ", subsequent_indent="  ")}

  Required are username or email, and password: the hash, or ! for none. Empty values count as not
  given. Names that Django and Flask use are accepted: date_joined, password_hash, active and so on.
  Times without a time zone are UTC. Pictures are imported from what `account export --pictures`
  has written; sessions are not imported."""

EXPORT = """\
Write every account, in the form that import reads, password hashes included: keep it as secret as
the database. Sessions are not included, and pictures only with --pictures. JSON lines preserve
everything. The file is readable by its owner only, and replaces an existing one once it is
complete. Do not open CSV in a spreadsheet: it contains names as clients chose them, and one that
begins with = is a formula there."""


def add(actions: Any) -> None:
    """Describe both commands' arguments."""
    imports = actions.add_parser(
        "import",
        help="import accounts from CSV or JSON lines, hashes included",
        description=IMPORT,
        epilog=COLUMNS_HELP,
        formatter_class=RawDescriptionHelpFormatter,
    )
    imports.add_argument("file", metavar="FILE", help="- for standard input")
    which = imports.add_mutually_exclusive_group()
    which.add_argument("--check", action="store_true", help="only report problems, line by line")
    which.add_argument("--skip", action="store_true", help="import all but the lines with problems")
    imports.add_argument("--format", choices=FORMATS, help="by default, detected from the content")
    imports.add_argument(
        "--ignore-column", metavar="NAME", action="append", default=[], help="skip a column"
    )
    imports.set_defaults(run=run_import)
    exports = actions.add_parser(
        "export", help="export all accounts, hashes included", description=EXPORT
    )
    exports.add_argument("file", metavar="FILE", nargs="?", default="-", help="else to stdout")
    exports.add_argument("--format", choices=FORMATS, default="jsonl", help="jsonl if not given")
    exports.add_argument(
        "--pictures", action="store_true", help="with their pictures and the gallery, as JSON lines"
    )
    exports.set_defaults(run=run_export)


def run_import(settings: Settings, chosen: Namespace) -> int:
    """Judge a file of accounts, and import it; return the exit status."""

    def act(url: str) -> int:
        with opened(chosen.file) as stream, open_import(url) as importing:
            return _import(importing, stream, chosen)

    return _run(settings, act, "what was imported stays; run it again to continue")


def run_export(settings: Settings, chosen: Namespace) -> int:
    """Write every account; return the exit status."""
    if chosen.pictures and chosen.format == "csv":
        complain("--pictures: CSV cannot contain pictures, but JSON lines can; omit --format")
        return 2

    def act(url: str) -> int:
        exporting = export_accounts(url, pictures=chosen.pictures)
        with exporting as (count, accounts, gallery), written(chosen.file) as stream:
            for hung in gallery:
                stream.write(as_json(hung) + "\n")
            _export(count, accounts, stream, chosen.format, pictures=chosen.pictures)
        where = "standard output" if chosen.file == "-" else chosen.file
        pictures = "pictures are included" if chosen.pictures else "pictures are not included"
        complain(
            f"{where} holds {number(count, 'account')} with their password hashes: keep it as "
            f"secret as the database; {pictures}"
        )
        return 0

    return _run(settings, act, "the export is incomplete")


def _run(settings: Settings, act: Callable[[str], int], stopped: str) -> int:
    try:
        # Redis is not needed: it may be away.
        with reach_stores(replace(settings, redis_url=UNREACHED)) as reached:
            asyncio.run(_prepare(reached))
            return act(reached.database_url)
    except BrokenPipeError:  # whoever reads has seen enough; nor shall the end of Python complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as problem:
        complain(f"{problem.filename or 'the file'}: {os.strerror(problem.errno or 0)}")
    except (EmbeddedStoreError, NoAccounts, NotDone, AppError) as problem:
        complain(str(problem))
    except KeyboardInterrupt:
        complain(f"stopped: {stopped}")
    return 1


async def _prepare(settings: Settings) -> None:
    async with database_of(settings):
        pass


def _import(importing: Import, stream: BinaryIO, chosen: Namespace) -> int:
    if not importing.is_alone():
        complain("waiting for another import to finish")
        importing.wait_for_others()
    _read(importing, stream, chosen)
    _say_if_terminal("checking")
    tally = importing.judge()
    for problem in importing.problems():
        say(sentence(problem))
    say("\n".join(summary(tally, importing.problems_by_kind())))
    whole = importing.concerns_all()
    if chosen.check:
        return 1 if tally.with_problems or whole else 0
    if whole or (tally.with_problems and not chosen.skip):
        help = "" if whole else ", or --skip those lines"
        raise NotDone(f"nothing was imported: solve the problems{help}")
    return _insert(importing, tally)


def _read(importing: Import, stream: BinaryIO, chosen: Namespace) -> None:
    lines, reader = Lines(stream), Reader(frozenset(chosen.ignore_column))
    records = read_records(lines, chosen.format, is_known)
    size, progress = size_of(stream), Progress(sys.stderr, "read", "lines")
    while chunk := _some(records, lines):
        accounts, problems, gallery = [], [], []
        for record in chunk:
            if (hung := gallery_of(record)) is not None:
                gallery += [hung[0]] if hung[0] else []
                problems += hung[1]
                continue
            account, wrong = reader.read(record)
            accounts += [account] if account else []
            problems += wrong
        importing.add(accounts, problems)
        importing.add_gallery(gallery)
        progress.at(lines.number, lines.bytes / size if size else None)
    progress.end()


def _some(records: Iterator[Record], lines: Lines) -> list[Record]:
    """Return the next lines, as many as fit into memory; none at the end."""
    some, end = [], lines.bytes + CHUNK_BYTES
    for record in islice(records, CHUNK):
        some.append(record)
        if lines.bytes >= end:
            break
    return some


def _insert(importing: Import, tally: Tally) -> int:
    progress = Progress(sys.stderr, "imported", f"of {tally.new} accounts")
    lost: list[Problem] = []
    done = seen = 0
    for inserted, missed in importing.insert():
        done, seen, lost = done + inserted, seen + inserted + len(missed), lost + missed
        progress.at(done, seen / tally.new)
    progress.end()
    for problem in lost:
        say(sentence(problem))
    say(
        f"{number(done, 'account')} imported in {progress.seconds:.1f} s, "
        f"{tally.already_there} already there, {tally.with_problems + len(lost)} left out"
    )
    if lost:
        raise NotDone(
            f"not imported because of concurrent changes: {number(len(lost), 'line')}; see above"
        )
    return 0


def _export(
    count: int,
    accounts: Iterator[dict[str, Any]],
    stream: Writable,
    format: str,
    *,
    pictures: bool,
) -> None:
    names = [*COLUMNS, PICTURE] if pictures else [*COLUMNS]
    write = _csv_writer(stream) if format == "csv" else _json_writer(stream, names)
    progress = Progress(sys.stderr, "exported", f"of {count} accounts")
    for done, account in enumerate(accounts, 1):
        write([account[SQL_NAMES.get(name, name)] for name in names])
        if done % CHUNK == 0:
            progress.at(done, done / count)
    progress.end()


def _json_writer(stream: Writable, names: Sequence[str]) -> Callable[[Sequence[Any]], object]:
    def write(values: Sequence[Any]) -> object:
        account = dict(zip(names, values, strict=True))
        return stream.write(as_json(account, default=datetime.isoformat) + "\n")

    return write


def _csv_writer(stream: Writable) -> Callable[[Sequence[Any]], object]:
    stream.write(csv_line(COLUMNS))
    nullable = [name in MAY_BE_NULL for name in COLUMNS]
    return lambda values: stream.write(csv_line(map(csv_field, values, nullable)))


def _say_if_terminal(what: str) -> None:
    if sys.stderr.isatty():
        complain(what)
