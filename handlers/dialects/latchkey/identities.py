"""Endpoints of ID tokens of OpenID providers: log in, and link an identity to an account."""

from typing import Any

from aiohttp import web

from handlers.account_shapes import timestamp
from handlers.app_keys import IDENTITIES
from handlers.dialects.latchkey.confirmations import require_fresh
from handlers.dialects.latchkey.routes import DELETE, routes
from handlers.dialects.latchkey.sessions import CODE, device_spec, login_shape
from handlers.errors import NotFound
from handlers.http.response import Response, json_response, no_content
from handlers.json_fields import DEVICE, Text, is_anything, read_fields
from handlers.proxies import client_of
from handlers.routes import GET
from store.authentication import Caller
from store.identity import LinkedIdentity

PROVIDER = Text("provider", 32)
ID_TOKEN = Text("id_token", 16_384, check=str.isascii)
NONCE = Text("nonce", 255, check=is_anything)


@routes.open("/v1/sessions/oidc")
async def log_in_by_id_token(request: web.Request) -> Response:
    """POST /v1/sessions/oidc: log in by an ID token; an unknown identity gets an account."""
    fields = PROVIDER, ID_TOKEN, NONCE, CODE, DEVICE
    provider, id_token, nonce, code, device = await read_fields(request, *fields)
    spec = device_spec(request, device)
    account, [issued], is_new = await request.app[IDENTITIES].log_in(
        (provider, id_token, nonce), code, [spec], client_of(request)
    )
    shape = {**await login_shape(request, account, spec, issued), "created": is_new}
    return json_response(shape, 201, {"Location": "/v1/account"} if is_new else None)


@routes.guarded("/v1/account/identities", methods=GET)
async def list_identities(request: web.Request, caller: Caller) -> Response:
    """GET /v1/account/identities: return the providers that are linked to the account."""
    found = await request.app[IDENTITIES].list_by_account(caller.account.id)
    return json_response({"identities": [identity_shape(each) for each in found]})


@routes.guarded("/v1/account/identities")
async def link_identity(request: web.Request, caller: Caller) -> Response:
    """POST /v1/account/identities: link the identity of an ID token to the account."""
    provider, id_token, nonce = await read_fields(request, PROVIDER, ID_TOKEN, NONCE)
    await require_fresh(request, caller)
    linked = await request.app[IDENTITIES].link(caller, (provider, id_token, nonce))
    return json_response(identity_shape(linked), 201)


@routes.guarded("/v1/account/identities/{id}", methods=DELETE)
async def unlink_identity(request: web.Request, caller: Caller) -> Response:
    """DELETE /v1/account/identities/<id>: unlink a provider, unless it is the last way in."""
    await require_fresh(request, caller)
    if not await request.app[IDENTITIES].unlink(caller, request.match_info["id"]):
        raise NotFound
    return no_content()


def identity_shape(identity: LinkedIdentity) -> dict[str, Any]:
    """Return the JSON of a linked provider. An account has one of each, so its name is the id."""
    return {
        "id": identity.provider,
        "provider": identity.provider,
        "created": timestamp(identity.created),
    }
