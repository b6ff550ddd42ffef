"""`account`: show, create, change, delete, list, import and export accounts."""

import dataclasses
import datetime
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Any

from commands.columns import COLUMNS, FIELDS_HELP, parse_assignment, sql_name
from commands.console import (
    CommandError,
    as_json,
    as_table,
    confirm,
    count_of,
    printable,
    read_password,
)
from commands.naming import NAME_HELP, existing, find, names_of, no_account
from commands.runner import can_confirm, command, on_core, on_database
from commands.transfer import export_accounts, import_accounts
from store.account import Details, NewAccount
from store.accounts import MAX_ID
from store.core import Core
from store.listing import list_accounts
from store.postgresql.database import Database
from store.refold import refold, survey

CREATE = """\
Create an account. Type its password twice, or pass it as the first line of standard input if that
is not a terminal. The rules of the dialects for names, passwords and e-mails do not apply here:
the names only have to be free and storable."""

REPLACE = """\
Set an account's password, which ends its sessions at once. Type it twice, or pass it as the first
line of standard input if that is not a terminal."""

REFOLD = """\
Fold the names of all accounts as this release does, and report those whose folded form another
account has. The first start of a release does this; run it for names that a server of an older
release has written since, in a rolling upgrade."""

DELETE = """\
Delete an account, its pictures and its sessions, for good."""

SHOWN_COLUMNS = [*(name for name in COLUMNS if name != "password"), "modified"]
_NEW_FIELDS = {each.name for each in dataclasses.fields(NewAccount)}


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print an account")
    change = actions.add_parser("set", help="change fields of an account")
    create = actions.add_parser("create", help="create an account", description=CREATE)
    password = actions.add_parser("password", help="set a password", description=REPLACE)
    delete = actions.add_parser("delete", help="delete an account", description=DELETE)
    lists = actions.add_parser("list", help="list accounts, in the order of their ids")
    folds = actions.add_parser("refold", help="fold all names again", description=REFOLD)
    for action in (show, change, password, delete):
        action.add_argument("name", metavar="NAME", help=NAME_HELP)
    for action, note in ((change, "; is_active=false ends the account's sessions"), (create, "")):
        action.add_argument(
            "assignments",
            type=parse_assignment,
            nargs="+",
            metavar="FIELD=VALUE",
            help=FIELDS_HELP + note,
        )
    create.add_argument(
        "--superuser", action="store_true", help="who may use the admin page: is_superuser=true"
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
    for action, run, always in (
        (show, command(on_core(_show)), " (as always)"),
        (change, command(on_core(_set)), " (as always)"),
        (create, command(on_core(_create), stopped="nothing was created"), ""),
        (password, command(on_core(_password)), ""),
        (delete, command(on_core(_delete), check=_check_delete), ""),
        (lists, command(on_database(_list), needs_redis=False), ""),
        (folds, command(on_database(_refold), needs_redis=False), ""),
    ):
        action.add_argument("--json", action="store_true", help=f"print JSON{always}")
        action.set_defaults(run=run)
    import_accounts.add(
        actions.add_parser("import", help="import accounts from CSV or JSON lines, hashes included")
    )
    export_accounts.add(actions.add_parser("export", help="export all accounts, hashes included"))


async def _show(core: Core, chosen: Namespace) -> str:
    return _details_json(await find(core.accounts, chosen.name))


async def _set(core: Core, chosen: Namespace) -> str:
    changes = dict(chosen.assignments)
    account = await find(core.accounts, chosen.name)
    names = {"username": account.username, "email": account.email, **changes}
    if not (names["username"] or names["email"]):
        raise CommandError(
            f"{names_of(account)} would have neither username nor email; set the other one first"
        )
    await core.accounts.change(account.id, changes)
    return _details_json(existing(await core.accounts.details(account.id), chosen.name))


async def _create(core: Core, chosen: Namespace) -> str:
    values = dict(chosen.assignments)
    if chosen.superuser:
        values["is_superuser"] = True
    if not (values.get("username") or values.get("email")):
        raise CommandError("an account needs a username or an email")
    named = {name: value for name, value in values.items() if name in _NEW_FIELDS}
    others = {name: value for name, value in values.items() if name not in _NEW_FIELDS}
    account = await core.admin.register(NewAccount(**named, others=others), read_password())
    details = existing(await core.accounts.details(account.id), "of this name")
    return _details_json(details) if chosen.json else f"{names_of(details)} was created"


async def _password(core: Core, chosen: Namespace) -> str:
    account = await find(core.accounts, chosen.name)
    if not await core.admin.set_password(account.id, read_password()):
        raise no_account(chosen.name)
    if chosen.json:
        return as_json({"id": account.id, "password": "changed"}, indent=2)
    return f"{names_of(account)} has a new password; its sessions have ended"


def _check_delete(chosen: Namespace) -> None:
    can_confirm(f"deletes {chosen.name!r}", confirmed=chosen.yes)


async def _delete(core: Core, chosen: Namespace) -> str:
    account = await find(core.accounts, chosen.name)
    if not (chosen.yes or confirm(f"This deletes {names_of(account)} permanently.")):
        raise CommandError("nothing was deleted")
    if not await core.admin.remove(account.id):
        raise no_account(chosen.name)
    if chosen.json:
        return as_json({"id": account.id, "deleted": True}, indent=2)
    return f"{names_of(account)} was deleted"


async def _list(database: Database, chosen: Namespace) -> str:
    found = await list_accounts(
        database, after=chosen.after, limit=chosen.limit, match=chosen.match
    )
    if chosen.json:
        return as_json(list(map(_shown, found)), indent=2)
    rows = [("ID", "USERNAME", "E-MAIL", "CREATED (UTC)", "")]
    for each in found:
        created = f"{each.created.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S}"
        names = (printable(each.username or ""), printable(each.email or ""))
        rows.append((str(each.id), *names, created, "" if each.is_active else "disabled"))
    return as_table(rows, right=1)


async def _refold(database: Database, chosen: Namespace) -> str:
    count = await refold(database, again=True)
    twins = (await survey(database)).twins
    if chosen.json:
        return as_json({"refolded": count, "clashes": twins}, indent=2)
    clashes = (
        f"account {one} has a name that account {other} has: rename one" for one, other in twins
    )
    return "\n".join([f"{count_of(count, 'name')} refolded", *clashes])


def _whole(text: str) -> int:
    if not (text.isdecimal() and int(text) <= MAX_ID):
        raise ArgumentTypeError("a whole number is required")
    return int(text)


def _shown(account: Details) -> dict[str, Any]:
    values = dataclasses.asdict(account)
    return {name: values[sql_name(name)] for name in SHOWN_COLUMNS}


def _details_json(account: Details) -> str:
    return as_json(_shown(account), indent=2)
