"""Password hashing: bcrypt over SHA-256, off the event loop.

The format is Django's BCryptSHA256: `bcrypt_sha256$` and bcrypt of the hex SHA-256 of the
password's UTF-8, so that neither bcrypt's 72-byte limit nor its refusal of NUL ever shows.
"""

import hashlib
import secrets

import bcrypt

from store.errors import Unstorable
from store.workers import Workers

PREFIX = "bcrypt_sha256$"


class Passwords:
    """Hashes and verifies passwords on `threads` threads at bcrypt cost `rounds`.

    A call that would wait longer than `patience` seconds for a thread raises `Busy` at once.
    """

    def __init__(self, rounds: int, threads: int, patience: float) -> None:
        self._rounds = rounds
        self._workers = Workers("bcrypt", threads, patience, 0.23 * 2.0 ** (rounds - 12))
        self._nobodys_hash = PREFIX + bcrypt.gensalt(rounds).decode() + secrets.token_hex(16)[:31]

    async def hash(self, password: str) -> str:
        """Return the hash to keep of a password of any length. Raises Unstorable, Busy."""
        salt = bcrypt.gensalt(self._rounds)
        return PREFIX + (await self._workers.run(bcrypt.hashpw, _digest(password), salt)).decode()

    async def verify(self, password: str, kept: str | None) -> bool:
        """Tell whether the password is the one that `kept` was made of. Raises Unstorable, Busy.

        None, for an account that is not there, costs the same one bcrypt and is never right.
        """
        hashed = (kept or self._nobodys_hash).removeprefix(PREFIX).encode()
        right = await self._workers.run(bcrypt.checkpw, _digest(password), hashed)
        return right and kept is not None

    def close(self) -> None:
        """Stop the threads; what has not begun is dropped."""
        self._workers.close()


def _digest(password: str) -> bytes:
    try:
        return hashlib.sha256(password.encode()).hexdigest().encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        raise Unstorable("password") from None
