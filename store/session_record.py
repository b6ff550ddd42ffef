"""A session: its record, its name, and where both stand in Redis.

session:<sid>          the record: "<account> <dialect> <kind> <epoch> <key> <opened>", where
epoch is the account's in microseconds, key names the secret key that
signed the token and opened is in seconds since 1970.
Lives for the lifetime of its kind. After a logout: the word `revoked`,
with the time left kept, so that revoked, expired and never-made can be
told apart; for two minutes if it was one too many for its account.
sessions:<account>     sorted set, the account's: member "<dialect>:<kind>:<sid>", score the
time at which it ends. Lives for the longest lifetime and a day, renewed
by every register and extend.

The specification is docs/session-protocol.md#key-layout.
"""

from dataclasses import dataclass
from typing import NamedTuple

REVOKED = b"revoked"


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """What a login opens: a session of this dialect and kind, with ids of `sid_bytes` bytes.

    With `reuse` the account's session of this dialect and kind is it, if there is one; without,
    each grant opens one more, up to the account's limit.
    """

    dialect: str
    kind: str = "token"
    sid_bytes: int = 10
    reuse: bool = True

    def name(self, sid: str) -> str:
        """Return how such a session is called in its account's set; without sid, the prefix."""
        return f"{self.dialect}:{self.kind}:{sid}"


class Session(NamedTuple):
    """A session's record. `opened` is in seconds since 1970, `epoch` in microseconds."""

    sid: str
    account_id: int
    dialect: str
    kind: str
    epoch: int
    key_id: str
    opened: int

    @property
    def name(self) -> str:
        """How the session is called in its account's set."""
        return f"{self.dialect}:{self.kind}:{self.sid}"

    def record(self) -> str:
        """Return what Redis keeps of it."""
        return (
            f"{self.account_id} {self.dialect} {self.kind} {self.epoch} {self.key_id} {self.opened}"
        )


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A session that was handed out. `ends` is in seconds since 1970."""

    token: str
    name: str
    ends: float


def record_key(sid: str) -> str:
    """Return the key of a session's record."""
    return f"session:{sid}"


def set_key(account_id: int) -> str:
    """Return the key of an account's set."""
    return f"sessions:{account_id}"


def named_key(name: str) -> str:
    """Return the key of the record that a name in an account's set stands for."""
    return record_key(name.rpartition(":")[2])


def parse(sid: str, record: bytes | None) -> Session | None:
    """Read a record; None when it is gone or revoked."""
    if record is None or record == REVOKED:
        return None
    account_id, dialect, kind, epoch, key_id, opened = record.decode().split(" ")
    return Session(sid, int(account_id), dialect, kind, int(epoch), key_id, int(opened))
