"""Password hashes that other applications made, and the cost of verifying each.

Django's `pbkdf2_sha256$ pbkdf2_sha1$ scrypt$ argon2$ bcrypt$ bcrypt_sha256$` and unusable `!`,
werkzeug's `pbkdf2:` and `scrypt:`, and bare bcrypt. This module parses the formats; OpenSSL,
argon2-cffi and bcrypt compute the hashes, and release the interpreter lock while they do.

Formats: django/contrib/auth/hashers.py and werkzeug/security.py, as of Django 5.2, Werkzeug 3.1.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

import bcrypt

NATIVE = "bcrypt_sha256$"
"""The prefix of the hashes that this server makes: Django's BCryptSHA256."""

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1[0-8])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
"""The last character of the salt has two bits of it; bcrypt raises an error for others."""
_BCRYPT_BYTES = 72
"""Bcrypt reads no further. Older libraries truncated there; bcrypt 5 raises instead."""
_MOST_ITERATIONS = 20_000_000
_MOST_MEMORY = 2**30
_MOST_PASSES = 8
"""Of argon2 through that much memory; more of them through less."""
_MOST_LANES = 64
"""With more, a login would take many seconds or all of the memory. No application uses such."""
_DIGESTS = ("sha1", "sha256", "sha512")

MIN_ROUNDS = 4
"""The lowest cost that bcrypt supports."""


@dataclass(frozen=True, slots=True)
class Check:
    """Verifies passwords, in UTF-8, against one hash.

    `rounds` is the cost of the one bcrypt that this computes, None if it computes something else.
    `is_parallel` says that the library runs threads.
    """

    verify: Callable[[bytes], bool]
    rounds: int | None = None
    is_parallel: bool = False

    def __call__(self, password: bytes) -> bool:
        """Return whether the password matches the hash."""
        return self.verify(password)


def is_native(hash: str, rounds: int) -> bool:
    """Return whether a hash is in the format and of the bcrypt cost of new ones."""
    return hash.startswith(f"{NATIVE}$2b${rounds:02}$")


UNUSABLE = "!"
"""A hash that no password matches, as Django writes it."""


def is_usable(hash: str) -> bool:
    """Return whether any password could match a hash. Django's `!` means that none does."""
    return not hash.startswith("!")


def reader_of(hash: str) -> Check:
    """Return the check of a hash. A call of it uses a core for some tenths of a second.

    Raises ValueError, whose text contains no part of the hash, when the format is not known.
    """
    if not is_usable(hash):
        return Check(lambda password: False)
    name = re.match(r"[a-z0-9_]*[$:]|", hash)
    read = _READERS.get(name[0] if name else "")
    if read is None:
        raise ValueError("its format is not known")
    try:
        return read(hash)
    except ValueError:
        raise ValueError("it is damaged, or asks for too much work") from None


def digest(password: bytes) -> bytes:
    """Return the input of bcrypt for a password: below 72 bytes, and without NUL."""
    return hashlib.sha256(password).hexdigest().encode()


def _bcrypt_sha256(hash: str) -> Check:
    kept = _bcrypt_part(hash.removeprefix(NATIVE))
    return Check(lambda password: bcrypt.checkpw(digest(password), kept), _rounds(kept))


def _django_bcrypt(hash: str) -> Check:
    return _bcrypt(hash.removeprefix("bcrypt$"))


def _bcrypt(hash: str) -> Check:
    kept = _bcrypt_part(hash)

    def check(password: bytes) -> bool:
        # C libraries end a password at a NUL, so no password with one can be right. It is hashed
        # all the same: an immediate failure would disclose that the account exists.
        before, nul, _ = password.partition(b"\0")
        return bcrypt.checkpw(before[:_BCRYPT_BYTES], kept) and not nul

    return Check(check, _rounds(kept))


def _bcrypt_part(text: str) -> bytes:
    if not _BCRYPT.fullmatch(text):
        raise ValueError
    return text.encode()


def _rounds(kept: bytes) -> int:
    return int(kept.split(b"$")[2])


def _django_argon2(hash: str) -> Check:
    import argon2  # noqa: PLC0415  # 1 MB, and most servers have no such hash

    kept = hash.removeprefix("argon2")
    cost = argon2.extract_parameters(kept)
    # Argon2 uses no less memory than 8 KiB for each lane, and passes over all of it each time.
    memory = max(cost.memory_cost, 8 * cost.parallelism) * 1024
    if min(cost.memory_cost, cost.time_cost, cost.parallelism) < 1 or not kept.isascii():
        raise ValueError
    if memory > _MOST_MEMORY or memory * cost.time_cost > _MOST_PASSES * _MOST_MEMORY:
        raise ValueError
    if cost.parallelism > _MOST_LANES:
        raise ValueError
    hasher = argon2.PasswordHasher()

    def check(password: bytes) -> bool:
        try:
            return hasher.verify(kept, password)
        except argon2.exceptions.VerificationError:
            return False

    return Check(check, is_parallel=True)


def _django_pbkdf2(hash: str) -> Check:
    method, iterations, salt, kept = hash.split("$")
    name = method.removeprefix("pbkdf2_")
    return _pbkdf2(name, int(iterations), salt, base64.b64decode(kept, validate=True))


def _werkzeug_pbkdf2(hash: str) -> Check:
    method, salt, kept = hash.split("$")
    _, name, iterations = method.split(":")
    return _pbkdf2(name, int(iterations), salt, bytes.fromhex(kept))


def _pbkdf2(name: str, iterations: int, salt: str, kept: bytes) -> Check:
    if name not in _DIGESTS or not 0 < iterations <= _MOST_ITERATIONS:
        raise ValueError
    if len(kept) != hashlib.new(name).digest_size:
        raise ValueError

    def check(password: bytes) -> bool:
        made = hashlib.pbkdf2_hmac(name, password, salt.encode(), iterations)
        return hmac.compare_digest(made, kept)

    return Check(check)


def _django_scrypt(hash: str) -> Check:
    _, n, salt, r, p, kept = hash.split("$")
    return _scrypt(int(n), int(r), int(p), salt, base64.b64decode(kept, validate=True))


def _werkzeug_scrypt(hash: str) -> Check:
    method, salt, kept = hash.split("$")
    _, n, r, p = method.split(":")
    return _scrypt(int(n), int(r), int(p), salt, bytes.fromhex(kept))


def _scrypt(n: int, r: int, p: int, salt: str, kept: bytes) -> Check:
    memory = 128 * r * (n + p + 2)  # what OpenSSL counts
    if min(n - 1, r, p) < 1 or n & (n - 1) or n >= 1 << 16 * min(r, 4) or len(kept) != 64:
        raise ValueError  # RFC 7914, 2; of other values of n, OpenSSL makes an error
    if max(memory, 128 * n * r * p) > _MOST_MEMORY:
        raise ValueError

    def check(password: bytes) -> bool:
        made = hashlib.scrypt(password, salt=salt.encode(), n=n, r=r, p=p, maxmem=memory)
        return hmac.compare_digest(made, kept)

    return Check(check)


_READERS: dict[str, Callable[[str], Check]] = {
    NATIVE: _bcrypt_sha256,
    "bcrypt$": _django_bcrypt,
    "argon2$": _django_argon2,
    "pbkdf2_sha256$": _django_pbkdf2,
    "pbkdf2_sha1$": _django_pbkdf2,
    "scrypt$": _django_scrypt,
    "pbkdf2:": _werkzeug_pbkdf2,
    "scrypt:": _werkzeug_scrypt,
    "$": _bcrypt,
}
"""The parsers of hashes, by prefix."""
