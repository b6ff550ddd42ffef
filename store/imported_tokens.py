"""Sessions whose tokens another application made, such as Django REST framework's.

Such a token cannot be derived again, so its session id is the token's SHA-256. Its kind is
`imported`, so a login never returns it. In everything else it is like any session: use extends it,
and logout, logoutall and a raised epoch end it. See docs/session-protocol.md#tokens.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from store.redis.client import Redis
from store.session_record import Session, parse, record_key, set_key

KIND = "imported"
_TOKEN = re.compile(r"[0-9a-f]{40}")
_NO_KEY = "-"
"""In the record's field for the signing key: no key signed the token."""

# KEYS: an account's set. ARGV: name, score, the set's lifetime.
_ENTER = """
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
return redis.call('EXPIRE', KEYS[1], ARGV[3])
"""


@dataclass(frozen=True, slots=True)
class Imported:
    """A token of another application, its account's id, and the epoch of its session."""

    token: str
    account_id: int
    epoch: int
    kept_session: str | None = None
    """From the account's row, like the epoch."""


def digest_of(token: str) -> str | None:
    """Return the session id of such a token, None when it has another format."""
    return hashlib.sha256(token.encode()).hexdigest() if _TOKEN.fullmatch(token) else None


def is_digest(sid: str) -> bool:
    """Return whether a session id is the digest of an imported token: others are shorter."""
    return len(sid) == hashlib.sha256().digest_size * 2


async def import_tokens(
    redis: Redis, dialect: str, tokens: Sequence[Imported], lifetime: int, set_lifetime: int
) -> list[bool]:
    """Open a session for each token, for `lifetime` seconds; return for each whether it is open.

    False means that the token's session was ended before, or belongs to another account. Importing
    a token again changes nothing: an open session stays as it is, and an ended one stays ended
    until its record expires. `set_lifetime` is in seconds. Raises Unavailable.
    """
    now = int(time.time())
    sids = [digest_of(each.token) or "" for each in tokens]
    # The records first, so that each name in a set has its record.
    writes, reads, names = (redis.client.pipeline(transaction=False) for _ in range(3))
    for each, sid in zip(tokens, sids, strict=True):
        session = Session(sid, each.account_id, dialect, KIND, each.epoch, _NO_KEY, now)
        writes.set(record_key(sid), session.record(), nx=True, ex=lifetime)
        reads.get(record_key(sid))
    await redis.execute_pipeline(writes)
    opened = []
    for each, sid, record in zip(tokens, sids, await redis.execute_pipeline(reads), strict=True):
        found = parse(sid, record)
        # A session of an older epoch has ended, although its record is still there.
        if (
            found
            and found.account_id == each.account_id
            and (found.epoch >= each.epoch or found.kept_under(each.epoch) == each.kept_session)
        ):
            key = set_key(each.account_id)
            names.eval(_ENTER, 1, key, found.name, now + lifetime, set_lifetime)
            opened.append(True)
        else:
            opened.append(False)
    await redis.execute_pipeline(names)
    return opened
