"""How often someone may try: limits in Redis, for all servers together.

A fixed window for each limit, counted by the library `limits`. Every attempt counts, right or
wrong, and before anything is looked up, so that a limit tells nothing about the account. Who is
refused at one address is not refused at another: nobody can lock somebody else out.
"""

import asyncio
import hashlib
import ipaddress
import re
import time

from limits import RateLimitItem as Limit
from limits import parse_many
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

from store.account import Login
from store.addresses import parse_address
from store.errors import BadValue, TooMany
from store.redis.client import Redis
from store.rules import FOLD, is_nameable

__all__ = ["Limit", "Limits", "parse_limit"]

_LONGEST = 366 * 86_400
_IPV6_NETWORK = 64
"""Bits of an IPv6 address that count: a network is one customer's, and has addresses to waste."""


class Limits:
    """Counts attempts. Every method raises TooMany, and Unavailable when Redis can't serve."""

    def __init__(
        self,
        redis: Redis,
        login: Limit,
        address: Limit,
        register: Limit,
    ) -> None:
        """Limit logins by account and address, logins by address, registrations by address."""
        storage = RedisStorage("async+redis://", implementation="redispy", key_prefix="limit")
        # Whatever REDIS_URL names, with its one pool.
        storage.bridge.storage = redis.client  # type: ignore[attr-defined]
        storage.bridge.register_scripts()
        self._redis = redis
        self._windows = FixedWindowRateLimiter(storage)
        self._login, self._address, self._register = login, address, register

    async def log_in(self, login: Login, address: str) -> None:
        """Count a login by this name from this address."""
        field, name = ("email", login.email or "")
        if login.username is not None:
            field, name = ("username", login.username)
        folded = FOLD[field](name) if is_nameable(name) else ""
        digest = hashlib.sha256(folded.encode(errors="replace")).hexdigest()[:32]
        network = _network(address)
        await asyncio.gather(
            self._hit(self._login, "login", digest, network),
            self._hit(self._address, "logins", network),
        )

    async def register(self, address: str) -> None:
        """Count a registration from this address."""
        await self._hit(self._register, "register", _network(address))

    async def _hit(self, limit: Limit, *what: str) -> None:
        if not await self._redis.ask(self._windows.hit(limit, *what)):
            stats = await self._redis.ask(self._windows.get_window_stats(limit, *what))
            raise TooMany(max(1.0, stats.reset_time - time.time()))


def parse_limit(text: str) -> Limit:
    """Return a limit such as `20 per 5 minutes` or `60/hour`. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,9}\s*(/|per)\s*([1-9][0-9]{0,8}\s*)?[a-z]+", text.lower()):
        raise ValueError(text)
    limits = parse_many(text)
    if len(limits) != 1 or limits[0].amount < 1:
        raise ValueError(text)
    if not 1 <= limits[0].get_expiry() <= _LONGEST:
        raise BadValue("the time must be from one second to a year")
    return limits[0]


def _network(address: str) -> str:
    """Return what of an address counts: all of IPv4, the network of IPv6."""
    parsed = parse_address(address)
    if parsed is None:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False).network_address)
