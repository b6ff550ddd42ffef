"""Rate limits, counted in Redis for all servers together.

Each limit is a fixed window of the library `limits`. Every attempt counts, successful or not, and
before any look-up, so a limit discloses nothing about an account. The limits of names and accounts
are counted per client address, so no client can lock out the owner of an account.
"""

import asyncio
import hashlib
import re
import time
from typing import NamedTuple

from limits import RateLimitItem as Limit
from limits import parse_many
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

from store.account import Login
from store.client import Client
from store.errors import BadValue, RateLimited
from store.names import FOLD, is_valid_name
from store.redis.client import Redis

__all__ = ["Limit", "Limits", "RateLimits", "parse_limit"]

_LONGEST = 366 * 86_400


class RateLimits(NamedTuple):
    """The limits: logins by name and address, logins by address, registrations, refreshes, mail.

    Messages are limited by e-mail address and by account.
    """

    login: Limit
    address: Limit
    register: Limit
    refresh: Limit
    mail: Limit


class Limits:
    """Counts attempts. Every method raises RateLimited, and Unavailable when Redis can't serve."""

    def __init__(
        self,
        redis: Redis,
        login: Limit,
        address: Limit,
        register: Limit,
        refresh: Limit,
        mail: Limit,
    ) -> None:
        """Limit logins by name and address, logins and registrations by address, refreshes."""
        storage = RedisStorage("async+redis://", implementation="redispy", key_prefix="limit")
        # The client of REDIS_URL, whichever kind it is, and its one pool.
        storage.bridge.storage = redis.client  # type: ignore[attr-defined]
        storage.bridge.register_scripts()
        self._redis = redis
        self._windows = FixedWindowRateLimiter(storage)
        self._login, self._address, self._register = login, address, register
        self._refresh, self._mail = refresh, mail

    async def log_in(self, login: Login, client: Client) -> None:
        """Count a login by this name from this address."""
        await asyncio.gather(
            self._hit(self._login, "login", _digest(login), client.network),
            self._hit(self._address, "logins", client.network),
        )

    async def may_try(self, login: Login, account_id: int | None, client: Client) -> bool:
        """Return whether this account has had fewer wrong passwords than its limit."""
        key = self._wrong(login, account_id, client)
        return bool(await self._redis.execute(self._windows.test(self._login, *key)))

    async def count_wrong(self, login: Login, account_id: int | None, client: Client) -> None:
        """Count a wrong password: of an account, or of a name without one, which costs the same."""
        key = self._wrong(login, account_id, client)
        await self._redis.execute(self._windows.hit(self._login, *key))

    async def register(self, client: Client) -> None:
        """Count a registration from this address."""
        await self._hit(self._register, "register", client.network)

    async def change_password(self, account_id: int, client: Client) -> None:
        """Count a change of password like a login, which takes the same work."""
        await asyncio.gather(
            self._hit(self._login, "password", str(account_id)),
            self._hit(self._address, "logins", client.network),
        )

    async def change_name(self, account_id: int, client: Client) -> None:
        """Count a new username or e-mail like a registration: both disclose whether it is taken."""
        await asyncio.gather(
            self._hit(self._register, "name", str(account_id)),
            self._hit(self._register, "register", client.network),
        )

    async def check_password(self, client: Client) -> None:
        """Count a look-up of a new password in another service."""
        await self._hit(self._address, "breached", client.network)

    async def refresh(self, account_id: int) -> None:
        """Count a new access token, each of which takes memory in Redis."""
        await self._hit(self._refresh, "refresh", str(account_id))

    async def request_reset(self, client: Client) -> None:
        """Count a request for a password reset from this address, for any account or none."""
        await self._hit(self._address, "resets", client.network)

    async def may_mail(self, address: str, account_id: int | None = None) -> bool:
        """Count a message to an e-mail address, and to an account; return whether to send it.

        Clients are not told, so nobody learns whether an address has an account.
        """
        digest = _digest(Login(email=address))
        allowed = await self._redis.execute(self._windows.hit(self._mail, "mail", digest))
        return allowed and (account_id is None or await self.may_mail_account(account_id))

    async def may_reset(self, address: str) -> bool:
        """Count a reset that is requested for an e-mail address; return whether to queue a message.

        Counted apart from other messages to the address, which only an account's address gets.
        """
        digest = _digest(Login(email=address))
        return bool(await self._redis.execute(self._windows.hit(self._mail, "reset-mail", digest)))

    async def may_mail_account(self, account_id: int) -> bool:
        """Count a message to an account; return whether to send it."""
        key = ("account-mail", str(account_id))
        return bool(await self._redis.execute(self._windows.hit(self._mail, *key)))

    async def may_notify(self, account_id: int) -> bool:
        """Count a notice of what happened to an account; return whether to send it.

        Counted apart from other messages, which anyone can request until their limit is reached.
        """
        key = ("notices", str(account_id))
        return bool(await self._redis.execute(self._windows.hit(self._mail, *key)))

    def _wrong(self, login: Login, account_id: int | None, client: Client) -> tuple[str, str, str]:
        return "wrong", _digest(login) if account_id is None else str(account_id), client.network

    async def _hit(self, limit: Limit, *what: str) -> None:
        if not await self._redis.execute(self._windows.hit(limit, *what)):
            stats = await self._redis.execute(self._windows.get_window_stats(limit, *what))
            raise RateLimited(max(1.0, stats.reset_time - time.time()))


def _digest(login: Login) -> str:
    """Return the digest of a login's folded name, for keys."""
    field, name = login.names[-1]
    folded = FOLD[field](name) if is_valid_name(name) else ""
    return hashlib.sha256(folded.encode(errors="replace")).hexdigest()[:32]


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
