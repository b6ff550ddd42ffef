"""The caller's account in responses (docs/contracts/latchkey.md#account)."""

from typing import Any

from aiohttp import web

from handlers import account_shapes
from handlers.app_keys import DIRECTORY
from store.account import Account
from store.errors import BadToken, TokenProblem


async def account_shape(request: web.Request, account: Account) -> dict[str, Any]:
    """Return an account as it is now. Raises BadToken when it is gone."""
    found = await request.app[DIRECTORY].get(account.id)
    if found is None:
        raise BadToken(TokenProblem.REVOKED)
    return account_shapes.account_shape(request, found)
