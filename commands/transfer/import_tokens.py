"""`sessions import`: imports tokens of another application, so that its users stay logged in."""

import asyncio
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import NamedTuple

from commands.console import count_of, print_error, print_text
from commands.runner import command
from commands.stores import core_of
from commands.transfer import owners
from commands.transfer.messages import problem_message
from commands.transfer.reader import FORMATS, Record, read_chunks, read_time
from handlers import DIALECTS
from settings import Settings
from store.core import Core
from store.imported_tokens import Imported, sid_of

BATCH = 500
"""Tokens in one pipeline: Redis has to execute all of it within STORE_TIMEOUT."""
READ_SECONDS = 10.0
"""The deadline of one read of the accounts."""

TOKENS = ("key", "token", "digest", "id")
"""The columns of a token or its digest: `id` in what `dumpdata` writes, whose key it is."""
EXPIRY = "expiry"
DESCRIPTION = """\
Import the tokens of another application for accounts here, so that their users stay logged in:
pairs of an account (user_id, username or email) and its token (key or token; 40 hex digits), as in
Django REST framework's table authtoken_token, or knox's digest of it (digest; 128 hex digits) and
its end (expiry), as in knox_authtoken. The file is CSV with a header line or JSON lines. Import the
accounts first. The server accepts such tokens only with IMPORTED_TOKENS=on; Redis stores only
their digests. Each is a session that was opened now: it ends at its expiry, or if it has none,
SESSION_LIFETIME after its last use. You can run it again: tokens that were logged out since stay
so. Keep the file secret, and destroy it afterwards."""


class Pair(NamedTuple):
    """An account, by its id or a name, and its token's session; or the problem of their line.

    `ends` is in seconds since 1970, None if the token has no end.
    """

    line: int
    owner_field: str = ""
    owner: str = ""
    sid: str = ""
    ends: float | None = None
    problem: str = ""


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.description = DESCRIPTION
    parser.add_argument("file", metavar="FILE", help="- for standard input")
    parser.add_argument("--dialect", required=True, choices=[*DIALECTS], help="of their sessions")
    parser.add_argument("--check", action="store_true", help="only report problems, line by line")
    parser.add_argument("--format", choices=FORMATS, help="by default, detected from the content")
    parser.set_defaults(run=command(_run, stopped="stopped: run it again to continue"))


def _run(settings: Settings, chosen: Namespace) -> int:
    done, wrong = asyncio.run(_import(settings, chosen))
    could = "can be imported" if chosen.check else "imported"
    print_text(f"{count_of(done, 'token')} {could}, {count_of(wrong, 'line')} with problems")
    if done and settings.imported_tokens == "off" and not chosen.check:
        print_error("they are valid once the server has IMPORTED_TOKENS=on")
    return 1 if wrong else 0


async def _import(settings: Settings, chosen: Namespace) -> tuple[int, int]:
    done = wrong = 0
    async with core_of(settings) as core:
        for chunk in read_chunks(chosen.file, chosen.format, _is_known, BATCH):
            problems = await _import_chunk(core, list(map(_read, chunk)), chosen)
            done, wrong = done + len(chunk) - len(problems), wrong + len(problems)
            for _, problem in problems:
                print_text(problem)
    return done, wrong


async def _import_chunk(
    core: Core, pairs: Sequence[Pair], chosen: Namespace
) -> list[tuple[int, str]]:
    """Import some tokens, or only check them; return the problems, each with its line."""
    problems = [(pair.line, pair.problem) for pair in pairs if pair.problem]
    sound = [pair for pair in pairs if not pair.problem]
    ids = await owners.find_ids(core.accounts, [(pair.owner_field, pair.owner) for pair in sound])
    tokens = [
        Imported(pair.sid, ids.get((pair.owner_field, pair.owner), 0), ends=pair.ends)
        for pair in sound
    ]
    if chosen.check:
        deadline = asyncio.get_running_loop().time() + READ_SECONDS
        known = await core.accounts.get_many({each.account_id for each in tokens}, deadline)
        imported: list[bool | None] = [each.account_id in known or None for each in tokens]
    else:
        imported = await core.admin.import_tokens(chosen.dialect, tokens)
    for pair, is_valid in zip(sound, imported, strict=True):
        if is_valid is None:
            reason = f"no account has {pair.owner_field} {pair.owner[: owners.PREVIEW_CHARS]!r}"
            problems.append((pair.line, f"line {pair.line}: {reason}"))
        elif not is_valid:
            reason = "its token was revoked here, or belongs to another account"
            problems.append((pair.line, f"line {pair.line}: {reason}"))
    return sorted(problems)


def _is_known(column: str) -> bool:
    return column.lower() in (*owners.COLUMNS, *TOKENS, EXPIRY)


def _read(record: Record) -> Pair:
    if record.problem:
        return Pair(record.line, problem=problem_message(record.problem))
    fields = {name.lower(): value for name, value in record.fields if value is not None}
    column = owners.column_of(fields)
    named = next((name for name in TOKENS if name in fields and name != column), "")
    owner, sid = str(fields.get(column)), sid_of(str(fields.get(named)))
    ends = read_time(str(fields[EXPIRY])) if fields.get(EXPIRY) else None
    if problem := _problem(column, owner, sid, ends):
        return Pair(record.line, problem=f"line {record.line}: {problem}")
    return Pair(record.line, owners.COLUMNS[column], owner, sid or "", ends)


def _problem(column: str, owner: str, sid: str | None, ends: float | None) -> str:
    """Return what is wrong with a pair, "" for nothing. A possible token is not shown."""
    if problem := owners.problem_of(column, owner):
        return problem
    if sid is None:
        return "its token (key or token) is not 40 or 64 hex digits, nor a digest of 128"
    if ends is not None and not ends > time.time():
        return "its token has ended, or its expiry is not a time"
    return ""
