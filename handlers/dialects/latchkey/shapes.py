"""What responses show of accounts and sessions (docs/contracts/latchkey.md#account)."""

import datetime
from typing import Any

from aiohttp import web

from handlers.app_keys import ACCOUNTS
from handlers.system.pictures import picture_url
from store.account import Account
from store.errors import BadToken, TokenProblem
from store.session_list import ListedSession


async def account_shape(request: web.Request, account: Account) -> dict[str, Any]:
    """Return an account as it is now. Raises BadToken when it is gone."""
    details = await request.app[ACCOUNTS].details(account.id)
    if details is None:
        raise BadToken(TokenProblem.REVOKED)
    return {
        "id": details.id,
        "username": details.username,
        "email": details.email,
        "email_verified": details.email_verified_at is not None,
        "first_name": details.first_name or None,
        "last_name": details.last_name or None,
        "picture": picture_url(request, account.picture_id) or None,
        "created": timestamp(details.created),
        "last_login": timestamp(details.last_login) if details.last_login else None,
    }


def session_shape(session: ListedSession) -> dict[str, Any]:
    """Return a session."""
    return {
        "id": session.id,
        "dialect": session.dialect,
        "kind": session.kind,
        "device": session.device,
        "created": _moment(session.created),
        "last_used": _moment(session.last_used),
        "expires": _moment(session.ends),
        "current": session.current,
    }


def timestamp(moment: datetime.datetime) -> str:
    """Write a time as RFC 3339 in UTC, in whole seconds."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(seconds: float) -> str:
    return timestamp(datetime.datetime.fromtimestamp(seconds, datetime.UTC))
