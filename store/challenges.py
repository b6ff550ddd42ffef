"""Challenges that an authenticator signs: made without a record, and accepted once.

    challenge = expiry (8 bytes) ‖ random (16 bytes) ‖ MAC (16 bytes)

The MAC is a HMAC-SHA256 under a key that is derived from a secret key. It covers the purpose and
the account as well. Asking for challenges costs Redis nothing; only one that was signed has a key:

used:<SHA-256>         string "1": the challenge was used. It expires when the challenge does.
"""

import hashlib
import hmac
import secrets
import struct
import time
from collections.abc import Sequence

from store.redis.client import Redis

SECONDS = 300
_HEAD = struct.Struct(">Q16s")
_MAC_BYTES = 16
_CONTEXT = b"latchkey: challenges"


class Challenges:
    """Makes challenges and accepts each once, under a list of secret keys."""

    def __init__(self, redis: Redis, secret_keys: Sequence[bytes]) -> None:
        self._redis = redis
        self._keys = [hmac.digest(key, _CONTEXT, "sha256") for key in secret_keys]

    def make(self, purpose: str, account_id: int = 0) -> bytes:
        """Return a new challenge for a purpose, and an account if one is given."""
        head = _HEAD.pack(int(time.time()) + SECONDS, secrets.token_bytes(16))
        return head + _mac(self._keys[0], head, purpose, account_id)

    def is_valid(self, challenge: bytes, purpose: str, account_id: int = 0) -> bool:
        """Return whether a challenge was made here for this, and is not too old. Without I/O."""
        head, mac = challenge[: _HEAD.size], challenge[_HEAD.size :]
        if len(challenge) != _HEAD.size + _MAC_BYTES or _HEAD.unpack(head)[0] < time.time():
            return False
        fits = False
        for key in self._keys:  # all of them, whichever made it
            fits |= hmac.compare_digest(_mac(key, head, purpose, account_id), mac)
        return fits

    async def use(self, challenge: bytes) -> bool:
        """Record the use of a valid challenge; return False if it was used. Raises Unavailable."""
        key = f"used:{hashlib.sha256(challenge).hexdigest()}"
        return bool(
            await self._redis.execute(self._redis.client.set(key, "1", nx=True, ex=SECONDS))
        )


def _mac(key: bytes, head: bytes, purpose: str, account_id: int) -> bytes:
    return hmac.digest(key, head + f"{purpose} {account_id}".encode(), "sha256")[:_MAC_BYTES]
