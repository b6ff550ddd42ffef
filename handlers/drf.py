"""What the three dialects in Django REST framework's manner share.

That is its order of checks, its bodies, its field errors and the sentences for them. What only
one of them says stays with it.

The order: a bad token is a 401 even where none is needed, a missing one is a 401 where it is,
then comes the method, then the body.
"""

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from handlers.answers import allow_header, json_response, last
from handlers.authorization import token_of
from handlers.body import parse_json, parse_multipart, parse_urlencoded, read_body
from handlers.dialect import (
    BadHeader,
    Endpoint,
    Malformed,
    MissingToken,
    NotFound,
    Refuse,
    TooLarge,
    TooSlow,
    WrongMediaType,
    WrongMethod,
)
from handlers.keys import ACCESS
from store.access import Caller
from store.errors import (
    BadCredentials,
    BadToken,
    Busy,
    Flaw,
    Inactive,
    Refused,
    Unavailable,
    Unstorable,
)

Open = Callable[[web.Request], Awaitable[web.Response]]
Guarded = Callable[[web.Request, Caller], Awaitable[web.Response]]

NON_FIELD = "non_field_errors"
CANNOT_LOG_IN = "Unable to log in with provided credentials."
REQUIRED = "This field is required."
BLANK = "This field may not be blank."
NULL = "This field may not be null."
NOT_A_STRING = "Not a valid string."
NUL = "Null characters are not allowed."
UNSTORABLE = "Enter a valid value."


class Errors(Refused):
    """Fields that are not as they should be: sentences by field, in the order of the fields."""

    def __init__(self, by_field: Mapping[str, list[str]]) -> None:
        super().__init__(", ".join(by_field))
        self.by_field = by_field


class Routes:
    """Collects a dialect's endpoints, each behind the framework's order of checks."""

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse
        self.endpoints: dict[str, Endpoint] = {}

    def open(
        self, *paths: str, methods: tuple[str, ...] = ("POST",), refuse: Refuse | None = None
    ) -> Callable[[Open], Open]:
        """Add an endpoint that needs no token; a good one is ignored, a bad one refused."""

        def add(handler: Open) -> Open:
            async def checked(request: web.Request) -> web.Response:
                await _caller(request)
                _check_method(request, methods)
                return await handler(request)

            self._add(paths, checked, methods, refuse)
            return handler

        return add

    def guarded(
        self, *paths: str, methods: tuple[str, ...] = ("POST",), refuse: Refuse | None = None
    ) -> Callable[[Guarded], Guarded]:
        """Add an endpoint that needs a token; its handler is given the caller."""

        def add(handler: Guarded) -> Guarded:
            async def checked(request: web.Request) -> web.Response:
                caller = await _caller(request)
                if caller is None:
                    raise MissingToken
                _check_method(request, methods)
                return await handler(request, caller)

            self._add(paths, checked, methods, refuse)
            return handler

        return add

    def _add(
        self, paths: Iterable[str], checked: Open, methods: tuple[str, ...], refuse: Refuse | None
    ) -> None:
        for path in paths:
            self.endpoints[path] = Endpoint(checked, methods, refuse or self._refuse)


@dataclass(frozen=True, slots=True)
class Text:
    """A field of text: how it is trimmed and what must hold for it.

    `checks` are pairs of a test and the sentence for what fails it.
    """

    name: str
    required: bool = True
    trim: bool = True
    max_length: int | None = None
    allows_nul: bool = False
    checks: tuple[tuple[Callable[[str], bool], str], ...] = ()

    def problems(self, data: Mapping[str, Any]) -> list[str]:
        """Return the sentences of what is wrong with this field."""
        if self.name not in data:
            return [REQUIRED] if self.required else []
        value = data[self.name]
        if value is None:
            return [NULL]
        if not _is_text(value):
            return [NOT_A_STRING]
        text = self.text(data)
        if not text:
            return [BLANK] if self.required else []
        if self.max_length is not None and len(text) > self.max_length:
            return [f"Ensure this field has no more than {self.max_length} characters."]
        if "\0" in text and not self.allows_nul:
            return [NUL]
        return [sentence for holds, sentence in self.checks if not holds(text)]

    def text(self, data: Mapping[str, Any]) -> str:
        """Return the field's text, "" when it is not there."""
        text = str(data.get(self.name, ""))
        return text.strip() if self.trim else text


PASSWORD = Text("password", trim=False, allows_nul=True)
"""Taken as it is: spaces and NUL count."""


def read_fields(data: Mapping[str, Any], *fields: Text) -> list[str]:
    """Return the text of each field, in their order. Raises Errors with all that is wrong."""
    problems = {field.name: field.problems(data) for field in fields}
    if errors := {name: sentences for name, sentences in problems.items() if sentences}:
        raise Errors(errors)
    return [field.text(data) for field in fields]


async def read_data(request: web.Request) -> dict[str, Any]:
    """Return what the body says: JSON, or a form. Raises Malformed, WrongMediaType, Errors."""
    body = await read_body(request)
    if not body:
        return {}
    match request.content_type:
        case "application/json":
            data = parse_json(body, request.charset)
        case "application/x-www-form-urlencoded":
            data = parse_urlencoded(body, request.charset)
        case "multipart/form-data":
            data = parse_multipart(body, request.headers["Content-Type"])
        case _:
            raise WrongMediaType(request.headers.get("Content-Type", ""))
    if not isinstance(data, dict):
        kind = type(data).__name__
        raise Errors({NON_FIELD: [f"Invalid data. Expected a dictionary, but got {kind}."]})
    return data


def refuse(refusal: Refused) -> web.Response:
    """Say no in the framework's words."""
    match refusal:
        case Errors():
            return json_response(refusal.by_field, 400)
        case BadCredentials() | Inactive():
            return json_response({NON_FIELD: [CANNOT_LOG_IN]}, 400)
        case Unstorable():
            return json_response({refusal.field: [UNSTORABLE]}, 400)
        case Malformed():
            return _detail(400, str(refusal))
        case MissingToken() | BadHeader() | BadToken():
            return _detail(401, _why_unauthorized(refusal), {"WWW-Authenticate": "Token"})
        case NotFound():
            return _detail(404, "Not found.")
        case WrongMethod():
            why = f'Method "{refusal.method}" not allowed.'
            return _detail(405, why, {"Allow": refusal.allowed})
        case TooSlow():
            return last(_detail(408, "The request body did not arrive in time."))
        case TooLarge():
            return last(_detail(413, "The request body is too large."))
        case WrongMediaType():
            return _detail(415, f'Unsupported media type "{refusal.media_type}" in request.')
        case Busy() | Unavailable():
            wait = {"Retry-After": str(math.ceil(refusal.retry_after))}
            return _detail(503, "Service temporarily unavailable, try again later.", wait)
        case _:
            return _detail(500, "A server error occurred.")


def _why_unauthorized(refusal: MissingToken | BadHeader | BadToken) -> str:
    match refusal:
        case MissingToken():
            return "Authentication credentials were not provided."
        case BadHeader(spaces=True):
            return "Invalid token header. Token string should not contain spaces."
        case BadHeader():
            return "Invalid token header. No credentials provided."
        case BadToken(flaw=Flaw.INACTIVE):
            return "User inactive or deleted."
        case _:
            return "Invalid token."


async def _caller(request: web.Request) -> Caller | None:
    """Return who asks, None for a request without a token. Raises BadHeader, BadToken."""
    token = token_of(request)
    return await request.app[ACCESS].authenticate(token) if token else None


def _check_method(request: web.Request, methods: tuple[str, ...]) -> None:
    if request.method not in methods and not (request.method == "HEAD" and "GET" in methods):
        raise WrongMethod(request.method, allow_header(methods))


def _detail(status: int, why: str, headers: dict[str, str] | None = None) -> web.Response:
    return json_response({"detail": why}, status, headers)


def _is_text(value: object) -> bool:
    """Tell whether a value is a string, or a number that stands for one."""
    if isinstance(value, bool):
        return False
    if isinstance(value, float):
        return abs(value) < 2**63  # beyond, it is an integer that the JSON parser has rounded
    return isinstance(value, str | int)
