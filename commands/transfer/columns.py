"""The columns of a file of accounts: what each may be called, and how its values are read."""

import datetime
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from commands.transfer.reader import Record
from store.foreign_hashes import reader_of
from store.names import MAX_NAME, MAX_TEXT, is_askable, is_valid_name, is_valid_text
from store.transfer.imports import HIGHEST_ID
from store.transfer.incoming import Incoming, Kind, Problem
from store.transfer.pictures import Hung, Picture, read_hung, read_picture

_FLAGS = dict.fromkeys(("true", "t", "yes", "y", "1"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "0"), False
)
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_BIG = 2**63 - 1


class Unfit(Exception):
    """A value can't be taken."""

    def __init__(self, kind: Kind, value: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.value = value


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


def _numbers(value: Any) -> list[int | None] | None:
    if isinstance(value, str):
        text = value.strip()
        inside = re.fullmatch(r"\[(.*)\]|\{(.*)\}|(.*)", text, re.DOTALL)
        words = (inside[inside.lastindex or 0] if inside else text).strip()
        value = words.split(",") if words else [] if text else None
    if value is None:
        return None
    if not isinstance(value, list) or "" in value:
        raise ValueError
    return [_big(each) for each in value]


def _moment(value: Any) -> datetime.datetime | None:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004  # of the file's types there are only wrong values
    if not value.strip():
        return None
    moment = datetime.datetime.fromisoformat(value.strip())
    if moment.tzinfo is None:
        return moment.replace(tzinfo=datetime.UTC)
    return moment.astimezone(datetime.UTC)


def _text(longest: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError  # noqa: TRY004
        text = str(value)
        if len(text) > longest:
            raise Unfit(Kind.TOO_LONG)
        if not is_valid_text(text):
            raise Unfit(Kind.UNSTORABLE, text)
        return text

    return read


_short, _long = _text(MAX_NAME), _text(MAX_TEXT)


def _name(value: Any) -> str | None:
    text = _short(value)
    if not is_valid_name(text):
        raise Unfit(Kind.TOO_LONG)
    if not text.strip():
        return None
    if not is_askable(text):
        raise Unfit(Kind.UNASKED, text)
    return text


def _hash(value: Any) -> str | None:
    text = _long(value)
    try:
        if text:
            reader_of(text)
    except ValueError as problem:
        raise Unfit(Kind.UNKNOWN_HASH, str(problem)) from None
    return text or None


class Column(NamedTuple):
    """How the values of a column are read, what is allowed, and what else it is called."""

    read: Callable[[Any], Any]
    allowed: str
    aliases: tuple[str, ...] = ()


_TRUTH = "true or false, t or f, yes or no, 1 or 0"
_LIST = "whole numbers: [1, 2], {1,2} or 1,2"
_DATE = "a time as ISO 8601 has it, 2021-01-09T12:00:00Z; without a zone it is UTC"
_SHORT = f"a text of at most {MAX_NAME} characters"
_TEXT = "a text"

COLUMNS: dict[str, Column] = {
    "id": Column(_number(1, HIGHEST_ID), "a whole number from 1 to 2^62", ("pk", "user_id")),
    "username": Column(_name, _SHORT, ("name", "login", "user_name", "nickname")),
    "email": Column(_name, _SHORT, ("mail", "e-mail", "email_address")),
    "first_name": Column(_short, _SHORT, ("firstname", "given_name")),
    "last_name": Column(_short, _SHORT, ("lastname", "surname", "family_name")),
    "password": Column(_hash, "a hash", ("password_hash", "pw_hash", "hashed_password", "hash")),
    "is_active": Column(_flag, _TRUTH, ("active", "enabled")),
    "is_staff": Column(_flag, _TRUTH, ("staff",)),
    "is_superuser": Column(_flag, _TRUTH, ("superuser",)),
    "is_admin": Column(_flag, _TRUTH, ("admin",)),
    "created": Column(
        _moment, _DATE, ("date_joined", "created_at", "created_on", "registered_on", "joined")
    ),
    "last_login": Column(_moment, _DATE, ("last_login_at", "last_seen")),
    "group": Column(_short, _SHORT, ("group_name",)),
    "days_count": Column(_number(-(2**31), 2**31 - 1), "a whole number"),
    **{
        name: Column(_numbers, _LIST)
        for name in ("towns", "groups", "user_permissions", "cellar", "wants")
    },
    **{name: Column(_long, _TEXT) for name in ("address", "address2", "city", "state")},
    "zipcode": Column(_long, _TEXT, ("zip", "zip_code", "postal_code")),
}
"""By the name that `account show` has for it. Aliases are what Django and Flask tables say."""

PICTURE = "picture"
"""What `account export --pictures` adds to an account; JSON alone can have it."""
GALLERY = "gallery"
"""The only field of a line that is a picture of the gallery."""

SQL_NAMES = {"group": "group_name"}
"""Columns that the table calls otherwise: `group` is a word of SQL's."""
MAY_BE_NULL = frozenset({"first_name", "last_name", "group"})
"""Texts for which an empty one is another than none."""
_NAMED = {alias: name for name, column in COLUMNS.items() for alias in (name, *column.aliases)}


def is_known(name: str) -> bool:
    """Tell whether a column's name, or alias, is one of ours."""
    return name.strip().lower() in _NAMED


def gallery_of(record: Record) -> tuple[Hung | None, list[Problem]] | None:
    """Return the picture of the gallery that a line is, and what is wrong; None for an account."""
    if [name for name, _ in record.fields] != [GALLERY]:
        return None
    try:
        return read_hung(record.fields[0][1]), []
    except ValueError:
        return None, [Problem(record.line, Kind.BAD_VALUE, PICTURE)]


class Reader:
    """Reads what lines say as accounts; `ignored` are columns that are passed over."""

    def __init__(self, ignored: frozenset[str] = frozenset()) -> None:
        self._ignored = frozenset(name.strip().lower() for name in ignored)
        self._names: dict[str, str | None] = {}
        self._told: set[str] = set()

    def read(self, record: Record) -> tuple[Incoming | None, list[Problem]]:
        """Return the account that a line has, None for none, and what is wrong with the line."""
        if record.problem:
            return None, [record.problem]
        values, problems, picture = {}, [], None
        for given, value in record.fields:
            if given == PICTURE and not isinstance(value, str):
                picture, unfit = _picture(record.line, value)
                problems += unfit
                continue
            name = self._names[given] if given in self._names else self._name_of(given)
            if name is None:
                problems += self._tell_once(record.line, Kind.UNKNOWN_COLUMN, given)
            elif name in values:
                problems += self._tell_once(record.line, Kind.COLUMN_TWICE, name)
            elif name:
                values[name], unfit = _read(record.line, name, value)
                problems += unfit
        problems += _missing(record.line, values, problems)
        columns = {SQL_NAMES.get(name, name): value for name, value in values.items()}
        return Incoming(record.line, columns, not problems, picture), problems

    def _name_of(self, given: str) -> str | None:
        """Return the column that is meant, "" for one to pass over, None for an unknown one."""
        plain = given.strip().lower()
        name = "" if plain in self._ignored else _NAMED.get(plain)
        self._names[given] = name
        return name

    def _tell_once(self, line: int, kind: Kind, field: str) -> list[Problem]:
        if f"{kind} {field}" in self._told:
            return []
        self._told.add(f"{kind} {field}")
        return [Problem(line, kind, field)]


def _picture(line: int, value: Any) -> tuple[Picture | None, list[Problem]]:
    try:
        return (None if value is None else read_picture(value)), []
    except ValueError:
        return None, [Problem(line, Kind.BAD_VALUE, PICTURE)]


def _read(line: int, name: str, value: Any) -> tuple[Any, list[Problem]]:
    if value is None:
        return None, []
    try:
        return COLUMNS[name].read(value), []
    except Unfit as unfit:
        kind, shown = unfit.kind, unfit.value
    except (ValueError, LookupError, OverflowError):
        kind, shown = Kind.BAD_VALUE, str(value)
    hides = name == "password" and kind is not Kind.UNKNOWN_HASH
    return None, [Problem(line, kind, name, "" if hides else shown)]


def _missing(line: int, values: dict[str, Any], problems: list[Problem]) -> list[Problem]:
    wrong = {problem.field for problem in problems}
    missing = []
    if not (values.get("username") or values.get("email") or wrong & {"username", "email"}):
        missing.append(Problem(line, Kind.NAMELESS))
    if not (values.get("password") or "password" in wrong):
        missing.append(Problem(line, Kind.HASHLESS))
    return missing
