"""Registration, login, refresh and the two logouts."""

from aiohttp import web

from handlers import logins
from handlers.app_keys import ACCESS
from handlers.dialects.fardel.fields import check_email, optional_name, read_form, required
from handlers.dialects.fardel.options import ACCESS_SESSION, OPTIONS, session_specs
from handlers.dialects.fardel.routes import authenticate_refresh, routes
from handlers.http.response import Response, json_response
from handlers.proxies import client_of
from store.account import Login, NewAccount
from store.authentication import Caller
from store.errors import BadToken, TokenProblem

ENDED = frozenset({TokenProblem.EXPIRED, TokenProblem.REVOKED, TokenProblem.INACTIVE})


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
        new, password, session_specs(request), client=client_of(request)
    )
    tokens = {"access_token": access.token, "refresh_token": refresh.token}
    return json_response({"message": "Successfully registered", **tokens})


@routes.open("/api/auth/login")
async def login(request: web.Request) -> Response:
    """POST /api/auth/login: return both tokens, the existing ones if there are any."""
    data = await read_form(request)
    name = Login(email=required(data, "email").strip())
    password = required(data, "password")
    specs = session_specs(request)
    _, [access, refresh] = await logins.log_in(request, name, password, specs, data)
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


@routes.open("/api/auth/logout-refresh")
async def logout_refresh(request: web.Request) -> Response:
    """POST /api/auth/logout-refresh: end a refresh token's session, not the access token's."""
    await end_refresh_session(request)
    return json_response({"message": "Refresh token has been revoked"})


async def end_refresh_session(request: web.Request) -> None:
    """End the session of the request's refresh token; with `keep_session` it may have ended.

    Raises MissingToken, BadHeader, BadToken.
    """
    try:
        await request.app[ACCESS].log_out(await authenticate_refresh(request))
    except BadToken as error:
        if not request.app[OPTIONS].keep_session or error.problem not in ENDED:
            raise
