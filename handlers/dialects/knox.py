"""knox, the views of django-rest-knox: each login has a token that ends at a fixed time.

Contract: docs/contracts/knox.md. The library's login takes HTTP Basic; nearly every project
replaces it by one that takes JSON, so this one takes both. Only the scheme `Token` counts.
Options add the two endpoints that projects add: the registration and the user.
"""

import base64
import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from aiohttp import hdrs, web

from handlers import logins
from handlers.app_keys import ACCESS
from handlers.dialects import drf
from handlers.dialects.drf import (
    OPTIONAL_EMAIL_FIELD,
    USERNAME,
    Text,
    check_object,
    read_data,
    read_fields,
)
from handlers.errors import MissingToken
from handlers.forms import read_parsed
from handlers.http.response import Response, json_response, no_content
from handlers.mounts import check_path
from handlers.proxies import client_of
from handlers.routes import GET, Dialect, Routes
from store.account import Account, NewAccount
from store.authentication import Caller
from store.errors import (
    AppError,
    BadCredentials,
    BadValue,
    EmailNotVerified,
    Inactive,
    Unstorable,
)
from store.session_record import IssuedToken, SessionSpec

SESSION = SessionSpec("knox", "fixed", sid_bytes=16, reuse=False)
PATHS = {
    "/login": "login_path",
    "/logout": "logout_path",
    "/logoutall": "logoutall_path",
    "/register": "register_path",
    "/user": "user_path",
}
MAX_LIFETIME = 3650 * 86_400
PASSWORD = replace(drf.PASSWORD, allows_nul=False)
LOGIN_FIELDS = ("expiry", "token", "user")
USER_FIELDS = ("id", "username", "email", "first_name", "last_name", "is_staff", "is_superuser")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of this dialect's mount.

    `lifetime` is TOKEN_TTL in seconds and `time_zone` that of `expiry`. `user` has the fields of
    the user that a login returns, none by default, `login_fields` the order of what it returns,
    and `login` says what the field `username` may be. Without `basic`, a login takes a body alone.
    An endpoint whose path is "" does not exist. See docs/contracts/knox.md#options.
    """

    lifetime: int = 36_000
    user: tuple[str, ...] = ()
    time_zone: str = "UTC"
    login_fields: tuple[str, ...] = LOGIN_FIELDS
    login: Literal["username", "email", "either"] = "username"
    basic: bool = True
    trim_passwords: bool = False
    login_path: str = "/login"
    logout_path: str = "/logout"
    logoutall_path: str = "/logoutall"
    register_path: str = ""
    user_path: str = ""

    def __post_init__(self) -> None:
        for name in PATHS.values():
            if getattr(self, name) or name not in ("register_path", "user_path"):
                check_path(name, getattr(self, name))
        if not 1 <= self.lifetime <= MAX_LIFETIME:
            raise BadValue(f"lifetime must be from 1 to {MAX_LIFETIME} seconds")
        for name, known in (("user", USER_FIELDS), ("login-fields", LOGIN_FIELDS)):
            given = getattr(self, name.replace("-", "_"))
            if len({*given} & {*known}) < len(given):
                raise BadValue(f"{name} must be a list of these, each once: {', '.join(known)}")
        if "token" not in self.login_fields:
            raise BadValue("login-fields must have token")
        if self.user_path and not self.user:
            raise BadValue("user-path needs user, the fields of its response")
        try:
            zone(self.time_zone)
        except (LookupError, ValueError, OSError):
            raise BadValue(f"time-zone {self.time_zone!r} is unknown") from None


OPTIONS = web.AppKey("knox_options", Options)

NO_CREDENTIALS = "Invalid basic header. No credentials provided."
SPACES = "Invalid basic header. Credentials string should not contain spaces."
NOT_BASE64 = "Invalid basic header. Credentials not correctly base64 encoded."
WRONG = "Invalid username/password."


class BadBasic(AppError):
    """The credentials of HTTP Basic are malformed or wrong; the text is the response's."""

    code = "malformed_authorization"


def render_login_error(error: AppError) -> Response:
    """Return the response to an error of a login: a 401 asks for Basic, as in the library."""
    if not isinstance(error, BadBasic | MissingToken):
        return drf.render_error(error)
    detail = str(error) if isinstance(error, BadBasic) else drf.NOT_PROVIDED
    return json_response({"detail": detail}, 401, {"WWW-Authenticate": 'Basic realm="api"'})


routes = Routes(drf.render_error, drf.TOKEN_CHECKS)


@routes.open("/login", render_error=render_login_error)
async def login(request: web.Request) -> Response:
    """POST /login: log in by HTTP Basic or by a body, and return a new token with its expiry."""
    options = request.app[OPTIONS]
    basic = read_basic(request) if options.basic else None
    data: Mapping[str, Any] = {}
    if basic:
        username, password = basic
    else:
        data, username, password = await read_credentials(request)
    name = drf.login_name(username, options.login)
    try:
        account, [issued] = await logins.log_in(request, name, password, [SESSION], data)
    except (BadCredentials, EmailNotVerified, Inactive, Unstorable) as error:
        if not basic:
            raise
        wrong = BadBasic(WRONG)
        wrong.code = error.code
        raise wrong from None
    return json_response(session(options, account, issued))


@routes.open("/register")
async def register(request: web.Request) -> Response:
    """POST /register: create an account, and return what a login returns."""
    options, data = request.app[OPTIONS], await read_data(request)
    password = replace(PASSWORD, trim=options.trim_passwords)
    username, email, password_text = read_fields(data, USERNAME, OPTIONAL_EMAIL_FIELD, password)
    account, [issued] = await request.app[ACCESS].register(
        NewAccount(username, email or None), password_text, [SESSION], client=client_of(request)
    )
    return json_response(session(options, account, issued))


@routes.guarded("/user", methods=GET)
async def show_user(request: web.Request, caller: Caller) -> Response:
    """GET /user: return the caller's account."""
    return json_response(user(caller.account, request.app[OPTIONS].user))


@routes.guarded("/logout")
async def logout(request: web.Request, caller: Caller) -> Response:
    """POST /logout: end the session of the request's token."""
    await request.app[ACCESS].log_out(caller)
    return no_content()


@routes.guarded("/logoutall")
async def logout_all(request: web.Request, caller: Caller) -> Response:
    """POST /logoutall: end every session of the account, in every dialect."""
    await request.app[ACCESS].end_all(caller)
    return no_content()


def read_basic(request: web.Request) -> tuple[str, str] | None:
    """Return user and password of HTTP Basic (RFC 7617), None without it. Raises BadBasic.

    Text that is not UTF-8 is read as Latin 1, as the framework reads it.
    """
    parts = request.headers.get(hdrs.AUTHORIZATION, "").split()
    if not parts or parts[0].lower() != "basic":
        return None
    if len(parts) != 2:
        raise BadBasic(SPACES if len(parts) > 2 else NO_CREDENTIALS)
    try:
        decoded = base64.b64decode(parts[1].encode(errors="surrogateescape"))
        try:
            text = decoded.decode()
        except UnicodeDecodeError:
            text = decoded.decode("latin-1")
        username, password = text.split(":", 1)
    except ValueError:
        raise BadBasic(NOT_BASE64) from None
    return username, password


async def read_credentials(request: web.Request) -> tuple[dict[str, Any], str, str]:
    """Return the fields of a body, its user and its password.

    Raises MissingToken for a body without either field where HTTP Basic was possible, and what
    `drf.read_data` raises.
    """
    options, data = request.app[OPTIONS], check_object(await read_parsed(request))
    if options.basic and data.keys().isdisjoint(("username", "password")):
        raise MissingToken
    password = replace(PASSWORD, trim=options.trim_passwords)
    username, password_text = read_fields(data, Text("username"), password)
    return data, username, password_text


def zone(name: str) -> datetime.tzinfo:
    """Return a time zone. UTC needs no database of time zones."""
    if name == "UTC":
        return datetime.UTC
    import zoneinfo  # noqa: PLC0415  # most servers have UTC

    return zoneinfo.ZoneInfo(name)


def expiry(seconds: float, time_zone: str) -> str:
    """Return a time as the framework writes it in the project's time zone."""
    moment = datetime.datetime.fromtimestamp(seconds, zone(time_zone))
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def session(options: Options, account: Account, issued: IssuedToken) -> dict[str, Any]:
    """Return what a login returns, in the order of the option."""
    content = {
        "expiry": expiry(issued.ends, options.time_zone),
        "token": issued.token,
        **({"user": user(account, options.user)} if options.user else {}),
    }
    return {name: content[name] for name in options.login_fields if name in content}


def user(account: Account, fields: tuple[str, ...]) -> dict[str, Any]:
    """Return fields of an account; a text that it does not have is empty."""
    values = {name: getattr(account, name) for name in fields}
    return {name: "" if value is None else value for name, value in values.items()}


DIALECT = Dialect(
    "knox",
    drf.render_error,
    routes.endpoints,
    options=Options(),
    options_key=OPTIONS,
    session_specs=[SESSION],
    paths=PATHS,
    lifetimes=lambda options: {"fixed": options.lifetime},
    by_default=False,
)
