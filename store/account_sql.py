"""Parts of the statements about accounts: columns, epochs and what a change sets."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from store import event_writer
from store.account import Account, Details
from store.errors import Unstorable
from store.event_writer import fields_data
from store.names import FOLD, is_seen, is_valid_name

NAMES = ("username", "email")

COLUMNS = """id, username, email, first_name, last_name, is_active, is_staff, is_admin, group_name,
    session_epoch, created, picture_id, kept_session,
    email_verified_at is not null as email_verified, is_superuser, activated"""
RETURNED = ", ".join({"epoch": "session_epoch"}.get(name, name) for name in Account._fields)
"""The names of COLUMNS in the result of a statement that returns them."""
DETAILS = ", ".join(each.name for each in fields(Details))

CLOCK = "(extract(epoch from statement_timestamp()) * 1000000)::bigint"
RAISED = f"greatest(session_epoch + 1, {CLOCK})"
"""The next session epoch. No epoch is used twice. It is the same wherever a statement has it."""
KEPT = f"kept_session = {RAISED} || ' ' || %s"
"""Keeps the session of this public id under the next session epoch."""
ENTITLED = """id = %s and (session_epoch = coalesce(%s, session_epoch)
    or kept_session = session_epoch || ' ' || %s)"""
"""The account has this epoch, or keeps the session of this public id under its present one."""

_VERIFIED = """email_verified_at =
    case when email is not distinct from %s then email_verified_at end"""
"""Marks another e-mail as unverified."""
_CASTS = dict.fromkeys(("towns", "groups", "user_permissions", "cellar", "wants"), "::bigint[]")


def placeholder(column: str) -> str:
    """Return the placeholder of a column's value: a list of no elements has no type."""
    return f"%s{_CASTS.get(column, '')}"


def assignments(changes: Mapping[str, Any], kept: str | None) -> tuple[str, list[Any]]:
    """Return what an UPDATE sets, and its parameters after the values and the folded names.

    `kept` is the public id of the session that a new password leaves live, None for none.
    """
    sets = [f"{column} = {placeholder(column)}" for column in changes]
    sets += [f"{field}_folded = %s" for field in NAMES if field in changes]
    parameters = []
    if "email" in changes and "email_verified_at" not in changes:
        sets.append(_VERIFIED)
        parameters.append(changes["email"])
    if "password" in changes:
        sets.append(f"session_epoch = {RAISED}")
        if kept:
            sets.append(KEPT)
            parameters.append(kept)
    elif "is_active" in changes:
        same = f"is_active is {'true' if changes['is_active'] else 'false'}"
        sets.append(f"session_epoch = case when {same} then session_epoch else {RAISED} end")
    return ", ".join(sets), parameters


def event_of(changes: Mapping[str, Any]) -> tuple[str, str]:
    """Return the type of a change's event, and the SQL expression of its data."""
    if "password" in changes:
        type = event_writer.PASSWORD_CHANGED
    elif "is_active" in changes:
        type = event_writer.ENABLED if changes["is_active"] else event_writer.DISABLED
    elif changes.get("email_verified_at"):
        type = event_writer.EMAIL_VERIFIED
    else:
        type = event_writer.CHANGED
    return type, fields_data(changes)


def folded_name(field: str, name: str | None) -> str | None:
    """Return the folded form of a new name, None for None. Raises Unstorable."""
    if name is None:
        return None
    if not (is_valid_name(name) and is_seen(name)):
        raise Unstorable(field)
    return FOLD[field](name)
