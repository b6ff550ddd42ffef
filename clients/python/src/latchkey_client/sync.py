"""The client for threads."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from latchkey_client import accounts, calls, identity
from latchkey_client.accounts import Account, Changes, NewAccount, Page, Session
from latchkey_client.identity import Identity, TokenStatus

T = TypeVar("T")


class LatchkeyClient:
    """Authenticates tokens, and reads and changes accounts. One client serves all threads.

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._target = calls.Target(url, service_key)
        self._http = httpx.Client(
            timeout=timeout, limits=calls.LIMITS, transport=transport, trust_env=False
        )
        self.accounts = Accounts(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def authenticate(self, token: str) -> Identity | None:
        """Return whose token this is, None if it is not valid. Uses `/verify`, without a key."""
        return self.send(identity.verification(token)) if identity.is_possible(token) else None

    def introspect(self, token: str) -> TokenStatus | None:
        """Return what is known of an active token, None of another one."""
        return self.send(identity.introspection(token)) if identity.is_possible(token) else None

    def send(self, call: calls.Call[T]) -> T:
        """Carry out a call."""
        for attempt in range(2):
            try:
                response = self._http.request(**self._target.request(call))
            except httpx.RequestError as error:
                failure = type(error).__name__
                if calls.is_final(call, attempt, error):
                    break
            else:
                return calls.result_of(call, response)
        raise calls.no_response(call, failure)


class Accounts:
    """`/internal/accounts`: the accounts and their sessions, for a client with a service key."""

    def __init__(self, client: LatchkeyClient) -> None:
        self._client = client

    def get(self, account_id: int) -> Account | None:
        """Return an account, None if there is none."""
        return self._client.send(accounts.get(account_id))

    def get_many(self, ids: Iterable[int]) -> dict[int, Account]:
        """Return the accounts that exist, by id: one request for each 500 ids."""
        chunks = map(self._client.send, accounts.get_many(ids))
        return {account.id: account for chunk in chunks for account in chunk}

    def find_by_username(self, username: str) -> Account | None:
        """Return the account of a username, in any case; None if there is none."""
        return self._client.send(accounts.find("username", username))

    def find_by_email(self, email: str) -> Account | None:
        """Return the account of an e-mail, in any case; None if there is none."""
        return self._client.send(accounts.find("email", email))

    def page(
        self,
        after: int = 0,
        limit: int = 100,
        *,
        search: str | None = None,
        active: bool | None = None,
    ) -> Page:
        """Return a page of accounts; `search` is the beginning of a username or e-mail."""
        return self._client.send(accounts.page(after, limit, search, active))

    def iterate(
        self, *, search: str | None = None, active: bool | None = None
    ) -> Iterator[Account]:
        """Yield all accounts, page by page."""
        after: int | None = 0
        while after is not None:
            page = self.page(after, search=search, active=active)
            yield from page.accounts
            after = page.next

    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[NewAccount]
    ) -> Account:
        """Create an account. The same `idempotency_key` within 24 hours creates no second one."""
        return self._client.send(accounts.create(idempotency_key, **fields))

    def change(self, account_id: int, **changes: Unpack[Changes]) -> Account:
        """Change fields of an account. `is_active=False` ends all its sessions."""
        return self._client.send(accounts.change(account_id, **changes))

    def delete(self, account_id: int) -> None:
        """Delete an account."""
        self._client.send(accounts.delete(account_id))

    def set_password(self, account_id: int, password: str) -> None:
        """Set a password, and end all sessions of the account."""
        self._client.send(accounts.set_password(account_id, password=password))

    def set_password_hash(self, account_id: int, password_hash: str) -> None:
        """Set a hash that `account import` accepts, and end all sessions of the account."""
        self._client.send(accounts.set_password(account_id, password_hash=password_hash))

    def send_password_reset(self, account_id: int) -> None:
        """Send the e-mail with which the owner sets a new password."""
        self._client.send(accounts.send_password_reset(account_id))

    def sessions(self, account_id: int) -> list[Session]:
        """Return the sessions of an account."""
        return self._client.send(accounts.sessions(account_id))

    def end_session(self, account_id: int, session_id: str) -> None:
        """End a session by its public id. Raises ValueError if it cannot be one."""
        self._client.send(accounts.end_session(account_id, session_id))

    def end_sessions(self, account_id: int) -> None:
        """End all sessions of an account."""
        self._client.send(accounts.end_sessions(account_id))
