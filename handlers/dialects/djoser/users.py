"""Registration, and the endpoints of an account: its own and, for staff, of others."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from handlers.app_keys import ACCESS, ACCOUNTS, ADMIN, DIRECTORY, PUBLIC_URL, RECOVERY
from handlers.dialects import drf
from handlers.dialects.djoser.fields import (
    check_new_password,
    current_password_errors,
    password_fields,
    user_shape,
    writable_fields,
)
from handlers.dialects.djoser.options import OPTIONS, Options
from handlers.dialects.djoser.routes import (
    DELETE,
    PUT_OR_PATCH,
    PermissionDenied,
    open_routes,
    routes,
)
from handlers.dialects.drf import TAKEN, InvalidFields, find_errors, read_data
from handlers.dialects.drf_passwords import attributes
from handlers.errors import NotFound
from handlers.http.response import Response, json_response, no_content
from handlers.proxies import PROXIES, client_of
from handlers.routes import GET
from store.account import AccountSummary, NewAccount
from store.authentication import Caller
from store.event_writer import Actor
from store.names import FOLD

USERS, ME, USER = "/auth/users", "/auth/users/me", "/auth/users/{id:[^/.]+}"
LISTED = 1000
"""Accounts that one list has, at most; the Link header leads to the next ones."""
_LONGEST_ID = 18


@open_routes.open("/auth", methods=GET)
async def root(request: web.Request) -> Response:
    """GET /auth: return the URL of the users."""
    return json_response({"users": f"{_base(request)}/users/"})


@routes.open(USERS)
async def register(request: web.Request) -> Response:
    """POST /auth/users: create an account. It has no token before its first login."""
    options, data = request.app[OPTIONS], await read_data(request)
    name = drf.EMAIL_FIELD if options.login == "email" else drf.USERNAME
    others = [each for each in writable_fields(options) if each.name != name.name]
    retype = options.user_create_password_retype
    fields = [*others, name, *password_fields(options, "password", retype=retype)]
    errors = find_errors(data, *fields)
    values = {each.name: each.text(data) for each in fields}
    found = errors or check_new_password(
        options, "password", data, attributes(values), retype=retype
    )
    if found:
        names = {each: values.get(each, "") for each in ("username", "email") if each not in errors}
        taken = await request.app[ACCESS].find_taken(client_of(request), **names)
        errors |= {each: [TAKEN.format(each)] for each in names if each in taken}
        raise InvalidFields(errors or found)
    new = NewAccount(
        values.get("username"),
        values.get("email"),
        values.get("first_name"),
        values.get("last_name"),
    )
    account, _ = await request.app[ACCESS].register(
        new,
        values["password"],
        client=client_of(request),
        activate=options.send_activation_email,
        dialect="djoser",
    )
    shape = user_shape(options, account)
    shape["id"] = shape.pop("id")  # last
    return json_response(shape, 201)


@routes.guarded(USERS, methods=GET)
async def list_users(request: web.Request, caller: Caller) -> Response:
    """GET /auth/users: return the caller's account in an array, for staff all accounts."""
    options = request.app[OPTIONS]
    if options.hide_users and not caller.account.is_staff:
        return json_response([user_shape(options, caller.account)])
    after = request.query.get("after", "0")
    if not _is_id(after):
        raise InvalidFields({"after": ["A valid integer is required."]})
    page = await request.app[DIRECTORY].page(int(after), LISTED)
    headers = {}
    if len(page) == LISTED:
        headers["Link"] = f'<{_base(request)}/users/?after={page[-1].id}>; rel="next"'
    return json_response([user_shape(options, each) for each in page], headers=headers)


@routes.guarded(ME, methods=GET)
async def me(request: web.Request, caller: Caller) -> Response:
    """GET /auth/users/me: return the caller's account."""
    return json_response(user_shape(request.app[OPTIONS], caller.account))


@routes.guarded(USER, methods=GET)
async def user(request: web.Request, caller: Caller) -> Response:
    """GET /auth/users/<id>: return the caller's account, for staff any account."""
    other = await _find_other(request, caller)
    return json_response(user_shape(request.app[OPTIONS], other or caller.account))


@routes.guarded(ME, methods=PUT_OR_PATCH)
async def change_me(request: web.Request, caller: Caller) -> Response:
    """PUT, PATCH /auth/users/me: change fields; those that are missing stay as they are.

    Where accounts are to be activated, another e-mail counts once the link sent to it was used.
    """
    options = request.app[OPTIONS]
    account, changes = caller.account, await _read_changes(request, options)
    email = changes.get("email")
    if email and options.send_activation_email and not _is_same(email, account.email):
        del changes["email"]
        await request.app[RECOVERY].request_change(caller, email, client_of(request), "djoser")
    if changes:
        account, _ = await request.app[ACCESS].change(caller, changes, client=client_of(request))
    return json_response(user_shape(options, account))


@routes.guarded(USER, methods=PUT_OR_PATCH)
async def change_user(request: web.Request, caller: Caller) -> Response:
    """PUT, PATCH /auth/users/<id>: change the caller's account, for staff any account."""
    other = await _find_other(request, caller)
    if other is None:
        return await change_me(request, caller)
    options = request.app[OPTIONS]
    changes = await _read_changes(request, options)
    if not changes:
        return json_response(user_shape(options, other))
    accounts = request.app[ACCOUNTS].acting_as(_actor(caller))
    account = await accounts.change(other.id, changes)
    if account is None:
        raise NotFound
    return json_response(user_shape(options, account))


@routes.guarded(ME, methods=DELETE)
async def delete_me(request: web.Request, caller: Caller) -> Response:
    """DELETE /auth/users/me: delete the caller's account."""
    await _check_current_password(request, caller)
    await request.app[ACCESS].delete(caller)
    return no_content()


@routes.guarded(USER, methods=DELETE)
async def delete_user(request: web.Request, caller: Caller) -> Response:
    """DELETE /auth/users/<id>: delete the caller's account, for staff any account."""
    if not caller.account.is_staff and request.match_info["id"] != str(caller.account.id):
        raise PermissionDenied
    other = await _find_other(request, caller)
    if other is None:
        return await delete_me(request, caller)
    await _check_current_password(request, caller)
    if not await request.app[ADMIN].acting_as(_actor(caller)).remove(other.id):
        raise NotFound
    return no_content()


async def _find_other(request: web.Request, caller: Caller) -> AccountSummary | None:
    """Return the account of the path's id, None if it is the caller's.

    Raises NotFound; without `hide_users`, PermissionDenied to callers who are not staff. They learn
    nothing of other ids, not even whether there is such an account.
    """
    digits = request.match_info["id"]
    if digits == str(caller.account.id):
        return None
    if not caller.account.is_staff:
        raise NotFound if request.app[OPTIONS].hide_users else PermissionDenied
    other = await request.app[DIRECTORY].get(int(digits)) if _is_id(digits) else None
    if other is None:
        raise NotFound
    return other


async def _read_changes(request: web.Request, options: Options) -> dict[str, Any]:
    data, fields = await read_data(request), writable_fields(options)
    if errors := find_errors(data, *fields):
        raise InvalidFields(errors)
    return {each.name: each.text(data) or None for each in fields if each.name in data}


async def _check_current_password(request: web.Request, caller: Caller) -> None:
    data: Mapping[str, Any] = await read_data(request)
    if errors := await current_password_errors(request, caller, request.app[OPTIONS], data):
        raise InvalidFields(errors)


def _is_same(email: str, kept: str | None) -> bool:
    return kept is not None and FOLD["email"](email) == FOLD["email"](kept)


def _is_id(digits: str) -> bool:
    return digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_ID


def _actor(caller: Caller) -> Actor:
    return Actor("admin", str(caller.account.id))


def _base(request: web.Request) -> str:
    """Return the URL of the API root, at which path the client has used it, without a slash."""
    server = request.app[PUBLIC_URL] or request.app[PROXIES].base_url(request)
    return f"{server}{request.path.rstrip('/').removesuffix('/users')}"
