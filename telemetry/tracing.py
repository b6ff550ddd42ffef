"""Traces for TRACING=on: a span for each request and for what it does, sent to a collector.

This module needs OpenTelemetry and is imported only if tracing is on. OpenTelemetry's SDK reads its
environment variables, which say where spans are sent and how many. docs/tracing.md describes the
spans.

No span has a path, a query, a header or a body. A request continues a trace by its `traceparent`
only: a `tracestate` may have any content.
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
from telemetry.store_spans import StoreSpans, as_parent, ending, fail

FLUSH_SECONDS = 3.0
"""How long sending the last spans may take when the process ends."""
QUIET_SECONDS = 300.0
"""The shortest time between two log lines about a collector that does not accept spans."""

OTHER = "_OTHER"
"""OpenTelemetry's name of an unknown method: a client can send any."""
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
)
_VERBOSE_LOGGERS = ("opentelemetry.exporter", "opentelemetry.trace")
"""Loggers with a line for each failure and each invalid header, which quotes what was sent."""

_log = logging.getLogger("latchkey.tracing")
_propagator = TraceContextTextMapPropagator()


class Tracing:
    """Makes the spans of an application. Raises ValueError for invalid OpenTelemetry settings."""

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
        """Surround a request with its span, the parent of the spans that are made in the block."""
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
        with ending(span), as_parent(span):
            yield span

    @staticmethod
    def describe(span: Span, status: int, request_id: str, dialect: str, error: str) -> None:
        """Record the response to a request. A client's error is not an error of the span."""
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
        """Return the id of the current trace if it is recorded, otherwise ""."""
        span = trace.get_current_span()
        if not span.is_recording():
            return ""
        return trace.format_trace_id(span.get_span_context().trace_id)

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send spans to the collector from a thread; send the last ones at the end."""
        for name in _VERBOSE_LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.provider.add_span_processor(BatchSpanProcessor(QuietExporter(OTLPSpanExporter())))
        try:
            yield
        finally:
            await self._flush()

    async def _flush(self) -> None:
        """Send the last spans for at most FLUSH_SECONDS: the collector may be unavailable."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def send() -> None:
            self.provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=send, daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await sent.wait()
        except TimeoutError:
            _log.warning("the last spans were not sent: the collector does not take them")


class QuietExporter(SpanExporter):
    """Passes spans to another exporter, and logs a failure at most once in QUIET_SECONDS."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        self._quiet_until = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans. Spans that cannot be sent are lost."""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            self._log_failure()
        return result

    def _log_failure(self) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            _log.warning("%d spans were lost: the collector does not take them", self._lost)
            self._lost, self._quiet_until = 0, now + QUIET_SECONDS

    def shutdown(self) -> None:
        """Stop; spans that are being sent are lost."""
        self._exporter.shutdown()


def _resource() -> Resource:
    """Return the environment's description of this process, by default named latchkey."""
    found = Resource.create()
    if str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: "latchkey"}))
    return found
