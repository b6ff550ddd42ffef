"""Password hashing: bcrypt over SHA-256, off the event loop.

The format is Django's BCryptSHA256: `bcrypt_sha256$` and bcrypt of the hex SHA-256 of the
password's UTF-8. So bcrypt's limit of 72 bytes and its ban on NUL do not apply to passwords.
Hashes of other applications are verified as well: store/foreign_hashes.py.

Passwords are compared in NFC (RFC 8265, NIST SP 800-63B), because some keyboards send `é` as two
characters. The form that was typed is tried too: older and imported hashes were made of it.
"""

import asyncio
import contextlib
import enum
import secrets
import time
import unicodedata
from collections.abc import AsyncIterator, Sequence
from functools import partial
from weakref import WeakValueDictionary

import bcrypt

from store.client import NOBODY, Client
from store.errors import Busy, Unstorable
from store.fair_queue import FairQueue
from store.foreign_hashes import MIN_ROUNDS, NATIVE, Check, digest, is_native, is_usable, reader_of
from telemetry.observer import UNOBSERVED, Observer

MAX_COMPOSED = 1024
"""Characters of the longest password that is normalized to NFC. A longer one is used as it was
sent: it was not typed, and NFC is quadratic in combining marks (2.4 ms for 1 024, 57 for 4 096)."""

HASH_SHARE = 0.5
"""The part of the longest wait that new hashes may use. The rest is left to logins."""

_CALIBRATION_ROUNDS = 8


class Match(enum.IntEnum):
    """Whether a password matches a hash. NO is false, the others are true."""

    NO = 0
    YES = 1
    OUTDATED = 2
    """It matches, and `Passwords.hash` now makes hashes of another kind or cost."""


class Passwords:
    """Hashes and verifies passwords on `threads` threads at bcrypt cost `rounds`.

    A call that would wait longer than `max_wait` seconds for a thread raises `Busy` at once.
    """

    def __init__(
        self, rounds: int, threads: int, max_wait: float, observer: Observer = UNOBSERVED
    ) -> None:
        self._rounds = rounds
        seconds = 0.23 * 2.0 ** (rounds - 12)
        self._queue = FairQueue(
            "bcrypt", threads, max_wait, seconds, partial(observer.thread_call, "password")
        )
        self._max_wait = max_wait
        self._changing: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._dummies = {cost: _dummy(cost) for cost in range(MIN_ROUNDS, rounds + 1)}
        self._seconds: float | None = None

    async def hash(self, password: str, client: Client = NOBODY) -> str:
        """Return a new hash of a password of any length. Raises Unstorable, Busy."""
        salt = bcrypt.gensalt(self._rounds)
        prepared = digest(_utf8(_composed(password)))
        made = await self._queue.run(
            lambda: bcrypt.hashpw(prepared, salt), client=client, share=HASH_SHARE
        )
        return NATIVE + made.decode()

    async def verify(self, password: str, kept: str | None, client: Client = NOBODY) -> Match:
        """Return whether the password matches the hash `kept`. Raises Unstorable, Busy.

        None, for an account that does not exist, and an unusable hash match no password. Each call
        takes at least one bcrypt of this object's cost, or two if the password is not in NFC,
        whether or not the account exists. It takes longer only if `kept` costs more.
        """
        typed, composed = _utf8(password), _utf8(_composed(password))
        check = self._reader_of(kept)
        if check is None:
            check, native, possible = self._dummies[self._rounds], True, False
        else:
            native, possible = kept is not None and kept.startswith(NATIVE), True
        forms = [composed, typed] if native else [typed, composed]
        forms = list(dict.fromkeys(forms))
        matched = await self._queue.run(lambda: self._first_match(check, forms), client=client)
        if matched is None or not possible or kept is None:
            return Match.NO
        current = is_native(kept, self._rounds) and forms[matched] == composed
        return Match.YES if current else Match.OUTDATED

    @contextlib.asynccontextmanager
    async def one_at_a_time(self, account_id: int) -> AsyncIterator[None]:
        """Serialize the changes of an account's password. Raises Busy after the longest wait.

        The first of several ends the sessions of the others, which then fail before they hash.
        """
        lock = self._changing.setdefault(account_id, asyncio.Lock())
        try:
            async with asyncio.timeout(self._max_wait):
                await lock.acquire()
        except TimeoutError:
            raise Busy(self._max_wait) from None
        try:
            yield
        finally:
            lock.release()

    def close(self) -> None:
        """Drop the calls that have not begun, and wait for those that have."""
        self._queue.close()

    def _reader_of(self, kept: str | None) -> Check | None:
        if kept and is_usable(kept):
            with contextlib.suppress(ValueError):  # imports reject such a hash, but SQL does not
                return reader_of(kept)
        return None

    def _first_match(self, check: Check, forms: list[bytes]) -> int | None:
        """Return the index of the form that matches, or None. Runs on a thread.

        Each check takes at least the time of a dummy.
        """
        for number, form in enumerate(forms):
            clock = time.perf_counter if check.is_parallel else time.thread_time
            begun = clock()
            right = check(form)
            self._make_up(check, clock() - begun, form)
            if right:
                return number
        return None

    def _make_up(self, check: Check, spent: float, form: bytes) -> None:
        """Compute what one bcrypt takes beyond `spent` seconds, so that all checks take as long."""
        if check.rounds == self._rounds:
            self._seconds = spent if self._seconds is None else 0.9 * self._seconds + 0.1 * spent
        if check.rounds is not None:
            costs: Sequence[int] = range(
                check.rounds, self._rounds
            )  # their sum is exactly the difference
        else:
            costs = self._costs_of(1 - spent / self._seconds_of_one())
        for cost in costs:
            self._dummies[cost](form)

    def _costs_of(self, part: float) -> Sequence[int]:
        """Return the costs of bcrypts that together do this part of one at this object's cost."""
        most = self._rounds - MIN_ROUNDS
        units = max(0, round(part * 2**most))
        if units >= 2**most:
            return [self._rounds]
        return [MIN_ROUNDS + bit for bit in range(most) if units >> bit & 1]

    def _seconds_of_one(self) -> float:
        """Return the CPU time of one bcrypt at this object's cost."""
        if self._seconds is None:
            cost = min(_CALIBRATION_ROUNDS, self._rounds)
            begun = time.thread_time()
            self._dummies[cost](b"")
            self._seconds = (time.thread_time() - begun) * 2 ** (self._rounds - cost)
        return self._seconds


def _dummy(rounds: int) -> Check:
    """Return the check of a hash that no password matches."""
    salt = bcrypt.gensalt(rounds).decode()
    return reader_of(NATIVE + salt + secrets.token_hex(16)[:31])


def _composed(password: str) -> str:
    """Return a password in NFC, or unchanged if it is longer than MAX_COMPOSED."""
    if password.isascii() or len(password) > MAX_COMPOSED:
        return password
    return unicodedata.normalize("NFC", password)


def _utf8(password: str) -> bytes:
    try:
        return password.encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        raise Unstorable("password") from None
