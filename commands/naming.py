"""How a command names an account: by its id, its username or its e-mail, and never by two."""

from collections.abc import Iterator, Mapping
from typing import Any

from commands.fields import BadInput
from commands.printing import printable
from store.account import Details
from store.accounts import Accounts
from store.refold import Survey

NAME_HELP = (
    "its username or e-mail; or id:ID, username:NAME or email:ADDRESS, which are unambiguous"
)

_SHOWN = 5
"""Accounts that a refusal lists, at most."""


async def find(accounts: Accounts, name: str) -> Details:
    """Return the one account that is meant.

    Anybody may register somebody else's e-mail as a username: a name that two accounts have is
    refused. Raises BadInput.
    """
    field, colon, rest = name.partition(":")
    if colon and field == "id":
        known = rest.isascii() and rest.isdecimal() and len(rest) < 20
        found = [await accounts.details(int(rest))] if known else []
    elif colon and field in ("username", "email"):
        found = [*await accounts.find(rest, field)]
    else:
        found = [*await accounts.find(name)]
    there = [each for each in found if each is not None]
    if not there:
        raise nobody(name)
    if len(there) > 1:
        listed = "; ".join(map(the_names, there[:_SHOWN]))
        raise BadInput(f"{name!r} names {len(there)} accounts: {listed}. Choose one with id:ID")
    return there[0]


def nobody(name: str) -> BadInput:
    """Return what is raised when there is no account of this name."""
    return BadInput(f"there is no account {name!r}")


def only_named(account: Details, changes: Mapping[str, Any]) -> None:
    """Raise BadInput if these changes leave an account without a name: nothing could name it."""
    names = {"username": account.username, "email": account.email, **changes}
    if not (names["username"] or names["email"]):
        raise BadInput(
            f"{the_names(account)} would have neither username nor email; set the other one first"
        )


def the_names(account: Details) -> str:
    """Return an account's id and its names, for a terminal."""
    names = [printable(name) for name in (account.username, account.email) if name]
    return f"account {account.id} ({', '.join(names)})"


def odd_names(found: Survey) -> Iterator[str]:
    """Say, for an operator's check, which accounts have names to look at, and why."""
    for accounts, what in (
        (found.unseen, "a name with an invisible character, which new names cannot contain"),
        (found.unasked, "a name with surrounding white space: most dialects cannot match it"),
        (found.stale, "a name folded by an older release: run `account refold`"),
        (found.twins, "a name that another account has as well: rename one of the two"),
        (found.borrowed, "a username that is another account's e-mail: check who owns it"),
    ):
        if accounts:
            listed = ", ".join(map(_ids, accounts[:_SHOWN]))
            more = ", …" if len(accounts) > _SHOWN else ""
            have = "1 account has" if len(accounts) == 1 else f"{len(accounts)} accounts have"
            yield f"{have} {what} (ids {listed}{more})"


def _ids(account: int | tuple[int, int]) -> str:
    return str(account) if isinstance(account, int) else f"{account[0]} and {account[1]}"
