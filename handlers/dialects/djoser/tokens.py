"""Logins and logouts.

An account has one opaque token, which a logout ends on all devices. Each login for JWTs opens
another session.
"""

from aiohttp import web

from handlers import logins
from handlers.app_keys import ACCESS
from handlers.dialects.djoser.fields import password_field
from handlers.dialects.djoser.options import OPTIONS
from handlers.dialects.djoser.routes import jwt_routes, open_routes, routes
from handlers.dialects.drf import Text, read_data, read_fields
from handlers.dialects.drf_jwt_views import JwtViews
from handlers.http.response import Response, json_response, no_content
from store.account import Login
from store.authentication import Caller
from store.errors import BadCredentials
from store.session_record import SessionSpec

SESSION = SessionSpec("djoser")
JWTS = JwtViews("djoser", OPTIONS)

SWITCHES = {
    "/auth/token/login": "token_endpoints",
    "/auth/token/logout": "token_endpoints",
    "/auth/jwt/create": "jwt",
    "/auth/jwt/refresh": "jwt",
    "/auth/jwt/verify": "jwt",
}
"""The options that switch endpoints on."""


@open_routes.open("/auth/token/login")
async def log_in(request: web.Request) -> Response:
    """POST /auth/token/login: return the account's token, the existing one if there is one."""
    options, data = request.app[OPTIONS], await read_data(request)
    field = options.login_field
    if options.login == "either" and field not in data and "email" in data:
        field = "email"
    name, password = read_fields(
        data, Text(field, required=False), password_field(options, "password", required=False)
    )
    if not name or not password:
        raise BadCredentials
    login = {
        "username": Login(username=name),
        "email": Login(email=name),
        "either": Login(username=name, email=name if "@" in name else None),
    }[options.login]
    _, [issued] = await logins.log_in(request, login, password, [SESSION], data)
    return json_response({"auth_token": issued.token})


@routes.guarded("/auth/token/logout")
async def log_out(request: web.Request, caller: Caller) -> Response:
    """POST /auth/token/logout: end the session of the request's token."""
    await request.app[ACCESS].log_out(caller)
    return no_content()


@jwt_routes.open("/auth/jwt/create")
async def create_jwt(request: web.Request) -> Response:
    """POST /auth/jwt/create: log in; return a refresh token and an access token."""
    options = request.app[OPTIONS]
    return await JWTS.create(request, options.login, trim=options.trim_passwords)


@jwt_routes.open("/auth/jwt/refresh")
async def refresh_jwt(request: web.Request) -> Response:
    """POST /auth/jwt/refresh: return a new access token, and the next refresh token."""
    return await JWTS.refresh(request)


@jwt_routes.open("/auth/jwt/verify")
async def verify_jwt(request: web.Request) -> Response:
    """POST /auth/jwt/verify: return an empty object for a valid token of either kind."""
    return await JWTS.verify(request)
