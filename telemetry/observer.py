"""The observer: how the code reports what it does, to metrics and to traces.

The code calls an observer at the place where something happens. The default,
UNOBSERVED, does nothing. What every read passes is reported once per batch, not per request.
"""

import contextlib
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

Context = AbstractContextManager[Any]
"""Surrounds what is observed, and sees the exception that ends it, if one does."""

NO_CONTEXT: Context = contextlib.nullcontext()


class Call:
    """Observes one call on a thread. Both methods are called on that thread."""

    def started(self) -> None:
        """Report that the call has a thread."""

    def finished(self) -> None:
        """Report that the thread has done its work."""


class Threads:
    """Observes the calls of one thread pool. This one does nothing."""

    def call(self) -> AbstractContextManager[Call]:
        """Surround one call, the wait for its thread included."""
        return _NO_CALL


class Lookups:
    """Observes the batches of one batch loader. This one does nothing.

    `asked` is called for each key, unless it is None; metrics do without it.
    """

    asked: Callable[[Any], None] | None = None

    def batch(self, keys: Collection[Hashable]) -> Context:
        """Surround the lookup of a batch. No key is added between its making and this call."""
        return NO_CONTEXT


_NO_CALL: AbstractContextManager[Call] = contextlib.nullcontext(Call())
NO_THREADS = Threads()
NO_LOOKUPS = Lookups()


class Observer(Protocol):
    """What the stores report. Each method does nothing unless a subclass overrides it."""

    def login(self, dialect: str) -> Context:
        """Surround a login."""
        return NO_CONTEXT

    def registration(self) -> Context:
        """Surround a registration."""
        return NO_CONTEXT

    def session_opened(self, dialect: str, kind: str) -> None:
        """Report a new session that is registered in its account's set."""
        return None

    def session_closed(self, dialect: str, kind: str) -> None:
        """Report a session that was removed from its account's set."""
        return None

    def statement(self, sql: str) -> Context:
        """Surround a statement of PostgreSQL, the wait for a connection included."""
        return NO_CONTEXT

    def redis_call(self) -> Context:
        """Surround a call of Redis, the wait for a connection included."""
        return NO_CONTEXT

    def redis_lookup(self, command: str, size: int) -> Context:
        """Surround the reading of this many keys: a call and a command in one, for every read."""
        return NO_CONTEXT

    def redis_command(self, name: str, size: int = 0) -> Context:
        """Surround a command, or a pipeline or multi-key command of this size."""
        return NO_CONTEXT

    def lookups(self, name: str) -> Lookups:
        """Return what observes the lookups of a "session" or a "login"."""
        return NO_LOOKUPS

    def threads(self, work: str) -> Threads:
        """Return what observes the threads for a "password" or a "picture"."""
        return NO_THREADS


class _Unobserved(Observer):
    """Observes nothing."""


UNOBSERVED: Observer = _Unobserved()


def both(first: Observer, second: Observer) -> Observer:
    """Return an observer that reports to two. The contexts of the first surround the second's."""
    return _Both(first, second)


class _Both(Observer):
    def __init__(self, first: Observer, second: Observer) -> None:
        self._first, self._second = first, second

    def login(self, dialect: str) -> Context:
        return _nested(self._first.login(dialect), self._second.login(dialect))

    def registration(self) -> Context:
        return _nested(self._first.registration(), self._second.registration())

    def session_opened(self, dialect: str, kind: str) -> None:
        self._first.session_opened(dialect, kind)
        self._second.session_opened(dialect, kind)

    def session_closed(self, dialect: str, kind: str) -> None:
        self._first.session_closed(dialect, kind)
        self._second.session_closed(dialect, kind)

    def statement(self, sql: str) -> Context:
        return _nested(self._first.statement(sql), self._second.statement(sql))

    def redis_call(self) -> Context:
        return _nested(self._first.redis_call(), self._second.redis_call())

    def redis_lookup(self, command: str, size: int) -> Context:
        return _nested(
            self._first.redis_lookup(command, size), self._second.redis_lookup(command, size)
        )

    def redis_command(self, name: str, size: int = 0) -> Context:
        first, second = self._first, self._second
        return _nested(first.redis_command(name, size), second.redis_command(name, size))

    def lookups(self, name: str) -> Lookups:
        return _BothLookups(self._first.lookups(name), self._second.lookups(name))

    def threads(self, work: str) -> Threads:
        return _BothThreads(self._first.threads(work), self._second.threads(work))


class _BothLookups(Lookups):
    def __init__(self, first: Lookups, second: Lookups) -> None:
        self._first, self._second = first, second
        self.asked = first.asked or second.asked  # traces alone have one

    def batch(self, keys: Collection[Hashable]) -> Context:
        return _nested(self._first.batch(keys), self._second.batch(keys))


class _BothThreads(Threads):
    def __init__(self, first: Threads, second: Threads) -> None:
        self._first, self._second = first, second

    @contextlib.contextmanager
    def call(self) -> Iterator[Call]:
        with self._first.call() as first, self._second.call() as second:
            yield _BothCalls(first, second)


class _BothCalls(Call):
    def __init__(self, first: Call, second: Call) -> None:
        self._first, self._second = first, second

    def started(self) -> None:
        self._first.started()
        self._second.started()

    def finished(self) -> None:
        self._second.finished()
        self._first.finished()


def _nested(first: Context, second: Context) -> Context:
    if second is NO_CONTEXT:
        return first
    return second if first is NO_CONTEXT else _surround(first, second)


@contextlib.contextmanager
def _surround(first: Context, second: Context) -> Iterator[None]:
    with first, second:
        yield


def error_type(error: BaseException) -> str:
    """Return the stable code of one of our errors, the class name of any other."""
    code = getattr(error, "code", None)
    return code if isinstance(code, str) else type(error).__name__
