"""Metrics for Prometheus: those of requests, and the output of all metrics.

Requests are collected and counted in bulk: counting each would take 5 % of a read's time.
"""

import asyncio
import platform
from collections.abc import Iterable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    ProcessCollector,
    disable_created_metrics,
    values,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.samples import Sample
from prometheus_client.values import MultiProcessValue

from telemetry.histogram import BulkHistogram
from telemetry.mail_metrics import MailMetrics
from telemetry.store_metrics import StoreMetrics
from telemetry.webhook_metrics import WebhookMetrics

FLUSH_SECONDS = 0.25
OPENMETRICS = "application/openmetrics-text"
OTHER = "other"
"""The label of every unknown method: a client can send any number of them."""

_KNOWN = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ALWAYS = ("busy", "internal", "rate_limited", "unavailable")
"""The codes of the errors with status 429 or 5xx."""


class Metrics:
    """Counts requests, and returns all metrics.

    With `shared`, these are the sums of all processes. `stores` is the observer that counts what
    the stores do. `version` is the server's version.
    """

    def __init__(self, *, shared: bool, version: str) -> None:
        self._shared = shared
        self._registry = registry = _make_registry(shared=shared)
        self._requests = Counter(
            "latchkey_requests",
            "Requests with a response.",
            ("dialect", "route", "method", "status"),
            registry=registry,
        )
        self._refusals = Counter(
            "latchkey_refusals",
            "Rejected requests, by the error code that the log names.",
            ("dialect", "refusal"),
            registry=registry,
        )
        self._bad_requests = Counter(
            "latchkey_bad_requests",
            "Requests without a route: not HTTP, or with an unknown method.",
            registry=registry,
        )
        Gauge(
            "latchkey_build_info",
            "Always 1; its labels are the versions of this server and of its Python.",
            ("version", "python"),
            registry=registry,
            multiprocess_mode="livemax",
        ).labels(version, platform.python_version()).set(1)
        self._seconds = BulkHistogram(
            "latchkey_request_seconds",
            "Duration of a request, from the end of its head to its response.",
            ("dialect", "route"),
            registry=registry,
            buckets=_SECONDS,
        )
        self.stores = StoreMetrics(registry)
        self.mail = MailMetrics(registry)
        self.webhooks = WebhookMetrics(registry)
        self._noted: dict[tuple[str, str, str, int, str], list[float]] = {}
        self._is_due = False

    def expect_dialect(self, name: str, kinds: Iterable[str] = ()) -> None:
        """Start the counters of a dialect at 0: rate() does not see a first event."""
        for code in _ALWAYS:
            self._refusals.labels(name, code)
        if name:
            self.stores.expect_dialect(name, kinds)

    def expect_route(self, dialects: Sequence[str], route: str, methods: Sequence[str]) -> None:
        """Start the counters of a route's failures at 0."""
        for dialect in dialects:
            for method in methods:
                for status in (500, 503):
                    self._requests.labels(dialect, route, method, status)

    def count_bad_request(self) -> None:
        """Count a request without a route, because it is not HTTP."""
        self._bad_requests.inc()

    def note(
        self, dialect: str, route: str, method: str, status: int, reason: str, seconds: float
    ) -> None:
        """Collect a request, which is counted within FLUSH_SECONDS.

        `reason` begins with the code of its error, or is "". `seconds` is its duration.
        """
        key = dialect, route, method, status, reason
        if (durations := self._noted.get(key)) is None:
            durations = self._noted[key] = []
            if not self._is_due:
                self._is_due = True
                asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush_in_time)
        durations.append(seconds)

    def _flush_in_time(self) -> None:
        self._is_due = False
        self.flush()

    def flush(self) -> None:
        """Count the collected requests."""
        noted, self._noted = self._noted, {}
        for (dialect, route, method, status, reason), seconds in noted.items():
            named = method if method in _KNOWN else OTHER
            self._requests.labels(dialect, route, named, status).inc(len(seconds))
            self._seconds.labels(dialect, route).observe_many(seconds)
            if reason:
                self._refusals.labels(dialect, reason.partition(":")[0]).inc(len(seconds))
        self.stores.flush()

    def exposition(self, *, as_openmetrics: bool) -> tuple[bytes, str]:
        """Return all metrics and their media type. This takes some milliseconds."""
        write, media_type = choose_encoder(OPENMETRICS if as_openmetrics else "")
        return write(self._all()), media_type

    def samples(self) -> list[Sample]:
        """Return each sample with its name, labels and value. This takes some milliseconds."""
        return [sample for metric in self._all().collect() for sample in metric.samples]

    def _all(self) -> CollectorRegistry:
        if not self._shared:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry


def count_together() -> None:
    """Make all processes count in files of one directory, PROMETHEUS_MULTIPROC_DIR.

    Without this call, prometheus-client decides at its import, before the settings are read.
    """
    values.ValueClass = MultiProcessValue()  # type: ignore[no-untyped-call]


def _make_registry(*, shared: bool) -> CollectorRegistry:
    """Return a registry, with the metrics of the process itself unless it is shared."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # otherwise every counter has a second one
    registry = CollectorRegistry()
    if not shared:
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
    return registry
