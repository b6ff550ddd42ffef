"""simplejwt, the token endpoints of Simple JWT for Django REST framework.

Contract: docs/contracts/simplejwt.md, which lists what differs from the library on purpose. Each
path is an option of the mount. The endpoints look at no Authorization header, as in the library.
"""

from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from handlers.dialects.drf_jwt import JwtOptions, render_error
from handlers.dialects.drf_jwt_views import JwtViews
from handlers.http.response import Response
from handlers.mounts import check_path
from handlers.routes import Checks, Dialect, Routes

TOKEN, REFRESH = "/api/token", "/api/token/refresh"
VERIFY, BLACKLIST = "/api/token/verify", "/api/token/blacklist"
PATHS = {
    TOKEN: "token_path",
    REFRESH: "refresh_path",
    VERIFY: "verify_path",
    BLACKLIST: "blacklist_path",
}


@dataclass(frozen=True)
class Options(JwtOptions):
    """The options of this dialect's mount: those of JWTs, the login's field, and the paths.

    See docs/contracts/simplejwt.md#options.
    """

    login: Literal["username", "email", "either"] = "username"
    token_path: str = TOKEN
    refresh_path: str = REFRESH
    verify_path: str = VERIFY
    blacklist_path: str = BLACKLIST

    def __post_init__(self) -> None:
        """Raise BadValue for values that this dialect cannot use."""
        super().__post_init__()
        for name in PATHS.values():
            check_path(name, getattr(self, name))


OPTIONS = web.AppKey("simplejwt_options", Options)
VIEWS = JwtViews("simplejwt", OPTIONS)

routes = Routes(render_error, Checks())


@routes.open(TOKEN)
async def create(request: web.Request) -> Response:
    """POST /api/token: log in; return a refresh token and an access token."""
    return await VIEWS.create(request, request.app[OPTIONS].login)


@routes.open(REFRESH)
async def refresh(request: web.Request) -> Response:
    """POST /api/token/refresh: return a new access token, and the next refresh token."""
    return await VIEWS.refresh(request)


@routes.open(VERIFY)
async def verify(request: web.Request) -> Response:
    """POST /api/token/verify: return an empty object for a valid token of either kind."""
    return await VIEWS.verify(request)


@routes.open(BLACKLIST)
async def blacklist(request: web.Request) -> Response:
    """POST /api/token/blacklist: end the session of a refresh token."""
    return await VIEWS.blacklist(request)


DIALECT = Dialect(
    "simplejwt",
    render_error,
    routes.endpoints,
    options=Options(),
    options_key=OPTIONS,
    session_specs=[VIEWS.spec],
    paths=PATHS,
    lifetimes=JwtOptions.jwt_lifetimes,
    schemes=lambda options: options.jwt_schemes,
    by_default=False,
)
