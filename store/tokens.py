"""Tokens: the secret by which a client names its session.

    token = hex(sid ‖ mac)        mac = HMAC-SHA256(secret key, sid), cut to the length of sid

A token is opaque and looks random to a client. A token that this server never made is recognized
without any I/O. A copy of everything in Redis holds no usable token, since Redis holds only sids.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence

MIN_KEY_BYTES = 32
MIN_KEY_CHARACTERS = 8
"""The minimum of different characters in a key. 32 random hex digits have fewer in one of 28
million keys."""
_TOKEN = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Tokens:
    """Makes and verifies tokens under a list of secret keys: the first signs, all verify.

    Raises ValueError for an empty list or a key of less than MIN_KEY_BYTES.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) < MIN_KEY_BYTES for key in keys):
            raise ValueError(f"secret keys need {MIN_KEY_BYTES} bytes each, and there must be one")
        self._keys = {hashlib.sha256(key).hexdigest()[:8]: key for key in keys}
        self.signing_key = next(iter(self._keys))
        """The id of the key that signs: 8 hex digits of its SHA-256."""

    def new_sid(self, size: int) -> str:
        """Make a random session id of `size` bytes, in hex."""
        return secrets.token_hex(size)

    def knows(self, key_id: str) -> bool:
        """Return whether the key of this id is still listed."""
        return key_id in self._keys

    def derive(self, sid: str, key_id: str) -> str:
        """Return the token of a session, signed by a listed key."""
        return sid + _mac(self._keys[key_id], sid)

    def sid_of(self, token: str) -> str | None:
        """Return the session id of a token, or None when no listed key made it."""
        if not _TOKEN.fullmatch(token):
            return None
        sid = sid_in(token)
        given = token[len(sid) :]
        made = False
        for key in self._keys.values():  # always all keys, so that time does not depend on which
            made |= hmac.compare_digest(_mac(key, sid), given)
        return sid if made else None


def sid_in(token: str) -> str:
    """Return the session id in a token, which is not verified here."""
    return token[: len(token) // 2]


def _mac(key: bytes, sid: str) -> str:
    """Return the MAC of a session id in hex, cut to the length of the id."""
    return hmac.digest(key, bytes.fromhex(sid), "sha256").hex()[: len(sid)]
