"""`sessions import`: tokens of another application go on being good; nobody is logged out."""

import asyncio
import os
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from commands.printing import complain, say
from commands.progress import Progress
from commands.stores import core_of, reach_stores
from commands.transfer.messages import number, sentence
from commands.transfer.reader import (
    FORMATS,
    Lines,
    NoAccounts,
    Record,
    opened,
    read_records,
    size_of,
)
from embedded import EmbeddedStoreError
from handlers import DIALECTS
from settings import Settings
from store.accounts import Accounts
from store.core import Core
from store.errors import AppError
from store.imported_tokens import digest_of

BATCH = 500
"""Tokens in one pipeline: a store has to answer all of it within STORE_TIMEOUT."""
PATIENCE = 10.0
"""Seconds for one look at the accounts."""

OWNERS = {
    "user_id": "id",
    "account_id": "id",
    "account": "id",
    "user": "id",
    "username": "username",
    "email": "email",
    "id": "id",
}
"""By column, how it names the account. The last is so only where no other does."""
TOKENS = ("key", "token", "id")
"""`id` in what Django's `dumpdata authtoken.token` writes: the token is that table's key."""
PREVIEW_CHARS = 80
"""Characters of a name that a problem shows, at most."""

_ID = re.compile(r"[0-9]{1,19}")

HELP = """\
Import the tokens of another application for accounts here, so that their users stay logged in:
pairs of an account (user_id, username or email) and its token (key or token; 40 hex digits), as in
Django REST framework's table authtoken_token, as CSV with a header line or JSON lines. Import the
accounts first. The server accepts such tokens only with IMPORTED_TOKENS=on; Redis stores only
their SHA-256. Each is a session that was opened now: it ends SESSION_LIFETIME after its last use.
You can run it again: tokens that were logged out since stay so. Keep the file secret, and destroy
it afterwards."""


class Pair(NamedTuple):
    """What a line says: the account, by its id or a name, and its token; or what is wrong."""

    line: int
    by: str = ""
    owner: str = ""
    token: str = ""
    problem: str = ""


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.description = HELP
    parser.add_argument("file", metavar="FILE", help="- for standard input")
    parser.add_argument("--dialect", required=True, choices=[*DIALECTS], help="of their sessions")
    parser.add_argument("--check", action="store_true", help="only report problems, line by line")
    parser.add_argument("--format", choices=FORMATS, help="by default, detected from the content")
    parser.set_defaults(run=run)


def run(settings: Settings, chosen: Namespace) -> int:
    """Import tokens; return the exit status, 1 when a line could not be imported."""
    try:
        with reach_stores(settings) as reached:
            return asyncio.run(_import(reached, chosen))
    except OSError as problem:
        name, why = problem.filename or "the file", os.strerror(problem.errno or 0)
        complain(f"{name}: {why}")
    except (EmbeddedStoreError, NoAccounts, AppError) as problem:
        complain(str(problem))
    except KeyboardInterrupt:
        complain("stopped: run it again to continue")
    return 1


async def _import(settings: Settings, chosen: Namespace) -> int:
    done = wrong = 0
    async with core_of(settings) as core:
        with opened(chosen.file) as stream:
            lines, size = Lines(stream), size_of(stream)
            progress = Progress(sys.stderr, "read", "lines")
            pairs = map(_read, read_records(lines, chosen.format, _is_known))
            while chunk := list(islice(pairs, BATCH)):
                problems = await _adopt(core, chunk, chosen)
                done, wrong = done + len(chunk) - len(problems), wrong + len(problems)
                for _, problem in problems:
                    say(problem)
                progress.at(lines.number, lines.bytes / size if size else None)
            progress.end()
    could = "can be imported" if chosen.check else "imported"
    say(f"{number(done, 'token')} {could}, {number(wrong, 'line')} with problems")
    if done and settings.imported_tokens == "off" and not chosen.check:
        complain("they are valid once the server has IMPORTED_TOKENS=on")
    return 1 if wrong else 0


async def _adopt(core: Core, pairs: Sequence[Pair], chosen: Namespace) -> list[tuple[int, str]]:
    """Import some, or only look whether they could be; return what is wrong, by line."""
    problems = [(pair.line, pair.problem) for pair in pairs if pair.problem]
    sound = [pair for pair in pairs if not pair.problem]
    ids = await _ids(core.accounts, sound)
    owned = [(ids.get((pair.by, pair.owner), 0), pair.token) for pair in sound]
    if chosen.check:
        by = asyncio.get_running_loop().time() + PATIENCE
        known = await core.accounts.get_many({account_id for account_id, _ in owned}, by)
        stand: list[bool | None] = [account_id in known or None for account_id, _ in owned]
    else:
        stand = await core.admin.import_tokens(chosen.dialect, owned)
    for pair, stands in zip(sound, stand, strict=True):
        if stands is None:
            why = f"no account has {pair.by} {pair.owner[:PREVIEW_CHARS]!r}"
            problems.append((pair.line, f"line {pair.line}: {why}"))
        elif not stands:
            why = "its token was revoked here, or belongs to another account"
            problems.append((pair.line, f"line {pair.line}: {why}"))
    return sorted(problems)


async def _ids(accounts: Accounts, pairs: Sequence[Pair]) -> dict[tuple[str, str], int]:
    found = {("id", pair.owner): int(pair.owner) for pair in pairs if pair.by == "id"}
    for field in ("username", "email"):
        names = {pair.owner for pair in pairs if pair.by == field}
        if names:
            ids = await accounts.ids_of(field, names)
            found |= {(field, name): account_id for name, account_id in ids.items()}
    return found


def _is_known(column: str) -> bool:
    return column.lower() in OWNERS or column.lower() in TOKENS


def _read(record: Record) -> Pair:
    if record.problem:
        return Pair(record.line, problem=sentence(record.problem))
    fields = {name.lower(): value for name, value in record.fields if value is not None}
    column = next((name for name in OWNERS if name in fields), "")
    named = next((name for name in TOKENS if name in fields and name != column), "")
    by, owner, token = OWNERS.get(column, ""), str(fields.get(column)), str(fields.get(named))
    why = _why_not(column, owner, token)
    return (
        Pair(record.line, problem=f"line {record.line}: {why}")
        if why
        else Pair(record.line, by, owner, token)
    )


def _why_not(column: str, owner: str, token: str) -> str:
    """Say what is wrong with a pair, "" for nothing; what may be a token is not shown."""
    if not column:
        return "it does not name an account; give user_id, username or email"
    if OWNERS[column] == "id" and not _ID.fullmatch(owner):
        return f"its {column} is not an account's id, which is a whole number"
    if digest_of(token) is None:
        return "its token (key or token) is not 40 hex digits, as DRF makes them"
    return ""
