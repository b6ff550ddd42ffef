"""The fields of requests: JSON objects whose unknown fields are errors, all reported at once."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from handlers.body import read_body, read_json
from handlers.content_type import content_type_of
from handlers.errors import UnsupportedMediaType
from handlers.http.response import JSON, safe_header_value
from handlers.new_passwords import PASSWORD_RULES, find_password_problems
from handlers.problems import (
    NOT_AN_OBJECT,
    REQUIRED,
    FieldError,
    InvalidFields,
)
from store.names import MAX_NAME, is_email, is_plain_username, is_seen, is_valid_text
from store.password_rules import PasswordProblem

MAX_USERNAME = 150
MAX_PERSON_NAME = 150
MAX_DEVICE = 64
MAX_PASSWORD = 4096
MOST_UNKNOWN = 20
"""Unknown fields that an error lists, at most."""

PASSWORDS = {
    PasswordProblem.TOO_SHORT: "Use at least {} characters.",
    PasswordProblem.TOO_COMMON: "This password is one of the most common.",
    PasswordProblem.TOO_SIMILAR: "This password is too similar to the username or the e-mail.",
    PasswordProblem.BREACHED: "This password is known from a data breach.",
}


@dataclass(frozen=True, slots=True)
class Text:
    """A field of text. `check` is what must hold for it, `message` what to say if it does not."""

    name: str
    max_length: int
    required: bool = True
    may_be_empty: bool = False
    check: Callable[[str], bool] = is_valid_text
    message: str = "This has characters that are not allowed."

    def error(self, value: object) -> FieldError | None:
        """Return what is wrong with a value, None if nothing is. JSON's null counts as absent."""
        if value is None:
            return FieldError(self.name, "required", REQUIRED) if self.required else None
        if not isinstance(value, str):
            return FieldError(self.name, "invalid", "This must be a string.")
        if not value and not self.may_be_empty:
            return FieldError(self.name, "required", REQUIRED)
        if len(value) > self.max_length:
            return FieldError(self.name, "too_long", f"Use at most {self.max_length} characters.")
        if value and not self.check(value):
            return FieldError(self.name, "invalid", self.message)
        return None


def _is_username(text: str) -> bool:
    return is_plain_username(text) and "@" not in text


def is_shown(text: str) -> bool:
    """Return whether a text can be stored, and all of its characters can be seen."""
    return is_valid_text(text) and is_seen(text)


USERNAME = Text(
    "username",
    MAX_USERNAME,
    required=False,
    check=_is_username,
    message="Use letters, digits and . + - _ only.",
)
EMAIL = Text("email", MAX_NAME, check=is_email, message="This is not an e-mail address.")
FIRST_NAME = Text("first_name", MAX_PERSON_NAME, required=False, may_be_empty=True, check=is_shown)
LAST_NAME = Text("last_name", MAX_PERSON_NAME, required=False, may_be_empty=True, check=is_shown)
OPTIONAL_EMAIL = replace(EMAIL, required=False)
DEVICE = Text("device", MAX_DEVICE, required=False, may_be_empty=True, check=is_shown)


def password_field(name: str) -> Text:
    """Return a field for a password, old or new. Any character counts, spaces and NUL too."""
    return Text(name, MAX_PASSWORD, check=is_anything)


def is_anything(text: str) -> bool:
    """Return True: every text is allowed."""
    return True


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a body, {} for an empty one.

    Raises InvalidFields, Malformed, UnsupportedMediaType, and as `read_body` does.
    """
    if not await read_body(request):
        return {}
    if content_type_of(request).media_type != JSON:
        raise UnsupportedMediaType(safe_header_value(request.headers.get("Content-Type", "")))
    data = await read_json(request)
    if not isinstance(data, dict):
        raise InvalidFields([FieldError("", "invalid", NOT_AN_OBJECT)])
    return data


async def read_fields(request: web.Request, *fields: Text) -> list[str]:
    """Return the text of each field in their order, "" for what is absent. Raises InvalidFields."""
    data = await read_object(request)
    raise_errors(find_errors(data, *fields))
    return texts(data, *fields)


def texts(data: Mapping[str, Any], *fields: Text) -> list[str]:
    """Return the text of each field in their order, "" for what is absent."""
    return [data.get(field.name) or "" for field in fields]


def find_errors(data: Mapping[str, Any], *fields: Text) -> list[FieldError]:
    """Return what is wrong with a request's fields, unknown ones included."""
    errors = [error for field in fields if (error := field.error(data.get(field.name)))]
    known = {field.name for field in fields}
    unknown = (name for name in data if name not in known)
    for name in itertools.islice(unknown, MOST_UNKNOWN):
        errors.append(FieldError(name[:MAX_DEVICE], "unknown", "This field is unknown."))
    return errors


def raise_errors(errors: Sequence[FieldError]) -> None:
    """Raise InvalidFields if there are errors."""
    if errors:
        raise InvalidFields(errors)


async def password_errors(
    request: web.Request,
    field: Text,
    data: Mapping[str, Any],
    *names: object,
    is_limited: bool = True,
) -> list[FieldError]:
    """Return what is wrong with a new password of an account with these names.

    A value that is an error of the field itself is not looked at. `is_limited` says whether
    questions to BREACHED_PASSWORDS count against the client's limit. Raises RateLimited.
    """
    password = data.get(field.name)
    if field.error(password) or not isinstance(password, str):
        return []
    texts = [name for name in names if isinstance(name, str) and len(name) <= MAX_NAME]
    problems = await find_password_problems(request, password, texts, is_limited=is_limited)
    length = request.app[PASSWORD_RULES].length
    return [FieldError(field.name, each.value, PASSWORDS[each].format(length)) for each in problems]
