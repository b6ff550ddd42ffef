"""Passwords that are known from breaches, asked of a range API like Have I Been Pwned's.

The first five hex digits of the password's SHA-1 are sent, and the API returns every suffix that
it knows for them: it never learns the password (k-anonymity). Padding hides the size of the
response from who watches the connection. A failure accepts the password: the API is a help, and
its outage must not stop registrations.
"""

import asyncio
import hashlib
import logging
import ssl
from types import TracebackType

import aiohttp

from telemetry.observer import UNOBSERVED, Observer

_log = logging.getLogger("latchkey.passwords")

TIMEOUT = 0.5
"""Seconds that a request waits for the API, at most."""

_PREFIX = 5
_LONGEST_RESPONSE = 1024 * 1024
"""Bytes. A padded response of Have I Been Pwned has about 60 000."""
_HEADERS = {"Add-Padding": "true", "User-Agent": "Latchkey"}


class BreachedPasswords:
    """A client of a range API; an asynchronous context manager that keeps its connections."""

    def __init__(self, url: str, observer: Observer = UNOBSERVED) -> None:
        """Ask the API at `url`, behind which a slash and the five digits are put."""
        self._url = url
        self._observer = observer
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "BreachedPasswords":
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context()),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._client:
            await self._client.close()

    async def includes(self, password: str) -> bool:
        """Return whether the API knows the password; False when it fails, with a log line."""
        encoded = password.encode(errors="surrogatepass")
        digest = hashlib.sha1(encoded, usedforsecurity=False).hexdigest().upper()
        prefix, suffix = digest[:_PREFIX], digest[_PREFIX:]
        try:
            known = await self._fetch(prefix)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._observer.breach_check_failed()
            _log.warning("breached passwords: the API failed: %s", type(error).__name__)
            return False
        return suffix in known

    async def _fetch(self, prefix: str) -> set[str]:
        """Return the suffixes that the API has for a prefix, without those that pad."""
        if self._client is None:
            raise RuntimeError("not entered")
        # Outside of aiohttp's own timeout: reading in chunks could outlast each of its parts.
        async with asyncio.timeout(TIMEOUT), self._client.get(f"{self._url}/{prefix}") as response:
            response.raise_for_status()
            body = await response.content.read(_LONGEST_RESPONSE + 1)
            while len(body) <= _LONGEST_RESPONSE and not response.content.at_eof():
                body += await response.content.readany()
        if len(body) > _LONGEST_RESPONSE:
            raise ValueError("the response is too long")
        pairs = (line.strip().partition(":") for line in body.decode("ascii").splitlines())
        return {suffix.upper() for suffix, _, count in pairs if int(count) > 0}
