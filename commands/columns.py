"""The columns of an account: their names, the values that they take, and their order.

One table for `account show`, `create` and `set`, and for the files of `import` and `export`.
"""

import datetime
import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any, NamedTuple

from store.foreign_hashes import reader_of
from store.names import MAX_NAME, MAX_TEXT, is_email
from store.transfer.imports import HIGHEST_ID
from store.transfer.incoming import Kind

_FLAGS = dict.fromkeys(("true", "t", "yes", "y", "1"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "0"), False
)
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_BIG = 2**63 - 1
_MAX_SHOWN = 80
"""Characters of a value that a message shows, at most."""


class BadValue(ValueError):
    """A column does not take this value. `problem` says why, for what the import reports."""

    def __init__(self, kind: Kind, problem: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.problem = problem


def _flag(value: Any) -> bool | None:
    text = str(value).strip().lower()
    return _FLAGS[text] if text else None


def _number(low: int, high: int) -> Callable[[Any], int | None]:
    def read(value: Any) -> int | None:
        text = "none" if isinstance(value, bool) else str(value).strip()
        if text and not (_WHOLE.fullmatch(text) and low <= int(text) <= high):
            raise ValueError
        return int(text) if text else None

    return read


_big = _number(-_BIG - 1, _BIG)


def _numbers(value: Any) -> list[int] | None:
    if isinstance(value, str):
        text = value.strip()
        inside = re.fullmatch(r"\[(.*)\]|\{(.*)\}|(.*)", text, re.DOTALL)
        words = (inside[inside.lastindex or 0] if inside else text).strip()
        value = words.split(",") if words else [] if text else None
    if value is None:
        return None
    if not isinstance(value, list):
        raise ValueError  # noqa: TRY004
    numbers = [number for each in value if (number := _big(each)) is not None]
    if len(numbers) < len(value):
        raise ValueError
    return numbers


def _time(value: Any) -> datetime.datetime | None:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004  # a value of a file is wrong, whatever its type
    if not value.strip():
        return None
    time = datetime.datetime.fromisoformat(value.strip())
    if time.tzinfo is None:
        return time.replace(tzinfo=datetime.UTC)
    return time.astimezone(datetime.UTC)


def _verified(value: Any) -> datetime.datetime | None:
    """Return a time: the one given, now for a flag that is true, None for one that is false."""
    flag = _FLAGS.get(str(value).strip().lower()) if isinstance(value, str | bool | int) else None
    if flag is None:
        return _time(value)
    return datetime.datetime.now(datetime.UTC) if flag else None


def _text(longest: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError  # noqa: TRY004
        if len(str(value)) > longest:
            raise BadValue(Kind.TOO_LONG)
        return str(value)

    return read


_short, _long = _text(MAX_NAME), _text(MAX_TEXT)


def _hash(value: Any) -> str | None:
    text = _long(value)
    try:
        if text:
            reader_of(text)
    except ValueError as problem:
        raise BadValue(Kind.UNKNOWN_HASH, str(problem)) from None
    return text or None


_REQUIRED = object()


class Column(NamedTuple):
    """What a column takes.

    `read` returns the value, None for none; it raises BadValue, ValueError, LookupError or
    OverflowError. `allowed` completes "must be".
    """

    read: Callable[[Any], Any]
    allowed: str
    aliases: tuple[str, ...] = ()
    """Its names in tables of Django and Flask applications."""
    empty: Any = None
    """The value that FIELD= sets."""
    can_be_set: bool = True

    @property
    def is_nullable(self) -> bool:
        """Whether none is another value than an empty text."""
        return self.empty is None


def _flag_column(*aliases: str) -> Column:
    return Column(_flag, "true or false, t or f, yes or no, 1 or 0", aliases, _REQUIRED)


def _list_column() -> Column:
    return Column(_numbers, "whole numbers: [1, 2], {1,2} or 1,2", (), [])


def _text_column(*aliases: str) -> Column:
    return Column(_long, f"a text of at most {MAX_TEXT} characters", aliases, "")


_SHORT = f"a text of at most {MAX_NAME} characters"
_TIME = "a time as ISO 8601 has it, 2021-01-09T12:00:00Z; without a zone it is UTC"

COLUMNS: dict[str, Column] = {
    "id": Column(
        _number(1, HIGHEST_ID), "a whole number from 1 to 2^62", ("pk", "user_id"), None, False
    ),
    "username": Column(_short, _SHORT, ("name", "login", "user_name", "nickname")),
    "email": Column(_short, _SHORT, ("mail", "e-mail", "email_address")),
    "first_name": Column(_short, _SHORT, ("firstname", "given_name")),
    "last_name": Column(_short, _SHORT, ("lastname", "surname", "family_name")),
    "password": Column(
        _hash, "a hash", ("password_hash", "pw_hash", "hashed_password", "hash"), None, False
    ),
    "is_active": _flag_column("active", "enabled"),
    "activated": _flag_column(),
    "is_staff": _flag_column("staff"),
    "is_superuser": _flag_column("superuser"),
    "is_admin": _flag_column("admin"),
    "created": Column(
        _time,
        _TIME,
        ("date_joined", "created_at", "created_on", "registered_on", "joined"),
        None,
        False,
    ),
    "email_verified_at": Column(
        _verified,
        f"{_TIME}; true for now, false for an address that is not verified",
        ("email_verified", "email_confirmed_at", "is_verified", "verified"),
    ),
    "last_login": Column(_time, _TIME, ("last_login_at", "last_seen"), None, False),
    "group": Column(_short, _SHORT, ("group_name",)),
    "days_count": Column(_number(-(2**31), 2**31 - 1), "a whole number", (), _REQUIRED),
    **{name: _list_column() for name in ("towns", "groups", "user_permissions", "cellar", "wants")},
    **{name: _text_column() for name in ("address", "address2", "city", "state")},
    "zipcode": _text_column("zip", "zip_code", "postal_code"),
}
"""Every column of an account but `modified`, by the name that commands and files have for it."""

NAMES = ("username", "email")
FIELDS = [name for name, column in COLUMNS.items() if column.can_be_set]
"""What `account create` and `set` take, as FIELD=VALUE."""
FIELDS_HELP = f"the fields are {', '.join(FIELDS)}"


def sql_name(name: str) -> str:
    """Return what the table calls a column: `group` is a word of SQL's."""
    return "group_name" if name == "group" else name


def parse_assignment(assignment: str) -> tuple[str, Any]:
    """Return the SQL name and the value of FIELD=VALUE. Raises ArgumentTypeError, for argparse."""
    field, equals, text = assignment.partition("=")
    if not equals or not field:
        raise ArgumentTypeError(f"{assignment!r} is not FIELD=VALUE; {FIELDS_HELP}")
    if field not in FIELDS:  # its value is not shown: it may be a password
        raise ArgumentTypeError(f"{field!r} is not a field; {FIELDS_HELP}")
    column = COLUMNS[field]
    try:
        return sql_name(field), _parse(field, text)
    except (ValueError, LookupError):
        must = "an e-mail address" if field == "email" else column.allowed
        raise ArgumentTypeError(must_be(field, must, text)) from None


def must_be(field: str, allowed: str, value: str) -> str:
    """Return the message for a value that is not allowed."""
    shown = repr(value) if len(value) <= _MAX_SHOWN else f"{len(value)} characters"
    return f"{field} must be {allowed} (got {shown})"


def _parse(field: str, text: str) -> Any:
    if field in NAMES:
        text = text.strip()  # as the dialects do: no login can match white space around a name
    if field == "email" and text and not is_email(text):
        raise ValueError
    value = COLUMNS[field].read(text) if text else COLUMNS[field].empty
    if value is _REQUIRED or (value is None and not COLUMNS[field].is_nullable):
        raise ValueError
    return value
