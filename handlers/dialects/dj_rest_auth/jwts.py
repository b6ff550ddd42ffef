"""What differs with JWTs: the responses of logins and registrations, logouts, and their views."""

import contextlib
from typing import Any

from aiohttp import web

from handlers.app_keys import ACCESS, JWTS
from handlers.dialects import drf
from handlers.dialects.dj_rest_auth import cookies
from handlers.dialects.dj_rest_auth.fields import user_shape
from handlers.dialects.dj_rest_auth.options import OPTIONS
from handlers.dialects.dj_rest_auth.routes import (
    NAME,
    VIEWS,
    find_caller,
    find_caller_of_cookie,
    jwt_routes,
)
from handlers.dialects.drf import Text, read_data, read_fields
from handlers.dialects.drf_jwt import JwtError
from handlers.http.response import Response, json_response
from store.account import Account
from store.jwt_sessions import JwtPair
from store.session_record import IssuedToken

LOGGED_OUT = "Successfully logged out."
NOTHING_TO_END = (
    "Neither cookies or blacklist are enabled, so the token has not been deleted server side. "
    "Please make sure the token is deleted client side."
)
NO_REFRESH = "Refresh token was not included in {} data."
NO_VALID_REFRESH = "No valid refresh token found."

_REFRESH = Text("refresh", required=False)


def logged_in(request: web.Request, account: Account, issued: IssuedToken) -> Response:
    """Return the tokens of a login and their account, and set the cookies."""
    options, pair = request.app[OPTIONS], _pair(request, account, issued)
    content = _content(request, account, pair, "" if options.jwt_auth_httponly else pair.refresh)
    if options.jwt_auth_return_expiration:
        content["access_expiration"] = drf.moment(pair.access_ends)
        content["refresh_expiration"] = drf.moment(pair.refresh_ends)
    return _with_cookies(request, json_response(content), pair)


def registered(request: web.Request, account: Account, issued: IssuedToken) -> Response:
    """Return the tokens of a registration and its account, and set the cookies."""
    options, pair = request.app[OPTIONS], _pair(request, account, issued)
    content = _content(request, account, pair, "" if options.hides_refresh else pair.refresh)
    return _with_cookies(request, json_response(content, 201), pair)


async def log_out(request: web.Request) -> Response:
    """End the session of the tokens that a request has, and delete the cookies.

    A token of the body must be valid, unless there is another one. Cookies need not be.
    """
    options, kept = request.app[OPTIONS], cookies.find_refresh(request)
    given = ""
    if not options.jwt_auth_httponly:
        [given] = read_fields(await read_data(request), _REFRESH)
    problems = [await _end(request, each) for each in (given, kept) if each]
    if await _end_caller(request):
        problems.append("")
    text, status = LOGGED_OUT, 200
    if "" not in problems and (given or kept is None):
        if options.token_blacklist:
            missing = NO_REFRESH.format("cookie" if options.jwt_auth_httponly else "request")
            text, status = problems[0] if given else missing, 401
        elif not options.jwt_auth_cookie:
            text = NOTHING_TO_END
    response = json_response({"detail": text}, status)
    cookies.delete(request, response)
    return response


async def _end(request: web.Request, token: str) -> str:
    """End the session of a refresh token; return what is wrong with it, "" if nothing is."""
    try:
        await VIEWS.end(request, token)
    except JwtError as error:
        return str(error)
    return ""


async def _end_caller(request: web.Request) -> bool:
    """End the session of an access token; return whether there is a live one."""
    found = find_caller(request) or find_caller_of_cookie(request)
    if found is not None:
        with contextlib.suppress(JwtError):
            await request.app[ACCESS].log_out(await found)
            return True
    return False


@jwt_routes.open("/token/verify")
async def verify(request: web.Request) -> Response:
    """POST /token/verify: return an empty object for a valid token of either kind."""
    return await VIEWS.verify(request)


@jwt_routes.open("/token/refresh")
async def refresh(request: web.Request) -> Response:
    """POST /token/refresh: return a new access token, and the next refresh token."""
    options = request.app[OPTIONS]
    [given] = read_fields(await read_data(request), _REFRESH)
    token = given or cookies.find_refresh(request)
    if not token:
        content = {"detail": NO_VALID_REFRESH, "code": "token_not_valid"}
        raise JwtError("token_missing", content, options.challenge)
    _, pair = await VIEWS.renew(request, token)
    is_shown = options.rotate_refresh_tokens and not options.jwt_auth_httponly
    content = {"access": pair.access, **({"refresh": pair.refresh} if is_shown else {})}
    content["access_expiration"] = drf.moment(pair.access_ends)
    if is_shown:
        content["refresh_expiration"] = drf.moment(pair.refresh_ends)
    response = json_response(content)
    cookies.set_access(request, response, pair)
    if options.rotate_refresh_tokens:
        cookies.set_refresh(request, response, pair)
    return response


def _pair(request: web.Request, account: Account, issued: IssuedToken) -> JwtPair:
    return request.app[JWTS].pair(request.app[OPTIONS].jwt_rules(NAME), account, issued)


def _content(request: web.Request, account: Account, pair: JwtPair, refresh: str) -> dict[str, Any]:
    user = user_shape(request.app[OPTIONS], account)
    return {"access": pair.access, "refresh": refresh, "user": user}


def _with_cookies(request: web.Request, response: Response, pair: JwtPair) -> Response:
    cookies.set_access(request, response, pair)
    cookies.set_refresh(request, response, pair)
    return response
