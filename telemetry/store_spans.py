"""The observer that makes spans, for TRACING=on. Only telemetry/tracing.py imports this.

These spans are children of the request's span. A request that is not recorded has none. No span
has a parameter, a key, a value or an error's message: PostgreSQL's messages quote names.
"""

import contextlib
import re
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer

from telemetry.observer import Call, Context, Observer, error_type

_TABLE = re.compile(r"\b(?:from|into|update) (\w+)")
_LOOKUPS = {
    "session": "look up sessions",
    "login": "look up credentials",
    "details": "look up details",
}
_THREADS = {"password": "bcrypt", "picture": "picture"}


class StoreSpans(Observer):
    """Makes a span of each statement, command, batch of lookups and call on a thread.

    It passes everything to `metrics`, whose contexts surround the spans.
    """

    def __init__(self, tracer: Tracer, metrics: Observer) -> None:
        super().__init__(metrics)
        self._tracer = tracer
        self._requests: dict[tuple[str, Any], list[Span]] = {}

    def statement(self, sql: str) -> Context:
        """Make the span of a statement."""
        observed = super().statement(sql)
        return self._client_span(observed, *_described(sql)) if _is_recorded() else observed

    def redis_command(self, name: str, size: int = 0) -> Context:
        """Make the span of a command, a pipeline or a multi-key command."""
        return self._command_span(super().redis_command(name, size), name, size)

    def redis_lookup(self, command: str, size: int) -> Context:
        """Make the span of the reading of many keys."""
        return self._command_span(super().redis_lookup(command, size), command, size)

    def lookup_requests(self, lookup: str) -> Callable[[Any], None]:
        """Return what notes which request looks a key up."""
        return partial(self._note_request, lookup)

    def lookup_batch(self, lookup: str, keys: Collection[Hashable]) -> Context:
        """Make one span of a batch, which the requests that look its keys up share."""
        observed = super().lookup_batch(lookup, keys)
        noted = [request for key in keys for request in self._requests.pop((lookup, key), ())]
        requests = [request for request in noted if request.is_recording()]
        return self._batch_span(observed, lookup, requests, len(keys)) if requests else observed

    @contextlib.contextmanager
    def thread_call(self, work: str = "") -> Iterator[Call]:
        """Make a span of a call, with the wait for a thread and the work apart."""
        with super().thread_call(work) as call:
            if not _is_recorded():
                yield call
                return
            span = self._tracer.start_span(_THREADS[work], kind=SpanKind.INTERNAL)
            with ending(span):
                yield _TimedCall(call, span)

    def _note_request(self, lookup: str, key: Any) -> None:
        request = trace.get_current_span()
        if request.is_recording():
            self._requests.setdefault((lookup, key), []).append(request)

    def _command_span(self, observed: Context, name: str, size: int) -> Context:
        if not _is_recorded():
            return observed
        attributes: dict[str, str | int] = {"db.system.name": "redis", "db.operation.name": name}
        if size:
            attributes["db.operation.batch.size"] = size
        return self._client_span(observed, name, attributes)

    @contextlib.contextmanager
    def _client_span(
        self, observed: Context, name: str, attributes: Mapping[str, str | int]
    ) -> Iterator[None]:
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        with observed, ending(span):
            yield

    @contextlib.contextmanager
    def _batch_span(
        self, observed: Context, lookup: str, requests: list[Span], size: int
    ) -> Iterator[None]:
        """Give one span to many requests: the first is its parent, and it links to all.

        The others link to it, so each request leads to what was done for it. Spans that are made
        in the block are below it.
        """
        parent = trace.set_span_in_context(requests[0], TraceContext())
        links = [Link(request.get_span_context()) for request in requests]
        attributes = {"db.operation.batch.size": size}
        name = _LOOKUPS[lookup]
        batch = self._tracer.start_span(name, parent, attributes=attributes, links=links)
        for request in requests[1:]:
            request.add_link(batch.get_span_context())
        with observed, ending(batch), as_parent(batch):
            yield


class _TimedCall(Call):
    def __init__(self, call: Call, span: Span) -> None:
        self._call, self._span = call, span
        self._since = self._started = time.perf_counter()

    def started(self) -> None:
        self._call.started()
        self._started = time.perf_counter()

    def finished(self) -> None:
        self._call.finished()
        if self._span.is_recording():  # not after the client has disconnected
            worked = time.perf_counter() - self._started
            self._span.set_attribute("latchkey.wait_ms", _milliseconds(self._started - self._since))
            self._span.set_attribute("latchkey.work_ms", _milliseconds(worked))


@contextlib.contextmanager
def ending(span: Span) -> Iterator[Span]:
    """End a span after the block. Of an error only the type is recorded."""
    try:
        yield span
    except BaseException as error:
        fail(span, error_type(error))
        if code := getattr(error, "pgcode", None):
            span.set_attribute("db.response.status_code", code)
        raise
    finally:
        span.end()


def as_parent(span: Span) -> contextlib.AbstractContextManager[Span]:
    """Make this span the parent of those that are made in the block."""
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


def fail(span: Span, kind: str) -> None:
    """Mark a span as failed; `kind` is one of a few names."""
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def _is_recorded() -> bool:
    return trace.get_current_span().is_recording()


@lru_cache(256)  # the program has some thirty statements
def _described(sql: str) -> tuple[str, dict[str, str | int]]:
    """Return the name and attributes of a statement's span; the last of several names it."""
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
