"""Who makes a request: a token's session and its account, as both stores have them now.

This decides who is let in. A token that this server never made is refused without any I/O. The
session's record is read from Redis, then the account's row from PostgreSQL, each in a batch with
those of other requests; nothing is cached. `resolve_caller` has the verdict.
"""

from collections.abc import Mapping
from typing import NamedTuple

from store import imported_tokens
from store.account import Account
from store.accounts import Accounts
from store.batching import BatchLoader
from store.errors import AppError, BadToken, TokenProblem, Unavailable
from store.session_record import Session
from store.sessions import Sessions
from telemetry.observer import UNOBSERVED, Observer

REFRESH_KINDS = frozenset({"refresh"})
ACCESS_KINDS = frozenset({"token", "fresh", "access", imported_tokens.KIND})
"""The kinds of session that authenticate a request; a refresh token is none of them."""


class Caller(NamedTuple):
    """Who makes a request: an account, through one of its sessions."""

    account: Account
    session: Session


class Authentication:
    """Finds the callers that tokens stand for. Every method raises Unavailable."""

    def __init__(
        self, accounts: Accounts, sessions: Sessions, observer: Observer = UNOBSERVED
    ) -> None:
        """Look tokens up in these."""
        self._accounts = accounts
        self._sessions = sessions
        self._callers: BatchLoader[str, Caller | AppError] = BatchLoader(
            self._look_up, sessions.timeout, observer=observer, name="session"
        )

    def close(self) -> None:
        """End the tasks that look tokens up."""
        self._callers.close()

    async def authenticate(self, token: str, kinds: frozenset[str] = ACCESS_KINDS) -> Caller:
        """Return whom a token stands for, as both stores have it now. Raises BadToken."""
        sid = self._sessions.sid_of(token)
        found = await self._callers.get(sid)
        if found is None:
            raise BadToken(
                TokenProblem.FORGED if imported_tokens.is_digest(sid) else TokenProblem.EXPIRED
            )
        if isinstance(found, AppError):
            raise found
        if found.session.kind not in kinds:
            raise BadToken(
                TokenProblem.REFRESH
                if found.session.kind == "refresh"
                else TokenProblem.NOT_REFRESH
            )
        self._sessions.renew(found.session)
        return found

    async def confirm(self, caller: Caller) -> Caller:
        """Return the caller as both stores have it now. Raises BadToken if its session has ended.

        For whatever changes something after the request waited, for its body or for a thread: a
        logout in between ends the session and does not raise the epoch that the statement checks.
        """
        found = await self._callers.get(caller.session.sid)
        if found is None:
            raise BadToken(TokenProblem.EXPIRED)
        if isinstance(found, AppError):
            raise found
        return found

    async def _look_up(self, sids: list[str], deadline: float) -> dict[str, Caller | AppError]:
        """Read the sessions, and then their accounts: no session is judged by an older row."""
        sessions = await self._sessions.read(sids, deadline)
        ids = {session.account_id for session in sessions.values() if session}
        try:
            accounts = await self._accounts.get_many(ids, deadline) if ids else {}
        except Unavailable as error:  # an ended session needs no account to be told so
            ended = BadToken(TokenProblem.REVOKED)
            return {sid: error if session else ended for sid, session in sessions.items()}
        return {sid: resolve_caller(session, accounts) for sid, session in sessions.items()}


def resolve_caller(session: Session | None, accounts: Mapping[int, Account]) -> Caller | BadToken:
    """Return the caller that a session stands for, or why it stands for none."""
    account = accounts.get(session.account_id) if session else None
    if session is None or account is None:
        return BadToken(TokenProblem.REVOKED)
    if not account.is_active:
        return BadToken(TokenProblem.INACTIVE)
    if session.epoch != account.epoch:
        return BadToken(TokenProblem.REVOKED)
    return Caller(account, session)
