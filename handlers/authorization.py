"""The Authorization header: `<scheme> <token>`, the scheme in any case (RFC 9110, 11.1)."""

from collections.abc import Awaitable

from aiohttp import hdrs, web

from handlers.app_keys import ACCESS
from handlers.errors import BadHeader, MissingToken
from store.authentication import Caller

SCHEMES = frozenset({"token", "bearer"})


def token_of(request: web.Request) -> str | None:
    """Return the token a request brings, None when it has no header or one of another scheme.

    Raises BadHeader when there is a scheme of ours and not exactly one token behind it.
    """
    parts = request.headers.get(hdrs.AUTHORIZATION, "").split()
    if not parts or parts[0].lower() not in SCHEMES:
        return None
    if len(parts) != 2:
        raise BadHeader(spaces=len(parts) > 2)
    return parts[1]


def authenticate(request: web.Request) -> Awaitable[Caller]:
    """Return an awaitable of the caller. Raises MissingToken, BadHeader, and BadToken there."""
    token = token_of(request)
    if token is None:
        raise MissingToken
    return request.app[ACCESS].authenticate(token)


def check_token(request: web.Request) -> Awaitable[object] | None:
    """Return an awaitable that refuses a bad token; None without one. Raises BadHeader."""
    token = token_of(request)
    return request.app[ACCESS].authenticate(token) if token else None
