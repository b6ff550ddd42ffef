"""Traces, for TRACING=on: a span for each request, what it did below it, sent to a collector.

It needs OpenTelemetry, and is imported only if tracing is on. OpenTelemetry's own environment
variables, which its SDK reads, say where spans are sent and how many. docs/tracing.md describes
the spans.

No span has a path, a query, a header or a body. Of a trace that a request continues only its
`traceparent` is read: a `tracestate` may hold anything.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from telemetry.observer import Observer
from telemetry.store_spans import StoreSpans, below, ending, fail

FLUSH_SECONDS = 3.0
"""How long the last spans may take on their way when the process ends."""
QUIET_SECONDS = 300.0
"""The shortest time between two log lines about a collector that does not take spans."""

OTHER = "_OTHER"
"""What OpenTelemetry calls a method that it does not know: a client can make up any."""
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
)
_NOISY = ("opentelemetry.exporter", "opentelemetry.trace")
"""Loggers that say, for each failure and each odd header, what was sent to whom, or by whom."""

_log = logging.getLogger("latchkey.tracing")
_propagator = TraceContextTextMapPropagator()


class Tracing:
    """Makes the spans of one application. Raises ValueError for what OpenTelemetry can't use."""

    def __init__(self) -> None:
        self.provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._tracer = self.provider.get_tracer("latchkey")

    def store_spans(self, metrics: Observer) -> Observer:
        """Return the observer that makes spans of what the stores do, and reports to `metrics`."""
        return StoreSpans(self._tracer, metrics)

    @contextlib.contextmanager
    def request(
        self, method: str, route: str, dialect: str, scheme: str, traceparent: str
    ) -> Iterator[Span]:
        """Make a request's span, below which stand the spans that are made in the block."""
        known = method if method in _METHODS else OTHER
        attributes = {"http.route": route, "http.request.method": known, "url.scheme": scheme}
        if dialect:
            attributes["latchkey.dialect"] = dialect
        span = self._tracer.start_span(
            f"{method} {route}" if known != OTHER else f"HTTP {route}",
            _propagator.extract({"traceparent": traceparent}, Context()),
            SpanKind.SERVER,
            attributes,
        )
        if not span.is_recording():
            yield INVALID_SPAN
            return
        with ending(span), below(span):
            yield span

    @staticmethod
    def describe(span: Span, status: int, request_id: str, dialect: str, error: str) -> None:
        """Record how a request ended. A client's fault is not an error of this server."""
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("latchkey.request_id", request_id)
        if dialect:
            span.set_attribute("latchkey.dialect", dialect)
        if status >= 500:
            fail(span, error or str(status))
        elif error:
            span.set_attribute("error.type", error)

    @staticmethod
    def current_trace_id() -> str:
        """Return the id of the trace at hand if it is recorded, otherwise ""."""
        span = trace.get_current_span()
        if not span.is_recording():
            return ""
        return trace.format_trace_id(span.get_span_context().trace_id)

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send spans to the collector, from a thread; the last of them at the end."""
        for name in _NOISY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.provider.add_span_processor(BatchSpanProcessor(QuietExporter(OTLPSpanExporter())))
        try:
            yield
        finally:
            await self._flush()

    async def _flush(self) -> None:
        """Send what is left, for at most FLUSH_SECONDS: the collector may be unavailable."""
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


class QuietExporter(SpanExporter):
    """Hands spans to another exporter, and logs at most once in QUIET_SECONDS that it failed."""

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
            self._lost, self._quiet_until = 0, now + QUIET_SECONDS

    def shutdown(self) -> None:
        """Stop; what is being sent is given up."""
        self._exporter.shutdown()


def _resource() -> Resource:
    """Return what the environment says of this process, named latchkey unless it names it."""
    found = Resource.create()
    if str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: "latchkey"}))
    return found
