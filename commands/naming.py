"""How a command names an account: by its id, its username or its e-mail, and never two at once."""

from commands.console import CommandError, printable
from store.account import Details
from store.accounts import Accounts

NAME_HELP = (
    "its username or e-mail; or id:ID, username:NAME or email:ADDRESS, which are unambiguous"
)
MAX_LISTED = 5
"""Accounts that a message lists, at most."""


async def find(accounts: Accounts, name: str) -> Details:
    """Return the one account with this name.

    Raises CommandError if there is none, or two: anybody may register another account's e-mail as a
    username.
    """
    field, colon, rest = name.partition(":")
    if colon and field == "id":
        is_id = rest.isascii() and rest.isdecimal() and len(rest) < 20
        details = await accounts.details(int(rest)) if is_id else None
        found = [details] if details else []
    elif colon and field in ("username", "email"):
        found = [*await accounts.find(rest, field)]
    else:
        found = [*await accounts.find(name)]
    if len(found) > 1:
        listed = "; ".join(map(names_of, found[:MAX_LISTED]))
        raise CommandError(f"{name!r} names {len(found)} accounts: {listed}. Choose one with id:ID")
    return existing(found[0] if found else None, name)


def existing(account: Details | None, name: str) -> Details:
    """Return the account. Raises CommandError if there is none of this name."""
    if account is None:
        raise no_account(name)
    return account


def no_account(name: str) -> CommandError:
    """Return the error for a name that no account has."""
    return CommandError(f"there is no account {name!r}")


def names_of(account: Details) -> str:
    """Return an account's id and its names, for a terminal."""
    names = [printable(name) for name in (account.username, account.email) if name]
    return f"account {account.id} ({', '.join(names)})"
