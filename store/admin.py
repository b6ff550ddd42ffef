"""What an operator does with accounts and their sessions, given by account ids instead of tokens.

The order of the writes is that of store/access.py. The actor of the events is that of the accounts.
"""

import asyncio
import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from store.access import end_older_sessions
from store.account import Account, NewAccount
from store.accounts import Accounts
from store.authentication import Caller, resolve_caller
from store.client import NOBODY, Client
from store.errors import Busy
from store.event_writer import Actor
from store.imported_tokens import Imported
from store.logins import MAX_ATTEMPTS
from store.passwords import Passwords
from store.session_list import ListedSession, list_live
from store.session_record import Session
from store.sessions import Sessions

Identity = tuple[int, int] | None
"""The id and the session epoch that were reserved for a new account; None if none were."""


class Admin:
    """Changes accounts and sessions by account id. Every method raises Unavailable."""

    def __init__(self, accounts: Accounts, sessions: Sessions, passwords: Passwords) -> None:
        """Work on these; nothing is counted against a rate limit."""
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords

    def acting_as(self, actor: Actor) -> Self:
        """Return the same admin, with another actor of the events. Raises ValueError."""
        admin = copy.copy(self)
        admin._accounts = self._accounts.acting_as(actor)
        return admin

    async def live_sessions(self, account_id: int) -> list[tuple[Session, float]]:
        """Return an account's live sessions, each with its end in seconds since 1970."""
        found = await self._sessions.list_by_account(account_id)
        accounts = await self._read_accounts([account_id])
        return [each for each in found if isinstance(resolve_caller(each[0], accounts), Caller)]

    async def list_sessions(self, account_id: int) -> list[ListedSession] | None:
        """Return an account's live sessions, the newest first; None when there is no account."""
        found = await self._sessions.list_by_account(account_id)
        accounts = await self._read_accounts([account_id])
        return list_live(self._sessions, found, accounts) if accounts else None

    async def register(
        self, new: NewAccount, password: str, client: Client = NOBODY, reserved: Identity = None
    ) -> Account:
        """Create an account without a session, and return it.

        Raises Taken, Unstorable, Busy; `insert` has `reserved`.
        """
        return await self.insert(new, await self._passwords.hash(password, client), reserved)

    async def insert(self, new: NewAccount, hash: str, reserved: Identity = None) -> Account:
        """Create an account with the hash of a password, and return it. Raises Taken, Unstorable.

        `reserved` is the id and the session epoch that it gets. If there is such an account
        already, this returns it as it is, because an earlier call has created it. Raises Busy when
        concurrent imports used the new id at each of MAX_ATTEMPTS attempts.
        """
        for _ in range(MAX_ATTEMPTS):
            identity = reserved or await self._accounts.new_identity()
            account = await self._accounts.insert(identity, new, hash, logged_in=False)
            if account is None and reserved is not None:
                account = await self._accounts.get(reserved[0])
                account = account if account and account.epoch == reserved[1] else None
                reserved = None
            if account is not None:
                return account
        raise Busy(1.0)

    async def change(self, account_id: int, changes: Mapping[str, Any]) -> Account | None:
        """Set columns of an account, and return it; None when there is no account.

        Disabling it ends all its sessions. Raises Taken, Unstorable; ValueError for a column not in
        CHANGEABLE.
        """
        account = await self._accounts.change(account_id, changes)
        if account is not None and not account.is_active:
            await end_older_sessions(self._sessions, account.id, account.epoch)
        return account

    async def end_all(self, account_id: int) -> bool:
        """End every session of an account, in every dialect; return whether it exists."""
        epoch = await self._accounts.raise_epoch(account_id)
        if epoch is not None:
            await end_older_sessions(self._sessions, account_id, epoch)
        return epoch is not None

    async def end_session(self, account_id: int, public_id: str) -> bool:
        """End a session of an account; return False when it has no live session of this id."""
        for session, _ in await self.live_sessions(account_id):
            if session.public_id == public_id:
                await self._sessions.end(session)
                return True
        return False

    async def import_tokens(self, dialect: str, tokens: Sequence[Imported]) -> list[bool | None]:
        """Open a session for each token that another application made, under its account's epoch.

        Return for each token whether it now authenticates its account: False for a token that was
        ended before or belongs to another account, None for an account that does not exist.
        """
        accounts = await self._read_accounts({each.account_id for each in tokens})
        known = [
            each._replace(epoch=account.epoch, kept_session=account.kept_session)
            for each in tokens
            if (account := accounts.get(each.account_id))
        ]
        imported = iter(await self._sessions.import_tokens(dialect, known) if known else [])
        return [next(imported) if each.account_id in accounts else None for each in tokens]

    async def set_password(self, account_id: int, password: str, client: Client = NOBODY) -> bool:
        """Set an account's password and end all its sessions; return whether the account exists.

        Raises Unstorable, Busy.
        """
        return await self.set_hash(account_id, await self._passwords.hash(password, client))

    async def set_hash(self, account_id: int, hash: str) -> bool:
        """Do what `set_password` does, with the hash of a password."""
        account = await self._accounts.change(account_id, {"password": hash})
        if account is not None:
            await end_older_sessions(self._sessions, account.id, account.epoch)
        return account is not None

    async def remove(self, account_id: int) -> bool:
        """Delete an account, its pictures and its sessions; return whether the account existed.

        Raises Busy when its epoch was raised concurrently at each of MAX_ATTEMPTS attempts.
        """
        for _ in range(MAX_ATTEMPTS):
            account = await self._accounts.get(account_id)
            if account is None:
                return False
            if await self._accounts.delete(account_id, account.epoch):
                await end_older_sessions(self._sessions, account_id, account.epoch + 1)
                return True
        raise Busy(1.0)

    async def _read_accounts(self, ids: Iterable[int]) -> dict[int, Account]:
        deadline = asyncio.get_running_loop().time() + self._sessions.timeout
        return await self._accounts.get_many(ids, deadline)
