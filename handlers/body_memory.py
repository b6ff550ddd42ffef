"""How many bytes of bodies one process holds at a time, over all its connections."""

from store.errors import Busy

FREE = 64 * 1024
"""Bytes of each body that are not counted: logins and the like are never refused for others."""

BODY_BYTES = 64 * 1024 * 1024
"""What a process holds of long bodies, and as much again of pictures, or four of the largest."""


class BodyMemory:
    """Counts the bytes of the long bodies that are held; `most` at a time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0


class HeldBytes:
    """What one request holds of a memory, until it is released."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._bytes = 0

    def grow(self, length: int) -> None:
        """Hold a body of this length. Raises Busy when there is no room for it."""
        more = max(0, length - FREE) - self._bytes
        if more <= 0:
            return
        if self._memory.held + more > self._memory.most:
            raise Busy(1.0)
        self._memory.held += more
        self._bytes += more

    def release(self) -> None:
        """Give the bytes back."""
        self._memory.held -= self._bytes
        self._bytes = 0
