"""`sessions`: which sessions an account has, ending them, and ending all that there are."""

import asyncio
import contextlib
import datetime
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from dataclasses import replace

from commands.fields import BadInput
from commands.naming import NAME_HELP, find
from commands.printing import as_json, complain, say
from commands.prompt import agrees, is_at_a_terminal
from commands.stores import UNREACHED, core_of, database_of, reach_stores
from commands.transfer import import_tokens
from commands.transfer.messages import number
from embedded import EmbeddedStoreError
from settings import Settings
from store.accounts import Accounts
from store.admin import Admin
from store.errors import AppError, Unavailable
from store.session_record import Session

BATCH = 10_000
"""Accounts in one statement."""
PREVIEW_CHARS = 6
"""Characters of a session's id that are shown: enough to tell two apart, of no use to anybody."""

ALL = """\
End every session of every account: after PostgreSQL was restored from a backup, or has failed over
to a replica that had missed commits. Stop every server before, and do not start one until this has
finished. Redis need not be running."""

Standing = list[tuple[Session, float]]


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    lists = actions.add_parser("list", help="list an account's live sessions, in every dialect")
    lists.add_argument("name", metavar="NAME", help=NAME_HELP)
    lists.add_argument("--json", action="store_true", help="as JSON")
    lists.set_defaults(run=lambda settings, chosen: _run(settings, chosen, _list))
    import_tokens.add(
        actions.add_parser("import", help="import tokens of another application, which stay valid")
    )
    ends = actions.add_parser(
        "end", help="end an account's sessions, or those of all accounts", epilog=f"--all: {ALL}"
    )
    whose = ends.add_mutually_exclusive_group(required=True)
    whose.add_argument("name", metavar="NAME", nargs="?", help=NAME_HELP)
    whose.add_argument("--all", action="store_true", help="of every account; see below")
    ends.add_argument("--yes", action="store_true", help="with --all: continue without asking")
    ends.set_defaults(run=_end)


def _end(settings: Settings, chosen: Namespace) -> int:
    if not chosen.all:
        return _run(settings, chosen, _end_of_one)
    if not chosen.yes and not is_at_a_terminal():
        complain(
            "this ends the sessions of all accounts, and there is no terminal to ask at; "
            "say --yes to go on"
        )
        return 2
    return _run(replace(settings, redis_url=UNREACHED), chosen, _end_of_all)


def _run(
    settings: Settings, chosen: Namespace, act: Callable[[Settings, Namespace], Awaitable[str]]
) -> int:
    """Act, and print what there is to say; return the exit status."""

    async def acting(reached: Settings) -> str:
        return await act(reached, chosen)

    try:
        with reach_stores(settings) as reached:
            say(asyncio.run(acting(reached)))
    except (BadInput, EmbeddedStoreError, AppError) as problem:
        complain(str(problem))
        return 1
    return 0


async def _list(settings: Settings, chosen: Namespace) -> str:
    async with core_of(settings) as core:
        found = await find(core.accounts, chosen.name)
        standing = await core.admin.live_sessions(found.id)
    return _as_json(found.id, standing) if chosen.json else _as_table(standing)


async def _end_of_one(settings: Settings, chosen: Namespace) -> str:
    async with core_of(settings, redis_required=False) as core:
        found = await find(core.accounts, chosen.name)
        count = await _count(core.admin, found.id)
        await core.admin.end_all(found.id)
    if count is None:
        return (
            f"{chosen.name} has no sessions now; Redis is unavailable, so their number is unknown"
        )
    return f"ended {number(count, 'session')} of {chosen.name}"


async def _count(admin: Admin, account_id: int) -> int | None:
    try:
        return len(await admin.live_sessions(account_id))
    except Unavailable as refusal:
        if refusal.store != "redis":
            raise
        return None  # PostgreSQL alone can end them


async def _end_of_all(settings: Settings, chosen: Namespace) -> str:
    async with database_of(settings) as database:
        with contextlib.closing(Accounts(database)) as accounts:
            return await _raise_epochs(accounts, chosen)


async def _raise_epochs(accounts: Accounts, chosen: Namespace) -> str:
    count = await accounts.count()
    if not chosen.yes and not agrees(f"This ends every session of {number(count, 'account')}."):
        raise BadInput("no session was ended")
    ended, last = 0, 0
    while raised := await accounts.raise_epochs(last, BATCH):
        last, ended = raised[0], ended + raised[1]
        complain(f"{ended} of {number(count, 'account')}")
    return f"the sessions of {number(ended, 'account')} have ended"


def _as_table(standing: Standing) -> str:
    rows = [("DIALECT", "KIND", "SESSION", "OPENED (UTC)", "ENDS (UTC)")]
    for session, ends in standing:
        opened, until = (f"{_utc(each):%Y-%m-%d %H:%M:%S}" for each in (session.opened, ends))
        rows.append((session.dialect, session.kind, session.sid[:PREVIEW_CHARS], opened, until))
    return "\n".join(f"{a:<8}  {b:<8}  {c:<7}  {d:<19}  {e}" for a, b, c, d, e in rows)


def _as_json(account_id: int, standing: Standing) -> str:
    return as_json(
        [
            {
                "account": account_id,
                "dialect": session.dialect,
                "kind": session.kind,
                "session": session.sid[:PREVIEW_CHARS],
                "opened": f"{_utc(session.opened):%Y-%m-%dT%H:%M:%SZ}",
                "ends": f"{_utc(ends):%Y-%m-%dT%H:%M:%SZ}",
            }
            for session, ends in standing
        ],
        indent=2,
    )


def _utc(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
