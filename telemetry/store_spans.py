"""The observer that makes spans, for TRACING=on. Only telemetry/tracing.py imports this.

The spans of what a request does stand below the request's span. A request that is not recorded has
none. No span has a parameter, a key, a value or an error's message: PostgreSQL's messages quote
names.
"""

import contextlib
import re
import time
from collections.abc import Collection, Hashable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer

from telemetry.observer import (
    NO_CONTEXT,
    Call,
    Context,
    Lookups,
    Observer,
    Threads,
    error_type,
)

_TABLE = re.compile(r"\b(?:from|into|update) (\w+)")
_LOOKUPS = {"session": "look up sessions", "login": "look up credentials"}
_THREADS = {"password": "bcrypt", "picture": "picture"}


class StoreSpans(Observer):
    """Makes a span of each statement, command, batch of lookups and call on a thread."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def statement(self, sql: str) -> Context:
        """Make the span of a statement."""
        return self._client_span(*_described(sql)) if _is_recorded() else NO_CONTEXT

    def redis_command(self, name: str, size: int = 0) -> Context:
        """Make the span of a command, a pipeline or a multi-key command."""
        if not _is_recorded():
            return NO_CONTEXT
        attributes: dict[str, str | int] = {"db.system.name": "redis", "db.operation.name": name}
        if size:
            attributes["db.operation.batch.size"] = size
        return self._client_span(name, attributes)

    def redis_lookup(self, command: str, size: int) -> Context:
        """Make the span of the reading of many keys."""
        return self.redis_command(command, size)

    def lookups(self, name: str) -> Lookups:
        """Return what makes a span of each batch."""
        return _BatchSpans(self._tracer, _LOOKUPS[name])

    def threads(self, work: str) -> Threads:
        """Return what makes a span of each call."""
        return _CallSpans(self._tracer, _THREADS[work])

    def _client_span(self, name: str, attributes: Mapping[str, str | int]) -> Context:
        return ending(self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes))


class _BatchSpans(Lookups):
    """Makes one span for each batch, which the requests that asked for its keys share."""

    def __init__(self, tracer: Tracer, name: str) -> None:
        self._tracer, self._name = tracer, name
        self._requests: dict[Any, list[Span]] = {}
        self.asked = self._note_request

    def _note_request(self, key: Any) -> None:
        request = trace.get_current_span()
        if request.is_recording():
            self._requests.setdefault(key, []).append(request)

    def batch(self, keys: Collection[Hashable]) -> Context:
        asked = [request for key in keys for request in self._requests.pop(key, ())]
        requests = [request for request in asked if request.is_recording()]
        return self._shared(requests, len(keys)) if requests else NO_CONTEXT

    @contextlib.contextmanager
    def _shared(self, requests: list[Span], size: int) -> Iterator[None]:
        """Give one span to many requests: the first is its parent, and it links to all.

        The others link to it, so each request leads to what was done for it. Spans that are made
        in the block stand below it.
        """
        parent = trace.set_span_in_context(requests[0], TraceContext())
        links = [Link(request.get_span_context()) for request in requests]
        attributes = {"db.operation.batch.size": size}
        batch = self._tracer.start_span(self._name, parent, attributes=attributes, links=links)
        for request in requests[1:]:
            request.add_link(batch.get_span_context())
        with ending(batch), at_hand(batch):
            yield


class _CallSpans(Threads):
    """Makes a span of each call, with the wait for a thread and the work apart."""

    def __init__(self, tracer: Tracer, name: str) -> None:
        self._tracer, self._name = tracer, name

    def call(self) -> contextlib.AbstractContextManager[Call]:
        return self._span() if _is_recorded() else super().call()

    @contextlib.contextmanager
    def _span(self) -> Iterator[Call]:
        with ending(self._tracer.start_span(self._name, kind=SpanKind.INTERNAL)) as span:
            yield _TimedCall(span)


class _TimedCall(Call):
    def __init__(self, span: Span) -> None:
        self._span = span
        self._asked = self._started = time.perf_counter()

    def started(self) -> None:
        self._started = time.perf_counter()

    def finished(self) -> None:
        if self._span.is_recording():  # the client may have disconnected
            worked = time.perf_counter() - self._started
            self._span.set_attribute("latchkey.wait_ms", _milliseconds(self._started - self._asked))
            self._span.set_attribute("latchkey.work_ms", _milliseconds(worked))


@contextlib.contextmanager
def ending(span: Span) -> Iterator[Span]:
    """End a span after the block; of an error only its type is recorded."""
    try:
        yield span
    except BaseException as error:
        fail(span, error_type(error))
        if code := getattr(error, "pgcode", None):
            span.set_attribute("db.response.status_code", code)
        raise
    finally:
        span.end()


def at_hand(span: Span) -> contextlib.AbstractContextManager[Span]:
    """Have the spans that are made in the block stand below this one."""
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


def fail(span: Span, kind: str) -> None:
    """Mark a span as failed; `kind` is one of a few names."""
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def _is_recorded() -> bool:
    return trace.get_current_span().is_recording()


@lru_cache(256)  # the program has some thirty statements
def _described(sql: str) -> tuple[str, dict[str, str | int]]:
    """Return a span's name and attributes for a statement; of several the last one names it."""
    text = " ".join(sql.split())
    last = text.rpartition(";")[2].strip()
    operation = last.partition(" ")[0]
    table = _TABLE.search(last)
    attributes: dict[str, str | int] = {
        "db.system.name": "postgresql",
        "db.operation.name": operation,
        "db.query.text": text,
    }
    if table is None:
        return operation, attributes
    return f"{operation} {table[1]}", {**attributes, "db.collection.name": table[1]}


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
