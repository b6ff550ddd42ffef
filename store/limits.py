"""Rate limits, counted in Redis for all servers together.

Each limit is a fixed window, which begins with its first attempt. Every attempt counts, successful
or not, and before any look-up, so a limit discloses nothing about an account. The limits of names
and accounts are counted per client address, so no client can lock out the owner of an account.

    limit:LIMITER/<what>/…/<amount>/<multiple>/<unit>    attempts in this window, which EX ends
"""

import asyncio
import hashlib
import re
from typing import NamedTuple

from store.account import Login
from store.client import Client
from store.errors import BadValue, RateLimited
from store.names import FOLD, is_valid_name
from store.redis.client import Redis

__all__ = ["Limit", "Limits", "RateLimits", "parse_limit"]

_LONGEST = 366 * 86_400
_SECONDS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "month": 30 * 86_400,
    "year": 360 * 86_400,
}
_TEXT = re.compile(
    rf"([0-9]{{1,9}})\s*(?:/|per)\s*(?:([1-9][0-9]{{0,8}})\s*)?({'|'.join(_SECONDS)})s?"
)

# KEYS: a window. ARGV: how long a new one lasts. Returns the attempts in it, this one included.
_COUNT = """
local attempts = redis.call('INCR', KEYS[1])
if attempts == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return attempts
"""


class Limit(NamedTuple):
    """At most `amount` attempts in a window of `multiple` units, such as minutes."""

    amount: int
    multiple: int
    unit: str

    @property
    def seconds(self) -> int:
        """How long a window lasts."""
        return self.multiple * _SECONDS[self.unit]

    def key(self, what: tuple[str, ...]) -> str:
        """Return the key of the window that counts attempts at this."""
        return "/".join(("limit:LIMITER", *what, str(self.amount), str(self.multiple), self.unit))


class RateLimits(NamedTuple):
    """The limits: logins by name and address, logins by address, registrations, refreshes, mail.

    Messages are limited by e-mail address and by account, codes of second factors by account.
    """

    login: Limit
    address: Limit
    register: Limit
    refresh: Limit
    mail: Limit
    code: Limit


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
        code: Limit,
    ) -> None:
        """Limit logins by name and address, logins and registrations by address, refreshes."""
        self._redis = redis
        self._login, self._address, self._register = login, address, register
        self._refresh, self._mail, self._code = refresh, mail, code

    async def log_in(self, login: Login, client: Client) -> None:
        """Count a login by this name from this address."""
        await asyncio.gather(
            self._hit(self._login, "login", _digest(login), client.network),
            self._hit(self._address, "logins", client.network),
        )

    async def may_try(self, login: Login, account_id: int | None, client: Client) -> bool:
        """Return whether this account has had fewer wrong passwords than its limit."""
        key = self._wrong(login, account_id, client)
        wrong = await self._redis.execute(self._redis.client.get(self._login.key(key)))
        return int(wrong or 0) < self._login.amount

    async def count_wrong(self, login: Login, account_id: int | None, client: Client) -> None:
        """Count a wrong password: of an account, or of a name without one, which costs the same."""
        key = self._wrong(login, account_id, client)
        await self._allows(self._login, *key)

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

    async def log_in_without_name(self, client: Client) -> None:
        """Count a login by a passkey or an ID token from this address."""
        await self._hit(self._address, "logins", client.network)

    async def add_passkey(self, account_id: int) -> None:
        """Count an attempt to add a passkey, whose credential takes up to 0.2 s to read."""
        await self._hit(self._code, "passkey", str(account_id))

    async def try_code(self, account_id: int) -> None:
        """Count an attempt at an account's second factor, from any address.

        A client that makes one knows the password already.
        """
        await self._hit(self._code, "code", str(account_id))

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
        allowed = await self._allows(self._mail, "mail", digest)
        return allowed and (account_id is None or await self.may_mail_account(account_id))

    async def may_reset(self, address: str) -> bool:
        """Count a reset that is requested for an e-mail address; return whether to queue a message.

        Counted apart from other messages to the address, which only an account's address gets.
        """
        digest = _digest(Login(email=address))
        return await self._allows(self._mail, "reset-mail", digest)

    async def may_mail_account(self, account_id: int) -> bool:
        """Count a message to an account; return whether to send it."""
        return await self._allows(self._mail, "account-mail", str(account_id))

    async def may_notify(self, account_id: int) -> bool:
        """Count a notice of what happened to an account; return whether to send it.

        Counted apart from other messages, which anyone can request until their limit is reached.
        """
        return await self._allows(self._mail, "notices", str(account_id))

    def _wrong(self, login: Login, account_id: int | None, client: Client) -> tuple[str, str, str]:
        return "wrong", _digest(login) if account_id is None else str(account_id), client.network

    async def _hit(self, limit: Limit, *what: str) -> None:
        if not await self._allows(limit, *what):
            left = await self._redis.execute(self._redis.client.ttl(limit.key(what)))
            raise RateLimited(max(1, left))

    async def _allows(self, limit: Limit, *what: str) -> bool:
        """Count an attempt; return whether it is within the limit."""
        counting = self._redis.client.eval(_COUNT, 1, limit.key(what), limit.seconds)
        return bool(await self._redis.execute(counting) <= limit.amount)


def _digest(login: Login) -> str:
    """Return the digest of a login's folded name, for keys."""
    field, name = login.names[-1]
    folded = FOLD[field](name) if is_valid_name(name) else ""
    return hashlib.sha256(folded.encode(errors="replace")).hexdigest()[:32]


def parse_limit(text: str) -> Limit:
    """Return a limit such as `20 per 5 minutes` or `60/hour`. Raises ValueError."""
    match = _TEXT.fullmatch(text.lower())
    if not match or int(match[1]) < 1:
        raise ValueError(text)
    limit = Limit(int(match[1]), int(match[2] or 1), match[3])
    if limit.seconds > _LONGEST:
        raise BadValue("the time must be from one second to a year")
    return limit
