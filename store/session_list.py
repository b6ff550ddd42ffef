"""The live sessions of an account, as the account itself sees and ends them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from store.account import Account
from store.authentication import Authentication, Caller, resolve_caller
from store.session_record import Session
from store.sessions import Sessions


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A live session as its account sees it. Times are in seconds since 1970."""

    id: str
    """Its public id."""
    dialect: str
    kind: str
    device: str | None
    created: float
    last_used: float
    """As precise as sessions are renewed: a hundredth of the lifetime."""
    ends: float
    current: bool
    """Whether the request came with it."""


class SessionList:
    """Lists and ends the sessions of a caller's account. Every method raises Unavailable."""

    def __init__(self, sessions: Sessions, authentication: Authentication) -> None:
        self._sessions = sessions
        self._authentication = authentication

    async def sessions_of(self, caller: Caller) -> list[ListedSession]:
        """Return the live sessions of the caller's account in every dialect, newest first.

        Raises BadToken when the caller's session has ended.
        """
        found = await self._sessions.list_by_account(caller.account.id)
        confirmed = await self._authentication.confirm(caller)
        accounts = {confirmed.account.id: confirmed.account}
        return list_live(self._sessions, found, accounts, caller.session.sid)

    async def end_session(self, caller: Caller, public_id: str) -> bool:
        """End a session of the caller's account; return False when there is none of this id."""
        found = await self._sessions.list_by_account(caller.account.id)
        ended = [session for session, _ in found if session.public_id == public_id]
        for session in ended:
            await self._sessions.end(session)
        return bool(ended)


def list_live(
    sessions: Sessions,
    found: Iterable[tuple[Session, float]],
    accounts: Mapping[int, Account],
    current: str = "",
) -> list[ListedSession]:
    """Return those of the `found` sessions and their ends that are live, the newest first.

    `current` is the sid of the request's session, "" if it comes with none.
    """
    listed = [
        ListedSession(
            id=session.public_id,
            dialect=session.dialect,
            kind=session.kind,
            device=session.device,
            created=session.opened,
            last_used=sessions.last_used(session, ends),
            ends=ends,
            current=session.sid == current,
        )
        for session, ends in found
        if isinstance(resolve_caller(session, accounts), Caller)
    ]
    return sorted(listed, key=lambda session: (session.created, session.ends), reverse=True)
