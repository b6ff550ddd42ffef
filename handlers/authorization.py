"""The Authorization header: `<scheme> <token>`, the scheme in any case (RFC 9110, 11.1)."""

from aiohttp import hdrs, web

from handlers.errors import BadHeader

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
