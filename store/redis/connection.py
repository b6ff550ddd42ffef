"""redis-py's connections, opened with fewer privileges, and probed after they were idle.

A NAT or a load balancer may drop an idle connection without notice to either end. So a connection
that was idle for a minute is probed by a PING before it is used, within a part of the timeout. If
the probe fails, all connections that were idle for as long are opened again.
"""

import asyncio
import contextlib
import math
import re
from typing import Any

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelManagedConnection
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    RedisError,
    ResponseError,
)

from store.errors import first_line

IDLE_SECONDS = 60.0
"""The shortest idle timeouts of NATs and load balancers are some minutes."""
PROBE_SHARE = 4
"""A probe may take the timeout divided by this. The rest is for a new connection."""


class Trust:
    """Which idle connections of one client must be probed, and which are lost.

    All times are the event loop's. `probe_timeout` is in seconds.
    """

    def __init__(self, timeout: float, idle_seconds: float = IDLE_SECONDS) -> None:
        self.probe_timeout = timeout / PROBE_SHARE
        self._idle_seconds = idle_seconds
        self._doubted = self._lost = -math.inf

    def needs_probe(self, used_at: float, now: float) -> bool:
        """Return whether a connection must be probed before it is used."""
        return now - used_at > self._idle_seconds or used_at < self._doubted

    def is_lost(self, used_at: float) -> bool:
        """Return whether a connection was idle for as long as one whose probe failed."""
        return used_at < self._lost

    def doubt(self, now: float) -> None:
        """Probe each connection that is idle now: a command got no reply."""
        self._doubted = now

    def lose(self, used_at: float) -> None:
        """Give up each connection that was idle for as long as one whose probe failed."""
        self._lost = max(self._lost, math.nextafter(used_at, math.inf))


class _Probed:
    """The part that connections over TCP, TLS, unix sockets and behind Sentinels share."""

    client_name: str | None

    def __init__(self, *, trust: Trust, **options: Any) -> None:
        self._trust = trust
        self._used_at = math.inf
        super().__init__(**options)

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Send a command, over a new connection when this one has ended or its probe failed."""
        if self._reader and check_health:  # type: ignore[attr-defined]
            now = asyncio.get_running_loop().time()
            if self._reader.at_eof() or self._trust.is_lost(self._used_at):  # type: ignore[attr-defined]
                await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            elif self._trust.needs_probe(self._used_at, now):
                await self._probe()
            self._used_at = now
        await super().send_packed_command(command, check_health)  # type: ignore[misc]

    async def _probe(self) -> None:
        try:
            await self.send_command("PING", check_health=False)  # type: ignore[attr-defined]
            reply = await self.read_response(timeout=self._trust.probe_timeout)  # type: ignore[attr-defined]
        except ResponseError:
            reply = True
        except (RedisError, OSError):
            reply = None
        if not reply:  # redis-py returns None after the timeout
            self._trust.lose(self._used_at)
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in and choose the database. The connection's name is set if that is allowed."""
        self._used_at = asyncio.get_running_loop().time()
        name, self.client_name = self.client_name, None
        try:
            await super().on_connect_check_health(check_health=False)  # type: ignore[misc]
        except (AuthenticationError, ResponseError) as error:
            raise ConnectionError(self._reason(error)) from None
        finally:
            self.client_name = name
        await self.send_command("CLIENT", "SETNAME", name, check_health=False)  # type: ignore[attr-defined]
        with contextlib.suppress(ResponseError):  # the user may lack the privilege for CLIENT
            await self.read_response()  # type: ignore[attr-defined]

    def _reason(self, error: Exception) -> str:
        """Return why a login failed. The server's text may repeat the command and its password."""
        text = first_line(error)
        password, database = self.password, self.db  # type: ignore[attr-defined]
        if isinstance(error, AuthenticationError) and not password:
            return "the server requires a password, and the URL gives none"
        if isinstance(error, AuthenticationError):
            return "the server refuses the user name or the password"
        if re.search("DB index|invalid DB", text):
            return f"the server has no database {database}"
        return text.replace(password, "***") if password else text


class LiveConnection(_Probed, Connection):
    """A TCP connection."""


class LiveTLSConnection(_Probed, SSLConnection):
    """A TLS connection."""


class LiveUnixConnection(_Probed, UnixDomainSocketConnection):
    """A connection over a unix socket."""

    async def on_connect(self) -> None:
        """Do nothing: redis-py logs in over a unix socket here, and then a second time."""


class LivePrimaryConnection(_Probed, SentinelManagedConnection):
    """A TCP connection to the primary that Sentinels name."""


class LivePrimaryTLSConnection(_Probed, SentinelManagedConnection, SSLConnection):
    """A TLS connection to the primary that Sentinels name."""
