"""Who makes a request: an account, through one of its sessions, if that is live."""

from collections.abc import Mapping
from typing import NamedTuple

from store import imported
from store.account import Account
from store.errors import BadToken, Flaw
from store.session import Session

REFRESH_KINDS = frozenset({"refresh"})
ACCESS_KINDS = frozenset({"token", "fresh", "access", imported.KIND})
"""The kinds of session that authenticate a request; a refresh token is none of them."""


class Caller(NamedTuple):
    """Who makes a request: an account, through one of its sessions."""

    account: Account
    session: Session


def judge(session: Session | None, accounts: Mapping[int, Account]) -> Caller | BadToken:
    """Return the caller that a session stands for, or why it stands for none."""
    account = accounts.get(session.account_id) if session else None
    if session is None or account is None:
        return BadToken(Flaw.REVOKED)
    if not account.is_active:
        return BadToken(Flaw.INACTIVE)
    if session.epoch != account.epoch:
        return BadToken(Flaw.REVOKED)
    return Caller(account, session)
