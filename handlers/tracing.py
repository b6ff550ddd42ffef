"""Traces, for TRACING=on: a span for each request, what it did below it, sent to a collector.

It needs OpenTelemetry: off, nobody imports this. Where spans go, and how many, is said by
OpenTelemetry's own environment variables, which its SDK reads. docs/tracing.md says what is seen.

No span holds a path, a query, a header or a body. Of a trace that a request continues its
`traceparent` is read, and nothing else: a `tracestate` may hold anything.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from aiohttp import web
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from handlers.app_keys import SPOKEN
from handlers.http.middleware import Mounted
from handlers.http.response import Answer
from handlers.log import RequestLog
from handlers.proxies import PROXIES
from store.tracing import at_hand, ending, fail, trace_stores
from store.wrap import wrap

UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Routes that only machines ask for, again and again."""

FLUSH_SECONDS = 3.0
"""How long the last spans may take on their way when the process ends."""
QUIET = 300.0
"""Seconds between two lines about a collector that does not take spans, at least."""

OTHER = "_OTHER"
"""What OpenTelemetry calls a method that it does not know: a client can make up any."""
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
)
_NOISY = ("opentelemetry.exporter", "opentelemetry.trace")
"""Loggers that say, for each failure and each odd header, what was sent to whom, or by whom."""

_log = logging.getLogger("latchkey.tracing")
_continued = TraceContextTextMapPropagator()


class Tracing:
    """Makes the spans of one application. Raises ValueError for what OpenTelemetry can't use."""

    def __init__(self) -> None:
        self.provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self.tracer = self.provider.get_tracer("latchkey")
        self.trace_stores = partial(trace_stores, self.tracer)

    def around(self, handle: Mounted, route: str, dialect: str) -> Mounted:
        """Return what is mounted in the place of `handle`: the same, in a span."""
        if route in UNTRACED:
            return handle
        known = {"http.route": route, **({"latchkey.dialect": dialect} if dialect else {})}

        async def traced(request: web.Request) -> Answer:
            span = self._start(request, route, known)
            if not span.is_recording():
                answer: Answer = await handle(request)
                return answer
            with ending(span), at_hand(span):
                answer = await handle(request)
                _describe(span, request, answer)
                return answer

        return traced

    def _start(self, request: web.Request, route: str, known: dict[str, str]) -> Span:
        method = request.method if request.method in _METHODS else OTHER
        carried = {"traceparent": request.headers.get("traceparent", "")}
        scheme = request.app[PROXIES].scheme(request)
        return self.tracer.start_span(
            f"{method} {route}" if method != OTHER else f"HTTP {route}",
            _continued.extract(carried, Context()),
            SpanKind.SERVER,
            {**known, "http.request.method": method, "url.scheme": scheme},
        )

    def name_in(self, log: RequestLog) -> None:
        """Have the lines of a log name the trace of their request, if it is recorded."""
        wrap(log, "add", _with_trace)

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send spans to the collector, from a thread; the last of them at the end."""
        for name in _NOISY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.provider.add_span_processor(BatchSpanProcessor(Patient(OTLPSpanExporter())))
        try:
            yield
        finally:
            await self._flush()

    async def _flush(self) -> None:
        """Send what is left, for FLUSH_SECONDS at most: a collector may be away."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def send() -> None:
            self.provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop is closed: it was too late
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=send, daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await sent.wait()
        except TimeoutError:
            _log.warning("the last spans were not sent: the collector does not take them")


TRACING = web.AppKey("tracing", Tracing)


class Patient(SpanExporter):
    """Hands spans to another exporter, and says now and then that it could not send them."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        self._quiet_until = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; those that can't be sent are lost."""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            self._complain()
        return result

    def _complain(self) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            _log.warning("%d spans were lost: the collector does not take them", self._lost)
            self._lost, self._quiet_until = 0, now + QUIET

    def shutdown(self) -> None:
        """Stop; what is under way is given up."""
        self._exporter.shutdown()


def _resource() -> Resource:
    """Return what the environment says of this process; its name, unless it says one, is ours."""
    found = Resource.create()
    if str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: "latchkey"}))
    return found


def _describe(span: Span, request: web.Request, answer: Answer) -> None:
    """Say how a request ended. The fault of a client is no error of this server's."""
    span.set_attribute("http.response.status_code", answer.status)
    span.set_attribute("latchkey.request_id", answer.request_id)
    if dialect := request.get(SPOKEN):
        span.set_attribute("latchkey.dialect", dialect)
    refusal = answer.why.partition(":")[0]
    if answer.status >= 500:
        fail(span, refusal or str(answer.status))
    elif refusal:
        span.set_attribute("error.type", refusal)


def _with_trace(add: Callable[..., None], *parts: object) -> None:
    request = trace.get_current_span()
    if request.is_recording():
        add(*parts, trace.format_trace_id(request.get_span_context().trace_id))
    else:
        add(*parts)
