"""Password hashing: bcrypt over SHA-256, off the event loop.

The format is Django's BCryptSHA256: `bcrypt_sha256$` and bcrypt of the hex SHA-256 of the
password's UTF-8, so that neither bcrypt's 72-byte limit nor its refusal of NUL ever shows.
What other applications made is verified as well: store/hashes.py.
"""

import contextlib
import secrets

import bcrypt

from store.errors import Unstorable
from store.hashes import NATIVE, Check, digest, is_native, is_usable, reader_of
from store.workers import Workers


class Passwords:
    """Hashes and verifies passwords on `threads` threads at bcrypt cost `rounds`.

    A call that would wait longer than `patience` seconds for a thread raises `Busy` at once.
    """

    def __init__(self, rounds: int, threads: int, patience: float) -> None:
        self._rounds = rounds
        self._workers = Workers("bcrypt", threads, patience, 0.23 * 2.0 ** (rounds - 12))
        salt = bcrypt.gensalt(rounds).decode()
        self._nobodys = reader_of(NATIVE + salt + secrets.token_hex(16)[:31])

    async def hash(self, password: str) -> str:
        """Return the hash to keep of a password of any length. Raises Unstorable, Busy."""
        salt = bcrypt.gensalt(self._rounds)
        made = await self._workers.run(bcrypt.hashpw, digest(_utf8(password)), salt)
        return NATIVE + made.decode()

    async def verify(self, password: str, kept: str | None) -> bool:
        """Tell whether the password is the one that `kept` was made of. Raises Unstorable, Busy.

        None, for an account that is not there, costs the same one bcrypt and is never right; so
        does a hash that no password can have.
        """
        check = self._reader_of(kept)
        right = await self._workers.run(check or self._nobodys, _utf8(password))
        return right and check is not None

    def _reader_of(self, kept: str | None) -> Check | None:
        if kept and is_usable(kept):
            with contextlib.suppress(ValueError):  # no import lets one in, but SQL may
                return reader_of(kept)
        return None

    def is_outdated(self, kept: str) -> bool:
        """Tell whether `hash` would make another kind of hash now, or one of another cost."""
        return not is_native(kept, self._rounds)

    def close(self) -> None:
        """Stop the threads; what has not begun is dropped."""
        self._workers.close()


def _utf8(password: str) -> bytes:
    try:
        return password.encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        raise Unstorable("password") from None
