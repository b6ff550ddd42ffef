"""Password hashing: bcrypt over SHA-256, off the event loop, in a pool that knows when it is full.

The format is Django's BCryptSHA256: `bcrypt_sha256$` and bcrypt of the hex SHA-256 of the
password's UTF-8, so that neither bcrypt's 72-byte limit nor its refusal of NUL ever shows.
"""

import asyncio
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import bcrypt

from store.errors import Busy, Unstorable

T = TypeVar("T")

PREFIX = "bcrypt_sha256$"
_NICE = 10
"""Below the event loop: reads kept 71 % of their throughput beside a full pool, 59 % without."""
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Count the cores this process may use: its affinity, bounded by its cgroup's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        return max(1, min(cores or 1, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2 here, or its quota is "max"
        return cores or 1


class Passwords:
    """Hashes and verifies passwords on `threads` threads at bcrypt cost `rounds`.

    A call that would wait longer than `patience` seconds for a thread raises `Busy` at once.
    """

    def __init__(self, rounds: int, threads: int, patience: float) -> None:
        self._rounds = rounds
        self._threads = threads
        self._patience = patience
        self._pool = ThreadPoolExecutor(threads, "bcrypt", initializer=_lower_priority)
        self._pending = 0
        self._seconds = 0.23 * 2.0 ** (rounds - 12)  # one hash; measured from the first one on
        self._nobodys_hash = PREFIX + bcrypt.gensalt(rounds).decode() + secrets.token_hex(16)[:31]

    async def hash(self, password: str) -> str:
        """Return the hash to keep of a password of any length."""
        digest = _digest(password)
        salt = bcrypt.gensalt(self._rounds)
        return PREFIX + (await self._run(bcrypt.hashpw, digest, salt)).decode()

    async def verify(self, password: str, kept: str | None) -> bool:
        """Tell whether the password is the one that `kept` was made of.

        None, for an account that is not there, costs the same one bcrypt and is never right.
        """
        hashed = (kept or self._nobodys_hash).removeprefix(PREFIX).encode()
        right = await self._run(bcrypt.checkpw, _digest(password), hashed)
        return right and kept is not None

    def close(self) -> None:
        """Stop the threads; what has not begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[bytes, bytes], T], password: bytes, salt: bytes) -> T:
        wait = self._pending // self._threads * self._seconds
        if wait > self._patience:
            raise Busy(wait)
        self._pending += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._timed, work, password, salt)
        finally:
            self._pending -= 1

    def _timed(self, work: Callable[[bytes, bytes], T], password: bytes, salt: bytes) -> T:
        begun = time.perf_counter()
        try:
            return work(password, salt)
        finally:
            self._seconds += 0.1 * (time.perf_counter() - begun - self._seconds)


def _digest(password: str) -> bytes:
    try:
        return hashlib.sha256(password.encode()).hexdigest().encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        raise Unstorable("password") from None


def _lower_priority() -> None:
    # On Linux a thread has a nice value of its own; elsewhere this would slow the whole process.
    if os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
