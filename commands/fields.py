"""The fields of an account that an operator sets, and how their values are read."""

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from store.names import MAX_NAME, MAX_TEXT, is_email


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


def _username(text: str) -> str | None:
    """Read a username as the dialects do: what stands around it no login could ask for."""
    return _name(text.strip())


def _email(text: str) -> str | None:
    email = text.strip()
    if email and not is_email(email):
        raise ValueError
    return email or None


def _text(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ValueError
    return text


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
    **dict.fromkeys(
        ("address", "address2", "city", "state", "zipcode"),
        (_text, f"at most {MAX_TEXT} characters"),
    ),
    **dict.fromkeys(
        ("first_name", "last_name", "group"), (_name, f"at most {MAX_NAME} characters")
    ),
    "username": (_username, f"at most {MAX_NAME} characters"),
    "email": (_email, "an e-mail address"),
    "days_count": (_days, "a whole number"),
}
"""By field, how its value is read, and what is allowed."""

COLUMNS = {"group": "group_name"}
"""Fields whose column is called otherwise: `group` is a word of SQL's."""


_LONGEST_SHOWN = 80


def parse_assignment(assignment: str) -> tuple[str, Any]:
    """Return the column and the value of FIELD=VALUE. Raises ArgumentTypeError, for argparse."""
    field, equals, text = assignment.partition("=")
    fields = f"the fields are {', '.join(PARSE)}"
    if not equals or not field:
        raise ArgumentTypeError(f"{assignment!r} is not FIELD=VALUE; {fields}")
    if field not in PARSE:  # what is behind it may be a password
        raise ArgumentTypeError(f"{field!r} is not a field; {fields}")
    parse, allowed = PARSE[field]
    try:
        return COLUMNS.get(field, field), parse(text)
    except (ValueError, KeyError):
        shown = repr(text) if len(text) <= _LONGEST_SHOWN else f"{len(text)} characters"
        raise ArgumentTypeError(f"{field} must be {allowed} (got {shown})") from None
