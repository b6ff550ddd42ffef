"""wicare, a dialect that corresponds to django-rest-knox. Contract: docs/contracts/wicare.md.

Decisions where the original contract is silent: the e-mail is optional, as in its example; a login
accepts `email` in place of `username`, as its text says, and uses the username if both are given;
logoutall returns 204 like logout; `wicare//api/auth/logoutall/` (sic) is the same endpoint as the
path with one slash. The contract's section is docs/contracts/wicare.md#decisions.
"""

import datetime
from dataclasses import dataclass, replace
from typing import Literal

from aiohttp import web

from handlers import logins
from handlers.app_keys import ACCESS
from handlers.dialects import drf
from handlers.dialects.drf import (
    OPTIONAL_EMAIL,
    PASSWORD,
    USERNAME,
    Text,
    read_data,
    read_fields,
)
from handlers.forms import Form
from handlers.http.response import Response, json_response, no_content
from handlers.proxies import client_of
from handlers.routes import Dialect, Routes
from store.account import Login, NewAccount
from store.authentication import Caller
from store.session_record import SessionSpec

SESSION = SessionSpec("wicare", sid_bytes=16)
PER_LOGIN = replace(SESSION, reuse=False)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of this dialect's mount.

    `sessions` says whether a login returns the token of the account's session in this dialect, or
    opens another session, as django-rest-knox does: a logout then ends the session of one device.
    See docs/contracts/wicare.md#sessions-per-login.
    """

    sessions: Literal["per-account", "per-login"] = "per-account"


OPTIONS = web.AppKey("wicare_options", Options)

routes = Routes(drf.render_error, drf.CHECKS)


@routes.open("/api/auth/register")
async def register(request: web.Request) -> Response:
    """POST /api/auth/register: create an account and return it with its token."""
    data = await read_data(request)
    username, email, password = read_fields(data, USERNAME, OPTIONAL_EMAIL, PASSWORD)
    new = NewAccount(username, email or None)
    account, [issued] = await request.app[ACCESS].register(
        new, password, [session_spec(request)], client=client_of(request)
    )
    user = {"id": account.id, "username": account.username, "email": account.email or ""}
    return json_response({"user": user, "token": issued.token})


@routes.open("/api/auth/login")
async def login(request: web.Request) -> Response:
    """POST /api/auth/login: return the account's token, an existing one if any, and its expiry."""
    data = await read_data(request)
    if isinstance(data, Form) and data.get("email"):  # an empty input is sent as ""
        data = {name: value for name, value in data.items() if value != ""}
    field = "email" if "email" in data and "username" not in data else "username"
    name, password = read_fields(data, Text(field), PASSWORD)
    named = Login(name) if field == "username" else Login(email=name)
    specs = [session_spec(request)]
    _, [issued] = await logins.log_in(request, named, password, specs, data)
    expiry = datetime.datetime.fromtimestamp(issued.ends, datetime.UTC)
    return json_response({"expiry": drf.timestamp(expiry), "token": issued.token})


@routes.guarded("/api/auth/logout")
async def logout(request: web.Request, caller: Caller) -> Response:
    """POST /api/auth/logout: end the session of the request's token."""
    await request.app[ACCESS].log_out(caller)
    return no_content()


@routes.guarded("/api/auth/logoutall", "//api/auth/logoutall")
async def logout_all(request: web.Request, caller: Caller) -> Response:
    """POST /api/auth/logoutall: end every session of the account, in every dialect."""
    await request.app[ACCESS].end_all(caller)
    return no_content()


def session_spec(request: web.Request) -> SessionSpec:
    """Return the session that a registration or a login opens."""
    return PER_LOGIN if request.app[OPTIONS].sessions == "per-login" else SESSION


DIALECT = Dialect(
    "wicare",
    drf.render_error,
    routes.endpoints,
    options=Options(),
    options_key=OPTIONS,
    session_specs=[SESSION],
)
