"""Logins and logouts."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from handlers import logins
from handlers.app_keys import ACCESS
from handlers.dialects.dj_rest_auth import jwts
from handlers.dialects.dj_rest_auth.options import OPTIONS, needs_mail
from handlers.dialects.dj_rest_auth.routes import find_caller, open_routes, spec
from handlers.dialects.drf import (
    NON_FIELD,
    OPTIONAL_EMAIL_FIELD,
    InvalidFields,
    Text,
    read_data,
    read_fields,
)
from handlers.http.response import Response, json_response
from store.account import Login

MUST_INCLUDE = {
    "username": 'Must include "username" and "password".',
    "email": 'Must include "email" and "password".',
    "either": 'Must include either "username" or "email" and "password".',
}
NOT_LOGGED_IN = "You should be logged in to logout. Check whether the token is passed."

_FIELDS = (
    Text("username", required=False, may_be_blank=True),
    OPTIONAL_EMAIL_FIELD,
    Text("password"),
)


@open_routes.open("/login")
async def log_in(request: web.Request) -> Response:
    """POST /login: return the account's token, the existing one if there is one."""
    options = request.app[OPTIONS]
    data = await read_data(request)
    login, password = read_credentials(data, options.login)
    required = needs_mail(options)
    account, [issued] = await logins.log_in(
        request, login, password, [spec(options)], data, require_verified=required
    )
    if options.use_jwt:
        return jwts.logged_in(request, account, issued)
    return json_response({"key": issued.token})


@open_routes.open("/logout")
async def log_out(request: web.Request) -> Response:
    """POST /logout: end the session of the request's token, if it has one."""
    if request.app[OPTIONS].use_jwt:
        return await jwts.log_out(request)
    found = find_caller(request)
    if found is not None:
        await request.app[ACCESS].log_out(await found)
    elif request.app[OPTIONS].logout_requires_token:
        return json_response({"detail": NOT_LOGGED_IN}, 400)
    return json_response({"detail": jwts.LOGGED_OUT})


def read_credentials(data: Mapping[str, Any], kind: str) -> tuple[Login, str]:
    """Return the name and the password of a login. Raises InvalidFields.

    `kind` says what the name may be: username, email, or either, where the e-mail counts first.
    """
    username, email, password = read_fields(data, *_FIELDS)
    if kind != "username" and email:
        return Login(email=email), password
    if kind != "email" and username:
        by_email = username if kind == "either" and "@" in username else None
        return Login(username, by_email), password
    raise InvalidFields({NON_FIELD: [MUST_INCLUDE[kind]]})
