"""The Authorization header: `<scheme> <token>`, the scheme in any case (RFC 9110, 11.1)."""

from collections.abc import Awaitable

from aiohttp import hdrs, web

from handlers.app_keys import ACCESS
from handlers.errors import BadHeader, MissingToken
from store.authentication import Caller

SCHEMES = frozenset({"token", "bearer"})
TOKEN_SCHEME = frozenset({"token"})


def token_of(request: web.Request, schemes: frozenset[str] = SCHEMES) -> str | None:
    """Return the token of a request, None without the header or with another scheme.

    Raises BadHeader unless exactly one token follows the scheme.
    """
    parts = request.headers.get(hdrs.AUTHORIZATION, "").split()
    if not parts or parts[0].lower() not in schemes:
        return None
    if len(parts) != 2:
        raise BadHeader(spaces=len(parts) > 2)
    return parts[1]


def authenticate(request: web.Request, schemes: frozenset[str] = SCHEMES) -> Awaitable[Caller]:
    """Return an awaitable of the caller, which raises BadToken. Raises MissingToken, BadHeader."""
    token = token_of(request, schemes)
    if token is None:
        raise MissingToken
    return request.app[ACCESS].authenticate(token)


def check_token(
    request: web.Request, schemes: frozenset[str] = SCHEMES
) -> Awaitable[object] | None:
    """Return an awaitable that raises BadToken; None without a token. Raises BadHeader."""
    token = token_of(request, schemes)
    return request.app[ACCESS].authenticate(token) if token else None
