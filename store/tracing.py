"""Spans of what the stores do, for TRACING=on. It needs OpenTelemetry: off, nobody imports this.

Methods of the objects at hand are wrapped, once, at the start: off, no statement knows of this.
Below a request's span stand the calls that it makes. What no recorded request asks for has none.

No span holds a parameter, a key, a value or what an error says: PostgreSQL's names who clashed.
"""

import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer

from store.access import Access
from store.accounts import Accounts
from store.coalesce import Coalesced
from store.fair_queue import FairQueue
from store.images import Images
from store.passwords import Passwords
from store.postgresql.database import Database
from store.redis.client import Redis
from store.workers import Workers
from store.wrap import wrap

_TABLE = re.compile(r"\b(?:from|into|update) (\w+)")


def trace_stores(
    tracer: Tracer,
    database: Database,
    redis: Redis,
    accounts: Accounts,
    access: Access,
    passwords: Passwords,
    images: Images,
) -> None:
    """Have these objects make spans of what they do."""
    spans = Spans(tracer)
    trace_database(spans, database)
    trace_redis(spans, redis)
    trace_lookups(spans, access._callers, "look up sessions")
    trace_lookups(spans, accounts._by_name, "look up credentials")
    trace_threads(spans, passwords._workers, "bcrypt")
    for workers in images.workers:
        trace_threads(spans, workers, "picture")


class Spans:
    """Makes spans below those that are recorded."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextlib.contextmanager
    def below(
        self, name: str, attributes: Mapping[str, str | int], kind: SpanKind = SpanKind.CLIENT
    ) -> Iterator[Span]:
        """Give a span below the one at hand; one that records nothing, if that does not."""
        if not trace.get_current_span().is_recording():
            yield trace.INVALID_SPAN
            return
        with ending(self._tracer.start_span(name, kind=kind, attributes=attributes)) as span:
            yield span

    @contextlib.contextmanager
    def shared(
        self, name: str, requests: list[Span], attributes: Mapping[str, str | int]
    ) -> Iterator[None]:
        """Give one span to many requests: the first is its parent, and it links to all.

        The others link to it, so that each leads to what was done for it. Spans that are made
        meanwhile stand below it.
        """
        there = [request for request in requests if request.is_recording()]
        if not there:
            yield
            return
        parent = trace.set_span_in_context(there[0], Context())
        links = [Link(request.get_span_context()) for request in there]
        batch = self._tracer.start_span(name, parent, attributes=attributes, links=links)
        for request in there[1:]:
            request.add_link(batch.get_span_context())
        with ending(batch), at_hand(batch):
            yield


@contextlib.contextmanager
def ending(span: Span) -> Iterator[Span]:
    """End a span behind the block; of an error it holds the name alone."""
    try:
        yield span
    except BaseException as error:
        fail(span, type(error).__name__)
        if code := getattr(error, "pgcode", None):
            span.set_attribute("db.response.status_code", code)
        raise
    finally:
        span.end()


def at_hand(span: Span) -> contextlib.AbstractContextManager[Span]:
    """Have the spans that are made in the block stand below this one."""
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


def fail(span: Span, why: str) -> None:
    """Mark a span as failed; `why` is one of a few names."""
    span.set_attribute("error.type", why)
    span.set_status(StatusCode.ERROR)


def trace_database(spans: Spans, database: Database) -> None:
    """Make a span of each statement."""

    async def rows(run: Callable[..., Awaitable[Any]], sql: str, *rest: Any) -> Any:
        name, attributes = _described(sql)
        with spans.below(name, attributes):
            return await run(sql, *rest)

    wrap(database, "rows", rows)


def trace_redis(spans: Spans, redis: Redis) -> None:
    """Make a span of each command, each pipeline, and each reading of many keys."""

    async def execute_command(
        run: Callable[..., Awaitable[Any]], *args: Any, **options: Any
    ) -> Any:
        with spans.below(*_command(str(args[0]))):
            return await run(*args, **options)

    async def get_many(run: Callable[..., Awaitable[Any]], keys: list[str], by: float) -> Any:
        with spans.below(*_command("MGET", len(keys))):
            return await run(keys, by)

    async def execute(pipeline: Any, run: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        with spans.below(*_command("PIPELINE", len(pipeline))):
            return await run(*args)

    def pipeline(make: Callable[..., Any], *args: Any, **options: Any) -> Any:
        made = make(*args, **options)
        wrap(made, "execute", partial(execute, made))
        return made

    wrap(redis, "get_many", get_many)
    wrap(redis.client, "execute_command", execute_command)
    wrap(redis.client, "pipeline", pipeline)


def trace_lookups(spans: Spans, lookups: Coalesced[Any, Any], name: str) -> None:
    """Make a span of each batch, which the requests that asked for its keys share."""
    asking: dict[Any, list[Span]] = {}

    def get(ask: Callable[[Any], Any], key: Any) -> Any:
        request = trace.get_current_span()
        if request.is_recording():
            asking.setdefault(key, []).append(request)
        return ask(key)

    async def fetch(run: Callable[..., Awaitable[Any]], keys: list[Any], by: float) -> Any:
        # Between the batch's making and this call nothing else runs: who asks now is in the next.
        requests = [request for key in keys for request in asking.pop(key, ())]
        with spans.shared(name, requests, {"db.operation.batch.size": len(keys)}):
            return await run(keys, by)

    wrap(lookups, "get", get)
    wrap(lookups, "_fetch", fetch)


def trace_threads(spans: Spans, workers: Workers | FairQueue, name: str) -> None:
    """Make a span of each piece of work, which tells the wait for a thread from the work."""

    async def run(
        go: Callable[..., Awaitable[Any]], work: Callable[..., Any], *args: Any, **turn: Any
    ) -> Any:
        with spans.below(name, {}, SpanKind.INTERNAL) as span:
            return await go(_measured(work, span), *args, **turn)

    wrap(workers, "run", run)


def _measured(work: Callable[..., Any], span: Span) -> Callable[..., Any]:
    asked = time.perf_counter()

    def measured(*args: Any) -> Any:
        begun = time.perf_counter()
        try:
            return work(*args)
        finally:
            if span.is_recording():  # the client may have gone meanwhile
                span.set_attribute("latchkey.wait_ms", _milliseconds(begun - asked))
                span.set_attribute("latchkey.work_ms", _milliseconds(time.perf_counter() - begun))

    return measured


@lru_cache(256)  # the program has some thirty statements
def _described(sql: str) -> tuple[str, dict[str, str]]:
    """Return a span's name and attributes for a statement; of several the last one names it."""
    text = " ".join(sql.split())
    last = text.rpartition(";")[2].strip()
    operation = last.partition(" ")[0]
    table = _TABLE.search(last)
    attributes = {
        "db.system.name": "postgresql",
        "db.operation.name": operation,
        "db.query.text": text,
    }
    if table is None:
        return operation, attributes
    return f"{operation} {table[1]}", {**attributes, "db.collection.name": table[1]}


def _command(name: str, size: int = 0) -> tuple[str, dict[str, str | int]]:
    attributes: dict[str, str | int] = {"db.system.name": "redis", "db.operation.name": name}
    return name, {**attributes, "db.operation.batch.size": size} if size else attributes


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
