"""Fresh sessions: opened, or confirmed by a password or a code, within the last ten minutes.

fresh:<sid>            string "1": the session was confirmed. It expires when that is too long ago.

Only the sessions of latchkey count as fresh when they were opened. Most other sessions are returned
by later logins, and some mounts ask for no second factor.
"""

import time

from store.redis.client import Redis
from store.session_record import Session

SECONDS = 600
_KIND = "device"


class FreshSessions:
    """Tells which sessions are fresh. Every method raises Unavailable."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def confirm(self, session: Session) -> None:
        """Have a session count as fresh from now on."""
        await self._redis.execute(self._redis.client.set(_key(session), "1", ex=SECONDS))

    async def is_fresh(self, session: Session) -> bool:
        """Return whether a session is fresh."""
        if session.kind == _KIND and time.time() - session.opened < SECONDS:
            return True
        return bool(await self._redis.execute(self._redis.client.exists(_key(session))))


def _key(session: Session) -> str:
    return f"fresh:{session.sid}"
