"""`account show` and `account set`: what an operator sees and changes of one account."""

import asyncio
import dataclasses
import json
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from commands.reach import database_of, reach_stores
from settings import Settings
from store.account import Details
from store.accounts import Accounts
from store.embedded import CantRun
from store.errors import Refused, Taken, Unstorable
from store.rules import MAX_NAME, is_email


class BadInput(Exception):
    """What was asked can't be done; the text is one line that says why."""


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _numbers(text: str) -> list[int]:
    numbers = [int(word) for word in re.split(r"[\s,\[\]]+", text) if word]
    if any(abs(number) >= 2**63 for number in numbers):
        raise ValueError
    return numbers


def _name(text: str) -> str | None:
    if len(text) > MAX_NAME:
        raise ValueError
    return text or None


def _email(text: str) -> str | None:
    if text and not is_email(text):
        raise ValueError
    return text or None


def _days(text: str) -> int:
    if abs(int(text)) >= 2**31:
        raise ValueError
    return int(text)


PARSE: dict[str, tuple[Callable[[str], Any], str]] = {
    **dict.fromkeys(
        ("is_active", "is_staff", "is_superuser", "is_admin"), (_flag, "true or false")
    ),
    **dict.fromkeys(
        ("towns", "groups", "user_permissions", "cellar", "wants"),
        (_numbers, "whole numbers, separated by commas"),
    ),
    **dict.fromkeys(("address", "address2", "city", "state", "zipcode"), (str, "text")),
    **dict.fromkeys(
        ("username", "first_name", "last_name", "group"),
        (_name, f"at most {MAX_NAME} characters"),
    ),
    "email": (_email, "an e-mail address"),
    "days_count": (_days, "a whole number"),
}
"""By field, how its value is read, and what is allowed."""

COLUMNS = {"group": "group_name"}
"""Fields whose column is called otherwise: `group` is a word of SQL's."""


def add(parser: ArgumentParser) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print an account")
    change = actions.add_parser("set", help="change fields of an account")
    for action in (show, change):
        action.add_argument("name", metavar="NAME", help="its username or e-mail")
        action.set_defaults(assignments=[])
    change.add_argument(
        "assignments",
        nargs="+",
        metavar="FIELD=VALUE",
        help=f"the fields are {', '.join(PARSE)}; is_active=false ends the account's sessions",
    )
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: Namespace) -> int:
    """Change what is to be changed, and print the account; return the exit status."""
    try:
        changes = dict(map(_parse, arguments.assignments))
        with reach_stores(settings) as reached:
            details = asyncio.run(_change(reached, arguments.name, changes))
    except (BadInput, CantRun, Refused) as problem:
        print(f"latchkey: {_say(problem)}", file=sys.stderr)
        return 1
    shown = dataclasses.asdict(details)
    shown["group"] = shown.pop("group_name")
    print(json.dumps(shown, indent=2, default=str, ensure_ascii=False))
    return 0


async def _change(settings: Settings, name: str, changes: dict[str, Any]) -> Details:
    async with database_of(settings) as database:
        accounts = Accounts(database)
        found = await accounts.find(name)
        if found and changes:
            await accounts.change(found.id, changes)
            found = await accounts.details(found.id)
        if found is None:
            raise BadInput(f"there is no account {name!r}")
        return found


def _parse(assignment: str) -> tuple[str, Any]:
    field, equals, text = assignment.partition("=")
    if not equals or field not in PARSE:
        raise BadInput(f"{assignment!r} is no FIELD=VALUE; the fields are {', '.join(PARSE)}")
    parse, allowed = PARSE[field]
    try:
        return COLUMNS.get(field, field), parse(text)
    except (ValueError, KeyError):
        raise BadInput(f"{field} is {text!r}: allowed is {allowed}") from None


def _say(problem: Exception) -> str:
    match problem:
        case Taken():
            return f"another account has this {' and this '.join(sorted(problem.fields))}"
        case Unstorable():
            return f"{problem.field} can't be stored: it is too long, or holds NUL"
        case _:
            return str(problem)
