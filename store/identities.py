"""Logins by the ID token of an OpenID provider, and the accounts that they find or make.

nonce:<SHA-256>        string "1": a token with this nonce was accepted. It expires with the token.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from store.access import Access
from store.account import Account, Login, NewAccount
from store.accounts import Accounts
from store.authentication import Caller
from store.client import Client
from store.errors import (
    AccountExists,
    BadIdToken,
    BadToken,
    Busy,
    EmailNotVerified,
    IdentityTaken,
    SecondFactorRequired,
    Taken,
    TokenProblem,
    Unavailable,
)
from store.identity import LinkedIdentity, ProvenIdentity
from store.identity_links import IdentityLinks
from store.limits import Limits
from store.logins import MAX_ATTEMPTS, Logins
from store.names import mailbox
from store.redis.client import Redis
from store.session_record import IssuedToken, SessionSpec
from telemetry.observer import UNOBSERVED, Observer

Verify = Callable[[str, str, str], Awaitable[ProvenIdentity]]
"""Verifies the token of a provider with the nonce of the request, in this order: the provider's
name first. Raises UnknownProvider, BadIdToken, Unavailable."""


class Identities:
    """Logs in by ID tokens, links and unlinks identities. Every method raises Unavailable."""

    def __init__(
        self,
        redis: Redis,
        accounts: Accounts,
        access: Access,
        logins: Logins,
        links: IdentityLinks,
        limits: Limits | None,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._redis = redis
        self._accounts = accounts
        self._access = access
        self._logins = logins
        self._links = links
        self._limits = limits
        self._observer = observer
        self.list_by_account, self.unlink = links.list_by_account, links.unlink
        self.verify: Verify = _have_no_provider
        """A server with providers sets it."""

    async def log_in(
        self,
        token: tuple[str, str, str],
        code: str,
        specs: Sequence[SessionSpec],
        client: Client,
    ) -> tuple[Account, list[IssuedToken], bool]:
        """Log in by a provider's name, a token and its nonce.

        Return the account, a session for each spec, and whether the account is new. An identity
        that is not linked is linked to the account whose verified address it has; otherwise it gets
        an account. The nonce is used up by a login and by a challenge, not by another error. Raises
        AccountExists, BadIdToken, UnknownProvider, SecondFactorRequired, WrongCode, Inactive,
        EmailNotVerified, ChallengeInvalid, Busy, RateLimited.
        """
        if self._limits:
            await self._limits.log_in_without_name(client)
        proven = await self.verify(*token)
        nonce = _Nonce(self._redis, proven)
        for _ in range(MAX_ATTEMPTS):
            linked = await self._links.account_of(proven.identity)
            account_id = linked or await self._find_by_email(proven)
            if account_id is None:
                made = await self._register(proven, nonce, specs, client)
                if made:
                    return *made, True
                continue  # a concurrent request has made an account of this identity or address
            with self._observer.login(specs[0].dialect):
                pending = None if linked else proven.identity
                if code:
                    await nonce.require_unused()  # a recovery code works once, too
                try:
                    account = await self._logins.require_factor(account_id, code, pending)
                except SecondFactorRequired:
                    await nonce.use()
                    raise
                await nonce.use()
                if linked or await self._links.link(account, proven.identity):
                    return account, await self._logins.open(account, specs), False
        raise Busy(1.0)

    async def link(self, caller: Caller, token: tuple[str, str, str]) -> LinkedIdentity:
        """Link the identity of a token to the caller's account, and return it.

        Raises IdentityTaken, BadIdToken, UnknownProvider, BadToken.
        """
        account, session = caller
        proven = await self.verify(*token)
        await _Nonce(self._redis, proven).use()
        identity = proven.identity
        if not await self._links.link(account, identity, session.public_id):
            linked = await self._links.account_of(identity)
            if linked is None and not await self._find_linked(account.id, identity.provider):
                raise BadToken(TokenProblem.REVOKED)
            if linked != account.id:
                raise IdentityTaken
        found = await self._find_linked(account.id, identity.provider)
        if found is None:
            raise BadToken(TokenProblem.REVOKED)
        return found

    async def _register(
        self,
        proven: ProvenIdentity,
        nonce: "_Nonce",
        specs: Sequence[SessionSpec],
        client: Client,
    ) -> tuple[Account, list[IssuedToken]] | None:
        """Make an account that this identity alone logs in to; None if its name is taken now."""
        if proven.email is None and self._logins.require_verified:
            raise EmailNotVerified
        new = NewAccount(
            None,
            proven.email,
            proven.first_name,
            proven.last_name,
            others={"email_verified_at": datetime.now(UTC)} if proven.email else {},
            identity=proven.identity,
        )
        await nonce.use()
        try:
            return await self._access.register(new, None, specs, client)
        except (Taken, IdentityTaken):
            return None

    async def _find_by_email(self, proven: ProvenIdentity) -> int | None:
        """Return the account that the identity may be linked to, None if none has its address.

        Addresses that only fold to one form may have two owners. Raises AccountExists.
        """
        if proven.email is None:
            return None
        found = await self._accounts.credentials(Login(email=proven.email))
        if found is None:
            return None
        account = found.account
        same = account.email_verified and mailbox(account.email or "") == mailbox(proven.email)
        if not same:
            raise AccountExists
        is_linked = await self._find_linked(account.id, proven.identity.provider)
        if is_linked and await self._links.account_of(proven.identity) != account.id:
            raise AccountExists  # else a concurrent request has linked this one since
        return account.id

    async def _find_linked(self, account_id: int, provider: str) -> LinkedIdentity | None:
        found = await self._links.list_by_account(account_id)
        return next((each for each in found if each.provider == provider), None)


class _Nonce:
    """The nonce of a token, which is accepted once."""

    def __init__(self, redis: Redis, proven: ProvenIdentity) -> None:
        self._redis = redis
        named = f"{proven.identity.provider} {proven.nonce}".encode(errors="surrogatepass")
        self._key = f"nonce:{hashlib.sha256(named).hexdigest()}"
        self._expires = proven.expires
        self._is_used = False

    async def require_unused(self) -> None:
        """Raise BadIdToken if another request has used it."""
        if not self._is_used and await self._redis.execute(self._redis.client.exists(self._key)):
            raise BadIdToken("its nonce was used before")

    async def use(self) -> None:
        """Use it for this request. Raises BadIdToken if another request did."""
        if self._is_used:
            return
        seconds = max(1, int(self._expires - time.time()) + 1)
        setting = self._redis.client.set(self._key, "1", nx=True, ex=seconds)
        if not await self._redis.execute(setting):
            raise BadIdToken("its nonce was used before")
        self._is_used = True


async def _have_no_provider(name: str, token: str, nonce: str) -> ProvenIdentity:
    raise Unavailable("identity providers", "OIDC_PROVIDERS is not set")
