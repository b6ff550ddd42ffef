"""The caller's account, and changes of it."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from handlers.app_keys import ACCESS
from handlers.authorization import token_of
from handlers.body import read_body
from handlers.dialects.fardel.fields import check_email, optional, optional_name, read_form, user
from handlers.dialects.fardel.options import FRESH_SESSION, OPTIONS, session_specs
from handlers.dialects.fardel.routes import NotFresh, routes
from handlers.errors import BadHeader
from handlers.http.response import Response, json_response, no_content
from handlers.proxies import client_of
from handlers.routes import GET, PUT
from store.account import Account
from store.authentication import Caller
from store.names import fold_email


@routes.open("/api/auth/profile", methods=GET)
async def show_profile(request: web.Request) -> Response:
    """GET /api/auth/profile: return the caller's account, or null without a token."""
    try:
        token = token_of(request)
    except BadHeader:
        token = None
    if token is None:
        return json_response({"message": "Not login", "user": None})
    caller = await request.app[ACCESS].authenticate(token)
    return json_response({"user": user(caller.account)})


@routes.guarded("/api/auth/profile", methods=PUT)
async def update_profile(request: web.Request, caller: Caller) -> Response:
    """PUT /api/auth/profile: change the names, e-mail and password that are given."""
    data = await read_form(request) if await read_body(request) else {}
    email, password = optional(data, "email").strip(), optional(data, "password")
    names = {name: optional_name(data, name) for name in ("first_name", "last_name")}
    changes = {name: value for name, value in names.items() if value}
    if email:
        check_email(email)
    if not changes and not email and not password:
        return no_content()
    own_email = caller.account.email or ""
    is_fresh = caller.session.kind == FRESH_SESSION.kind
    if not is_fresh and (password or (email and fold_email(email) != fold_email(own_email))):
        raise NotFresh
    if is_fresh and email not in ("", own_email):
        changes["email"] = email
    account, tokens = caller.account, dict[str, str | None]()
    if changes or password:
        account, tokens = await change(request, caller, changes, password)
    message = "Profile successfully updated"
    return json_response({"message": message, "user": user(account), **tokens})


async def change(
    request: web.Request, caller: Caller, changes: Mapping[str, Any], password: str
) -> tuple[Account, dict[str, str | None]]:
    """Change the caller's account; return it, and with a new password the caller's tokens."""
    keep = request.app[OPTIONS].keep_session
    fresh, refresh = session_specs(request)
    account, issued = await request.app[ACCESS].change(
        caller,
        changes,
        password or None,
        [refresh] if keep else [fresh, refresh],
        client_of(request),
        keep=keep,
    )
    tokens: list[str | None] = [each.token for each in issued]
    if password and keep:
        tokens.insert(0, token_of(request))
    return account, dict(zip(("access_token", "refresh_token"), tokens, strict=False))
