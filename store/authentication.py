"""Authentication: from a token to its session and its account, as both stores have them now.

This module decides who is let in. A token that this server never made is rejected without any I/O.
The session's record is read from Redis, then the account's row from PostgreSQL, each in a batch
with those of other requests. `resolve_caller` decides.

Records and rows are not remembered. Two things are, which cannot change: that a token was verified,
and its session's account. If such a token is looked up alone, record and row are read at once, and
the session is live if it is so by both. Otherwise the row is read again, after the record, and
decides (docs/session-protocol.md#early-row, which tests/model checks).
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from store import imported_tokens
from store.account import Account
from store.accounts import Accounts
from store.batching import BatchLoader
from store.errors import AppError, BadToken, TokenProblem, Unavailable
from store.recent import Recent
from store.session_record import JWT, Session
from store.sessions import Sessions
from store.tokens import sid_in
from telemetry.observer import UNOBSERVED, Observer

REFRESH_KINDS = frozenset({"refresh"})
ACCESS_KINDS = frozenset(
    {
        "token",
        "device",
        "fixed",
        "fresh",
        "access",
        JWT,
        imported_tokens.KIND,
        imported_tokens.FIXED,
    }
)
"""The kinds of session that authenticate a request. A refresh session only refreshes."""

REMEMBERED = 100_000
"""At least this many tokens are remembered, and at most twice as many, which take up to 35 MiB. An
app sends its token with each request, and verifying it took a sixth of a read."""

_Key = tuple[str, int]
"""What is looked up: the id of a session, and of its account, 0 if that is not known."""


class Caller(NamedTuple):
    """Who makes a request: an account, through one of its sessions."""

    account: Account
    session: Session


class Authentication:
    """Authenticates tokens. Every method raises Unavailable."""

    def __init__(
        self, accounts: Accounts, sessions: Sessions, observer: Observer = UNOBSERVED
    ) -> None:
        """Look up tokens in these; `close` cancels what is in flight."""
        self._accounts = accounts
        self._sessions = sessions
        self._callers: BatchLoader[_Key, Caller | AppError] = BatchLoader(
            self._look_up, sessions.timeout, observer=observer, name="session"
        )
        self._account_ids: Recent[str, int] = Recent(REMEMBERED)
        self._early_rows: set[asyncio.Task[dict[int, Account]]] = set()

    def close(self) -> None:
        """Cancel the look-ups of tokens."""
        self._callers.close()
        for row in self._early_rows:
            row.cancel()

    async def authenticate(self, token: str, kinds: frozenset[str] = ACCESS_KINDS) -> Caller:
        """Return the caller of a token, and renew its session.

        The session must be of one of `kinds`. Raises BadToken.
        """
        account_id = self._account_ids.get(token) or 0
        sid = sid_in(token) if account_id else self._sessions.sid_of(token)
        found = await self._callers.get((sid, account_id))
        if not isinstance(found, Caller):
            self._account_ids.forget(token)  # then it does not reach PostgreSQL again
            raise found or BadToken(
                TokenProblem.FORGED if imported_tokens.is_digest(sid) else TokenProblem.EXPIRED
            )
        if found.session.kind not in kinds:
            raise BadToken(
                TokenProblem.REFRESH
                if found.session.kind == "refresh"
                else TokenProblem.NOT_REFRESH
            )
        if not account_id and sid_in(token) == sid:  # neither a JWT nor an imported token
            self._account_ids.add(token, found.account.id)
        self._sessions.renew(found.session)
        return found

    async def confirm(self, caller: Caller) -> Caller:
        """Authenticate a caller's session again; return the caller as both stores have it now.

        To be called directly before a change, after the request waited for its body or a thread.
        A logout during that wait ends the session without raising the epoch, which is all that the
        statement checks. Raises BadToken if the session has ended.
        """
        return await self.caller_of(caller.session.sid)

    async def caller_of(self, sid: str) -> Caller:
        """Return the caller of a session's id, of any kind. Raises BadToken."""
        found = await self._callers.get((sid, 0))
        if found is None:
            raise BadToken(TokenProblem.EXPIRED)
        if isinstance(found, AppError):
            raise found
        return found

    async def _look_up(self, keys: list[_Key], deadline: float) -> dict[_Key, Caller | AppError]:
        """Read the sessions, then their accounts, so that each row is newer than its session.

        A lone session whose account is known is read together with it. If it is not live by them,
        the row is read again.
        """
        sid, account_id = keys[0]
        early = self._read_early(account_id, deadline) if account_id and len(keys) == 1 else None
        sessions = await self._sessions.read([sid for sid, _ in keys], deadline)
        found = {key: sessions[key[0]] for key in keys if key[0] in sessions}
        ids = {session.account_id for session in found.values() if session}
        try:
            if early and ids:
                caller = resolve_caller(sessions[sid], await early)
                if isinstance(caller, Caller):
                    return {keys[0]: caller}
            accounts = await self._accounts.get_many(ids, deadline) if ids else {}
        except Unavailable as error:  # an ended session is reported without its account
            ended = BadToken(TokenProblem.REVOKED)
            return {key: error if session else ended for key, session in found.items()}
        return {key: resolve_caller(session, accounts) for key, session in found.items()}

    def _read_early(self, account_id: int, deadline: float) -> "asyncio.Task[dict[int, Account]]":
        """Start to read a row. The caller need not wait for it."""
        row = asyncio.create_task(self._accounts.get_many([account_id], deadline))
        self._early_rows.add(row)
        row.add_done_callback(self._has_ended)
        return row

    def _has_ended(self, row: "asyncio.Task[dict[int, Account]]") -> None:
        self._early_rows.discard(row)
        if not row.cancelled():
            row.exception()  # otherwise asyncio logs that it was never retrieved


def resolve_caller(session: Session | None, accounts: Mapping[int, Account]) -> Caller | BadToken:
    """Return the caller of a session, or the BadToken to raise if the session is not live."""
    account = accounts.get(session.account_id) if session else None
    if session is None or account is None:
        return BadToken(TokenProblem.REVOKED)
    if not (account.is_active and account.activated):
        return BadToken(TokenProblem.INACTIVE)
    if session.epoch != account.epoch and session.kept_under(account.epoch) != account.kept_session:
        return BadToken(TokenProblem.REVOKED)
    return Caller(account, session)
