"""`account`: an operator sees, makes, changes and deletes one account, and lists all."""

import asyncio
import dataclasses
import datetime
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from commands.fields import PARSE, BadInput, parse_assignment
from commands.naming import NAME_HELP, find, nobody, only_named, the_names
from commands.printing import as_json, complain, printable, say
from commands.prompt import agrees, is_at_a_terminal, new_password
from commands.stores import core_of, database_of, reach_stores
from commands.transfer import accounts as transfer
from commands.transfer.messages import number
from embedded import EmbeddedStoreError
from settings import Settings
from store.account import Details, NewAccount
from store.accounts import MAX_ID
from store.errors import AppError, Busy, Taken, Unstorable
from store.listing import list_accounts
from store.refold import refold, survey

Act = Callable[[Settings, Namespace], Awaitable[str]]

CREATE = """\
Create an account. Type its password twice, or pass it as the first line of standard input if that
is not a terminal. The rules of the dialects for names, passwords and e-mails do not apply here:
the names only have to be free and storable."""

RENEW = """\
Set an account's password, which ends its sessions at once. Type it twice, or pass it as the first
line of standard input if that is not a terminal."""

REFOLD = """\
Fold the names of all accounts as this release does, and report those whose folded form another
account has. The first start of a release does this; run it for names that a server of an older
release has written since, in a rolling upgrade."""

DELETE = """\
Delete an account, its pictures and its sessions, for good."""

_AT_BIRTH = {each.name for each in dataclasses.fields(NewAccount)}


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print an account")
    change = actions.add_parser("set", help="change fields of an account")
    create = actions.add_parser("create", help="create an account", description=CREATE)
    password = actions.add_parser("password", help="set a password", description=RENEW)
    delete = actions.add_parser("delete", help="delete an account", description=DELETE)
    lists = actions.add_parser("list", help="list accounts, in the order of their ids")
    folds = actions.add_parser("refold", help="fold all names again", description=REFOLD)
    for action in (show, change, password, delete):
        action.add_argument("name", metavar="NAME", help=NAME_HELP)
    fields = f"the fields are {', '.join(PARSE)}"
    for action, note in ((change, "; is_active=false ends the account's sessions"), (create, "")):
        action.add_argument(
            "assignments",
            type=parse_assignment,
            nargs="+",
            metavar="FIELD=VALUE",
            help=fields + note,
        )
    delete.add_argument("--yes", action="store_true", help="continue without asking")
    lists.add_argument(
        "--limit", type=_whole, default=100, metavar="N", help="the maximum number (default: 100)"
    )
    lists.add_argument(
        "--after", type=_whole, default=0, metavar="ID", help="only ids above this one"
    )
    lists.add_argument(
        "--match", default="", metavar="TEXT", help="only names that begin with this"
    )
    for action, act, always in (
        (show, _show, " (as always)"),
        (change, _set, " (as always)"),
        (create, _create, ""),
        (password, _password, ""),
        (delete, _delete, ""),
        (lists, _list, ""),
        (folds, _refold, ""),
    ):
        action.add_argument("--json", action="store_true", help=f"print JSON{always}")
        action.set_defaults(run=lambda settings, chosen, act=act: run(settings, chosen, act))
    transfer.add(actions)


def run(settings: Settings, chosen: Namespace, act: Act) -> int:
    """Do what is asked, and print what there is to say; return the exit status."""
    if act is _delete and not (chosen.yes or is_at_a_terminal()):
        complain(f"this deletes {chosen.name!r}, and there is no terminal to confirm it; use --yes")
        return 2
    try:
        with reach_stores(settings) as reached:
            say(asyncio.run(_acting(act, reached, chosen)))
    except (BadInput, EmbeddedStoreError, AppError) as problem:
        complain(_say(problem))
        return 1
    except (KeyboardInterrupt, EOFError):
        complain("nothing was done")
        return 1
    return 0


async def _acting(act: Act, settings: Settings, chosen: Namespace) -> str:
    return await act(settings, chosen)


async def _show(settings: Settings, chosen: Namespace) -> str:
    async with core_of(settings, redis_required=False) as core:
        return _as_json(_shown(await find(core.accounts, chosen.name)))


async def _set(settings: Settings, chosen: Namespace) -> str:
    changes = dict(chosen.assignments)
    async with core_of(settings, redis_required=False) as core:
        found = await find(core.accounts, chosen.name)
        only_named(found, changes)
        await core.accounts.change(found.id, changes)
        return _as_json(_shown(_still(await core.accounts.details(found.id), chosen.name)))


async def _create(settings: Settings, chosen: Namespace) -> str:
    values = dict(chosen.assignments)
    if not (values.get("username") or values.get("email")):
        raise BadInput("an account needs a username or an email")
    new = NewAccount(**{name: value for name, value in values.items() if name in _AT_BIRTH})
    later = {name: value for name, value in values.items() if name not in _AT_BIRTH}
    password = new_password()
    async with core_of(settings, redis_required=False) as core:
        account = await core.admin.register(new, password)
        if later:
            await core.accounts.change(account.id, later)
        details = _still(await core.accounts.details(account.id), "of this name")
    return _as_json(_shown(details)) if chosen.json else f"{the_names(details)} was created"


async def _password(settings: Settings, chosen: Namespace) -> str:
    async with core_of(settings, redis_required=False) as core:
        found = await find(core.accounts, chosen.name)
        if not await core.admin.set_password(found.id, new_password()):
            raise nobody(chosen.name)
    said = {"id": found.id, "password": "changed"}
    over = "has a new password; its sessions have ended"
    return _as_json(said) if chosen.json else f"{the_names(found)} {over}"


async def _delete(settings: Settings, chosen: Namespace) -> str:
    async with core_of(settings, redis_required=False) as core:
        found = await find(core.accounts, chosen.name)
        if not chosen.yes and not agrees(f"This deletes {the_names(found)} permanently."):
            raise BadInput("nothing was deleted")
        if not await core.admin.remove(found.id):
            raise nobody(chosen.name)
    said = {"id": found.id, "deleted": True}
    return _as_json(said) if chosen.json else f"{the_names(found)} was deleted"


async def _list(settings: Settings, chosen: Namespace) -> str:
    async with database_of(settings) as database:
        found = await list_accounts(
            database, after=chosen.after, limit=chosen.limit, match=chosen.match
        )
    return _as_json(list(map(_shown, found))) if chosen.json else _as_table(found)


async def _refold(settings: Settings, chosen: Namespace) -> str:
    async with database_of(settings) as database:
        count = await refold(database, again=True)
        twins = (await survey(database)).twins
    if chosen.json:
        return _as_json({"refolded": count, "clashes": twins})
    clashes = (
        f"account {one} has a name that account {other} has: rename one" for one, other in twins
    )
    return "\n".join([f"{number(count, 'name')} refolded", *clashes])


def _still(details: Details | None, name: str) -> Details:
    if details is None:
        raise nobody(name)
    return details


def _whole(text: str) -> int:
    if not (text.isdecimal() and int(text) <= MAX_ID):
        raise ArgumentTypeError("a whole number is required")
    return int(text)


def _shown(details: Details) -> dict[str, Any]:
    shown = dataclasses.asdict(details)
    shown["group"] = shown.pop("group_name")
    return shown


def _as_json(shown: object) -> str:
    return as_json(shown, indent=2)


def _as_table(found: Sequence[Details]) -> str:
    rows = [("ID", "USERNAME", "E-MAIL", "CREATED (UTC)", "")]
    for each in found:
        created = f"{each.created.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S}"
        off = "" if each.is_active else "disabled"
        names = (printable(each.username or ""), printable(each.email or ""))
        rows.append((str(each.id), *names, created, off))
    wide = [max(len(row[n]) for row in rows) for n in range(4)]
    return "\n".join(
        f"{a:>{wide[0]}}  {b:<{wide[1]}}  {c:<{wide[2]}}  {d:<{wide[3]}}  {e}".rstrip()
        for a, b, c, d, e in rows
    )


def _say(problem: Exception) -> str:
    match problem:
        case Taken():
            return f"another account has this {' and this '.join(sorted(problem.fields))}"
        case Unstorable():
            return (
                f"{problem.field} cannot be stored: it is too long, or contains an invisible "
                "character"
            )
        case Busy():
            return f"the operation timed out: {problem}"
        case _:
            return str(problem)
