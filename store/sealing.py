"""Encryption of secrets in the database: AES-256-GCM under a key derived from a secret key.

    sealed = id of the secret key (4 bytes) ‖ nonce (12 bytes) ‖ ciphertext and tag

What a value belongs to is authenticated with it, so it cannot be moved to another row. The first
secret key seals, all open: a value under an older key stays readable while that key is listed.
"""

import hashlib
import hmac
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_CONTEXT = b"latchkey: secrets of second factors"
_ID, _NONCE = 4, 12


class Sealing:
    """Seals and opens values under a list of secret keys."""

    def __init__(self, secret_keys: Sequence[bytes]) -> None:
        self._ciphers = {
            hashlib.sha256(key).digest()[:_ID]: AESGCM(hmac.digest(key, _CONTEXT, "sha256"))
            for key in secret_keys
        }
        self._own = next(iter(self._ciphers))

    def seal(self, value: bytes, owner: str) -> bytes:
        """Return a value encrypted for its owner, such as `totp 7`."""
        nonce = os.urandom(_NONCE)
        cipher = self._ciphers[self._own]
        return self._own + nonce + cipher.encrypt(nonce, value, owner.encode())

    def open(self, sealed: bytes, owner: str) -> bytes | None:
        """Return the value, None if its key is not listed, or it was sealed for another owner."""
        cipher = self._ciphers.get(sealed[:_ID])
        if cipher is None:
            return None
        nonce = sealed[_ID : _ID + _NONCE]
        try:
            return cipher.decrypt(nonce, sealed[_ID + _NONCE :], owner.encode())
        except InvalidTag:
            return None

    def is_old(self, sealed: bytes) -> bool:
        """Return whether a value is sealed under another key than the first."""
        return sealed[:_ID] != self._own
