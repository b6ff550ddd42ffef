"""A session: its record, its name, and their keys in Redis.

session:<sid>          string: "<account> <dialect> <kind> <epoch> <key> <opened>", where epoch
                       is the account's in microseconds, key is the id of the secret key that
                       signed the token and opened is in seconds since 1970. A device's label
                       follows, which may contain spaces; for a session of JWTs, once it was
                       rotated, "<generation> <time>". The key expires after the lifetime of its
                       kind. After a logout it is `revoked` for the rest of that
                       time, which distinguishes revoked from expired; a session above its
                       account's limit is `revoked` for two minutes, if no old
                       token could open it again.
sessions:<account>     sorted set of the account: member "<dialect>:<kind>:<sid>", score the time
                       at which that session ends. It expires after the longest lifetime and a
                       day, counted from the last register or extend.

The specification is docs/session-protocol.md#key-layout.
"""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

REVOKED = b"revoked"
JWT = "jwt"
"""The kind of the sessions whose tokens are JWTs (store/jwt_tokens.py)."""


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """The session that a login opens: its dialect, its kind, and the bytes of its id.

    With `reuse`, a login returns the account's open session of this dialect and kind, if there is
    one. Without it, each login opens one more, up to the account's limit.
    """

    dialect: str
    kind: str = "token"
    sid_bytes: int = 10
    reuse: bool = True
    device: str | None = None
    """What to call the device in a list of sessions; storable text, not empty."""

    def name(self, sid: str) -> str:
        """Return such a session's name in its account's set; with sid "", the names' prefix."""
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
    device: str | None = None
    generation: int = 0
    """How often its refresh token was rotated, for a session of JWTs."""

    @property
    def public_id(self) -> str:
        """The session's id outside of the store: 16 hex digits of the SHA-256 of its sid."""
        return _digest(self.sid)

    def kept_under(self, epoch: int) -> str:
        """Return what the account's row has if it keeps this session under this epoch."""
        return f"{epoch} {self.public_id}"

    @property
    def name(self) -> str:
        """The session's name in its account's set."""
        return f"{self.dialect}:{self.kind}:{self.sid}"

    def record(self) -> str:
        """Return the record as Redis holds it."""
        record = (
            f"{self.account_id} {self.dialect} {self.kind} {self.epoch} {self.key_id} {self.opened}"
        )
        return f"{record} {self.device}" if self.device else record


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token, and the name of its session. Times are in seconds since 1970."""

    token: str
    """"" for a session of JWTs, which are signed elsewhere."""
    name: str
    issued: float
    ends: float

    @property
    def sid(self) -> str:
        """The id of its session."""
        return self.name.rpartition(":")[2]

    @property
    def public_id(self) -> str:
        """The public id of its session."""
        return _digest(self.sid)


def _digest(sid: str) -> str:
    return hashlib.sha256(sid.encode()).hexdigest()[:16]


def record_key(sid: str) -> str:
    """Return the key of a session's record."""
    return f"session:{sid}"


def set_key(account_id: int) -> str:
    """Return the key of an account's set."""
    return f"sessions:{account_id}"


def named_key(name: str) -> str:
    """Return the key of the record of a session, by its name in an account's set."""
    return record_key(name.rpartition(":")[2])


def parse(sid: str, record: bytes | None) -> Session | None:
    """Return the session of a record, None when it is gone or revoked."""
    if record is None or record == REVOKED:
        return None
    field = record.decode().split(" ", 6)
    device: str | None = None
    generation = 0
    if len(field) > 6:
        if field[2] == JWT:
            generation = int(field[6].split()[0])
        else:
            device = field[6]
    return Session(
        sid,
        int(field[0]),
        field[1],
        field[2],
        int(field[3]),
        field[4],
        int(field[5]),
        device,
        generation,
    )
