"""Endpoints of second factors: an authenticator app and recovery codes."""

import asyncio
from typing import Any

from aiohttp import web

from handlers.app_keys import ACCESS, FACTORS, PASSKEYS, PRODUCT
from handlers.dialects.latchkey.confirmations import read_confirmed
from handlers.dialects.latchkey.passkeys import passkey_shape
from handlers.dialects.latchkey.routes import DELETE, routes
from handlers.dialects.latchkey.sessions import device_spec, login_shape
from handlers.http.response import Response, json_response, no_content
from handlers.json_fields import DEVICE, Text, read_fields
from handlers.routes import GET
from store.authentication import Caller

CODE, CHALLENGE = Text("code", 64), Text("challenge", 4096)


@routes.guarded("/v1/account/factors", methods=GET)
async def show_factors(request: web.Request, caller: Caller) -> Response:
    """GET /v1/account/factors: return which second factors the account has."""
    factors = await request.app[FACTORS].factors_of(caller.account.id)
    passkeys = await request.app[PASSKEYS].list_by_account(caller.account.id)
    return json_response(
        {
            "totp": factors.totp,
            "recovery_codes_left": factors.recovery_codes_left,
            "passkeys": [passkey_shape(each) for each in passkeys],
        }
    )


@routes.guarded("/v1/account/totp")
async def begin_totp(request: web.Request, caller: Caller) -> Response:
    """POST /v1/account/totp: return a secret for an authenticator app, without effect as yet."""
    await read_confirmed(request, caller)
    secret = await request.app[FACTORS].begin(caller)
    account = caller.account
    name = account.username or account.email or str(account.id)
    shown = await asyncio.to_thread(_enrolment, name, secret, request.app[PRODUCT])
    return json_response(shown)


@routes.guarded("/v1/account/totp", methods=DELETE)
async def disable_totp(request: web.Request, caller: Caller) -> Response:
    """DELETE /v1/account/totp: turn the second factor off, by password and code."""
    [code] = await read_confirmed(request, caller, CODE)
    await request.app[FACTORS].disable(caller, code)
    return no_content()


@routes.guarded("/v1/account/totp/removal")
async def disable_totp_by_post(request: web.Request, caller: Caller) -> Response:
    """POST /v1/account/totp/removal: as DELETE /v1/account/totp, for clients that drop its body."""
    return await disable_totp(request, caller)


@routes.guarded("/v1/account/totp/confirm")
async def confirm_totp(request: web.Request, caller: Caller) -> Response:
    """POST /v1/account/totp/confirm: turn the second factor on; return recovery codes, once."""
    [code] = await read_fields(request, CODE)
    codes = await request.app[FACTORS].confirm(caller, code)
    return json_response({"recovery_codes": codes})


@routes.guarded("/v1/account/recovery-codes")
async def renew_recovery_codes(request: web.Request, caller: Caller) -> Response:
    """POST /v1/account/recovery-codes: replace the recovery codes, by password and code."""
    [code] = await read_confirmed(request, caller, CODE)
    codes = await request.app[FACTORS].renew_recovery_codes(caller, code)
    return json_response({"recovery_codes": codes})


@routes.open("/v1/sessions/challenge")
async def continue_login(request: web.Request) -> Response:
    """POST /v1/sessions/challenge: continue a login that asked for a second factor."""
    challenge, code, device = await read_fields(request, CHALLENGE, CODE, DEVICE)
    spec = device_spec(request, device)
    account, [issued] = await request.app[ACCESS].continue_login(challenge, code, [spec])
    return json_response(await login_shape(request, account, spec, issued), 201)


def _enrolment(name: str, secret: str, product: str) -> dict[str, Any]:
    """Return a secret, as text, as a URI (otpauth), and as an image of that.

    In a thread, because the libraries take long to load.
    """
    import segno  # noqa: PLC0415  # most processes never need them
    from pyotp import TOTP  # noqa: PLC0415

    uri = TOTP(secret).provisioning_uri(name=name, issuer_name=product)
    return {"secret": secret, "uri": uri, "qr_code": segno.make(uri).svg_data_uri(scale=4)}
