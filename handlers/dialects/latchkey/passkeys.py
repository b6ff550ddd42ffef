"""Endpoints of passkeys (Web Authentication), and of confirming a session."""

from typing import Any

from aiohttp import web

from handlers.account_shapes import timestamp
from handlers.app_keys import ACCESS, FACTORS, FRESH_SESSIONS, PASSKEYS
from handlers.dialects.latchkey.confirmations import OPTIONAL_PASSWORD, require_fresh
from handlers.dialects.latchkey.routes import DELETE, routes
from handlers.dialects.latchkey.sessions import device_spec, login_shape
from handlers.errors import NotFound
from handlers.http.response import Response, json_response, no_content
from handlers.json_fields import (
    DEVICE,
    Text,
    find_errors,
    is_shown,
    raise_errors,
    read_fields,
    read_object,
    texts,
)
from handlers.problems import REQUIRED, FieldError
from handlers.proxies import client_of
from store.authentication import Caller
from store.errors import SecondFactorRequired
from store.passkeys import Passkey

NAME = Text("name", 64, check=is_shown)
CODE = Text("code", 64, required=False, may_be_empty=True)


@routes.guarded("/v1/sessions/current/confirm")
async def confirm_session(request: web.Request, caller: Caller) -> Response:
    """POST /v1/sessions/current/confirm: have this session count as fresh, for ten minutes."""
    password, code = await read_fields(request, OPTIONAL_PASSWORD, CODE)
    factors = await request.app[FACTORS].factors_of(caller.account.id)
    if factors.totp and not code:
        raise SecondFactorRequired(factors.methods)
    if not password and not code:
        raise_errors([FieldError("password", "required", REQUIRED)])
    if password:
        await request.app[ACCESS].verify_password(caller, password, client_of(request))
    if factors.totp or not password:
        await request.app[FACTORS].verify(caller.account.id, code)
    await request.app[FRESH_SESSIONS].confirm(caller.session)
    return no_content()


@routes.guarded("/v1/account/passkeys/options")
async def registration_options(request: web.Request, caller: Caller) -> Response:
    """POST /v1/account/passkeys/options: return the options of `navigator.credentials.create`."""
    await require_fresh(request, caller)
    return json_response(await request.app[PASSKEYS].registration_options(caller))


@routes.guarded("/v1/account/passkeys")
async def add_passkey(request: web.Request, caller: Caller) -> Response:
    """POST /v1/account/passkeys: add the credential that the browser has made."""
    data = await read_object(request)
    name, credential = data.get("name"), data.pop("credential", None)
    errors = find_errors(data, NAME)
    if not isinstance(credential, dict):
        errors.append(FieldError("credential", "required", REQUIRED))
    raise_errors(errors)
    await require_fresh(request, caller)
    passkey = await request.app[PASSKEYS].register(caller, str(name), credential or {})
    return json_response(passkey_shape(passkey), 201)


@routes.guarded("/v1/account/passkeys/{id}", methods=DELETE)
async def remove_passkey(request: web.Request, caller: Caller) -> Response:
    """DELETE /v1/account/passkeys/<id>: remove a passkey."""
    await require_fresh(request, caller)
    if not await request.app[PASSKEYS].remove(caller, request.match_info["id"]):
        raise NotFound
    return no_content()


@routes.open("/v1/sessions/passkey/options")
async def login_options(request: web.Request) -> Response:
    """POST /v1/sessions/passkey/options: return the options of `navigator.credentials.get`."""
    await read_fields(request)
    return json_response(await request.app[PASSKEYS].login_options())


@routes.open("/v1/sessions/passkey")
async def log_in_by_passkey(request: web.Request) -> Response:
    """POST /v1/sessions/passkey: log in by what an authenticator has signed."""
    data = await read_object(request)
    credential = data.pop("credential", None)
    errors = find_errors(data, DEVICE)
    if not isinstance(credential, dict):
        errors.append(FieldError("credential", "required", REQUIRED))
    raise_errors(errors)
    [device] = texts(data, DEVICE)
    spec = device_spec(request, device)
    account_id = await request.app[PASSKEYS].verify(credential or {}, client_of(request))
    account, [issued] = await request.app[ACCESS].log_in_as(account_id, [spec])
    return json_response(await login_shape(request, account, spec, issued), 201)


def passkey_shape(passkey: Passkey) -> dict[str, Any]:
    """Return the JSON of a passkey."""
    return {
        "id": passkey.id,
        "name": passkey.name,
        "created": timestamp(passkey.created),
        "last_used": timestamp(passkey.last_used) if passkey.last_used else None,
    }
