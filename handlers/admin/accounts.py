"""Accounts and their sessions for superusers: those of the service API, and what they check more.

docs/admin.md has the rules.
"""

import hashlib
from typing import Any

from aiohttp import hdrs, web

from handlers.admin.routes import Administrator, find_administrator, require_fresh, routes
from handlers.app_keys import DIRECTORY, EVENTS, RECOVERY
from handlers.errors import OwnAccount, PreconditionFailed
from handlers.http.response import Response, json_response
from handlers.internal import accounts, sessions
from handlers.internal.account_fields import read_changes
from handlers.internal.accounts import ACCOUNT, ACCOUNTS, DELETE, PATCH
from handlers.internal.sessions import SESSIONS
from handlers.json_fields import find_errors, raise_errors, read_object
from handlers.routes import GET
from store.account import AccountSummary
from store.errors import BadToken, TokenProblem

EDITABLE = (
    "username",
    "email",
    "email_verified",
    "first_name",
    "last_name",
    "is_active",
    "is_staff",
    "is_superuser",
)
"""The fields that the page shows and changes: all others are unknown."""
_GUARDED = frozenset({"email", "email_verified", "is_staff", "is_superuser"})
"""Who changes an address can have a reset sent there, and so take the account over."""

routes.require(ACCOUNTS, methods=GET)(accounts.list_accounts)
routes.require(f"{ACCOUNT}/password-reset")(accounts.send_link)
routes.require(SESSIONS, methods=GET)(sessions.list_sessions)
routes.require(SESSIONS, methods=DELETE, fresh=True)(sessions.end_sessions)
routes.require(f"{SESSIONS}/{{sid}}", methods=DELETE, fresh=True)(sessions.end_session)


@routes.require("/session", methods=GET)
async def show_session(request: web.Request, administrator: Administrator) -> Response:
    """GET /ui/admin/api/session: return the administrator, and what this server has."""
    account = await request.app[DIRECTORY].get(administrator.id)
    if account is None:
        raise BadToken(TokenProblem.REVOKED)
    return json_response(
        {
            "account": accounts.service_shape(request, account),
            "events": request.app[EVENTS].is_on,
            "mail": request.app[RECOVERY].sends_mail,
        }
    )


@routes.require(ACCOUNT, methods=GET)
async def show(request: web.Request, _: Administrator) -> Response:
    """GET /ui/admin/api/accounts/{id}: return an account, with its version for a change."""
    return json_response(_shape(request, await accounts.find(request)))


@routes.require(ACCOUNT, methods=PATCH)
async def change(request: web.Request, _: Administrator) -> Response:
    """PATCH /ui/admin/api/accounts/{id}: change fields, if If-Match has the account's version."""
    data = await read_object(request)
    administrator = await find_administrator(request)
    changes, errors, _unknown = read_changes(
        {name: value for name, value in data.items() if name in EDITABLE}
    )
    others = {name: value for name, value in data.items() if name not in EDITABLE}
    raise_errors(errors + find_errors(others))
    if not _GUARDED.isdisjoint(data) or data.get("is_active") is False:
        await require_fresh(request, administrator)
    account = await accounts.find(request)
    if request.headers.get(hdrs.IF_MATCH, "*") not in ("*", f'"{_tag_of(account)}"'):
        raise PreconditionFailed
    if account.id == administrator.id and False in (
        data.get("is_active"),
        data.get("is_superuser"),
    ):
        raise OwnAccount
    await accounts.apply_changes(request, administrator, account, changes)
    return json_response(_shape(request, await accounts.find(request)))


@routes.require(ACCOUNT, methods=DELETE, fresh=True)
async def delete(request: web.Request, administrator: Administrator) -> Response:
    """DELETE /ui/admin/api/accounts/{id}: delete an account, its pictures and its sessions."""
    if accounts.account_id(request) == administrator.id:
        raise OwnAccount
    return await accounts.delete(request, administrator)


def _shape(request: web.Request, account: AccountSummary) -> dict[str, Any]:
    return {**accounts.service_shape(request, account), "version": _tag_of(account)}


def _tag_of(account: AccountSummary) -> str:
    """Return a text that changes with every field that can be edited."""
    fields = [getattr(account, name) for name in EDITABLE]
    return hashlib.sha256(repr(fields).encode()).hexdigest()[:16]
