"""kust, a dialect that corresponds to djoser. Contract: docs/contracts/kust.md.

Decisions where the original contract is silent or contradicts itself: `/auth/users/me/` and
`/user/<id>/` accept GET, which every published client sends, and the original's POST; a logout is
a 204 without the body that the original prints, because HTTP allows none; every account can read
every other; `towns` are 64-bit integers in the given order, and a form repeats the field.
The contract's section is docs/contracts/kust.md#decisions.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from handlers import logins
from handlers.app_keys import ACCESS, ACCOUNTS
from handlers.dialects import drf
from handlers.dialects.drf import (
    NULL,
    OPTIONAL_EMAIL,
    PASSWORD,
    USERNAME,
    Text,
    is_text,
    read_data,
    read_fields,
)
from handlers.dialects.drf_passwords import COMMON, MIN_LENGTH, NUMERIC, SHORT, SIMILAR
from handlers.errors import NotFound
from handlers.forms import Form
from handlers.http.response import Response, json_response, no_content
from handlers.proxies import client_of
from handlers.routes import GET_OR_POST, Dialect, Routes
from store.account import Login, NewAccount
from store.authentication import Caller
from store.errors import BadCredentials, BadValue
from store.names import MAX_NAME
from store.password_rules import is_common, is_similar
from store.session_record import SessionSpec

SESSION = SessionSpec("kust")

_LONGEST_ID = 19
TOWNS = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of this dialect's mount.

    `register_status` is the status of a registration: 200, as the contract has it, or 201, which
    some published clients require. See docs/contracts/kust.md#options.
    """

    register_status: int = 200

    def __post_init__(self) -> None:
        if self.register_status not in (200, 201):
            raise BadValue("register-status must be 200 or 201")


OPTIONS = web.AppKey("kust_options", Options)

routes = Routes(drf.render_error, drf.CHECKS)


@routes.open("/auth/users")
async def register(request: web.Request) -> Response:
    """POST /auth/users: create an account. It has no token before its first login."""
    data = await read_data(request)
    name = data.get("username")
    rules = password_rules(str(name)[:MAX_NAME] if is_text(name) else "")
    towns, errors = read_towns(data)
    username, email, password = read_fields(
        data, USERNAME, OPTIONAL_EMAIL, replace(PASSWORD, checks=rules), also=errors
    )
    new = NewAccount(username, email or None, towns=towns)
    account, _ = await request.app[ACCESS].register(new, password, client=client_of(request))
    shown = {"email": account.email or "", "username": account.username, "id": account.id}
    return json_response(shown, request.app[OPTIONS].register_status)


@routes.open("/auth/token/login")
async def login(request: web.Request) -> Response:
    """POST /auth/token/login: return the account's token, the existing one if there is one."""
    data = await read_data(request)
    optional = Text("username", required=False), replace(PASSWORD, required=False)
    username, password = read_fields(data, *optional)
    if not username or not password:
        raise BadCredentials
    _, [issued] = await logins.log_in(request, Login(username), password, [SESSION], data)
    return json_response({"auth_token": issued.token})


@routes.guarded("/auth/token/logout")
async def logout(request: web.Request, caller: Caller) -> Response:
    """POST /auth/token/logout: end the session of the request's token."""
    await request.app[ACCESS].log_out(caller)
    return no_content()


@routes.guarded("/auth/users/me", methods=GET_OR_POST)
async def me(request: web.Request, caller: Caller) -> Response:
    """GET, POST /auth/users/me: return the caller's account."""
    account = caller.account
    return json_response(
        {"email": account.email or "", "id": account.id, "username": account.username or ""}
    )


@routes.guarded("/user/{id:[0-9]+}", methods=GET_OR_POST)
async def user(request: web.Request, caller: Caller) -> Response:
    """GET, POST /user/<id>: return any account by its id."""
    accounts, digits = request.app[ACCOUNTS], request.match_info["id"]
    details = await accounts.details(int(digits)) if len(digits) <= _LONGEST_ID else None
    if details is None:
        raise NotFound
    return json_response(
        {
            "id": details.id,
            "last_login": drf.timestamp(details.last_login) if details.last_login else None,
            "is_superuser": details.is_superuser,
            "username": details.username or "",
            "first_name": details.first_name or "",
            "last_name": details.last_name or "",
            "email": details.email or "",
            "is_staff": details.is_staff,
            "is_active": details.is_active,
            "date_joined": drf.timestamp(details.created),
            "days_count": details.days_count,
            "groups": details.groups,
            "user_permissions": details.user_permissions,
            "towns": details.towns,
        }
    )


def password_rules(username: str) -> tuple[tuple[Callable[[str], bool], str], ...]:
    """Return the rules of docs/contracts/kust.md#password-rules, each with its message."""
    return (
        (
            lambda text: len(text) >= MIN_LENGTH,
            SHORT.format(MIN_LENGTH),
        ),
        (lambda text: not is_common(text), COMMON),
        (lambda text: not text.isdigit(), NUMERIC),
        (
            lambda text: not is_similar(text, username),
            SIMILAR.format("username"),
        ),
    )


def read_towns(data: Mapping[str, Any]) -> tuple[list[int], dict[str, list[str]]]:
    """Return the towns, and the messages of invalid ones by field."""
    if isinstance(data, Form):  # an empty input is sent as ""
        towns: Any = [town for town in data.lists.get("towns", []) if town != ""]
    else:
        towns = data.get("towns", [])
    if towns is None:
        return [], {"towns": [NULL]}
    if not isinstance(towns, list):
        kind = type(towns).__name__
        return [], {"towns": [f'Expected a list of items but got type "{kind}".']}
    read = [_whole(town) for town in towns]
    if None in read:
        return [], {"towns": ["A valid integer is required."]}
    return [town for town in read if town is not None], {}


def _whole(town: object) -> int | None:
    if isinstance(town, str) and re.fullmatch(r"-?[0-9]{1,19}", town):
        town = int(town)
    if isinstance(town, int) and not isinstance(town, bool) and town in TOWNS:
        return town
    return None


DIALECT = Dialect(
    "kust",
    drf.render_error,
    routes.endpoints,
    options=Options(),
    options_key=OPTIONS,
    session_specs=[SESSION],
)
