"""`sessions`: list or end the sessions of an account, end all, import tokens and blacklists."""

import asyncio
import datetime
from argparse import ArgumentParser, Namespace

from commands.console import (
    CommandError,
    as_json,
    as_table,
    confirm,
    count_of,
    print_error,
    printable,
)
from commands.naming import NAME_HELP, find
from commands.runner import can_confirm, command, on_core
from commands.stores import database_of, event_writer
from commands.transfer import import_blacklist, import_tokens
from settings import Settings
from store.all_accounts import AllAccounts
from store.core import Core
from store.errors import Unavailable
from store.event_log import EventLog

BATCH = 10_000
"""Accounts in one statement."""
ALL = """\
End every session of every account: after PostgreSQL was restored from a backup, or has failed over
to a replica that had missed commits. Stop every server before, and do not start one until this has
finished. Redis need not be running."""


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    lists = actions.add_parser("list", help="list an account's live sessions, in every dialect")
    lists.add_argument("name", metavar="NAME", help=NAME_HELP)
    lists.add_argument("--json", action="store_true", help="as JSON")
    lists.set_defaults(run=command(on_core(_list, redis_required=True)))
    import_tokens.add(
        actions.add_parser("import", help="import tokens of another application, which stay valid")
    )
    import_blacklist.add(
        actions.add_parser("blacklist", help="refuse refresh tokens that another application ended")
    )
    ends = actions.add_parser(
        "end", help="end an account's sessions, or those of all accounts", epilog=f"--all: {ALL}"
    )
    whose = ends.add_mutually_exclusive_group(required=True)
    whose.add_argument("name", metavar="NAME", nargs="?", help=NAME_HELP)
    whose.add_argument("--all", action="store_true", help="of every account; see below")
    ends.add_argument(
        "--session",
        metavar="ID",
        action="append",
        help="only this session, as `sessions list` shows its id; can be repeated",
    )
    ends.add_argument("--yes", action="store_true", help="with --all: continue without asking")
    end_one = command(on_core(_end))
    end_all = command(
        lambda settings, chosen: asyncio.run(_end_all(settings, chosen)),
        check=_check,
        needs_redis=False,
    )

    def end(settings: Settings, chosen: Namespace) -> int:
        return (end_all if chosen.all else end_one)(settings, chosen)

    ends.set_defaults(run=end)


async def _list(core: Core, chosen: Namespace) -> str:
    account = await find(core.accounts, chosen.name)
    shown = [
        {
            "account": account.id,
            "session": session.public_id,
            "dialect": session.dialect,
            "kind": session.kind,
            "device": session.device,
            "created": _utc(session.opened),
            "last_used": _utc(core.sessions.last_used(session, ends)),
            "ends": _utc(ends),
        }
        for session, ends in await core.admin.live_sessions(account.id)
    ]
    if chosen.json:
        return as_json(shown, indent=2)
    times = {"created": "CREATED (UTC)", "last_used": "LAST USED (UTC)", "ends": "ENDS (UTC)"}
    rows = [("SESSION", "DIALECT", "KIND", *times.values(), "DEVICE")]
    for each in shown:
        words = (str(each[name]) for name in ("session", "dialect", "kind"))
        moments = (str(each[name]).strip("Z").replace("T", " ") for name in times)
        rows.append((*words, *moments, printable(str(each["device"] or ""))))
    return as_table(rows)


async def _end(core: Core, chosen: Namespace) -> str:
    account = await find(core.accounts, chosen.name)
    if chosen.session:
        return await _end_some(core, account.id, chosen)
    try:
        count = count_of(len(await core.admin.live_sessions(account.id)), "session")
    except Unavailable as error:
        if error.store != "redis":
            raise
        count = ""  # PostgreSQL alone can end them
    await core.admin.end_all(account.id)
    if not count:
        return (
            f"{chosen.name} has no sessions now; Redis is unavailable, so their number is unknown"
        )
    return f"ended {count} of {chosen.name}"


async def _end_some(core: Core, account_id: int, chosen: Namespace) -> str:
    wanted = list(dict.fromkeys(chosen.session))
    unknown = [each for each in wanted if not await core.admin.end_session(account_id, each)]
    if unknown:
        raise CommandError(f"{chosen.name} has no live session {', '.join(unknown)}")
    return f"ended {count_of(len(wanted), 'session')} of {chosen.name}"


def _check(chosen: Namespace) -> None:
    if chosen.session:
        raise CommandError("--session goes with NAME, not with --all")
    can_confirm("ends the sessions of all accounts", confirmed=chosen.yes)


async def _end_all(settings: Settings, chosen: Namespace) -> str:
    async with database_of(settings) as database:
        accounts = AllAccounts(database, event_writer(settings))
        count = count_of(await accounts.count(), "account")
        if not (chosen.yes or confirm(f"This ends every session of {count}.")):
            raise CommandError("no session was ended")
        await EventLog(database).rebase()
        ended, last = 0, 0
        while raised := await accounts.raise_epochs(last, BATCH):
            last, ended = raised[0], ended + raised[1]
            print_error(f"{ended} of {count}")
    return f"the sessions of {count_of(ended, 'account')} have ended"


def _utc(seconds: float) -> str:
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
