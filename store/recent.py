"""A bounded memory of facts that cannot change."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Remembers the values that were added last: at least `size`, at most twice as many.

    There are two generations of `size` entries. When the newer one is full, the older one is
    dropped, which costs less than an LRU. A lookup does not make an entry newer. No value is None.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._newer: dict[K, V] = {}
        self._older: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)

    def get(self, key: K) -> V | None:
        """Return the value of a key, None if it is not remembered."""
        value = self._newer.get(key)
        return self._older.get(key) if value is None else value

    def add(self, key: K, value: V) -> None:
        """Remember the value of a key."""
        if len(self._newer) >= self._size:
            self._older, self._newer = self._newer, {}
        self._newer[key] = value

    def forget(self, key: K) -> None:
        """Forget a key."""
        self._newer.pop(key, None)
        self._older.pop(key, None)
