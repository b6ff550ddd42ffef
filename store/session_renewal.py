"""Extends sessions by use: rarely, in batches, and after the response.

The rules are in docs/session-protocol.md#extend.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from store import imported_tokens
from store.errors import Unavailable
from store.redis.client import Redis
from store.session_record import Session, record_key, set_key
from store.session_scripts import EXTEND

_log = logging.getLogger("latchkey.sessions")

DELAY = 0.05
"""Seconds for which uses are gathered before they are written."""
BY_USE = frozenset({"token", "device", imported_tokens.KIND})
"""Kinds that are extended by use. The others are extended when they are issued again."""
BATCH = 256
MEMORY = 100_000
"""At most twice this many sessions are remembered as extended."""


class SessionRenewer:
    """Gathers the sessions that were used, and extends them in batches."""

    def __init__(self, redis: Redis, lifetimes: Mapping[str, int], set_lifetime: int) -> None:
        """Extend in `redis`. Lifetimes are in seconds: of sessions by kind, and of sets."""
        self._redis = redis
        self._lifetimes = lifetimes
        self._set_lifetime = set_lifetime
        self._pending: list[Session] = []
        self._lately: set[str] = set()
        self._before: set[str] = set()
        self._turn = 0.0
        self._task: asyncio.Task[None] | None = None

    def renew(self, session: Session) -> None:
        """Extend a session that was used, soon and in the background.

        At most once in about a hundredth of its lifetime, and only for kinds in BY_USE.
        """
        if session.kind in BY_USE:
            lifetime = self._lifetimes[session.kind]
            if time.time() - session.opened > lifetime / 100:
                self._add(session, lifetime / 100)

    def _add(self, session: Session, quiet: float) -> None:
        """Extend a session soon, unless this process did so within about `quiet` seconds."""
        now = time.monotonic()
        if now > self._turn or len(self._lately) >= MEMORY:
            self._before, self._lately = self._lately, set()
            self._turn = now + quiet / 2
        if session.sid in self._lately or session.sid in self._before:
            return
        self._lately.add(session.sid)
        self._pending.append(session)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write_soon())

    async def close(self) -> None:
        """Wait until all gathered sessions are written."""
        if self._task:
            await self._task

    async def _write_soon(self) -> None:
        try:
            await asyncio.sleep(DELAY)
            while self._pending:
                batch, self._pending = self._pending[:BATCH], self._pending[BATCH:]
                await self._extend(batch)
        except Unavailable as error:
            count = len(batch) + len(self._pending)
            _log.warning("%d sessions were not renewed: %s", count, error)
            self._pending.clear()
        finally:
            self._task = None

    async def _extend(self, sessions: Sequence[Session]) -> None:
        """Extend the sessions' names, then their records."""
        names = self._redis.client.pipeline(transaction=False)
        records = self._redis.client.pipeline(transaction=False)
        for session in sessions:
            lifetime = self._lifetimes[session.kind]
            ends = time.time() + lifetime
            key = set_key(session.account_id)
            names.eval(EXTEND, 1, key, session.name, ends, self._set_lifetime)
            records.expire(record_key(session.sid), lifetime)
        await self._redis.execute_pipeline(names)
        await self._redis.execute_pipeline(records)
