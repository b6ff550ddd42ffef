"""Accounts and sessions in responses of the dialect latchkey and of /internal.

Contract: docs/contracts/latchkey.md#account.
"""

import datetime
from typing import Any

from aiohttp import web

from handlers.system.pictures import picture_url
from store.account import AccountSummary
from store.session_list import ListedSession


def account_shape(request: web.Request, account: AccountSummary) -> dict[str, Any]:
    """Return an account."""
    return {
        "id": account.id,
        "username": account.username,
        "email": account.email,
        "email_verified": account.email_verified,
        "first_name": account.first_name or None,
        "last_name": account.last_name or None,
        "picture": picture_url(request, account.picture_id) or None,
        "created": timestamp(account.created),
        "last_login": timestamp(account.last_login) if account.last_login else None,
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
