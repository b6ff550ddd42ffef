"""Verifies ID tokens with the keys that their providers publish."""

import asyncio
import importlib
import logging
import ssl
from collections.abc import Sequence
from types import TracebackType

import aiohttp

from handlers.provider_keys import TIMEOUT, ProviderKeys
from store.errors import BadIdToken, UnknownProvider
from store.identity import ProvenIdentity, Provider

_log = logging.getLogger("latchkey.identities")


class IdTokens:
    """Verifies tokens; an asynchronous context manager that keeps connections to the providers."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = providers
        self._keys: dict[str, ProviderKeys] = {}
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "IdTokens":
        # 35 ms that no request has to wait for
        await asyncio.to_thread(importlib.import_module, "store.id_tokens")
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context()),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        self._keys = {each.name: ProviderKeys(each, self._client) for each in self._providers}
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._client:
            await self._client.close()

    async def verify(self, name: str, token: str, nonce: str) -> ProvenIdentity:
        """Return what a token of the provider of this name proves.

        Raises UnknownProvider, BadIdToken, Unavailable.
        """
        from store.id_tokens import key_id_of, verify_id_token  # noqa: PLC0415  # few need it

        keys = self._keys.get(name)
        if keys is None:
            raise UnknownProvider
        try:
            key = await keys.find(key_id_of(token))
            return verify_id_token(keys.provider, token, nonce, key)
        except BadIdToken as problem:
            _log.info("an ID token of %s was not accepted: %s", name, problem)
            raise
