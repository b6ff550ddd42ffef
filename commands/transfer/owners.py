"""The columns of a file that name an account: its id or one of its names."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from store.accounts import Accounts

COLUMNS = {
    "user_id": "id",
    "account_id": "id",
    "account": "id",
    "user": "id",
    "username": "username",
    "email": "email",
    "id": "id",
}
"""By column, how it names the account. The last one does so only if there is no other."""
PREVIEW_CHARS = 80
"""Characters of a name that a message shows, at most."""

_ID = re.compile(r"[0-9]{1,19}")


def column_of(fields: Mapping[str, Any]) -> str:
    """Return the column that names the account, "" if there is none."""
    return next((name for name in COLUMNS if name in fields), "")


def problem_of(column: str, owner: str) -> str:
    """Return what is wrong with the name of an account, "" for nothing."""
    if not column:
        return "it does not name an account; give user_id, username or email"
    if COLUMNS[column] == "id" and not _ID.fullmatch(owner):
        return f"its {column} is not an account's id, which is a whole number"
    return ""


async def find_ids(
    accounts: Accounts, owners: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Return the ids of accounts by their fields and names. An id is not looked up."""
    owners = list(owners)
    found = {(field, owner): int(owner) for field, owner in owners if field == "id"}
    for field in ("username", "email"):
        names = {owner for each, owner in owners if each == field}
        if names:
            ids = await accounts.ids_of(field, names)
            found |= {(field, name): account_id for name, account_id in ids.items()}
    return found
