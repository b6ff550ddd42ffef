"""authtoken, the login of Django REST framework's authtoken. Contract: docs/contracts/authtoken.md.

It differs in one point: a token ends after SESSION_LIFETIME without use, and the library's never
end. Only the scheme `Token` counts, as in the library.
"""

from dataclasses import dataclass, replace
from typing import Literal

from aiohttp import web

from handlers import logins
from handlers.dialects import drf
from handlers.dialects.drf import Text, read_data, read_fields
from handlers.http.response import Response, json_response
from handlers.mounts import check_path
from handlers.routes import Dialect, Routes
from store.session_record import SessionSpec

SESSION = SessionSpec("authtoken")
PASSWORD = replace(drf.PASSWORD, allows_nul=False)
PATH = "/api-token-auth"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of this dialect's mount: the path, and what the field `username` may be.

    See docs/contracts/authtoken.md#options.
    """

    path: str = PATH
    login: Literal["username", "email", "either"] = "username"

    def __post_init__(self) -> None:
        check_path("path", self.path)


OPTIONS = web.AppKey("authtoken_options", Options)

routes = Routes(drf.render_error, drf.TOKEN_CHECKS)


@routes.open(PATH)
async def login(request: web.Request) -> Response:
    """POST /api-token-auth: return the account's token, the existing one if there is one."""
    data = await read_data(request)
    username, password = read_fields(data, Text("username"), PASSWORD)
    name = drf.login_name(username, request.app[OPTIONS].login)
    _, [issued] = await logins.log_in(request, name, password, [SESSION], data)
    return json_response({"token": issued.token})


DIALECT = Dialect(
    "authtoken",
    drf.render_error,
    routes.endpoints,
    options=Options(),
    options_key=OPTIONS,
    session_specs=[SESSION],
    paths={PATH: "path"},
    by_default=False,
)
