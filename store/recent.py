"""A bounded memory of what was found out about a key and cannot change."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Remembers the values that were added last: at least `size`, at most twice as many.

    When `size` were added, those of the time before are forgotten at once, which costs less than
    to keep all in order.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lately: dict[K, V] = {}
        self._before: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._lately) + len(self._before)

    def get(self, key: K) -> V | None:
        """Return the value of a key, None if it is not remembered."""
        value = self._lately.get(key)
        return self._before.get(key) if value is None else value

    def add(self, key: K, value: V) -> None:
        """Remember the value of a key."""
        if len(self._lately) >= self._size:
            self._before, self._lately = self._lately, {}
        self._lately[key] = value

    def forget(self, key: K) -> None:
        """Forget a key."""
        self._lately.pop(key, None)
        self._before.pop(key, None)
