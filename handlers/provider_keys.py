"""The public keys of an OpenID provider: its JWKS, which its discovery document names.

A withdrawn key is forgotten after an hour, or after a day if the provider cannot be reached. A
token with an unknown key has the keys fetched again, at most once a minute.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from handlers.identity_providers import is_secure
from store.errors import BadIdToken, Unavailable
from store.identity import Provider

_log = logging.getLogger("latchkey.identities")

TIMEOUT = 2.5
"""Seconds that fetching both documents takes, at most."""
PAUSE, PAUSE_AFTER_FAILURE = 60.0, 5.0
"""Seconds from one fetch to the next."""
FRESH, LONGEST = 3600.0, 86_400.0
"""Seconds that keys are used without asking again, and when asking fails."""
MAX_BYTES = 512 * 1024
"""The longest document. Those of Apple and Google have less than 5 000 bytes."""

HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Latchkey"}
_PUBLIC = ("RSA", "EC", "OKP")
_Key = Mapping[str, Any]


class _BadDocument(ValueError):
    """A document of a provider cannot be used. The text says why."""


class ProviderKeys:
    """The keys of one provider. One fetch runs at a time."""

    def __init__(self, provider: Provider, client: aiohttp.ClientSession) -> None:
        self.provider = provider
        self._client = client
        self._lock = asyncio.Lock()
        self._keys: dict[str, _Key] = {}
        self._fetched = self._attempted = float("-inf")
        self._has_failed = False

    async def find(self, key_id: str) -> _Key:
        """Return a key as a JWK. Raises BadIdToken if there is none of this id; Unavailable."""
        known = self._known(key_id)
        if known is None or (self._is_due(key_id) and not self._lock.locked()):
            await self._refresh(key_id)
            known = self._known(key_id)
        if known is None and self._has_failed:
            raise Unavailable("identity providers", f"{self.provider.name} cannot be reached")
        if known is None:
            raise BadIdToken("its key is unknown")
        return known

    def _known(self, key_id: str) -> _Key | None:
        is_usable = time.monotonic() - self._fetched < LONGEST
        return self._keys.get(key_id) if is_usable else None

    def _is_due(self, key_id: str) -> bool:
        now = time.monotonic()
        if now - self._attempted < (PAUSE_AFTER_FAILURE if self._has_failed else PAUSE):
            return False
        return key_id not in self._keys or now - self._fetched >= FRESH

    async def _refresh(self, key_id: str) -> None:
        async with self._lock:
            if not self._is_due(key_id):
                return
            self._attempted, self._has_failed = time.monotonic(), True
            try:
                async with asyncio.timeout(TIMEOUT):
                    self._keys = await self._fetch()
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                reason = str(error) if isinstance(error, _BadDocument) else type(error).__name__
                _log.warning("the keys of %s were not fetched: %s", self.provider.name, reason)
            else:
                self._fetched, self._has_failed = time.monotonic(), False

    async def _fetch(self) -> dict[str, _Key]:
        issuer = self.provider.issuer
        found = await self._get(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise _BadDocument("the discovery document is that of another issuer")
        url = found.get("jwks_uri")
        is_local = issuer.startswith("http://")
        if not isinstance(url, str) or not is_secure(url, allow_loopback=is_local):
            raise _BadDocument("jwks_uri is not an https:// URL")
        listed = (await self._get(url)).get("keys")
        keys: dict[str, _Key] = {
            each["kid"]: each
            for each in (listed if isinstance(listed, list) else ())
            if isinstance(each, dict)
            and isinstance(each.get("kid"), str)
            and each.get("kty") in _PUBLIC
            and each.get("use", "sig") == "sig"
        }
        if not keys:
            raise _BadDocument("there are no keys")
        return keys

    async def _get(self, url: str) -> dict[str, Any]:
        """Return a JSON object. A redirect is a failure: it could lead to any address."""
        async with self._client.get(url, headers=HEADERS, allow_redirects=False) as response:
            if response.status != 200:
                raise _BadDocument(f"the status is {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise _BadDocument("a document is too long")
        document = orjson.loads(body)
        if not isinstance(document, dict):
            raise _BadDocument("a document is not an object")
        return document
