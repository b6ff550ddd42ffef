"""fardel, a dialect that corresponds to Flask-JWT-Extended. Contract: docs/contracts/fardel.md.

Decisions where the original contract is silent or contradicts itself: its misspelt messages are
kept (sic: "Successfully logined", "Unvalid form submitted"); an update without changes is a 204
without the body that the original prints; empty and null fields count as absent, in registrations
only for optional fields; names have at most 254 characters; a header of another scheme is
malformed. A login trims its e-mail and does not validate it. The contract's section is
docs/contracts/fardel.md#decisions.
"""

from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any

from aiohttp import hdrs, web

from handlers.app_keys import ACCESS
from handlers.authorization import token_of
from handlers.body import read_body, read_json
from handlers.content_type import content_type_of
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
from handlers.http.response import Response, json_response, no_content, retry_after
from handlers.proxies import client_of
from handlers.routes import GET, PUT, Checks, Dialect, Routes
from store.account import Account, Login, NewAccount
from store.authentication import ACCESS_KINDS, REFRESH_KINDS, Caller
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
from store.names import MAX_NAME, fold_email, is_email
from store.session_record import IssuedToken, SessionSpec

FRESH_SESSION = SessionSpec("fardel", "fresh")
REFRESH_SESSION = SessionSpec("fardel", "refresh")
ACCESS_SESSION = SessionSpec("fardel", "access", reuse=False)

BAD_TOKENS = {
    TokenProblem.FORGED: (422, "Signature verification failed"),
    TokenProblem.EXPIRED: (401, "Token has expired"),
    TokenProblem.REVOKED: (401, "Token has been revoked"),
    TokenProblem.INACTIVE: (401, "Token has been revoked"),
    TokenProblem.REFRESH: (422, "Only access tokens are allowed"),
    TokenProblem.NOT_REFRESH: (422, "Only refresh tokens are allowed"),
}


class BadForm(AppError):
    """A field is missing or invalid."""

    code = "invalid_fields"


class NotFresh(AppError):
    """The request needs a token that was issued by a login."""

    code = "fresh_login_required"


def render_error(error: AppError) -> Response:
    """Return the response to an error: a message (docs/contracts/fardel.md#errors)."""
    match error:
        case BadForm() | Malformed() | UnsupportedMediaType() | Unstorable():
            return _message(400, "Unvalid form submitted")
        case Taken():
            return _message(409, "A user with this email already exists.")
        case BadCredentials() | Inactive() | EmailNotVerified():
            return _message(401, "Username or password is not correct")
        case MissingToken():
            return _message(401, "Missing Authorization Header")
        case NotFresh():
            return _message(401, "Fresh token required")
        case BadHeader():
            return _message(422, "Bad Authorization header. Expected value 'Bearer <token>'")
        case BadToken():
            return _message(*BAD_TOKENS[error.problem])
        case NotFound():
            return _message(404, "Not Found")
        case MethodNotAllowed():
            message = "The method is not allowed for the requested URL."
            return _message(405, message, {"Allow": error.allowed})
        case RequestTimeout():
            return _message(408, "Request Timeout")
        case PayloadTooLarge():
            return _message(413, "Request Entity Too Large")
        case UnsupportedEncoding():
            return _message(415, "Unsupported Media Type", NOT_COMPRESSED)
        case TargetTooLong():
            return _message(414, "Request-URI Too Long")
        case HeadersTooLarge():
            return _message(431, "Request Header Fields Too Large")
        case RateLimited():
            return _message(429, "Too Many Requests", retry_after(error.retry_after))
        case Busy() | Unavailable():
            wait = retry_after(error.retry_after)
            return _message(503, "Service Unavailable", wait)
        case _:
            return _message(500, "Internal Server Error")


def _message(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return json_response({"message": message}, status, headers)


def authenticate(request: web.Request, kinds: frozenset[str] = ACCESS_KINDS) -> Awaitable[Caller]:
    """Return an awaitable of the caller, which raises BadToken. Raises MissingToken, BadHeader."""
    if not request.headers.get(hdrs.AUTHORIZATION):
        raise MissingToken
    token = token_of(request)
    if token is None:
        raise BadHeader(spaces=False)
    return request.app[ACCESS].authenticate(token, kinds)


authenticate_refresh = partial(authenticate, kinds=REFRESH_KINDS)
routes = Routes(render_error, Checks(authenticate, method_first=True))


@routes.open("/api/auth/register")
async def register(request: web.Request) -> Response:
    """POST /api/auth/register: create an account and return its two tokens."""
    data = await read_form(request)
    email, password = required(data, "email").strip(), required(data, "password")
    new = NewAccount(
        email=check_email(email),
        first_name=optional_name(data, "first_name"),
        last_name=optional_name(data, "last_name"),
    )
    _, [access, refresh] = await request.app[ACCESS].register(
        new, password, [FRESH_SESSION, REFRESH_SESSION], client=client_of(request)
    )
    tokens = {"access_token": access.token, "refresh_token": refresh.token}
    return json_response({"message": "Successfully registered", **tokens})


@routes.open("/api/auth/login")
async def login(request: web.Request) -> Response:
    """POST /api/auth/login: return both tokens, the existing ones if there are any."""
    data = await read_form(request)
    name = Login(email=required(data, "email").strip())
    password = required(data, "password")
    _, [access, refresh] = await request.app[ACCESS].log_in(
        name, password, [FRESH_SESSION, REFRESH_SESSION], client_of(request)
    )
    tokens = {"access_token": access.token, "refresh_token": refresh.token}
    return json_response({"message": "Successfully logined", **tokens})


@routes.guarded("/api/auth/refresh-token", authenticate=authenticate_refresh)
async def refresh_token(request: web.Request, caller: Caller) -> Response:
    """POST /api/auth/refresh-token: return a new access token, which is not fresh."""
    issued = await request.app[ACCESS].refresh(caller, ACCESS_SESSION)
    return json_response({"access_token": issued.token})


@routes.guarded("/api/auth/logout")
async def logout(request: web.Request, caller: Caller) -> Response:
    """POST /api/auth/logout: end an access token's session; the refresh token remains valid."""
    await request.app[ACCESS].log_out(caller)
    return json_response({"message": "Access token has been revoked"})


@routes.guarded("/api/auth/logout-refresh", authenticate=authenticate_refresh)
async def logout_refresh(request: web.Request, caller: Caller) -> Response:
    """POST /api/auth/logout-refresh: end a refresh token's session, not the access token's."""
    await request.app[ACCESS].log_out(caller)
    return json_response({"message": "Refresh token has been revoked"})


@routes.open("/api/auth/profile", methods=GET)
async def show_profile(request: web.Request) -> Response:
    """GET /api/auth/profile: return the caller's account, or null without a token."""
    try:
        token = token_of(request)
    except BadHeader:
        token = None
    if token is None:
        return json_response({"message": "Not login", "user": None})
    caller = await request.app[ACCESS].authenticate(token)
    return json_response({"user": user(caller.account)})


@routes.guarded("/api/auth/profile", methods=PUT)
async def update_profile(request: web.Request, caller: Caller) -> Response:
    """PUT /api/auth/profile: change the names, e-mail and password that are given."""
    data = await read_form(request) if await read_body(request) else {}
    email, password = optional(data, "email").strip(), optional(data, "password")
    names = {name: optional_name(data, name) for name in ("first_name", "last_name")}
    changes = {name: value for name, value in names.items() if value}
    if email:
        check_email(email)
    if not changes and not email and not password:
        return no_content()
    own_email = caller.account.email or ""
    is_fresh = caller.session.kind == FRESH_SESSION.kind
    if not is_fresh and (password or (email and fold_email(email) != fold_email(own_email))):
        raise NotFresh
    if is_fresh and email not in ("", own_email):
        changes["email"] = email
    account, issued = caller.account, list[IssuedToken]()
    if changes or password:
        account, issued = await request.app[ACCESS].change(
            caller, changes, password or None, [FRESH_SESSION, REFRESH_SESSION], client_of(request)
        )
    named = zip(("access_token", "refresh_token"), issued, strict=False)
    tokens = {name: session.token for name, session in named}
    message = "Profile successfully updated"
    return json_response({"message": message, "user": user(account), **tokens})


async def read_form(request: web.Request) -> Mapping[str, Any]:
    """Return the fields of a JSON body. Raises UnsupportedMediaType, Malformed, BadForm."""
    await read_body(request)
    media_type = content_type_of(request).media_type
    if media_type != "application/json":
        raise UnsupportedMediaType(media_type)
    data = await read_json(request)
    if not isinstance(data, dict):
        raise BadForm
    return data


def required(data: Mapping[str, Any], name: str) -> str:
    """Return a field's text. Raises BadForm when it is missing or empty."""
    text = optional(data, name)
    if not text:
        raise BadForm
    return text


def optional(data: Mapping[str, Any], name: str) -> str:
    """Return a field's text, "" if absent or null. Raises BadForm if it is not text."""
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise BadForm
    return value or ""


def optional_name(data: Mapping[str, Any], name: str) -> str | None:
    """Return a first or last name, None when it is absent or empty. Raises BadForm."""
    text = optional(data, name)
    if len(text) > MAX_NAME:
        raise BadForm
    return text or None


def check_email(email: str) -> str:
    """Return the e-mail. Raises BadForm if it is not valid."""
    if not is_email(email):
        raise BadForm
    return email


def user(account: Account) -> dict[str, Any]:
    """Return the JSON of an account."""
    shown: dict[str, Any] = {
        "id": account.id,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "email": account.email or "",
    }
    if account.group_name:
        shown["group"] = account.group_name
    if account.is_admin:
        shown["is_admin"] = True
    if account.is_staff:
        shown["is_staff"] = True
    return shown


DIALECT = Dialect(
    "fardel",
    render_error,
    routes.endpoints,
    session_specs=[FRESH_SESSION, REFRESH_SESSION, ACCESS_SESSION],
)
