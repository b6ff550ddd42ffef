"""`webhooks`: lists the receivers of events, and resumes one that is paused."""

import datetime
from argparse import ArgumentParser, Namespace

from commands.console import CommandError, as_table
from commands.runner import command, on_database
from store.postgresql.database import Database
from store.webhook_states import WebhookState, WebhookStates


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    lists = actions.add_parser("list", help="list the receivers and what happens with each")
    lists.set_defaults(run=command(on_database(_list), needs_redis=False))
    resumes = actions.add_parser("resume", help="send to a receiver again that is paused")
    resumes.add_argument("name", metavar="NAME", help="its name in WEBHOOKS")
    resumes.set_defaults(run=command(on_database(_resume), needs_redis=False))


async def _list(database: Database, _: Namespace) -> str:
    rows = [("NAME    ", "STATE   ", "WAITING", "FAILURES", "NEXT (UTC)         ", "PROBLEM")]
    rows += [_row(state) for state in await WebhookStates(database).all()]
    return as_table(rows)


async def _resume(database: Database, chosen: Namespace) -> str:
    if not await WebhookStates(database).resume(chosen.name):
        raise CommandError(f"there is no receiver {chosen.name!r}")
    return f"events are sent to {chosen.name} again"


def _row(state: WebhookState) -> tuple[str, str, str, str, str, str]:
    what = "paused" if state.paused else "failing" if state.failures else "ok"
    due = f"{state.due.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S}" if what == "failing" else ""
    waiting = f"{state.lag_seconds:.0f} s" if state.lag_seconds else ""
    return state.name, what, waiting, str(state.failures), due, state.problem or ""
