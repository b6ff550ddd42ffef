"""FastAPI and Starlette: the caller of a request or a WebSocket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from latchkey_client.aio import AsyncLatchkeyClient
from latchkey_client.calls import TIMEOUT
from latchkey_client.errors import Unavailable
from latchkey_client.identity import Identity, token_of


class Latchkey:
    """Authenticates requests. `lifespan` is that of an application, or entered in its own.

    FastAPI: `Depends(latchkey.required)`. Starlette: `await latchkey.required(request)`. An outage
    is an HTTPException with the status 503 and Retry-After.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        self._url = url
        self._timeout = timeout
        self._client: AsyncLatchkeyClient | None = None

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """Open the client, and close it at the end."""
        async with AsyncLatchkeyClient(self._url, timeout=self._timeout) as self._client:
            yield

    async def optional(self, connection: HTTPConnection) -> Identity | None:
        """Return the caller, None without a valid token."""
        token = token_of(connection.headers.get("Authorization"))
        if self._client is None:
            raise RuntimeError("enter Latchkey.lifespan in the application's lifespan")
        try:
            return await self._client.authenticate(token) if token is not None else None
        except Unavailable as error:
            headers = {"Retry-After": str(error.retry_after)}
            raise HTTPException(503, headers=headers) from None

    async def required(self, connection: HTTPConnection) -> Identity:
        """Return the caller. Raises an HTTPException with the status 401 without a valid token."""
        identity = await self.optional(connection)
        if identity is None:
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
        return identity
