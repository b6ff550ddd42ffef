"""Limits the bytes of request bodies that one process holds at a time."""

from store.errors import Busy

UNCOUNTED_BYTES = 64 * 1024
"""The bytes of each body that are not counted, so that a login never fails for other bodies."""

BODY_BYTES = 64 * 1024 * 1024
"""The limit of a process for long bodies. Pictures have the same, or four of the largest."""


class BodyMemory:
    """Counts the bytes of the long bodies that are held: at most `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class HeldBytes:
    """The bytes that one request holds, until it releases them."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._bytes = 0

    def grow(self, length: int) -> None:
        """Count a body of `length` bytes. Raises Busy when that exceeds the limit."""
        more = max(0, length - UNCOUNTED_BYTES) - self._bytes
        if more <= 0:
            return
        if self._memory.held + more > self._memory.limit:
            raise Busy(1.0)
        self._memory.held += more
        self._bytes += more

    def release(self) -> None:
        """Stop counting the body."""
        self._memory.held -= self._bytes
        self._bytes = 0
