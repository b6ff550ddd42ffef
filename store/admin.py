"""What an operator does with anybody's account and sessions, in the same safe order."""

import asyncio
from collections.abc import Sequence

from store.access import ROUNDS, Access
from store.authentication import Caller, resolve_caller
from store.errors import Busy
from store.imported_tokens import Imported
from store.session_record import Session


class Operator(Access):
    """Access without a token: accounts are given by their ids. Every method raises Unavailable."""

    async def live_sessions(self, account_id: int) -> list[tuple[Session, float]]:
        """Return an account's live sessions, each with when it ends, in seconds since 1970."""
        standing = await self._sessions.standing(account_id)
        by = asyncio.get_running_loop().time() + self._sessions.deadline
        accounts = await self._accounts.get_many([account_id], by)
        return [each for each in standing if isinstance(resolve_caller(each[0], accounts), Caller)]

    async def adopt(self, dialect: str, owned: Sequence[tuple[int, str]]) -> list[bool | None]:
        """Have tokens that another application made stand for accounts, given by their ids.

        Tell for each whether it stands now: False for one that was ended before or is another's,
        None when there is no such account.
        """
        by = asyncio.get_running_loop().time() + self._sessions.deadline
        accounts = await self._accounts.get_many({account_id for account_id, _ in owned}, by)
        there = [
            Imported(token, account_id, accounts[account_id].epoch)
            for account_id, token in owned
            if account_id in accounts
        ]
        stand = iter(await self._sessions.adopt(dialect, there) if there else [])
        return [next(stand) if account_id in accounts else None for account_id, _ in owned]

    async def set_password(self, account_id: int, password: str) -> bool:
        """Give an account another password, as its operator; tell whether it was there.

        Every session of the account ends. Raises Unstorable, Busy.
        """
        hash = await self._passwords.hash(password)
        account = await self._accounts.change(account_id, {"password": hash})
        if account is not None:
            await self._clean_up(account.id, account.epoch)
        return account is not None

    async def remove(self, account_id: int) -> bool:
        """Delete an account, its pictures and its sessions, as its operator; tell whether it was.

        Raises Busy when somebody else ends its sessions again and again meanwhile.
        """
        for _ in range(ROUNDS):
            epoch = await self._accounts.raise_epoch(account_id)
            if epoch is None:
                return False
            if await self._accounts.delete(account_id, epoch):
                await self._clean_up(account_id, epoch + 1)
                return True
        raise Busy(1.0)
