"""Shared by wicare, lumotist and kust: the checks, bodies and errors of Django REST framework.

Contract: docs/contracts/index.md#rules-of-the-django-rest-framework-dialects. A dialect's module
has the texts that only it uses. The order of checks: an invalid token is a 401 even where none is
required, a missing one is a 401 where one is required, then come the method and the body.
"""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aiohttp import web

from handlers.authorization import TOKEN_SCHEME, authenticate, check_token
from handlers.errors import (
    NOT_COMPRESSED,
    BadHeader,
    HeadersTooLarge,
    Malformed,
    MethodNotAllowed,
    MissingToken,
    NotFound,
    PayloadTooLarge,
    RequestTimeout,
    TargetTooLong,
    UnsupportedEncoding,
    UnsupportedMediaType,
)
from handlers.forms import read_parsed
from handlers.http.response import Response, json_response, retry_after
from handlers.routes import Checks
from store.account import Login
from store.errors import (
    AppError,
    BadCredentials,
    BadToken,
    Busy,
    EmailNotVerified,
    Inactive,
    RateLimited,
    Taken,
    TokenProblem,
    Unavailable,
    Unstorable,
)
from store.names import MAX_NAME, is_email, is_plain_username

NON_FIELD = "non_field_errors"
CANNOT_LOG_IN = "Unable to log in with provided credentials."
NOT_PROVIDED = "Authentication credentials were not provided."
REQUIRED = "This field is required."
BLANK = "This field may not be blank."
NULL = "This field may not be null."
NOT_A_STRING = "Not a valid string."
NUL = "Null characters are not allowed."
UNSTORABLE = "Enter a valid value."
TAKEN = "A user with that {} already exists."

CHECKS = Checks(authenticate, open=check_token)
TOKEN_CHECKS = Checks(
    partial(authenticate, schemes=TOKEN_SCHEME), open=partial(check_token, schemes=TOKEN_SCHEME)
)
"""The checks of the libraries, for which only the scheme `Token` counts."""


class InvalidFields(AppError):
    """Invalid fields: messages by field, in the order of the fields."""

    code = "invalid_fields"

    def __init__(self, by_field: Mapping[str, list[str]]) -> None:
        super().__init__(", ".join(by_field))
        self.by_field = by_field


@dataclass(frozen=True, slots=True)
class Text:
    """A text field: how it is trimmed and validated.

    `checks` are pairs of a predicate and the message for a text that fails it. `invalid` is the
    message for what is not a text.
    """

    name: str
    required: bool = True
    may_be_blank: bool = False
    trim: bool = True
    max_length: int | None = None
    allows_nul: bool = False
    checks: tuple[tuple[Callable[[str], bool], str], ...] = ()
    invalid: str = NOT_A_STRING

    def problems(self, data: Mapping[str, Any]) -> list[str]:
        """Return the messages of what is wrong with this field."""
        if self.name not in data:
            return [REQUIRED] if self.required else []
        value = data[self.name]
        if value is None:
            return [NULL]
        if not is_text(value):
            return [self.invalid]
        text = self.text(data)
        if not text:
            return [] if self.may_be_blank else [BLANK]
        if self.max_length is not None and len(text) > self.max_length:
            return [f"Ensure this field has no more than {self.max_length} characters."]
        if "\0" in text and not self.allows_nul:
            return [NUL]
        return [message for holds, message in self.checks if not holds(text)]

    def text(self, data: Mapping[str, Any]) -> str:
        """Return the field's text, "" if it is missing."""
        text = str(data.get(self.name, ""))
        return text.strip() if self.trim else text


PASSWORD = Text("password", trim=False, allows_nul=True)
"""Not trimmed: spaces and NUL count."""

USERNAME = Text(
    "username",
    max_length=150,
    checks=(
        (
            is_plain_username,
            "Enter a valid username. "
            "This value may contain only letters, numbers, and @/./+/-/_ characters.",
        ),
    ),
)
"""Django's rule: letters of any script. Combining marks are allowed, unlike in Django."""

EMAIL = Text("email", max_length=MAX_NAME, checks=((is_email, "Enter a valid email address."),))
OPTIONAL_EMAIL = replace(EMAIL, required=False, may_be_blank=True)
EMAIL_FIELD = replace(EMAIL, invalid=EMAIL.checks[0][1])
"""The libraries' e-mail: the framework has one message for it, also for what is not a text."""
OPTIONAL_EMAIL_FIELD = replace(EMAIL_FIELD, required=False, may_be_blank=True)


def find_errors(data: Mapping[str, Any], *fields: Text) -> dict[str, list[str]]:
    """Return the messages of what is wrong with these fields, by field."""
    problems = {field.name: field.problems(data) for field in fields}
    return {name: messages for name, messages in problems.items() if messages}


def read_fields(
    data: Mapping[str, Any], *fields: Text, also: Mapping[str, list[str]] | None = None
) -> list[str]:
    """Return the text of each field, in their order.

    Raises InvalidFields with every problem; `also` adds the messages of other fields.
    """
    errors = {**find_errors(data, *fields), **(also or {})}
    if errors:
        raise InvalidFields(errors)
    return [field.text(data) for field in fields]


async def read_data(request: web.Request) -> dict[str, Any]:
    """Return the fields of a body, JSON or a form.

    Raises Malformed, UnsupportedMediaType, InvalidFields, PayloadTooLarge, RequestTimeout,
    UnsupportedEncoding.
    """
    return check_object(await read_parsed(request))


def check_object(data: Any) -> dict[str, Any]:
    """Return the fields of a body. Raises InvalidFields unless `data` is a JSON object."""
    if not isinstance(data, dict):
        kind = type(data).__name__
        raise InvalidFields({NON_FIELD: [f"Invalid data. Expected a dictionary, but got {kind}."]})
    return data


def render_error(error: AppError) -> Response:
    """Return the response to an error in the words of Django REST framework.

    See docs/contracts/index.md#errors-in-the-words-of-django-rest-framework.
    """
    match error:
        case InvalidFields():
            return json_response(error.by_field, 400)
        case Taken():
            return json_response({name: [TAKEN.format(name)] for name in in_order(error)}, 400)
        case BadCredentials() | Inactive() | EmailNotVerified():
            return json_response({NON_FIELD: [CANNOT_LOG_IN]}, 400)
        case Unstorable():
            return json_response({error.field: [UNSTORABLE]}, 400)
        case Malformed():
            return _detail(400, str(error))
        case MissingToken() | BadHeader() | BadToken():
            return _detail(401, _unauthorized_message(error), {"WWW-Authenticate": "Token"})
        case NotFound():
            return _detail(404, "Not found.")
        case MethodNotAllowed():
            message = f'Method "{error.method}" not allowed.'
            return _detail(405, message, {"Allow": error.allowed})
        case RequestTimeout():
            return _detail(408, "The request body did not arrive in time.")
        case PayloadTooLarge():
            return _detail(413, "The request body is too large.")
        case TargetTooLong():
            return _detail(414, "The request line is too long.")
        case HeadersTooLarge():
            return _detail(431, "The request headers are too large.")
        case UnsupportedMediaType():
            return _detail(415, f'Unsupported media type "{error.media_type}" in request.')
        case UnsupportedEncoding():
            return _detail(415, "The request body must not be compressed.", NOT_COMPRESSED)
        case RateLimited():
            return _detail(
                429, "Too many attempts, try again later.", retry_after(error.retry_after)
            )
        case Busy() | Unavailable():
            wait = retry_after(error.retry_after)
            return _detail(503, "Service temporarily unavailable, try again later.", wait)
        case _:
            return _detail(500, "A server error occurred.")


def login_name(text: str, kind: str) -> Login:
    """Return the name of a login; `kind` says what it may be: username, email or either."""
    if kind == "email":
        return Login(email=text)
    return Login(text, text if kind == "either" and "@" in text else None)


def in_order(taken: Taken) -> list[str]:
    """Return the fields that are taken, the username first."""
    return [name for name in ("username", "email") if name in taken.fields]


def timestamp(moment: datetime.datetime) -> str:
    """Return a time in the framework's format: UTC, with microseconds."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(seconds: float) -> str:
    """Return a time in seconds since 1970 in the framework's format."""
    return timestamp(datetime.datetime.fromtimestamp(seconds, datetime.UTC))


def _unauthorized_message(error: MissingToken | BadHeader | BadToken) -> str:
    match error:
        case MissingToken():
            return NOT_PROVIDED
        case BadHeader(spaces=True):
            return "Invalid token header. Token string should not contain spaces."
        case BadHeader():
            return "Invalid token header. No credentials provided."
        case BadToken(problem=TokenProblem.INACTIVE):
            return "User inactive or deleted."
        case _:
            return "Invalid token."


def _detail(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return json_response({"detail": message}, status, headers)


def is_text(value: object) -> bool:
    """Return whether a value is a string, or a number that is accepted as one."""
    if isinstance(value, bool):
        return False
    if isinstance(value, float):
        return abs(value) < 2**63  # a larger one is an integer that the JSON parser rounded
    return isinstance(value, str | int)
