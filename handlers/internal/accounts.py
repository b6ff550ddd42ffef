"""Accounts for services: list, create, change and delete them, and their sessions.

Contract: docs/contracts/service.md#accounts.
"""

import re
from functools import partial
from typing import Any

from aiohttp import web

from handlers.account_shapes import account_shape
from handlers.app_keys import ADMIN, DIRECTORY, RECOVERY
from handlers.errors import NotFound
from handlers.http.response import Response, json_response, no_content
from handlers.internal.account_fields import password_or_hash_errors, read_changes
from handlers.internal.idempotency import run_once
from handlers.internal.queries import Ids, Name, Page, parse_query
from handlers.internal.routes import PREFIX, Principal, routes
from handlers.internal.service_keys import Scope, ServiceKey
from handlers.json_fields import find_errors, raise_errors, read_fields, read_object
from handlers.problems import FieldError, InvalidFields
from handlers.proxies import client_of
from handlers.routes import GET, PUT
from store.account import AccountSummary, NewAccount
from store.admin import Admin, Identity
from store.directory import MAX_ID
from store.errors import Inactive

PATCH, DELETE = ("PATCH",), ("DELETE",)
ACCOUNTS = "/accounts"
ACCOUNT = "/accounts/{id}"
_ID = re.compile(r"[1-9][0-9]{0,18}")
_OF_A_NEW_ACCOUNT = {"username", "email", "first_name", "last_name", "towns"}


@routes.require(Scope.READ, ACCOUNTS, methods=GET)
async def list_accounts(request: web.Request, _: Principal) -> Response:
    """GET /internal/accounts: return accounts by ids, by a name, or a page of them."""
    directory, following = request.app[DIRECTORY], None
    match parse_query(list(request.query.items())):
        case Ids(ids):
            accounts = await directory.get_many(ids)
        case Name(field, name):
            accounts = await directory.find(field, name)
        case page:
            accounts, following = await _read_page(request, page)
    shown = [service_shape(request, account) for account in accounts]
    return json_response({"accounts": shown, "next": following})


async def _read_page(request: web.Request, page: Page) -> tuple[list[AccountSummary], int | None]:
    """Return a page's accounts, and the id after which the next page begins, if there is one."""
    directory, after, limit = request.app[DIRECTORY], page.after, page.limit + 1
    if page.search:
        found = await directory.search(page.search, after, limit, is_active=page.active)
    else:
        found = await directory.page(after, limit, is_active=page.active)
    if found is None:
        message = "No account with this id matches the search now."
        raise InvalidFields([FieldError("after", "not_found", message)])
    accounts = found[: page.limit]
    return accounts, accounts[-1].id if len(found) > page.limit else None


@routes.require(Scope.WRITE, ACCOUNTS)
async def create(request: web.Request, key: ServiceKey) -> Response:
    """POST /internal/accounts: create an account with a password, or with the hash of one."""
    return await run_once(request, key, partial(_create, request, key))


async def _create(request: web.Request, key: ServiceKey, reserved: Identity) -> Response:
    values, errors, others = read_changes(await read_object(request))
    names = values.get("username"), values.get("email")
    if not errors and not any(names):
        errors.append(FieldError("username", "required", "Send a username or an e-mail."))
    errors += await password_or_hash_errors(request, others, *names)
    raise_errors(errors)
    own = {name: values.pop(name) for name in _OF_A_NEW_ACCOUNT & values.keys()}
    new = NewAccount(**own, others=values)
    admin = admin_of(request, key)
    if hash := others.get("password_hash"):
        account = await admin.insert(new, hash, reserved)
    else:
        account = await admin.register(new, others["password"], client_of(request), reserved)
    shown = await _shown(request, account.id)
    location = f"{PREFIX}{ACCOUNTS}/{account.id}"
    return json_response(shown, 201, {"Location": location})


@routes.require(Scope.READ, ACCOUNT, methods=GET)
async def show(request: web.Request, _: Principal) -> Response:
    """GET /internal/accounts/{id}: return an account."""
    return json_response(await _shown(request, account_id(request)))


@routes.require(Scope.WRITE, ACCOUNT, methods=PATCH)
async def change(request: web.Request, key: ServiceKey) -> Response:
    """PATCH /internal/accounts/{id}: change fields; is_active=false ends all sessions."""
    changes, errors, others = read_changes(await read_object(request))
    raise_errors(errors + find_errors(others))
    account = await find(request)
    await apply_changes(request, key, account, changes)
    return json_response(await _shown(request, account.id))


async def apply_changes(
    request: web.Request, principal: Principal, account: AccountSummary, changes: dict[str, Any]
) -> None:
    """Set columns of an account. Raises InvalidFields, NotFound, Taken, Unstorable."""
    names = {"username": account.username, "email": account.email, **changes}
    if not (names["username"] or names["email"]):
        raise InvalidFields([FieldError("username", "required", "One of the names must stay.")])
    if changes and await admin_of(request, principal).change(account.id, changes) is None:
        raise NotFound


@routes.require(Scope.WRITE, ACCOUNT, methods=DELETE)
async def delete(request: web.Request, principal: Principal) -> Response:
    """DELETE /internal/accounts/{id}: delete an account, its pictures and its sessions."""
    if not await admin_of(request, principal).remove(account_id(request)):
        raise NotFound
    return no_content()


@routes.require(Scope.WRITE, f"{ACCOUNT}/password", methods=PUT)
async def set_password(request: web.Request, key: ServiceKey) -> Response:
    """PUT /internal/accounts/{id}/password: set it, or its hash; this ends all sessions."""
    data = await read_object(request)
    account = await find(request)
    raise_errors(await password_or_hash_errors(request, data, account.username, account.email))
    admin = admin_of(request, key)
    if hash := data.get("password_hash"):
        exists = await admin.set_hash(account.id, hash)
    else:
        exists = await admin.set_password(account.id, data["password"], client_of(request))
    if not exists:
        raise NotFound
    return no_content()


@routes.require(Scope.WRITE, f"{ACCOUNT}/password-reset")
async def send_reset(request: web.Request, key: ServiceKey) -> Response:
    """POST /internal/accounts/{id}/password-reset: send the account the link of a reset."""
    return await run_once(request, key, partial(send_link, request))


async def send_link(request: web.Request, _: Identity | Principal) -> Response:
    """Send the link of a reset to the account. Raises NotFound, Inactive, InvalidFields."""
    await read_fields(request)
    account = await find(request)
    if not account.is_active:
        raise Inactive
    if not account.email:
        raise InvalidFields([FieldError("email", "required", "The account has no e-mail.")])
    await request.app[RECOVERY].send_reset(account.email)
    return json_response({}, 202)


def account_id(request: web.Request) -> int:
    """Return the id in the path. Raises NotFound for one that no account can have."""
    text = request.match_info["id"]
    if not (_ID.fullmatch(text) and int(text) <= MAX_ID):
        raise NotFound
    return int(text)


def service_shape(request: web.Request, account: AccountSummary) -> dict[str, Any]:
    """Return an account as services see it."""
    return {
        **account_shape(request, account),
        "is_active": account.is_active,
        "is_staff": account.is_staff,
        "is_superuser": account.is_superuser,
        "password_set": account.password_set,
    }


def admin_of(request: web.Request, principal: Principal) -> Admin:
    """Return what changes accounts. Its events name this actor."""
    return request.app[ADMIN].acting_as(principal.actor)


async def find(request: web.Request) -> AccountSummary:
    """Return the account in the path. Raises NotFound."""
    found = await request.app[DIRECTORY].get(account_id(request))
    if found is None:
        raise NotFound
    return found


async def _shown(request: web.Request, id: int) -> dict[str, Any]:
    found = await request.app[DIRECTORY].get(id)
    if found is None:
        raise NotFound
    return service_shape(request, found)
