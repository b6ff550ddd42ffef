"""What the links of e-mails are for, and new passwords and names of callers who are logged in."""

import contextlib
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from handlers.app_keys import ACCESS, RECOVERY
from handlers.dialects import drf
from handlers.dialects.djoser.fields import (
    TOKEN,
    UID,
    check_new_password,
    current_password_errors,
    find_owner,
    name_fields,
    name_mismatch,
    password_field,
    password_fields,
)
from handlers.dialects.djoser.options import OPTIONS, Options
from handlers.dialects.djoser.routes import PermissionDenied, email_routes, routes
from handlers.dialects.drf import TAKEN, InvalidFields, find_errors, read_data, read_fields
from handlers.dialects.drf_passwords import attributes
from handlers.errors import NotFound
from handlers.http.response import Response, no_content
from handlers.proxies import client_of
from store.authentication import Caller
from store.errors import Taken, Unavailable
from store.mail_queue import ACTIVATE, RENAME, RESET
from store.names import FOLD, is_valid_name

STALE = "Stale token for given user."


@routes.open("/auth/users/activation")
async def activate(request: web.Request) -> Response:
    """POST /auth/users/activation: activate an account, or change to the address of a link."""
    data = await read_data(request)
    read_fields(data, UID, TOKEN)
    await find_owner(request, data)
    if not await request.app[RECOVERY].activate(TOKEN.text(data)):
        raise PermissionDenied(STALE)
    return no_content()


@routes.open("/auth/users/resend_activation")
async def resend_activation(request: web.Request) -> Response:
    """POST /auth/users/resend_activation: send the link again, if an account waits for it."""
    [email] = read_fields(await read_data(request), drf.EMAIL_FIELD)
    if not request.app[OPTIONS].send_activation_email:
        return Response(400)  # djoser's response has no body, as few of its kind
    return await _send_link(request, email, ACTIVATE)


@routes.open("/auth/users/reset_password")
async def reset_password(request: web.Request) -> Response:
    """POST /auth/users/reset_password: send a link, if an account has this address."""
    [email] = read_fields(await read_data(request), drf.EMAIL_FIELD)
    return await _send_link(request, email, RESET)


@routes.open("/auth/users/reset_username")
async def reset_username(request: web.Request) -> Response:
    """POST /auth/users/reset_username: send a link, if an account has this address."""
    return await _reset_name(request, "username")


@email_routes.open("/auth/users/reset_email")
async def reset_email(request: web.Request) -> Response:
    """POST /auth/users/reset_email: send a link, where accounts log in with their e-mail."""
    return await _reset_name(request, "email")


async def _reset_name(request: web.Request, field: str) -> Response:
    options = _options_for(request, field)
    [email] = read_fields(await read_data(request), drf.EMAIL_FIELD)
    if not options.username_reset_confirm_url:
        raise Unavailable("mail", "the option username-reset-confirm-url is not set")
    return await _send_link(request, email, RENAME)


async def _send_link(request: web.Request, email: str, kind: str) -> Response:
    await request.app[RECOVERY].request_reset(email, client_of(request), kind, "djoser")
    return no_content()


@routes.open("/auth/users/reset_password_confirm")
async def confirm_reset(request: web.Request) -> Response:
    """POST /auth/users/reset_password_confirm: set a new password, which ends all sessions."""
    options, data = request.app[OPTIONS], await read_data(request)
    retype = options.password_reset_confirm_retype
    read_fields(data, UID, TOKEN, *password_fields(options, "new_password", retype=retype))
    _raise_any(check_new_password(options, "new_password", data, {}, retype=retype))
    account = await find_owner(request, data)
    recovery, token = request.app[RECOVERY], TOKEN.text(data)
    await recovery.check_reset(token)
    like = attributes(account)
    _raise_any(check_new_password(options, "new_password", data, like, retype=False))
    new = password_field(options, "new_password").text(data)
    await recovery.reset(token, new, [], client_of(request))
    return no_content()


@routes.open("/auth/users/reset_username_confirm")
async def confirm_username(request: web.Request) -> Response:
    """POST /auth/users/reset_username_confirm: choose another username by a link."""
    return await _confirm_name(request, "username")


@email_routes.open("/auth/users/reset_email_confirm")
async def confirm_email(request: web.Request) -> Response:
    """POST /auth/users/reset_email_confirm: choose another e-mail by a link."""
    return await _confirm_name(request, "email")


async def _confirm_name(request: web.Request, field: str) -> Response:
    options, data = _options_for(request, field), await read_data(request)
    retype = options.username_reset_confirm_retype
    name, *_ = read_fields(data, *name_fields(field, retype=retype))
    _raise_any(name_mismatch(field, data, retype=retype))
    await find_owner(request, data)
    token, confirm_by = TOKEN.text(data), "djoser" if options.send_activation_email else ""
    with _taken_as(f"new_{field}"):
        await request.app[RECOVERY].change_name(token, field, name, client_of(request), confirm_by)
    return no_content()


@routes.guarded("/auth/users/set_password")
async def set_password(request: web.Request, caller: Caller) -> Response:
    """POST /auth/users/set_password: set a new password; the caller's token stays valid."""
    options, data = request.app[OPTIONS], await read_data(request)
    retype = options.set_password_retype
    errors = find_errors(data, *password_fields(options, "new_password", retype=retype))
    errors |= await current_password_errors(request, caller, options, data)
    _raise_any(errors)
    like = attributes(caller.account)
    _raise_any(check_new_password(options, "new_password", data, like, retype=retype))
    await request.app[ACCESS].change(
        caller,
        {},
        password_field(options, "new_password").text(data),
        client=client_of(request),
        keep=not options.logout_on_password_change,
        notify=True,
    )
    return no_content()


@routes.guarded("/auth/users/set_username")
async def set_username(request: web.Request, caller: Caller) -> Response:
    """POST /auth/users/set_username: change the username."""
    return await _set_name(request, caller, "username")


@email_routes.guarded("/auth/users/set_email")
async def set_email(request: web.Request, caller: Caller) -> Response:
    """POST /auth/users/set_email: change the e-mail, where it is what accounts log in with."""
    return await _set_name(request, caller, "email")


async def _set_name(request: web.Request, caller: Caller, field: str) -> Response:
    """Change the name that accounts log in with. All errors are found together."""
    options, data = _options_for(request, field), await read_data(request)
    retype = options.set_username_retype
    fields = named, *_ = name_fields(field, retype=retype)
    mismatch = name_mismatch(field, data, retype=retype)
    errors = await current_password_errors(request, caller, options, data)
    errors |= find_errors(data, *fields)
    name, kept = named.text(data), getattr(caller.account, field)
    if named.name not in errors and is_valid_name(name):
        taken: Any = kept and FOLD[field](name) == FOLD[field](kept)
        if (errors or mismatch) and not taken:
            taken = await request.app[ACCESS].find_taken(client_of(request), **{field: name})
        if taken:
            errors[named.name] = [TAKEN.format(field)]
    _raise_any(errors or mismatch)
    client = client_of(request)
    with _taken_as(named.name):
        if field == "email" and options.send_activation_email:
            await request.app[RECOVERY].request_change(caller, name, client, "djoser")
        else:
            await request.app[ACCESS].change(caller, {field: name}, client=client)
    return no_content()


def _options_for(request: web.Request, field: str) -> Options:
    """Return the options. Raises NotFound unless accounts log in with this field."""
    options = request.app[OPTIONS]
    if options.login_field != field:
        raise NotFound
    return options


@contextlib.contextmanager
def _taken_as(field: str) -> Iterator[None]:
    """Report a name that is taken under the field that it was sent in."""
    try:
        yield
    except Taken:
        raise InvalidFields({field: [TAKEN.format(field.removeprefix("new_"))]}) from None


def _raise_any(errors: dict[str, list[str]]) -> None:
    if errors:
        raise InvalidFields(errors)
