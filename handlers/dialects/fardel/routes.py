"""The routes of fardel, how it finds the caller, and its errors."""

from collections.abc import Awaitable
from functools import partial

from aiohttp import hdrs, web

from handlers.app_keys import ACCESS
from handlers.authorization import token_of
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
    UnsupportedMediaType,
)
from handlers.http.response import Response, json_response, retry_after
from handlers.routes import Checks, Routes
from store.authentication import ACCESS_KINDS, REFRESH_KINDS, Caller
from store.errors import (
    AppError,
    BadCredentials,
    BadToken,
    Busy,
    EmailNotVerified,
    Inactive,
    RateLimited,
    Taken,
    TokenProblem,
    Unavailable,
    Unstorable,
)

BAD_TOKENS = {
    TokenProblem.FORGED: (422, "Signature verification failed"),
    TokenProblem.EXPIRED: (401, "Token has expired"),
    TokenProblem.REVOKED: (401, "Token has been revoked"),
    TokenProblem.INACTIVE: (401, "Token has been revoked"),
    TokenProblem.REFRESH: (422, "Only access tokens are allowed"),
    TokenProblem.NOT_REFRESH: (422, "Only refresh tokens are allowed"),
}


class BadForm(AppError):
    """A field is missing or invalid."""

    code = "invalid_fields"


class NotFresh(AppError):
    """The request needs a token that was issued by a login."""

    code = "fresh_login_required"


def render_error(error: AppError) -> Response:
    """Return the response to an error: a message (docs/contracts/fardel.md#errors)."""
    match error:
        case BadForm() | Malformed() | UnsupportedMediaType() | Unstorable():
            return _message(400, "Unvalid form submitted")
        case Taken():
            return _message(409, "A user with this email already exists.")
        case BadCredentials() | Inactive() | EmailNotVerified():
            return _message(401, "Username or password is not correct")
        case MissingToken():
            return _message(401, "Missing Authorization Header")
        case NotFresh():
            return _message(401, "Fresh token required")
        case BadHeader():
            return _message(422, "Bad Authorization header. Expected value 'Bearer <token>'")
        case BadToken():
            return _message(*BAD_TOKENS[error.problem])
        case NotFound():
            return _message(404, "Not Found")
        case MethodNotAllowed():
            message = "The method is not allowed for the requested URL."
            return _message(405, message, {"Allow": error.allowed})
        case RequestTimeout():
            return _message(408, "Request Timeout")
        case PayloadTooLarge():
            return _message(413, "Request Entity Too Large")
        case UnsupportedEncoding():
            return _message(415, "Unsupported Media Type", NOT_COMPRESSED)
        case TargetTooLong():
            return _message(414, "Request-URI Too Long")
        case HeadersTooLarge():
            return _message(431, "Request Header Fields Too Large")
        case RateLimited():
            return _message(429, "Too Many Requests", retry_after(error.retry_after))
        case Busy() | Unavailable():
            wait = retry_after(error.retry_after)
            return _message(503, "Service Unavailable", wait)
        case _:
            return _message(500, "Internal Server Error")


def _message(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return json_response({"message": message}, status, headers)


def authenticate(request: web.Request, kinds: frozenset[str] = ACCESS_KINDS) -> Awaitable[Caller]:
    """Return an awaitable of the caller, which raises BadToken. Raises MissingToken, BadHeader."""
    if not request.headers.get(hdrs.AUTHORIZATION):
        raise MissingToken
    token = token_of(request)
    if token is None:
        raise BadHeader(spaces=False)
    return request.app[ACCESS].authenticate(token, kinds)


authenticate_refresh = partial(authenticate, kinds=REFRESH_KINDS)
routes = Routes(render_error, Checks(authenticate, method_first=True))
