"""The caller's account."""

from dataclasses import replace
from typing import Any

from aiohttp import hdrs, web

from handlers.app_keys import ACCESS
from handlers.dialects import drf
from handlers.dialects.dj_rest_auth.fields import NAMES, user_shape
from handlers.dialects.dj_rest_auth.options import OPTIONS
from handlers.dialects.dj_rest_auth.routes import routes
from handlers.dialects.drf import InvalidFields, find_errors, read_data
from handlers.http.response import Response, json_response
from handlers.proxies import client_of
from handlers.routes import GET
from store.authentication import Caller


@routes.guarded("/user", methods=GET)
async def user(request: web.Request, caller: Caller) -> Response:
    """GET /user: return the caller's account."""
    return json_response(user_shape(request.app[OPTIONS], caller.account))


@routes.guarded("/user", methods=("PUT", "PATCH"))
async def change_user(request: web.Request, caller: Caller) -> Response:
    """PUT, PATCH /user: change the names. Those that are missing stay as they are."""
    options, data = request.app[OPTIONS], await read_data(request)
    writable = {
        "username": replace(drf.USERNAME, required=request.method == hdrs.METH_PUT),
        **NAMES,
    }
    fields = [writable[name] for name in options.user_fields if name in writable]
    if errors := find_errors(data, *fields):
        raise InvalidFields(errors)
    changes: dict[str, Any] = {each.name: each.text(data) for each in fields if each.name in data}
    account = caller.account
    if changes:
        account, _ = await request.app[ACCESS].change(caller, changes, client=client_of(request))
    return json_response(user_shape(options, account))
