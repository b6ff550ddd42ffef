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
        # Copying a keyed HMAC takes two thirds of the time of making one.
        self._macs = {
            hashlib.sha256(key).hexdigest()[:8]: hmac.new(key, digestmod="sha256") for key in keys
        }
        self.signing_key = next(iter(self._macs))
        """The id of the key that signs: 8 hex digits of its SHA-256."""

    def new_sid(self, size: int) -> str:
        """Make a random session id of `size` bytes, in hex."""
        return secrets.token_hex(size)

    def knows(self, key_id: str) -> bool:
        """Return whether the key of this id is still listed."""
        return key_id in self._macs

    def derive(self, sid: str, key_id: str) -> str:
        """Return the token of a session, signed by a listed key."""
        return sid + _cut(self._macs[key_id], sid)

    def sid_of(self, token: str) -> str | None:
        """Return the session id of a token, or None when no listed key made it."""
        if not _TOKEN.fullmatch(token):
            return None
        half = len(token) // 2
        sid, given = token[:half], token[half:]
        made = False
        for keyed in self._macs.values():  # always all keys, so that time does not depend on which
            made |= hmac.compare_digest(_cut(keyed, sid), given)
        return sid if made else None


def _cut(keyed: hmac.HMAC, sid: str) -> str:
    """Return the MAC of a session id in hex, cut to the length of the id."""
    mac = keyed.copy()
    mac.update(bytes.fromhex(sid))
    return mac.hexdigest()[: len(sid)]
