"""The fields of an account that a service sets: those of `account set`, as JSON values.

Contract: docs/contracts/service.md#fields.
"""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from aiohttp import web

from handlers.json_fields import Text, find_errors, password_errors, password_field
from handlers.problems import REQUIRED, FieldError
from store.foreign_hashes import reader_of
from store.names import MAX_NAME, MAX_TEXT, is_email, is_seen, is_valid_name, is_valid_text

_LARGEST = 2**63 - 1


class _WrongError(ValueError):
    """A value is not valid. The arguments are the code and the message."""


class Field(NamedTuple):
    """A field of an account. `read` returns the value, or raises _WrongError."""

    column: str
    read: Callable[[Any], Any]
    empty: Any = None
    """The value that null sets."""
    required: bool = False
    """Whether null is an error."""


def _text(longest: int, check: Callable[[str], bool] = is_valid_text) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise _WrongError("invalid", "This must be a string.")
        if len(value) > longest:
            raise _WrongError("too_long", f"Use at most {longest} characters.")
        if not check(value):
            raise _WrongError("invalid", "This has characters that are not allowed.")
        return value

    return read


_name_text = _text(MAX_NAME, lambda text: is_valid_name(text) and is_seen(text))


def _username(value: Any) -> str | None:
    """Return a name without white space around it, with which no login could send it."""
    return _name_text(value).strip() or None


def _email(value: Any) -> str | None:
    text = _username(value)
    if text and not is_email(text):
        raise _WrongError("invalid", "This is not an e-mail address.")
    return text


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _WrongError("invalid", "This must be true or false.")
    return value


def _number(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _WrongError("invalid", f"This must be a whole number from {low} to {high}.")
        return value

    return read


_listed = _number(-_LARGEST - 1, _LARGEST)


def _numbers(value: Any) -> list[int]:
    if not isinstance(value, list):
        raise _WrongError("invalid", "This must be a list of whole numbers.")
    return [_listed(each) for each in value]


def _verified(value: Any) -> datetime.datetime | None:
    """Return a time: the one given, now for true, None for false."""
    if isinstance(value, bool):
        return datetime.datetime.now(datetime.UTC) if value else None
    try:
        time = datetime.datetime.fromisoformat(value)
        return time.replace(tzinfo=time.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    except (TypeError, ValueError, OverflowError):
        message = "This must be true, false or a time as in RFC 3339."
        raise _WrongError("invalid", message) from None


def _flag_or_now(value: Any) -> datetime.datetime | None:
    return _verified(_flag(value))


def _switch(column: str) -> Field:
    return Field(column, _flag, required=True)


FIELDS: dict[str, Field] = {
    "username": Field("username", _username),
    "email": Field("email", _email),
    "first_name": Field("first_name", _text(MAX_NAME)),
    "last_name": Field("last_name", _text(MAX_NAME)),
    **{
        name: _switch(name)
        for name in ("is_active", "activated", "is_staff", "is_superuser", "is_admin")
    },
    "email_verified": Field("email_verified_at", _flag_or_now, required=True),
    "email_verified_at": Field("email_verified_at", _verified),
    "group": Field("group_name", _text(MAX_NAME)),
    "days_count": Field("days_count", _number(-(2**31), 2**31 - 1), required=True),
    **{
        name: Field(name, _numbers, [])
        for name in ("towns", "groups", "user_permissions", "cellar", "wants")
    },
    **{
        name: Field(name, _text(MAX_TEXT), "")
        for name in ("address", "address2", "city", "state", "zipcode")
    },
}
"""Every field, by its name in a request."""


def read_changes(
    data: Mapping[str, Any],
) -> tuple[dict[str, Any], list[FieldError], dict[str, Any]]:
    """Return the values by column, what is wrong with them, and the fields that are not here."""
    changes: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, field in FIELDS.items():
        if name not in data:
            continue
        value = data[name]
        if value is None and field.required:
            errors.append(FieldError(name, "required", REQUIRED))
        elif field.column in changes:
            errors.append(FieldError(name, "invalid", "Send this or email_verified, not both."))
        else:
            try:
                changes[field.column] = field.empty if value is None else field.read(value)
            except _WrongError as wrong:
                errors.append(FieldError(name, *wrong.args))
    return changes, errors, {name: data[name] for name in data if name not in FIELDS}


def _is_hash(text: str) -> bool:
    try:
        reader_of(text)
    except ValueError:
        return False
    return is_valid_text(text)


PASSWORD = replace(password_field("password"), required=False)
HASH = Text(
    "password_hash",
    MAX_TEXT,
    required=False,
    check=_is_hash,
    message="This is not a hash in a format that an import of accounts takes.",
)


async def password_or_hash_errors(
    request: web.Request, data: Mapping[str, Any], *names: object
) -> list[FieldError]:
    """Return what is wrong with a body's password or hash, and which of its fields are unknown.

    `names` are the names of the account: the rules for passwords compare with them.
    """
    errors = find_errors(data, PASSWORD, HASH)
    given = [name for name in ("password", "password_hash") if data.get(name) is not None]
    if not given:
        errors.append(FieldError("password", "required", "Send a password or its hash."))
    elif len(given) > 1:
        errors.append(FieldError("password_hash", "invalid", "Send this or password, not both."))
    return errors + await password_errors(request, PASSWORD, data, *names, is_limited=False)
