"""The routes of djoser, how it finds the caller, and its errors."""

from collections.abc import Awaitable

from aiohttp import web

from handlers.app_keys import ACCESS
from handlers.authorization import token_of
from handlers.dialects import drf
from handlers.dialects.djoser.options import OPTIONS
from handlers.errors import MissingToken
from handlers.http.response import Response, json_response
from handlers.routes import Checks, Routes
from store.authentication import Caller
from store.errors import AppError, LinkExpired, LinkInvalid

PATCH, DELETE, PUT_OR_PATCH = ("PATCH",), ("DELETE",), ("PUT", "PATCH")

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
        case _:
            return drf.render_error(error)


def authenticate(request: web.Request) -> Awaitable[Caller]:
    """Return an awaitable of the caller, which raises BadToken. Raises MissingToken, BadHeader."""
    token = token_of(request, request.app[OPTIONS].schemes)
    if token is None:
        raise MissingToken
    return request.app[ACCESS].authenticate(token)


def check_token(request: web.Request) -> Awaitable[object] | None:
    """Return an awaitable that raises BadToken; None without a token. Raises BadHeader."""
    token = token_of(request, request.app[OPTIONS].schemes)
    return None if token is None else request.app[ACCESS].authenticate(token)


routes = Routes(render_error, Checks(authenticate, check_token, others_guarded=True))
"""Any method that a path does not have requires a token as well."""
email_routes = Routes(render_error, Checks(authenticate, check_token, others_guarded=True))
"""What exists only where accounts log in with their e-mail."""
open_routes = Routes(render_error, Checks(authenticate, check_token))
