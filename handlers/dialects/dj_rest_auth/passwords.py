"""New passwords: of callers who are logged in, and by the links of e-mails."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from handlers.app_keys import ACCESS, ACCOUNTS, RECOVERY
from handlers.app_links import parse_uid, parse_uid36
from handlers.dialects.dj_rest_auth.fields import (
    EMAIL,
    NEW_PASSWORDS,
    OLD_PASSWORD,
    check_new_passwords,
)
from handlers.dialects.dj_rest_auth.options import OPTIONS
from handlers.dialects.dj_rest_auth.routes import INVALID_VALUE, NAME, open_routes, routes
from handlers.dialects.drf import InvalidFields, Text, find_errors, read_data, read_fields
from handlers.http.response import Response, json_response
from handlers.proxies import client_of
from store.authentication import Caller
from store.errors import WrongPassword

CHANGED = "New password has been saved."
RESET_SENT = "Password reset e-mail has been sent."
RESET_DONE = "Password has been reset with the new password."
WRONG_PASSWORD = "Your old password was entered incorrectly. Please enter it again."  # noqa: S105

_UID, _TOKEN = Text("uid"), Text("token")
_PARSERS = {"base36": parse_uid36, "base64": parse_uid}


@routes.guarded("/password/change")
async def change_password(request: web.Request, caller: Caller) -> Response:
    """POST /password/change: set a new password; the caller's token stays valid."""
    options, data = request.app[OPTIONS], await read_data(request)
    errors = find_errors(data, *NEW_PASSWORDS)
    if options.old_password_field_enabled:
        errors = {**await _old_password_errors(request, caller, data), **errors}
    if errors:
        raise InvalidFields(errors)
    await request.app[ACCESS].change(
        caller,
        {},
        check_new_passwords(options, data, caller.account),
        client=client_of(request),
        keep=not options.logout_on_password_change,
        notify=True,
    )
    return json_response({"detail": CHANGED})


@open_routes.open("/password/reset")
async def reset_password(request: web.Request) -> Response:
    """POST /password/reset: send a link, if an account has this address."""
    [email] = read_fields(await read_data(request), EMAIL)
    await request.app[RECOVERY].request_reset(email, client_of(request), dialect=NAME)
    return json_response({"detail": RESET_SENT})


@open_routes.open("/password/reset/confirm")
async def confirm_reset(request: web.Request) -> Response:
    """POST /password/reset/confirm: set a new password by a link, which ends all sessions."""
    options, data = request.app[OPTIONS], await read_data(request)
    *_, uid, token = read_fields(data, *NEW_PASSWORDS, _UID, _TOKEN)
    account_id, recovery = _PARSERS[options.uid_encoding](uid), request.app[RECOVERY]
    account = await request.app[ACCOUNTS].get(account_id) if account_id else None
    if account is None:
        raise InvalidFields({_UID.name: [INVALID_VALUE]})
    recovery.require_owner(token, account.id)
    await recovery.check_reset(token)
    password = check_new_passwords(options, data, account)
    await recovery.reset(token, password, [], client_of(request))
    return json_response({"detail": RESET_DONE})


async def _old_password_errors(
    request: web.Request, caller: Caller, data: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Return what is wrong with the field `old_password`. Raises BadToken, Busy, RateLimited."""
    if errors := find_errors(data, OLD_PASSWORD):
        return errors
    password = OLD_PASSWORD.text(data)
    try:
        await request.app[ACCESS].verify_password(caller, password, client_of(request))
    except WrongPassword:
        return {OLD_PASSWORD.name: [WRONG_PASSWORD]}
    return {}
