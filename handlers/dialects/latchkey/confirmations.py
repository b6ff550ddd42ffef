"""How an owner confirms a change: by the password, or where there is none by a fresh session."""

from dataclasses import replace

from aiohttp import web

from handlers.app_keys import ACCESS, DIRECTORY, FRESH_SESSIONS
from handlers.errors import FreshLoginRequired
from handlers.json_fields import (
    Text,
    find_errors,
    password_field,
    raise_errors,
    read_object,
    texts,
)
from handlers.proxies import client_of
from store.authentication import Caller

PASSWORD = password_field("password")
OPTIONAL_PASSWORD = replace(PASSWORD, required=False, may_be_empty=True)


async def require_fresh(request: web.Request, caller: Caller) -> None:
    """Raise FreshLoginRequired unless the caller's session is fresh."""
    if not await request.app[FRESH_SESSIONS].is_fresh(caller.session):
        raise FreshLoginRequired


async def read_confirmed(request: web.Request, caller: Caller, *fields: Text) -> list[str]:
    """Return the texts of fields of a body that also has the caller's password, and verify that.

    An account without a password, which signs in with ID tokens, needs a fresh session instead.
    Raises InvalidFields, WrongPassword, FreshLoginRequired, BadToken, Busy, RateLimited.
    """
    data = await read_object(request)
    has_none = not data.get(PASSWORD.name) and await _has_no_password(request, caller)
    expected = OPTIONAL_PASSWORD if has_none else PASSWORD
    raise_errors(find_errors(data, *fields, expected))
    if has_none:
        await require_fresh(request, caller)
    else:
        [password] = texts(data, PASSWORD)
        await request.app[ACCESS].verify_password(caller, password, client_of(request))
    return texts(data, *fields)


async def _has_no_password(request: web.Request, caller: Caller) -> bool:
    account = await request.app[DIRECTORY].get(caller.account.id)
    return account is not None and not account.password_set
