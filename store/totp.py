"""Secrets of authenticator apps: sealed for the database, and the codes that belong to them.

Codes are those of RFC 6238 with the defaults of every app: six digits, SHA-1, steps of 30 seconds.
One step of clock skew is allowed in both directions.
"""

import base64
import hmac
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from store.errors import Unavailable, WrongCode

if TYPE_CHECKING:
    from store.sealing import Sealing

SECRET_BYTES = 20
STEP = 30
"""Seconds for which a code is shown."""
SKEW = 1
"""Steps that the clock of a device may be wrong, in both directions."""


class TotpSecrets:
    """Seals secrets under a list of secret keys, and finds the steps of codes."""

    def __init__(self, secret_keys: Sequence[bytes]) -> None:
        """Load the libraries only when a secret is used: most processes never have one."""
        self._secret_keys = secret_keys
        self._loaded: Sealing | None = None

    def seal(self, account_id: int, secret: bytes) -> bytes:
        """Return an account's secret as the database has it."""
        return self._sealing.seal(secret, _owner(account_id))

    def seal_again(self, account_id: int, sealed: bytes) -> bytes:
        """Return the same secret sealed under the first secret key."""
        if not self._sealing.is_old(sealed):
            return sealed
        return self.seal(account_id, self._open(account_id, sealed))

    def step_of(self, account_id: int, sealed: bytes, code: str) -> int:
        """Return the step whose code this is, six digits. Raises WrongCode, Unavailable."""
        from pyotp import TOTP  # noqa: PLC0415

        maker, now, found = TOTP(in_base32(self._open(account_id, sealed))), current_step(), 0
        for step in range(now - SKEW, now + SKEW + 1):
            if hmac.compare_digest(maker.generate_otp(step).encode(), code.encode()):
                found = step
        if not found:
            raise WrongCode
        return found

    def open(self, account_id: int, sealed: bytes) -> bytes | None:
        """Return an account's secret, None if its key is not listed."""
        return self._sealing.open(sealed, _owner(account_id))

    def _open(self, account_id: int, sealed: bytes) -> bytes:
        secret = self.open(account_id, sealed)
        if secret is None:
            raise Unavailable("secret keys", "the key of a second factor is not in SECRET_KEYS")
        return secret

    @property
    def _sealing(self) -> "Sealing":
        if self._loaded is None:
            from store.sealing import Sealing  # noqa: PLC0415

            self._loaded = Sealing(self._secret_keys)
        return self._loaded


def current_step() -> int:
    """Return the number of the present step (RFC 6238, 4.2)."""
    return int(time.time()) // STEP


def in_base32(secret: bytes) -> str:
    """Return a secret as authenticator apps take it."""
    return base64.b32encode(secret).decode()


def _owner(account_id: int) -> str:
    return f"totp {account_id}"
