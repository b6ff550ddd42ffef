"""Sessions whose tokens another application made: Django REST framework's and knox's.

Such a token cannot be derived again, so its session id is a digest of it: SHA-256 of 40 hex digits,
as authtoken makes them, and SHA-512 of 64, which is all that knox has kept of its tokens. Its kind
is `imported`, so a login never returns it. In everything else it is like any session: use extends
it, and logout, logoutall and a raised epoch end it. One that is imported with its end is of the
kind `imported-fixed`, which nothing extends. See docs/session-protocol.md#tokens.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from typing import NamedTuple

from store.redis.client import Redis
from store.session_record import Session, parse, record_key, set_key

KIND, FIXED = "imported", "imported-fixed"
_TOKEN = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_KNOX_DIGEST = re.compile(r"[0-9a-f]{128}")
_NO_KEY = "-"
"""In the record's field for the signing key: no key signed the token."""

# KEYS: an account's set. ARGV: name, score, the set's lifetime.
_ENTER = """
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
return redis.call('EXPIRE', KEYS[1], ARGV[3])
"""


class Imported(NamedTuple):
    """A session of another application's token: its id, its account's id, and its epoch.

    `ends` is when the token ends, in seconds since 1970; None if its use extends it. `kept_session`
    is that of the account's row, like the epoch.
    """

    sid: str
    account_id: int
    epoch: int = 0
    ends: float | None = None
    kept_session: str | None = None


def digest_of(token: str) -> str | None:
    """Return the session id of such a token, None when it has another format."""
    if not _TOKEN.fullmatch(token):
        return None
    make = hashlib.sha256 if len(token) == 40 else hashlib.sha512
    return make(token.encode()).hexdigest()


def sid_of(text: str) -> str | None:
    """Return the session id of a token, or of knox's digest of one; None for any other text.

    Only an import takes a digest: in a request it is not a token.
    """
    return text if _KNOX_DIGEST.fullmatch(text) else digest_of(text)


def is_digest(sid: str) -> bool:
    """Return whether a session id is the digest of an imported token: others are shorter."""
    return len(sid) >= hashlib.sha256().digest_size * 2


async def import_tokens(
    redis: Redis, dialect: str, tokens: Sequence[Imported], lifetime: int, set_lifetime: int
) -> list[bool]:
    """Open a session for each token; return for each whether it is open.

    It lives for `lifetime` seconds, or until the token ends if that is known, at most for
    `set_lifetime` seconds. False means that the token's session was ended before, or belongs to
    another account. Importing a token again changes nothing: an open session stays as it is, and
    an ended one stays ended until its record expires. Raises Unavailable.
    """
    now = int(time.time())
    lifetimes = [
        lifetime if each.ends is None else min(max(1, int(each.ends - now)), set_lifetime)
        for each in tokens
    ]
    # The records first, so that each name in a set has its record.
    writes, reads, names = (redis.client.pipeline(transaction=False) for _ in range(3))
    for each, seconds in zip(tokens, lifetimes, strict=True):
        kind = KIND if each.ends is None else FIXED
        session = Session(each.sid, each.account_id, dialect, kind, each.epoch, _NO_KEY, now)
        writes.set(record_key(each.sid), session.record(), nx=True, ex=seconds)
        reads.get(record_key(each.sid))
    await redis.execute_pipeline(writes)
    opened = []
    records = await redis.execute_pipeline(reads)
    for each, seconds, record in zip(tokens, lifetimes, records, strict=True):
        found = parse(each.sid, record)
        # A session of an older epoch has ended, although its record is still there.
        if (
            found
            and found.account_id == each.account_id
            and (found.epoch >= each.epoch or found.kept_under(each.epoch) == each.kept_session)
        ):
            key = set_key(each.account_id)
            names.eval(_ENTER, 1, key, found.name, now + seconds, set_lifetime)
            opened.append(True)
        else:
            opened.append(False)
    await redis.execute_pipeline(names)
    return opened
