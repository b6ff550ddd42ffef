"""Changes to accounts and sessions together, in the order of docs/session-protocol.md.

PostgreSQL decides whether a session is live: its epoch must equal its account's present epoch. To
end sessions, the epoch is raised first. A session is opened under the epoch that was read together
with the password hash or the identity that justifies it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from store.account import Account, NewAccount
from store.accounts import Accounts
from store.authentication import Authentication, Caller
from store.client import NOBODY, Client
from store.errors import (
    BadToken,
    Busy,
    IdentityTaken,
    StaleEpoch,
    Taken,
    TokenProblem,
    Unavailable,
    Unstorable,
)
from store.foreign_hashes import UNUSABLE
from store.limits import Limits
from store.logins import MAX_ATTEMPTS, Logins, open_sessions
from store.names import FOLD, is_valid_name
from store.notices import Notices
from store.passwords import Passwords
from store.session_list import SessionList
from store.session_record import IssuedToken, Session, SessionSpec
from store.sessions import Sessions
from telemetry.observer import UNOBSERVED, Observer

_log = logging.getLogger("latchkey.access")


class Access:
    """Registers, logs in, changes and deletes accounts. Every method raises Unavailable."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        passwords: Passwords,
        limits: Limits | None,
        notices: Notices,
        logins: Logins,
        observer: Observer = UNOBSERVED,
    ) -> None:
        """Compose access; without `limits`, attempts are not counted."""
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords
        self._limits = limits
        self._notices = notices
        self._observer = observer
        self._authentication = Authentication(accounts, sessions, observer)
        self.authenticate = self._authentication.authenticate
        self.confirm, self.caller_of = self._authentication.confirm, self._authentication.caller_of
        self.log_in, self.continue_login = logins.log_in, logins.continue_login
        self.log_in_as, self.verify_password = logins.log_in_as, logins.verify_password
        listed = SessionList(sessions, self._authentication)
        self.sessions_of, self.end_session = listed.sessions_of, listed.end_session

    def close(self) -> None:
        """Cancel the look-ups of tokens."""
        self._authentication.close()

    async def register(
        self,
        new: NewAccount,
        password: str | None,
        specs: Sequence[SessionSpec] = (),
        client: Client = NOBODY,
        *,
        verify: bool = False,
        activate: bool = False,
        dialect: str = "",
    ) -> tuple[Account, list[IssuedToken]]:
        """Create an account and open a session for each spec; return both.

        With `verify`, its address is sent a link that verifies it, if this server sends mail. With
        `activate`, it is sent a link, and cannot log in before that is used; without e-mail,
        Unavailable is raised. The link is that of the dialect, if one is given. The sessions are
        opened first. If Redis fails, no account is left behind, and a session whose account does
        not exist is not live. Without a password, none matches. Raises Taken, IdentityTaken,
        Unstorable, Busy, RateLimited.
        """
        with self._observer.registration():
            return await self._register(
                new, password, specs, client, verify=verify, activate=activate, dialect=dialect
            )

    async def _register(
        self,
        new: NewAccount,
        password: str | None,
        specs: Sequence[SessionSpec],
        client: Client,
        *,
        verify: bool,
        activate: bool,
        dialect: str,
    ) -> tuple[Account, list[IssuedToken]]:
        if self._limits:
            await self._limits.register(client)
        hash = UNUSABLE if password is None else await self._passwords.hash(password, client)
        mail = None
        if activate:
            new = replace(new, activated=False)
        if verify or activate:
            mail = await self._notices.for_registration(new.email, dialect, activate=activate)
        for _ in range(MAX_ATTEMPTS):
            identity = await self._accounts.new_identity()
            try:
                issued = [await self._sessions.open(*identity, spec) for spec in specs]
            except StaleEpoch:
                continue  # an older backup of PostgreSQL was restored, and this id was used before
            try:
                account = await self._accounts.insert(
                    identity, new, hash, logged_in=bool(specs), mail=mail
                )
            except (Taken, IdentityTaken, Unstorable):
                await self._discard(identity[0], issued)
                raise
            if account is not None:
                return account, issued
            await self._discard(identity[0], issued)  # a concurrent import used this id
        raise Busy(1.0)

    async def find_taken(
        self, client: Client, username: str | None = None, email: str | None = None
    ) -> frozenset[str]:
        """Return which of these names accounts have already.

        For a registration or a change that is refused anyway; it is counted as a registration is.
        Raises RateLimited.
        """
        if self._limits:
            await self._limits.register(client)
        taken = set()
        for field, name in (("username", username), ("email", email)):
            if name and await self._accounts.ids_of(field, [name]):
                taken.add(field)
        return frozenset(taken)

    async def log_out(self, caller: Caller) -> None:
        """End the caller's session."""
        await self._sessions.end(caller.session)

    async def end_all(self, caller: Caller) -> None:
        """End every session of the caller's account, in every dialect.

        Raises BadToken when the account's epoch is no longer the one that the caller was
        authenticated under: then the caller's session has ended.
        """
        await self._end_all(caller, keep=False)

    async def end_others(self, caller: Caller) -> None:
        """End every session of the caller's account but the caller's, whose token stays the same.

        Requests with that token succeed throughout. Raises BadToken when the caller's session
        has ended.
        """
        await self._end_all(caller, keep=True)

    async def _end_all(self, caller: Caller, *, keep: bool) -> None:
        account, session = caller
        epoch = await self._accounts.raise_epoch(
            account.id, account.epoch, session.public_id, keeps_session=keep
        )
        if epoch is None:
            raise BadToken(TokenProblem.REVOKED)
        await end_older_sessions(self._sessions, account.id, epoch, session if keep else None)

    async def refresh(self, caller: Caller, spec: SessionSpec) -> IssuedToken:
        """Open a session for the caller, who has a refresh session. Raises RateLimited."""
        account = caller.account
        if self._limits:
            await self._limits.refresh(account.id)
        [issued] = await open_sessions(self._sessions, account, [spec])
        return issued

    async def change(
        self,
        caller: Caller,
        changes: Mapping[str, Any],
        password: str | None = None,
        specs: Sequence[SessionSpec] = (),
        client: Client = NOBODY,
        *,
        keep: bool = False,
        notify: bool = False,
    ) -> tuple[Account, list[IssuedToken]]:
        """Change the caller's account: columns by name, and its password if one is given.

        Return the account, and a session for each spec if the password was changed. A new password
        ends every session of the account; with `keep`, every session but the caller's, as
        `end_others` does. With `notify`, the account is told of it by e-mail. Raises BadToken when
        the caller's session has ended; Taken, Unstorable, Busy, RateLimited.
        """
        if self._limits and _has_new_name(changes, caller.account):
            await self._limits.change_name(caller.account.id, client)
        if password is None:
            return await self._write(caller, changes), []
        async with self._passwords.one_at_a_time(caller.account.id):
            await self.confirm(caller)
            if self._limits:
                await self._limits.change_password(caller.account.id, client)
            hash = await self._passwords.hash(password, client)
            mail = await self._notices.for_new_password(caller.account) if notify else None
            account = await self._write(caller, {**changes, "password": hash}, keep=keep, mail=mail)
        return account, await self.open_after_raise(
            account, specs, caller.session if keep else None
        )

    async def require_sessions(self, account: Account) -> None:
        """Raise Unavailable unless Redis can serve the sessions of this account."""
        await self._sessions.list_by_account(account.id)

    async def open_after_raise(
        self, account: Account, specs: Sequence[SessionSpec], kept: Session | None = None
    ) -> list[IssuedToken]:
        """Clean up after the account's epoch was raised, and open sessions under it.

        `kept` is the session that was kept. Raises BadToken when the epoch was raised again.
        """
        await end_older_sessions(self._sessions, account.id, account.epoch, kept)
        try:
            return await open_sessions(self._sessions, account, specs)
        except StaleEpoch:  # a concurrent request raised the epoch again
            raise BadToken(TokenProblem.REVOKED) from None

    async def _write(
        self,
        caller: Caller,
        changes: Mapping[str, Any],
        *,
        keep: bool = False,
        mail: str | None = None,
    ) -> Account:
        account, session = await self.confirm(caller)
        changed = await self._accounts.change(
            account.id, changes, account.epoch, session.public_id, keeps_session=keep, mail=mail
        )
        if changed is None:
            raise BadToken(TokenProblem.REVOKED)
        return changed

    async def delete(self, caller: Caller) -> None:
        """Delete the caller's account, its pictures and its sessions. Raises BadToken."""
        account, session = await self.confirm(caller)
        if not await self._accounts.delete(account.id, account.epoch, session.public_id):
            raise BadToken(TokenProblem.REVOKED)
        await end_older_sessions(self._sessions, account.id, account.epoch + 1)

    async def _discard(self, account_id: int, issued: Sequence[IssuedToken]) -> None:
        for session in issued:
            await self._sessions.discard(account_id, session)


async def end_older_sessions(
    sessions: Sessions, account_id: int, epoch: int, kept: Session | None = None
) -> None:
    """Revoke in Redis an account's sessions of epochs below `epoch`, which PostgreSQL has now.

    They have ended already, by the epoch, so a Redis that is unavailable is logged and not raised.
    The session that PostgreSQL kept gets the epoch instead.
    """
    try:
        await sessions.end_older(account_id, epoch, kept)
    except Unavailable as error:
        _log.warning(
            "sessions of account %d have ended but are still in Redis: %s", account_id, error
        )


def _has_new_name(changes: Mapping[str, Any], account: Account) -> bool:
    """Return whether changes have a username or an e-mail that differs from the account's."""
    names = ("username", account.username), ("email", account.email)
    return any(_is_another(field, changes.get(field), kept) for field, kept in names)


def _is_another(field: str, name: str | None, kept: str | None) -> bool:
    if name is None or not is_valid_name(name):
        return False  # it will not be looked up
    return kept is None or FOLD[field](name) != FOLD[field](kept)
