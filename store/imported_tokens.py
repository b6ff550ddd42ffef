"""Sessions whose tokens another application made, such as Django REST framework's.

We can't derive such a token again, so its session is named by the token's SHA-256, and it has a
kind of its own: a login never finds it. Everything else goes by its record and its name, as with
any session: its life is extended by use, and logout, logoutall and the epoch end it.
See docs/session-protocol.md#tokens.
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
"""In the place of the key that signed: none did."""

# KEYS: an account's set. ARGV: name, score, the set's lifetime.
_ENTER = """
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
return redis.call('EXPIRE', KEYS[1], ARGV[3])
"""


@dataclass(frozen=True, slots=True)
class Imported:
    """A token, and the account and epoch that it is to stand for."""

    token: str
    account_id: int
    epoch: int


def digest_of(token: str) -> str | None:
    """Return what names the session of such a token, None for what can be none."""
    return hashlib.sha256(token.encode()).hexdigest() if _TOKEN.fullmatch(token) else None


def is_digest(sid: str) -> bool:
    """Tell whether a session is named by a digest: our own sids are half as long."""
    return len(sid) == hashlib.sha256().digest_size * 2


async def import_tokens(
    redis: Redis, dialect: str, tokens: Sequence[Imported], lifetime: int, set_lifetime: int
) -> list[bool]:
    """Open a session for each token, for `lifetime` seconds; tell for each whether it stands.

    It may be done again: what stands is left as it is, and one that was ended stays ended for as
    long as Redis knows of it. Raises Unavailable.
    """
    now = int(time.time())
    sids = [digest_of(each.token) or "" for each in tokens]
    # The record first: a name in the set stands for one that was written.
    writes, reads, names = (redis.client.pipeline(transaction=False) for _ in range(3))
    for each, sid in zip(tokens, sids, strict=True):
        session = Session(sid, each.account_id, dialect, KIND, each.epoch, _NO_KEY, now)
        writes.set(record_key(sid), session.record(), nx=True, ex=lifetime)
        reads.get(record_key(sid))
    await redis.execute_pipeline(writes)
    stand = []
    for each, sid, record in zip(tokens, sids, await redis.execute_pipeline(reads), strict=True):
        there = parse(sid, record)
        # One of an older epoch is over, though its record is still there.
        if there and there.account_id == each.account_id and there.epoch >= each.epoch:
            key = set_key(each.account_id)
            names.eval(_ENTER, 1, key, there.name, now + lifetime, set_lifetime)
            stand.append(True)
        else:
            stand.append(False)
    await redis.execute_pipeline(names)
    return stand
