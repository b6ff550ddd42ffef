"""The client for asyncio and trio: `LatchkeyClient` with coroutines."""

from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from latchkey_client import accounts, calls, identity
from latchkey_client.accounts import Account, Changes, NewAccount, Page, Session
from latchkey_client.identity import Identity, TokenStatus

T = TypeVar("T")


class AsyncLatchkeyClient:
    """Authenticates tokens, and reads and changes accounts. One client serves one event loop.

    `url` is where Latchkey is reached, with a path if it is mounted below one. `timeout` is in
    seconds. The `service_key` is needed for `introspect` and `accounts` only. Proxies and
    certificates that the environment names are not used: give a `transport` that uses them.

    Every method raises `Unavailable` when Latchkey cannot decide, and those that need a service
    key `ApiError` when it rejects the request.
    """

    def __init__(
        self,
        url: str,
        *,
        service_key: str | None = None,
        timeout: float = calls.TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._target = calls.Target(url, service_key)
        self._http = httpx.AsyncClient(
            timeout=timeout, limits=calls.LIMITS, transport=transport, trust_env=False
        )
        self.accounts = AsyncAccounts(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def authenticate(self, token: str) -> Identity | None:
        """Return whose token this is, None if it is not valid. Uses `/verify`, without a key."""
        return (
            await self.send(identity.verification(token)) if identity.is_possible(token) else None
        )

    async def introspect(self, token: str) -> TokenStatus | None:
        """Return what is known of an active token, None of another one."""
        return (
            await self.send(identity.introspection(token)) if identity.is_possible(token) else None
        )

    async def send(self, call: calls.Call[T]) -> T:
        """Carry out a call."""
        for attempt in range(2):
            try:
                response = await self._http.request(**self._target.request(call))
            except httpx.RequestError as error:
                failure = type(error).__name__
                if calls.is_final(call, attempt, error):
                    break
            else:
                return calls.result_of(call, response)
        raise calls.no_response(call, failure)


class AsyncAccounts:
    """`/internal/accounts`: the accounts and their sessions, for a client with a service key."""

    def __init__(self, client: AsyncLatchkeyClient) -> None:
        self._client = client

    async def get(self, account_id: int) -> Account | None:
        """Return an account, None if there is none."""
        return await self._client.send(accounts.get(account_id))

    async def get_many(self, ids: Iterable[int]) -> dict[int, Account]:
        """Return the accounts that exist, by id: one request for each 500 ids."""
        chunks = [await self._client.send(call) for call in accounts.get_many(ids)]
        return {account.id: account for chunk in chunks for account in chunk}

    async def find_by_username(self, username: str) -> Account | None:
        """Return the account of a username, in any case; None if there is none."""
        return await self._client.send(accounts.find("username", username))

    async def find_by_email(self, email: str) -> Account | None:
        """Return the account of an e-mail, in any case; None if there is none."""
        return await self._client.send(accounts.find("email", email))

    async def page(
        self,
        after: int = 0,
        limit: int = 100,
        *,
        search: str | None = None,
        active: bool | None = None,
    ) -> Page:
        """Return a page of accounts; `search` is the beginning of a username or e-mail."""
        return await self._client.send(accounts.page(after, limit, search, active))

    async def iterate(
        self, *, search: str | None = None, active: bool | None = None
    ) -> AsyncIterator[Account]:
        """Yield all accounts, page by page."""
        after: int | None = 0
        while after is not None:
            page = await self.page(after, search=search, active=active)
            for account in page.accounts:
                yield account
            after = page.next

    async def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[NewAccount]
    ) -> Account:
        """Create an account. The same `idempotency_key` within 24 hours creates no second one."""
        return await self._client.send(accounts.create(idempotency_key, **fields))

    async def change(self, account_id: int, **changes: Unpack[Changes]) -> Account:
        """Change fields of an account. `is_active=False` ends all its sessions."""
        return await self._client.send(accounts.change(account_id, **changes))

    async def delete(self, account_id: int) -> None:
        """Delete an account."""
        await self._client.send(accounts.delete(account_id))

    async def set_password(self, account_id: int, password: str) -> None:
        """Set a password, and end all sessions of the account."""
        await self._client.send(accounts.set_password(account_id, password=password))

    async def set_password_hash(self, account_id: int, password_hash: str) -> None:
        """Set a hash that `account import` accepts, and end all sessions of the account."""
        await self._client.send(accounts.set_password(account_id, password_hash=password_hash))

    async def send_password_reset(self, account_id: int) -> None:
        """Send the e-mail with which the owner sets a new password."""
        await self._client.send(accounts.send_password_reset(account_id))

    async def sessions(self, account_id: int) -> list[Session]:
        """Return the sessions of an account."""
        return await self._client.send(accounts.sessions(account_id))

    async def end_session(self, account_id: int, session_id: str) -> None:
        """End a session by its public id. Raises ValueError if it cannot be one."""
        await self._client.send(accounts.end_session(account_id, session_id))

    async def end_sessions(self, account_id: int) -> None:
        """End all sessions of an account."""
        await self._client.send(accounts.end_sessions(account_id))
