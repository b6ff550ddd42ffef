"""aiohttp.web: a middleware that authenticates every request that has a token."""

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from latchkey_client.aio import AsyncLatchkeyClient
from latchkey_client.calls import TIMEOUT
from latchkey_client.errors import Unavailable
from latchkey_client.identity import Identity, token_of

CLIENT: web.AppKey[AsyncLatchkeyClient] = web.AppKey("latchkey", AsyncLatchkeyClient)
_IDENTITY: Any = (
    web.RequestKey("latchkey_identity", Identity)
    if hasattr(web, "RequestKey")  # since aiohttp 3.14
    else "latchkey_identity"
)


def setup(app: web.Application, url: str, *, timeout: float = TIMEOUT) -> None:
    """Add the middleware to an application, and to the applications mounted in it.

    An outage is a 503 with Retry-After.
    """

    async def client(app: web.Application) -> AsyncIterator[None]:
        async with AsyncLatchkeyClient(url, timeout=timeout) as app[CLIENT]:
            yield

    app.cleanup_ctx.append(client)
    app.middlewares.append(_middleware)


def optional(request: web.Request) -> Identity | None:
    """Return the caller, None without a valid token."""
    identity: Identity | None = request[_IDENTITY]
    return identity


def required(request: web.Request) -> Identity:
    """Return the caller. Raises HTTPUnauthorized without a valid token."""
    identity = optional(request)
    if identity is None:
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
    return identity


@web.middleware
async def _middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    token = token_of(request.headers.get("Authorization"))
    identity = None
    try:
        if token is not None:
            identity = await request.config_dict[CLIENT].authenticate(token)
    except Unavailable as error:
        headers = {"Retry-After": str(error.retry_after)}
        raise web.HTTPServiceUnavailable(headers=headers) from None
    request[_IDENTITY] = identity
    return await handler(request)
