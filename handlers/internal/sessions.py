"""Sessions of an account for services. Contract: docs/contracts/service.md#sessions."""

from aiohttp import web

from handlers.account_shapes import session_shape
from handlers.app_keys import ADMIN
from handlers.errors import NotFound
from handlers.http.response import Response, json_response, no_content
from handlers.internal.accounts import ACCOUNT, DELETE, account_id, admin_of
from handlers.internal.routes import Principal, routes
from handlers.internal.service_keys import Scope
from handlers.routes import GET

SESSIONS = f"{ACCOUNT}/sessions"


@routes.require(Scope.READ, SESSIONS, methods=GET)
async def list_sessions(request: web.Request, _: Principal) -> Response:
    """GET /internal/accounts/{id}/sessions: return its live sessions, the newest first."""
    sessions = await request.app[ADMIN].list_sessions(account_id(request))
    if sessions is None:
        raise NotFound
    return json_response({"sessions": [session_shape(each) for each in sessions]})


@routes.require(Scope.WRITE, SESSIONS, methods=DELETE)
async def end_sessions(request: web.Request, principal: Principal) -> Response:
    """DELETE /internal/accounts/{id}/sessions: end all of them, in every dialect."""
    if not await admin_of(request, principal).end_all(account_id(request)):
        raise NotFound
    return no_content()


@routes.require(Scope.WRITE, f"{SESSIONS}/{{sid}}", methods=DELETE)
async def end_session(request: web.Request, _: Principal) -> Response:
    """DELETE /internal/accounts/{id}/sessions/{sid}: end one of them."""
    ended = await request.app[ADMIN].end_session(account_id(request), request.match_info["sid"])
    if not ended:
        raise NotFound
    return no_content()
