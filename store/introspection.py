"""Introspection: what another service may know of a token, the end of its session included.

The end is a lookup that only this needs: requests that authenticate do not make it.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from store.authentication import Caller
from store.batching import BatchLoader
from store.errors import BadToken
from store.redis.client import Redis
from store.session_record import record_key


class ActiveToken(NamedTuple):
    """The caller that a token authenticates, and the end of its session in seconds since 1970."""

    caller: Caller
    ends: float


class Introspection:
    """Introspects tokens. `introspect` raises Unavailable."""

    def __init__(self, authenticate: Callable[[str], Awaitable[Caller]], redis: Redis) -> None:
        """Look up the ends of sessions in `redis`; `close` cancels what is in flight."""
        self._authenticate = authenticate
        self._redis = redis
        self._ends: BatchLoader[str, float] = BatchLoader(self._read_ends, redis.timeout)

    def close(self) -> None:
        """Cancel the look-ups of the ends of sessions."""
        self._ends.close()

    async def introspect(self, token: str) -> ActiveToken | None:
        """Return what a token authenticates, None if it authenticates nothing.

        A refresh token authenticates nothing. This counts as a use of the session, which is
        extended as by any other request; the end is the one before that.
        """
        try:
            caller = await self._authenticate(token)
        except BadToken:
            return None
        ends = await self._ends.get(caller.session.sid)
        return None if ends is None else ActiveToken(caller, ends)

    async def _read_ends(self, sids: Sequence[str], deadline: float) -> dict[str, float]:
        """Return by session id when its record expires; one that has expired is left out."""
        pipeline = self._redis.client.pipeline(transaction=False)
        for sid in sids:
            pipeline.pttl(record_key(sid))
        left = await self._redis.execute_pipeline(pipeline, deadline)
        now = time.time()
        return {sid: now + ms / 1000 for sid, ms in zip(sids, left, strict=True) if ms > 0}
