"""Logins: a password is verified, then sessions are opened under the epoch read with its hash."""

import contextlib
import time
from collections.abc import Sequence

from store.account import Account, Credentials, Login
from store.accounts import Accounts
from store.authentication import Caller
from store.client import NOBODY, Client
from store.errors import (
    AppError,
    BadCredentials,
    BadToken,
    Busy,
    ChallengeInvalid,
    EmailNotVerified,
    Inactive,
    LinkExpired,
    LinkInvalid,
    RateLimited,
    SecondFactorRequired,
    StaleEpoch,
    TokenProblem,
    WrongCode,
    WrongPassword,
)
from store.identity import Identity
from store.identity_links import IdentityLinks
from store.limits import Limits
from store.notices import Notices
from store.one_time_tokens import OneTimeTokens, Purpose
from store.passwords import Match, Passwords
from store.second_factors import SecondFactors
from store.session_record import IssuedToken, SessionSpec
from store.sessions import Sessions
from telemetry.observer import UNOBSERVED, Observer

MAX_ATTEMPTS = 8
CHALLENGE_SECONDS = 300
"""How long a login can be continued after its password was right."""


class Logins:
    """Verifies passwords. Every method raises Unavailable."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        passwords: Passwords,
        limits: Limits | None,
        notices: Notices,
        factors: SecondFactors,
        challenges: OneTimeTokens,
        links: IdentityLinks,
        observer: Observer = UNOBSERVED,
        *,
        require_verified: bool = False,
    ) -> None:
        """Compose logins; without `limits`, attempts are not counted.

        With `require_verified`, an account whose e-mail is not verified cannot log in.
        """
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords
        self._limits = limits
        self._notices = notices
        self._factors = factors
        self._challenges = challenges
        self._links = links
        self._observer = observer
        self.require_verified = require_verified

    async def log_in(
        self,
        login: Login,
        password: str,
        specs: Sequence[SessionSpec],
        client: Client = NOBODY,
        *,
        require_verified: bool = False,
    ) -> tuple[Account, list[IssuedToken]]:
        """Verify a password; return the account and, for each spec, a live or a new session.

        An unknown account costs one bcrypt, as a wrong password does. With `require_verified`, the
        e-mail must be verified here, whatever the setting. Raises BadCredentials, Inactive,
        EmailNotVerified, Unstorable, Busy, RateLimited; if `login.factor` is `ask`,
        SecondFactorRequired and WrongCode.
        """
        required = require_verified or self.require_verified
        with self._observer.login(specs[0].dialect):
            return await self._log_in(login, password, specs, client, require_verified=required)

    async def _log_in(
        self,
        login: Login,
        password: str,
        specs: Sequence[SessionSpec],
        client: Client,
        *,
        require_verified: bool,
    ) -> tuple[Account, list[IssuedToken]]:
        if self._limits:
            await self._limits.log_in(login, client)
        verified, match, newer, has_code = None, Match.NO, 0, False
        for _ in range(MAX_ATTEMPTS):
            found = await self._accounts.credentials(login)
            if found is None or found.hash != verified:
                verified = found.hash if found else None
                match = await self._verify(login, found, password, client)
                if not match or found is None:
                    raise BadCredentials
            account = found.account
            _require_allowed(account, require_verified=require_verified)
            if found.second_factor and login.factor != "exempt" and not has_code:
                await self._verify_factor(login, account, client)
                has_code = True
            mail = await self._notices.for_login(account, specs)
            if await self._accounts.record_login(account.id, account.epoch, mail):
                try:
                    issued = await open_sessions(
                        self._sessions, account, specs, database_restored=account.epoch < newer
                    )
                except StaleEpoch as outdated:
                    newer = outdated.epoch
                else:
                    await self._sessions.end_unknown(account.id)
                    if match is Match.OUTDATED:
                        await self._renew_hash(account.id, found.hash, password, client)
                    return account, issued
        raise Busy(1.0)

    async def continue_login(
        self, challenge: str, code: str, specs: Sequence[SessionSpec]
    ) -> tuple[Account, list[IssuedToken]]:
        """Log in by the challenge of SecondFactorRequired and a code.

        Raises ChallengeInvalid, WrongCode, Inactive, EmailNotVerified, Busy, RateLimited.
        """
        with self._observer.login(specs[0].dialect):
            account, identity = await self._account_of(challenge)
            await self._factors.verify(account.id, code)
            if identity:
                await self._links.link(account, identity)
            return account, await self.open(account, specs)

    async def log_in_as(
        self, account_id: int, specs: Sequence[SessionSpec]
    ) -> tuple[Account, list[IssuedToken]]:
        """Log in to an account, which the client has proved to be its own by other means.

        Raises BadCredentials, ChallengeInvalid, Inactive, EmailNotVerified, Busy.
        """
        with self._observer.login(specs[0].dialect):
            account = await self._accounts.get(account_id)
            if account is None:
                raise BadCredentials
            _require_allowed(account, require_verified=self.require_verified)
            return account, await self.open(account, specs)

    async def require_factor(
        self, account_id: int, code: str, identity: Identity | None = None
    ) -> Account:
        """Return an account that may log in, after the code of its second factor, if it has one.

        Raises SecondFactorRequired, whose challenge links the identity as well; WrongCode,
        ChallengeInvalid, Inactive, EmailNotVerified, RateLimited.
        """
        found = await self._accounts.credentials_of(account_id)
        if found is None:
            raise ChallengeInvalid
        _require_allowed(found.account, require_verified=self.require_verified)
        if found.second_factor:
            login = Login(code=code, factor="ask")
            await self._verify_factor(login, found.account, NOBODY, identity)
        return found.account

    async def open(self, account: Account, specs: Sequence[SessionSpec]) -> list[IssuedToken]:
        """Open sessions of a login under the epoch that was read with the account.

        Raises ChallengeInvalid if it is not the account's any more; Busy.
        """
        mail = await self._notices.for_login(account, specs)
        if not await self._accounts.record_login(account.id, account.epoch, mail):
            raise ChallengeInvalid
        try:
            return await open_sessions(self._sessions, account, specs)
        except StaleEpoch:
            raise ChallengeInvalid from None

    async def _account_of(self, challenge: str) -> tuple[Account, Identity | None]:
        try:
            token = self._challenges.parse(challenge, Purpose.LOGIN)
            account = await self._accounts.get(token.account_id)
            self._challenges.check(token, account)
        except (LinkInvalid, LinkExpired):
            raise ChallengeInvalid from None
        if account is None:
            raise ChallengeInvalid
        _require_allowed(account, require_verified=self.require_verified)
        provider, _, subject = token.address.partition(" ")
        return account, Identity(provider, subject) if provider else None

    async def _verify_factor(
        self, login: Login, account: Account, client: Client, identity: Identity | None = None
    ) -> None:
        """Verify the code of a login whose password is right.

        Where nothing can say that a code is missing or wrong, the login is refused, and counted, as
        for a wrong password: nobody learns that the password was right.
        """
        try:
            if login.factor != "ask" and (login.factor == "forbid" or not login.code):
                raise WrongCode  # without a look-up, whose time would tell
            if login.code:
                await self._factors.verify(account.id, login.code)
                return
            methods = (await self._factors.factors_of(account.id)).methods
            expires = time.time() + CHALLENGE_SECONDS
            linked = " ".join(identity or ())
            challenge = self._challenges.make(Purpose.LOGIN, account, expires, linked)
            raise SecondFactorRequired(methods, challenge)
        except (WrongCode, SecondFactorRequired, RateLimited):
            if login.factor == "ask":
                raise
            if self._limits:
                await self._limits.count_wrong(login, account.id, client)
            raise BadCredentials from None

    async def verify_password(self, caller: Caller, password: str, client: Client) -> None:
        """Verify the caller's password, which is limited as a login is.

        Raises WrongPassword, BadToken, Unstorable, Busy, RateLimited.
        """
        account = caller.account
        login = Login(account.username or account.email or "")
        if self._limits:
            await self._limits.log_in(login, client)
        # Not by name, which another device of the account may have changed since.
        found = await self._accounts.credentials_of(account.id)
        if found is None:
            raise BadToken(TokenProblem.REVOKED)
        if not await self._verify(login, found, password, client):
            raise WrongPassword

    async def _verify(
        self, login: Login, found: Credentials | None, password: str, client: Client
    ) -> Match:
        """Verify a password. Past the account's limit of wrong passwords, none matches.

        The limit of each name was counted before the look-up. This one is the account's: its
        username and its e-mail share one set of attempts. The result is the same as for a wrong
        password, because a distinct error would show which names belong to one account.
        """
        account_id = found.account.id if found else None
        counts = self._limits is None or await self._limits.may_try(login, account_id, client)
        match = await self._passwords.verify(password, found.hash if found else None, client)
        if self._limits and not match:
            await self._limits.count_wrong(login, account_id, client)
        return match if counts else Match.NO

    async def _renew_hash(self, account_id: int, kept: str, password: str, client: Client) -> None:
        """Replace a hash of another kind or cost than `hash` makes now.

        The password is the same, so no session ends. If this fails, the next login tries again.
        """
        with contextlib.suppress(AppError):
            fresh = await self._passwords.hash(password, client)
            await self._accounts.replace_hash(account_id, kept, fresh)


def _require_allowed(account: Account, *, require_verified: bool) -> None:
    """Raise Inactive or EmailNotVerified if an account may not log in."""
    if not account.is_active:
        raise Inactive
    verified_enough = account.email_verified or not require_verified
    if not (account.activated and verified_enough):
        raise EmailNotVerified


async def open_sessions(
    sessions: Sessions,
    account: Account,
    specs: Sequence[SessionSpec],
    *,
    database_restored: bool = False,
) -> list[IssuedToken]:
    """Open a session for each spec under the account's epoch. Raises StaleEpoch, Busy."""
    return [
        await sessions.open(
            account.id,
            account.epoch,
            spec,
            account.kept_session,
            database_restored=database_restored,
        )
        for spec in specs
    ]
