"""The observer: how the code reports what it does, to metrics and to traces.

The code calls an observer at the place where something happens. UNOBSERVED, the default, does
nothing. What happens in every read is reported once per batch, not per request.
"""

import contextlib
from collections.abc import Callable, Collection, Hashable
from contextlib import AbstractContextManager
from typing import Any

Context = AbstractContextManager[Any]
"""Surrounds what is observed, and sees the exception that ends it, if one does."""

NO_CONTEXT: Context = contextlib.nullcontext()


class Call:
    """Observes one call on a thread. Both methods are called on that thread."""

    def started(self) -> None:
        """Report that the call has a thread."""

    def finished(self) -> None:
        """Report that the thread has done its work."""


ObservedCall = AbstractContextManager[Call]

_NO_CALL: ObservedCall = contextlib.nullcontext(Call())


class Observer:
    """Passes what the stores report to the next observer. Without one, each method does nothing.

    A subclass overrides what it observes, and calls the overridden method if others follow it.
    """

    def __init__(self, following: "Observer | None" = None) -> None:
        self._next = following

    def login(self, dialect: str) -> Context:
        """Surround a login."""
        return self._next.login(dialect) if self._next else NO_CONTEXT

    def registration(self) -> Context:
        """Surround a registration."""
        return self._next.registration() if self._next else NO_CONTEXT

    def breach_check_failed(self) -> None:
        """Report that the API of breached passwords failed, so a password was not checked."""
        if self._next:
            self._next.breach_check_failed()

    def session_opened(self, dialect: str, kind: str) -> None:
        """Report a new session that is registered in its account's set."""
        if self._next:
            self._next.session_opened(dialect, kind)

    def session_closed(self, dialect: str, kind: str) -> None:
        """Report a session that was removed from its account's set."""
        if self._next:
            self._next.session_closed(dialect, kind)

    def statement(self, sql: str) -> Context:
        """Surround a statement of PostgreSQL, the wait for a connection included."""
        return self._next.statement(sql) if self._next else NO_CONTEXT

    def redis_call(self) -> Context:
        """Surround a call of Redis, the wait for a connection included."""
        return self._next.redis_call() if self._next else NO_CONTEXT

    def redis_lookup(self, command: str, size: int) -> Context:
        """Surround the reading of `size` keys: call and command in one, for every read."""
        return self._next.redis_lookup(command, size) if self._next else NO_CONTEXT

    def redis_command(self, name: str, size: int = 0) -> Context:
        """Surround a command, or a pipeline or multi-key command of `size`."""
        return self._next.redis_command(name, size) if self._next else NO_CONTEXT

    def lookup_requests(self, lookup: str) -> Callable[[Any], None] | None:
        """Return what is called with each key that a request looks up; None to call nothing."""
        return self._next.lookup_requests(lookup) if self._next else None

    def lookup_batch(self, lookup: str, keys: Collection[Hashable]) -> Context:
        """Surround the lookup of a batch of keys; `lookup` is "session", "login" or "details".

        No key is added between the making of the batch and this call.
        """
        return self._next.lookup_batch(lookup, keys) if self._next else NO_CONTEXT

    def thread_call(self, work: str = "") -> ObservedCall:
        """Surround a call on a thread, the wait for the thread included.

        `work` is "password" or "picture".
        """
        return self._next.thread_call(work) if self._next else _NO_CALL


UNOBSERVED = Observer()


def error_type(error: BaseException) -> str:
    """Return the stable code of one of our errors, the class name of any other."""
    code = getattr(error, "code", None)
    return code if isinstance(code, str) else type(error).__name__
