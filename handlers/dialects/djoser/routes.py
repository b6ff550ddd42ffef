"""The routes of djoser, how it finds the caller, and its errors."""

from collections.abc import Awaitable

from aiohttp import web

from handlers.app_keys import ACCESS
from handlers.authorization import token_of
from handlers.dialects import drf, drf_jwt
from handlers.dialects.djoser.options import OPTIONS
from handlers.dialects.drf_jwt import JwtError
from handlers.errors import MissingToken
from handlers.http.response import Response, json_response
from handlers.routes import Checks, Routes
from store.authentication import ACCESS_KINDS, Caller
from store.errors import AppError, LinkExpired, LinkInvalid
from store.session_record import JWT

PATCH, DELETE, PUT_OR_PATCH = ("PATCH",), ("DELETE",), ("PUT", "PATCH")

OPAQUE_KINDS = ACCESS_KINDS - {JWT}

BAD_TOKEN = "Invalid token for given user."  # noqa: S105  # a message
NO_PERMISSION = "You do not have permission to perform this action."


class PermissionDenied(AppError):
    """The caller may not do this, or the link has had its effect already."""

    code = "permission_denied"

    def __init__(self, message: str = NO_PERMISSION) -> None:
        super().__init__(message)


def render_error(error: AppError) -> Response:
    """Return the response to an error: djoser's, and those of Django REST framework."""
    match error:
        case PermissionDenied():
            return json_response({"detail": str(error)}, 403)
        case LinkInvalid() | LinkExpired():
            return json_response({"token": [BAD_TOKEN]}, 400)
        case JwtError():
            return drf_jwt.render_error(error)
        case _:
            return drf.render_error(error)


def authenticate(request: web.Request) -> Awaitable[Caller]:
    """Return an awaitable of the caller, which raises BadToken, JwtError.

    Raises MissingToken, BadHeader, JwtError.
    """
    found = check_token(request)
    if found is not None:
        return found
    options = request.app[OPTIONS]
    raise MissingToken if options.token_endpoints else drf_jwt.missing_token(options)


def check_token(request: web.Request) -> Awaitable[Caller] | None:
    """Return an awaitable of the caller, None without a token, and raise as `authenticate` does.

    An opaque token and a JWT each have their own schemes.
    """
    options = request.app[OPTIONS]
    token = token_of(request, options.schemes)
    if token is not None:
        return request.app[ACCESS].authenticate(token, OPAQUE_KINDS)
    token = drf_jwt.find_token(request, options) if options.jwt else None
    return None if token is None else drf_jwt.authenticate(request, options, token)


routes = Routes(render_error, Checks(authenticate, check_token, others_guarded=True))
"""Any method that a path does not have requires a token as well."""
email_routes = Routes(render_error, Checks(authenticate, check_token, others_guarded=True))
"""What exists only where accounts log in with their e-mail."""
open_routes = Routes(render_error, Checks(authenticate, check_token))
jwt_routes = Routes(render_error, Checks())
"""They look at no Authorization header, as in simplejwt."""
