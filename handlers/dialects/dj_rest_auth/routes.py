"""The routes of dj-rest-auth, how it finds the caller, and its errors."""

from collections.abc import Awaitable

from aiohttp import hdrs, web

from handlers.app_keys import ACCESS, RENDER_ERROR
from handlers.authorization import TOKEN_SCHEME, token_of
from handlers.dialects import drf
from handlers.dialects.dj_rest_auth.options import OPTIONS
from handlers.errors import MissingToken
from handlers.http.response import Response, json_response
from handlers.routes import Checks, Routes
from store.authentication import Caller
from store.errors import AppError, EmailNotVerified, LinkExpired, LinkInvalid, Taken
from store.session_record import SessionSpec

NAME = "dj-rest-auth"
SESSION = SessionSpec(NAME)

NOT_VERIFIED = "E-mail is not verified."
INVALID_VALUE = "Invalid value"
TAKEN = {
    "username": drf.TAKEN.format("username"),
    "email": "User is already registered with this e-mail address.",
}


def render_error(error: AppError) -> Response:
    """Return the response to an error: dj-rest-auth's, and those of Django REST framework."""
    match error:
        case EmailNotVerified():
            return json_response({drf.NON_FIELD: [NOT_VERIFIED]}, 400)
        case LinkInvalid() | LinkExpired():
            return json_response({"token": [INVALID_VALUE]}, 400)
        case Taken():
            return json_response({name: [TAKEN[name]] for name in drf.in_order(error)}, 400)
        case _:
            return drf.render_error(error)


def render_forbidden(error: AppError) -> Response:
    """Return the response to an error where a missing or bad token is a 403."""
    response = render_error(error)
    if response.status == 401:
        response.status = 403
        del response.headers[hdrs.WWW_AUTHENTICATE]
    return response


def find_caller(request: web.Request) -> Awaitable[Caller] | None:
    """Return an awaitable of the caller, which raises BadToken; None without a token.

    Raises BadHeader.
    """
    if request.app[OPTIONS].forbids:
        request[RENDER_ERROR] = render_forbidden
    token = token_of(request, TOKEN_SCHEME)
    return None if token is None else request.app[ACCESS].authenticate(token)


def authenticate(request: web.Request) -> Awaitable[Caller]:
    """Return an awaitable of the caller, which raises BadToken. Raises MissingToken, BadHeader."""
    caller = find_caller(request)
    if caller is None:
        raise MissingToken
    return caller


routes = Routes(render_error, Checks(authenticate, find_caller, others_guarded=True))
"""Any method that a path does not have requires a token as well."""
open_routes = Routes(render_error, Checks(authenticate, find_caller))
