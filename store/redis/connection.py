"""Connections of redis-py, for every client here: opened with fewer rights, and trusted less.

A connection that was idle for a minute may lead nowhere by now: a NAT or a balancer forgets it and
tells neither end. It has to answer a PING before it is used again, within a part of the deadline,
and one that does not answer makes all those that were idle as long be opened again.
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
"""The shortest limits of NATs and balancers are some minutes."""
PROBE_SHARE = 4
"""What part of a deadline a probe may take: the rest is for a new connection."""


class Trust:
    """How far the idle connections of one client are trusted."""

    def __init__(self, timeout: float, idle_seconds: float = IDLE_SECONDS) -> None:
        self.probe_timeout = timeout / PROBE_SHARE
        self._idle_seconds = idle_seconds
        self._doubted = self._lost = -math.inf

    def needs_probe(self, used_at: float, now: float) -> bool:
        """Return whether a connection must answer before it is used."""
        return now - used_at > self._idle_seconds or used_at < self._doubted

    def is_lost(self, used_at: float) -> bool:
        """Return whether a connection was idle when another one turned out to lead nowhere."""
        return used_at < self._lost

    def doubt(self, now: float) -> None:
        """Have every connection that is idle now answer first: a command was not answered."""
        self._doubted = now

    def lose(self, used_at: float) -> None:
        """Give up what was idle for as long as a connection that did not answer its probe."""
        self._lost = max(self._lost, math.nextafter(used_at, math.inf))


class _Probed:
    """What is the same for TCP, TLS, unix sockets and Sentinels."""

    client_name: str | None

    def __init__(self, *, trust: Trust, **options: Any) -> None:
        self._trust = trust
        self._used_at = math.inf
        super().__init__(**options)

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Send a command, over a new connection when this one has ended or leads nowhere."""
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
            answers = await self.read_response(timeout=self._trust.probe_timeout)  # type: ignore[attr-defined]
        except ResponseError:
            answers = True
        except (RedisError, OSError):
            answers = False
        if not answers:  # None is what redis-py returns after the timeout
            self._trust.lose(self._used_at)
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in and choose the database. A name is only given where that is allowed."""
        self._used_at = asyncio.get_running_loop().time()
        name, self.client_name = self.client_name, None
        try:
            await super().on_connect_check_health(check_health=False)  # type: ignore[misc]
        except (AuthenticationError, ResponseError) as error:
            raise ConnectionError(self._reason(error)) from None
        finally:
            self.client_name = name
        await self.send_command("CLIENT", "SETNAME", name, check_health=False)  # type: ignore[attr-defined]
        with contextlib.suppress(ResponseError):  # CLIENT is not for every user
            await self.read_response()  # type: ignore[attr-defined]

    def _reason(self, error: Exception) -> str:
        """Return why a server lets nobody in. Its own text may repeat the command, password too."""
        said = first_line(error)
        password, database = self.password, self.db  # type: ignore[attr-defined]
        if isinstance(error, AuthenticationError) and not password:
            return "the server requires a password, and the URL gives none"
        if isinstance(error, AuthenticationError):
            return "the server refuses the user name or the password"
        if re.search("DB index|invalid DB", said):
            return f"the server has no database {database}"
        return said.replace(password, "***") if password else said


class LiveConnection(_Probed, Connection):
    """A TCP connection."""


class LiveTLSConnection(_Probed, SSLConnection):
    """A TLS connection."""


class LiveUnixConnection(_Probed, UnixDomainSocketConnection):
    """A connection over a unix socket."""

    async def on_connect(self) -> None:
        """Do nothing: redis-py logs in twice over a unix socket, this being the first time."""


class LivePrimaryConnection(_Probed, SentinelManagedConnection):
    """A TCP connection to the primary that Sentinels name."""


class LivePrimaryTLSConnection(_Probed, SentinelManagedConnection, SSLConnection):
    """A TLS connection to the primary that Sentinels name."""
