"""`events`: lists what was done to accounts, and by whom."""

import asyncio
from argparse import ArgumentParser, ArgumentTypeError, Namespace

from commands.console import as_json, print_text, printable
from commands.naming import NAME_HELP, find
from commands.runner import command, on_core
from store.accounts import MAX_ID
from store.core import Core
from store.event_log import POLL_SECONDS, Cursor, Event, EventLog
from store.event_writer import TYPES

PAGE = 1_000
"""Events of one statement."""
LISTED = 100
"""Events that are listed by default."""


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument("--account", metavar="NAME", help=f"only of this one: {NAME_HELP}")
    parser.add_argument("--type", choices=TYPES, metavar="TYPE", help="such as account.created")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--limit", type=_limit, default=LISTED, metavar="N", help="the last N (default: 100)"
    )
    which.add_argument("--after", type=_cursor, metavar="CURSOR", help="all after this cursor")
    parser.add_argument("--follow", action="store_true", help="go on with what is done from now on")
    parser.add_argument("--json", action="store_true", help="as JSON lines, each with its cursor")
    parser.set_defaults(run=command(on_core(_list)))


async def _list(core: Core, chosen: Namespace) -> int:
    account_id = await _account_id(core, chosen.account) if chosen.account else None
    log, type = core.events, chosen.type
    if chosen.after is None:
        events, cursor = await log.latest(chosen.limit, account_id=account_id, type=type)
        _print(events, as_lines=chosen.json)
    else:
        cursor = await _print_after(log, chosen.after, account_id, chosen)
    while chosen.follow:
        cursor = await _print_after(log, cursor, account_id, chosen)
        await asyncio.sleep(POLL_SECONDS)
    return 0


async def _print_after(
    log: EventLog, after: Cursor, account_id: int | None, chosen: Namespace
) -> Cursor:
    """Print all events after a cursor; return the cursor to go on from."""
    while True:
        events, after = await log.read(after, PAGE, account_id=account_id, type=chosen.type)
        _print(events, as_lines=chosen.json)
        if len(events) < PAGE:
            return after


async def _account_id(core: Core, name: str) -> int:
    """Return an account's id, which may be that of one that was deleted. Raises CommandError."""
    field, _, rest = name.partition(":")
    if field == "id" and rest.isascii() and rest.isdecimal() and int(rest) <= MAX_ID:
        return int(rest)
    return (await find(core.accounts, name)).id


def _print(events: list[Event], *, as_lines: bool) -> None:
    for event in events:
        if as_lines:
            print_text(as_json({**event.shape(), "cursor": str(event.cursor)}))
        else:
            print_text(_line(event))


def _line(event: Event) -> str:
    name = printable(event.username or "-")
    actor = f"{event.actor.type} {printable(event.actor.name or '-')}"
    fields = f"  {', '.join(event.data['fields'])}" if "fields" in event.data else ""
    return (
        f"{event.time:%Y-%m-%d %H:%M:%S}  {event.type:<24}  {event.account_id} {name}"
        f"  by {actor}{fields}"
    )


def _cursor(text: str) -> Cursor:
    cursor = Cursor.parse(text)
    if cursor is None:
        raise ArgumentTypeError("that is not a cursor of an event")
    return cursor


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= MAX_ID):
        raise ArgumentTypeError("a whole number above 0 is required")
    return int(text)
