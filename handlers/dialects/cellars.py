"""cellars, a hand-written JSON API: every error is one string. Contract: docs/contracts/cellars.md.

Decisions where the original contract is silent: the header that it calls Authentication is
Authorization, as in its examples; register and login parse the body as JSON whatever its
Content-Type, and ignore tokens; letters are those of any script; a field that is not a string, and
an empty password, are `Invalid Data`; names are not trimmed; its published client uses
/api/auth/…, so these paths exist too (docs/contracts/index.md#the-second-paths-of-cellars). The
operator sets `cellar`, `wants` and the address.
"""

import datetime
from typing import Any

from aiohttp import web

from handlers import logins
from handlers.app_keys import ACCESS, ACCOUNTS
from handlers.authorization import authenticate
from handlers.body import parse_json, read_body
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
)
from handlers.http.response import Response, json_response, retry_after
from handlers.proxies import client_of
from handlers.routes import Checks, Dialect, Routes
from store.account import Account, Login, NewAccount
from store.authentication import Caller
from store.errors import (
    AppError,
    BadCredentials,
    BadToken,
    Busy,
    EmailNotVerified,
    Inactive,
    RateLimited,
    Taken,
    Unavailable,
    Unstorable,
)
from store.names import is_plain_username
from store.session_record import SessionSpec

SESSION = SessionSpec("cellars")
MAX_USERNAME = 30


class InvalidData(AppError):
    """The fields are invalid; the text says why, or is empty."""

    code = "invalid_fields"


def render_error(error: AppError) -> Response:
    """Return the response to an error: one string (docs/contracts/cellars.md#errors)."""
    match error:
        case Taken():
            return _error(400, "Invalid Data: column username is not unique")
        case InvalidData() | Malformed():
            return _error(400, f"Invalid Data: {error}" if str(error) else "Invalid Data")
        case Unstorable():
            return _error(400, f"Invalid Data: {error.field} can't be stored")
        case BadCredentials():
            return _error(400, "Invalid Username/Password")
        case Inactive() | EmailNotVerified():
            return _error(400, "Invalid User")
        case MissingToken() | BadHeader():
            return _error(401, "Invalid Header")
        case BadToken():
            return _error(401, "Token not found")
        case NotFound():
            return _error(404, "Not Found")
        case MethodNotAllowed():
            return _error(405, "Invalid Method", {"Allow": error.allowed})
        case RequestTimeout():
            return _error(408, "Request Timeout")
        case PayloadTooLarge():
            return _error(413, "Request Entity Too Large")
        case UnsupportedEncoding():
            return _error(415, "Unsupported Media Type", NOT_COMPRESSED)
        case TargetTooLong():
            return _error(414, "Request-URI Too Long")
        case HeadersTooLarge():
            return _error(431, "Request Header Fields Too Large")
        case RateLimited():
            return _error(429, "Too Many Requests", retry_after(error.retry_after))
        case Busy() | Unavailable():
            wait = retry_after(error.retry_after)
            return _error(503, "Service Unavailable", wait)
        case _:
            return _error(500, "Internal Server Error")


def render_open_error(error: AppError) -> Response:
    """Return the response to an error of register and login, where a wrong method is a 400."""
    if isinstance(error, MethodNotAllowed):
        return _error(400, "Bad Request")
    return render_error(error)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return json_response({"error": message}, status, headers)


routes = Routes(render_error, Checks(authenticate))


@routes.open("/api/register", render_error=render_open_error)
async def register(request: web.Request) -> Response:
    """POST /api/register: create an account and return it with its token."""
    _, username, password = await read_credentials(request)
    check_username(username)
    access = request.app[ACCESS]
    account, [issued] = await access.register(
        NewAccount(username), password, [SESSION], client=client_of(request)
    )
    return json_response(await with_user(request, account, issued.token), 201)


@routes.open("/api/login", render_error=render_open_error)
async def login(request: web.Request) -> Response:
    """POST /api/login: return the account and its token, the existing one if there is one."""
    data, username, password = await read_credentials(request)
    name = Login(username)
    account, [issued] = await logins.log_in(request, name, password, [SESSION], data)
    return json_response(await with_user(request, account, issued.token))


@routes.guarded("/api/logout")
async def logout(request: web.Request, caller: Caller) -> Response:
    """POST /api/logout: end the session. The token is checked before the method."""
    await request.app[ACCESS].log_out(caller)
    return json_response({"status": "success"})


async def read_credentials(request: web.Request) -> tuple[dict[str, Any], str, str]:
    """Return the fields of a body, its username and its password.

    Raises Malformed, InvalidData, PayloadTooLarge, RequestTimeout.
    """
    data = parse_json(await read_body(request))
    if not isinstance(data, dict):
        raise InvalidData
    username, password = data.get("username"), data.get("password")
    if not isinstance(username, str) or not isinstance(password, str) or not password:
        raise InvalidData
    return data, username, password


def check_username(username: str) -> None:
    """Check a new username (docs/contracts/cellars.md#post-apiregister). Raises InvalidData."""
    if not username:
        raise InvalidData("The given username must be set")
    if len(username) > MAX_USERNAME:
        raise InvalidData(f"username has more than {MAX_USERNAME} characters")
    if not is_plain_username(username):
        raise InvalidData("username may contain only letters, digits and _ @ + . -")


async def with_user(request: web.Request, account: Account, token: str) -> dict[str, Any]:
    """Return the response of register and login: the token, and the account's eighteen keys."""
    details = await request.app[ACCOUNTS].details(account.id)
    if details is None:  # deleted a moment ago
        raise BadCredentials
    user = {
        "username": details.username or "",
        "first_name": details.first_name or "",
        "last_name": details.last_name or "",
        "email": details.email or "",
        "is_active": details.is_active,
        "is_superuser": details.is_superuser,
        "is_staff": details.is_staff,
        "last_login": timestamp(details.last_login or details.created),
        "cellar": details.cellar,
        "wants": details.wants,
        "address": details.address,
        "address2": details.address2,
        "city": details.city,
        "state": details.state,
        "zipcode": details.zipcode,
        "created": timestamp(details.created),
        "modified": timestamp(details.modified),
        "date_joined": timestamp(details.created),
    }
    return {"token": token, "user": user}


def timestamp(moment: datetime.datetime) -> str:
    """Return a time as text: UTC, with milliseconds."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


DIALECT = Dialect(
    "cellars",
    render_error,
    routes.endpoints,
    # The original moved to these after its contract was written; its published client uses them.
    {path.replace("/api/", "/api/auth/"): each for path, each in routes.endpoints.items()},
    session_specs=[SESSION],
)
