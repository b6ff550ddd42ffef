"""Endpoints of e-mail: verify an address, change it, reset a forgotten password."""

from aiohttp import web

from handlers.app_keys import RECOVERY
from handlers.dialects.latchkey.confirmations import read_confirmed
from handlers.dialects.latchkey.routes import routes
from handlers.dialects.latchkey.sessions import CODE, device_spec, login_shape
from handlers.dialects.latchkey.shapes import account_shape
from handlers.http.response import Response, json_response, no_content
from handlers.json_fields import (
    DEVICE,
    EMAIL,
    Text,
    find_errors,
    password_errors,
    password_field,
    raise_errors,
    read_fields,
    read_object,
    texts,
)
from handlers.proxies import client_of
from handlers.routes import PUT
from store.authentication import Caller

TOKEN = Text("token", 4096)
NEW = password_field("new")


@routes.guarded("/v1/account/email", methods=PUT)
async def change_email(request: web.Request, caller: Caller) -> Response:
    """PUT /v1/account/email: send a link to a new address, which counts once it is used."""
    [email] = await read_confirmed(request, caller, EMAIL)
    await request.app[RECOVERY].request_change(caller, email, client_of(request))
    return json_response({}, 202)


@routes.guarded("/v1/account/email/verification")
async def send_verification(request: web.Request, caller: Caller) -> Response:
    """POST /v1/account/email/verification: send the link that verifies the address again."""
    await read_fields(request)
    await request.app[RECOVERY].send_verification(caller)
    return json_response({}, 202)


@routes.open("/v1/email-verifications")
async def verify(request: web.Request) -> Response:
    """POST /v1/email-verifications: use a link's token, once or again."""
    [token] = await read_fields(request, TOKEN)
    account = await request.app[RECOVERY].verify(token)
    return json_response({"account": await account_shape(request, account)})


@routes.open("/v1/password-resets")
async def request_reset(request: web.Request) -> Response:
    """POST /v1/password-resets: send a link, if there is an account with this address."""
    [email] = await read_fields(request, EMAIL)
    await request.app[RECOVERY].request_reset(email, client_of(request))
    return json_response({}, 202)


@routes.open("/v1/password-resets/check")
async def check_reset(request: web.Request) -> Response:
    """POST /v1/password-resets/check: return whether a link's token can be used."""
    [token] = await read_fields(request, TOKEN)
    await request.app[RECOVERY].check_reset(token)
    return no_content()


@routes.open("/v1/password-resets/confirm")
async def reset(request: web.Request) -> Response:
    """POST /v1/password-resets/confirm: set a new password, end all sessions and log in."""
    data = await read_object(request)
    errors = find_errors(data, TOKEN, NEW, DEVICE, CODE)
    raise_errors(errors)
    token, new, device, code = texts(data, TOKEN, NEW, DEVICE, CODE)
    recovery = request.app[RECOVERY]
    found = await recovery.check_reset(token)
    raise_errors(await password_errors(request, NEW, data, found.username, found.email))
    spec = device_spec(request, device)
    account, [issued] = await recovery.reset(token, new, [spec], client_of(request), code)
    return json_response(await login_shape(request, account, spec, issued))
