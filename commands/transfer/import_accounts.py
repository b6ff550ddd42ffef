"""`account import`: imports accounts in bulk, with the password hashes of another application."""

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable
from textwrap import fill
from typing import Any

from commands.columns import COLUMNS, NAMES, BadValue, sql_name
from commands.console import CommandError, Progress, count_of, print_error, print_text
from commands.runner import command, on_tables
from commands.stores import event_writer
from commands.transfer.messages import problem_message, summary
from commands.transfer.reader import FORMATS, Record, read_chunks
from settings import Settings
from store.names import is_askable, is_valid_name, is_valid_text
from store.transfer.imports import Import, open_import
from store.transfer.incoming import Incoming, Kind, Problem, Tally
from store.transfer.pictures import GALLERY, PICTURE, read_gallery_picture, read_picture

CHUNK = 5_000
"""Lines in memory at a time, at most."""

DESCRIPTION = """\
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

_NAMED = {alias: name for name, column in COLUMNS.items() for alias in (name, *column.aliases)}


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.description, parser.epilog = DESCRIPTION, COLUMNS_HELP
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", help="- for standard input")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--check", action="store_true", help="only report problems, line by line")
    which.add_argument("--skip", action="store_true", help="import all but the lines with problems")
    parser.add_argument("--format", choices=FORMATS, help="by default, detected from the content")
    parser.add_argument(
        "--ignore-column", metavar="NAME", action="append", default=[], help="skip a column"
    )
    stopped = "stopped: what was imported stays; run it again to continue"
    parser.set_defaults(run=command(on_tables(_run), needs_redis=False, stopped=stopped))


def _run(settings: Settings, chosen: Namespace) -> int:
    with open_import(settings.database_url, event_writer(settings)) as importing:
        if not importing.is_alone():
            print_error("waiting for another import to finish")
            importing.wait_for_others()
        _read(importing, chosen)
        if sys.stderr.isatty():
            print_error("checking")
        tally = importing.check()
        for problem in importing.problems():
            print_text(problem_message(problem))
        print_text("\n".join(summary(tally, importing.problems_by_kind())))
        whole = importing.concerns_all()
        if chosen.check:
            return 1 if tally.with_problems or whole else 0
        if whole or (tally.with_problems and not chosen.skip):
            help = "" if whole else ", or --skip those lines"
            raise CommandError(f"nothing was imported: solve the problems{help}")
        return _insert(importing, tally)


def _read(importing: Import, chosen: Namespace) -> None:
    reader = AccountReader(frozenset(chosen.ignore_column))
    for chunk in read_chunks(chosen.file, chosen.format, is_known, CHUNK):
        accounts, gallery, problems = [], [], []
        for record in chunk:
            if [name for name, _ in record.fields] == [GALLERY]:
                value = record.fields[0][1]
                picture, found = _read_value(record.line, PICTURE, value, read_gallery_picture)
                gallery += [picture] if picture else []
            else:
                account, found = reader.read(record)
                accounts += [account] if account else []
            problems += found
        importing.add(accounts, problems)
        importing.add_gallery(gallery)


def _insert(importing: Import, tally: Tally) -> int:
    progress = Progress(sys.stderr, "imported", f"of {tally.new} accounts")
    lost: list[Problem] = []
    done = seen = 0
    for inserted, missed in importing.insert():
        done, seen, lost = done + inserted, seen + inserted + len(missed), lost + missed
        progress.report(done, seen / tally.new)
    progress.end()
    for problem in lost:
        print_text(problem_message(problem))
    print_text(
        f"{count_of(done, 'account')} imported in {progress.seconds:.1f} s, "
        f"{tally.already_there} already there, {tally.with_problems + len(lost)} left out"
    )
    if lost:
        raise CommandError(
            f"not imported because of concurrent changes: {count_of(len(lost), 'line')}; see above"
        )
    return 0


def is_known(name: str) -> bool:
    """Return whether a column of a file is one of an account, by its name or an alias."""
    return name.strip().lower() in _NAMED


class AccountReader:
    """Reads records as accounts. `ignored` are columns to skip."""

    def __init__(self, ignored: frozenset[str] = frozenset()) -> None:
        self._ignored = frozenset(name.strip().lower() for name in ignored)
        self._names: dict[str, str | None] = {}
        self._reported: set[str] = set()

    def read(self, record: Record) -> tuple[Incoming | None, list[Problem]]:
        """Return the account of a line, None for an unreadable one, and the line's problems."""
        if record.problem:
            return None, [record.problem]
        values: dict[str, Any] = {}
        problems, picture = [], None
        for given, value in record.fields:
            name = self._names[given] if given in self._names else self._name_of(given)
            if given == PICTURE and not isinstance(value, str):
                picture, found = _read_value(record.line, PICTURE, value, read_picture)
                problems += found
            elif name is None:
                problems += self._report_once(record.line, Kind.UNKNOWN_COLUMN, given)
            elif name in values:
                problems += self._report_once(record.line, Kind.COLUMN_TWICE, name)
            elif name:
                read = COLUMNS[name].read
                values[name], found = _read_value(record.line, name, value, read)
                problems += found
        problems += _missing(record.line, values, problems)
        columns = {sql_name(name): value for name, value in values.items()}
        return Incoming(record.line, columns, not problems, picture), problems

    def _name_of(self, given: str) -> str | None:
        """Return the column that is meant, "" for an ignored one, None for an unknown one."""
        plain = given.strip().lower()
        name = self._names[given] = "" if plain in self._ignored else _NAMED.get(plain)
        return name

    def _report_once(self, line: int, kind: Kind, field: str) -> list[Problem]:
        if f"{kind} {field}" in self._reported:
            return []
        self._reported.add(f"{kind} {field}")
        return [Problem(line, kind, field)]


def _read_value(
    line: int, name: str, value: Any, read: Callable[[Any], Any]
) -> tuple[Any, list[Problem]]:
    if value is None:
        return None, []
    try:
        return _storable(name, read(value)), []
    except BadValue as bad:
        kind, shown = bad.kind, bad.problem
    except (ValueError, LookupError, OverflowError):
        kind, shown = Kind.BAD_VALUE, str(value)
    hides = name in ("password", PICTURE) and kind is not Kind.UNKNOWN_HASH
    return None, [Problem(line, kind, name, "" if hides else shown)]


def _storable(name: str, value: Any) -> Any:
    """Return the value, None for a blank name: COPY bypasses the checks of the store.

    Raises BadValue.
    """
    if not isinstance(value, str):
        return value
    if not is_valid_text(value):
        raise BadValue(Kind.UNSTORABLE, value)
    if name in NAMES:
        if not is_valid_name(value):
            raise BadValue(Kind.TOO_LONG)
        if value.strip() and not is_askable(value):
            raise BadValue(Kind.UNASKED, value)
        return value.strip() or None
    return value


def _missing(line: int, values: dict[str, Any], problems: list[Problem]) -> list[Problem]:
    wrong = {problem.field for problem in problems}
    missing = []
    if not (values.get("username") or values.get("email") or wrong & {*NAMES}):
        missing.append(Problem(line, Kind.NAMELESS))
    if not (values.get("password") or "password" in wrong):
        missing.append(Problem(line, Kind.HASHLESS))
    return missing
