"""The routes of dj-rest-auth, how it finds the caller, and its errors."""

from collections.abc import Awaitable

from aiohttp import hdrs, web

from handlers.app_keys import ACCESS, RENDER_ERROR
from handlers.authorization import TOKEN_SCHEME, token_of
from handlers.dialects import drf, drf_jwt
from handlers.dialects.dj_rest_auth import cookies
from handlers.dialects.dj_rest_auth.options import OPTIONS, Options
from handlers.dialects.drf_jwt import JwtError
from handlers.dialects.drf_jwt_views import JwtViews
from handlers.errors import BadHeader, MissingToken, RenderError
from handlers.http.response import Response, json_response
from handlers.routes import Checks, Routes
from store.authentication import ACCESS_KINDS, Caller
from store.errors import AppError, BadToken, EmailNotVerified, LinkExpired, LinkInvalid, Taken
from store.session_record import JWT, SessionSpec

NAME = "dj-rest-auth"
SESSION = SessionSpec(NAME)
VIEWS = JwtViews(NAME, OPTIONS)
OPAQUE_KINDS = ACCESS_KINDS - {JWT}

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
        case JwtError():
            return drf_jwt.render_error(error)
        case _:
            return drf.render_error(error)


def spec(options: Options) -> SessionSpec:
    """Return the session that a login or a registration opens."""
    return VIEWS.spec if options.use_jwt else SESSION


def renderer(options: Options) -> RenderError:
    """Return what renders the errors of a mount with these options."""

    def render(error: AppError) -> Response:
        if options.use_jwt and isinstance(error, MissingToken | BadHeader | BadToken):
            error = drf_jwt.access_error(error, options.challenge)
        response = render_error(error)
        if options.forbids and response.status == 401:
            response.status = 403
            del response.headers[hdrs.WWW_AUTHENTICATE]
        return response

    return render


def find_caller(request: web.Request) -> Awaitable[Caller] | None:
    """Return an awaitable of the caller of the Authorization header, None without a token in it.

    The awaitable raises BadToken, JwtError. Raises BadHeader, JwtError.
    """
    options = request.app[OPTIONS]
    if options.use_jwt or options.forbids:
        request[RENDER_ERROR] = renderer(options)
    if options.use_jwt:
        token = drf_jwt.find_token(request, options)
        return None if token is None else drf_jwt.authenticate(request, options, token)
    token = token_of(request, TOKEN_SCHEME)
    return None if token is None else request.app[ACCESS].authenticate(token, OPAQUE_KINDS)


def find_caller_of_cookie(request: web.Request) -> Awaitable[Caller] | None:
    """Return an awaitable of the caller of the access token's cookie, which raises JwtError.

    Return None without the cookie, and if there is an Authorization header.
    """
    if hdrs.AUTHORIZATION in request.headers or (token := cookies.find_access(request)) is None:
        return None
    return drf_jwt.authenticate(request, request.app[OPTIONS], token)


def authenticate(request: web.Request) -> Awaitable[Caller]:
    """Return an awaitable of the caller, which raises BadToken, JwtError.

    Raises MissingToken, BadHeader, JwtError.
    """
    caller = find_caller(request) or find_caller_of_cookie(request)
    if caller is None:
        raise MissingToken
    return caller


routes = Routes(render_error, Checks(authenticate, find_caller, others_guarded=True))
"""Any method that a path does not have requires a token as well."""
open_routes = Routes(render_error, Checks(authenticate, find_caller))
"""They look at no cookie before they need it, so that none keeps anyone from logging in or out."""
jwt_routes = Routes(render_error, Checks())
"""They look at no Authorization header, as in simplejwt."""
