"""The second factors of an account, for superusers: which there are, and their removal."""

from aiohttp import web

from handlers.admin.routes import Administrator, routes
from handlers.app_keys import FACTORS, PASSKEYS
from handlers.errors import NotFound
from handlers.http.response import Response, json_response, no_content
from handlers.internal import accounts
from handlers.internal.accounts import ACCOUNT, DELETE
from handlers.routes import GET

PATH = f"{ACCOUNT}/factors"


@routes.require(PATH, methods=GET)
async def show(request: web.Request, _: Administrator) -> Response:
    """GET /ui/admin/api/accounts/{id}/factors: return which second factors an account has."""
    account = await accounts.find(request)
    factors = await request.app[FACTORS].factors_of(account.id)
    passkeys = await request.app[PASSKEYS].list_by_account(account.id)
    return json_response(
        {
            "totp": factors.totp,
            "recovery_codes_left": factors.recovery_codes_left,
            "passkeys": len(passkeys),
        }
    )


@routes.require(PATH, methods=DELETE, fresh=True)
async def remove(request: web.Request, administrator: Administrator) -> Response:
    """DELETE /ui/admin/api/accounts/{id}/factors: remove them, for an owner who has lost them."""
    account = await accounts.find(request)
    if not await request.app[FACTORS].reset(account.id, administrator.actor):
        raise NotFound
    return no_content()
