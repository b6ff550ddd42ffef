"""The observer that counts for Prometheus: logins, sessions, lookups, threads, store calls.

What happens in every read is appended to a list. `flush` counts it in bulk.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from telemetry.histogram import BulkHistogram
from telemetry.observer import NO_CONTEXT, Call, Context, Observer

_CALL_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_WAIT_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_KEYS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

_OUTCOMES = {
    "invalid_credentials": "wrong",
    "account_disabled": "inactive",
    "taken": "taken",
    "rate_limited": "limited",
    "busy": "busy",
    "unavailable": "unavailable",
}
"""The outcome of a login or registration, by the code of the error that ended it."""
_ALWAYS = ("limited", "busy", "unavailable", "refused", "error")
"""The outcomes that logins and registrations share."""
_WORK = ("password", "picture")


class StoreMetrics(Observer):
    """The metrics of one process's stores, in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        histogram = partial(BulkHistogram, registry=registry)
        self._logins = counter("latchkey_logins", "Logins.", ("dialect", "outcome"))
        self._registrations = counter("latchkey_registrations", "Registrations.", ("outcome",))
        self._opened = counter("latchkey_sessions_opened", "Sessions opened.", ("dialect", "kind"))
        self._closed = counter(
            "latchkey_sessions_closed",
            "Sessions that were ended, or found expired at the next login.",
            ("dialect", "kind"),
        )
        self._keys = histogram(
            "latchkey_lookup_batch_keys", "Keys that shared a lookup.", ("lookup",), buckets=_KEYS
        )
        depth = gauge(
            "latchkey_queue_depth",
            "Passwords to hash, or pictures to convert, that wait for a thread.",
            ("work",),
        )
        waits = histogram(
            "latchkey_queue_wait_seconds",
            "Time that each waited for its thread.",
            ("work",),
            buckets=_WAIT_SECONDS,
        )
        in_flight = gauge(
            "latchkey_store_calls_in_flight",
            "Statements and commands in progress or waiting for a connection, as sampled.",
            ("store",),
        )
        self._limit = gauge(
            "latchkey_store_connections_limit",
            "Maximum number of connections of a store's pool.",
            ("store",),
        )
        errors = counter(
            "latchkey_store_errors",
            "Statements and commands that failed because a store was unavailable.",
            ("store",),
        )
        seconds = histogram(
            "latchkey_store_seconds",
            "Duration of each statement and command, the wait for a connection included.",
            ("store",),
            buckets=_CALL_SECONDS,
        )
        self._breach_check_failures = counter(
            "latchkey_breach_check_failures",
            "New passwords that were accepted because the API of breached passwords failed.",
        )
        for outcome in ("success", "taken", *_ALWAYS):
            self._registrations.labels(outcome)
        self._postgresql, self._redis = (
            _StoreCalls(in_flight.labels(store), seconds.labels(store), errors.labels(store))
            for store in ("postgresql", "redis")
        )
        self._queues = {work: (depth.labels(work), waits.labels(work)) for work in _WORK}
        self._batch_sizes: dict[str, list[float]] = {
            "session": [],
            "login": [],
            "details": [],
        }

    def expect_dialect(self, name: str, kinds: Iterable[str]) -> None:
        """Start the counters of a dialect at 0: rate() does not see a first event."""
        for outcome in ("success", "wrong", "inactive", *_ALWAYS):
            self._logins.labels(name, outcome)
        for kind in kinds:
            self._opened.labels(name, kind)
            self._closed.labels(name, kind)

    def set_pool_sizes(self, *, postgresql: int, redis: int) -> None:
        """Set the limit of each pool's connections."""
        self._limit.labels("postgresql").set(postgresql)
        self._limit.labels("redis").set(redis)

    def flush(self) -> None:
        """Count what was appended. Call this a few times a second."""
        self._postgresql.flush()
        self._redis.flush()
        for lookup, sizes in self._batch_sizes.items():
            self._keys.labels(lookup).observe_many(sizes)
            sizes.clear()

    def login(self, dialect: str) -> Context:
        """Count how a login ends."""
        return _outcome(partial(self._logins.labels, dialect))

    def registration(self) -> Context:
        """Count how a registration ends."""
        return _outcome(self._registrations.labels)

    def breach_check_failed(self) -> None:
        """Count a failure of the API of breached passwords."""
        self._breach_check_failures.inc()

    def session_opened(self, dialect: str, kind: str) -> None:
        """Count a new session."""
        self._opened.labels(dialect, kind).inc()

    def session_closed(self, dialect: str, kind: str) -> None:
        """Count a session that was removed."""
        self._closed.labels(dialect, kind).inc()

    def statement(self, sql: str) -> Context:
        """Time a statement."""
        return _StoreCall(self._postgresql)

    def redis_call(self) -> Context:
        """Time a call of Redis."""
        return _StoreCall(self._redis)

    def redis_lookup(self, command: str, size: int) -> Context:
        """Time the reading of many keys."""
        return _StoreCall(self._redis)

    def lookup_batch(self, lookup: str, keys: Collection[Hashable]) -> Context:
        """Note the size of a batch."""
        self._batch_sizes[lookup].append(len(keys))
        return NO_CONTEXT

    @contextlib.contextmanager
    def thread_call(self, work: str = "") -> Iterator[Call]:
        """Count the calls that wait, and how long each waited."""
        waiting = _Waiting(*self._queues[work])
        try:
            yield waiting
        finally:
            waiting.leave()


class _StoreCalls:
    """The calls of one store: those in flight, and the durations since the last flush."""

    def __init__(self, in_flight: Gauge, seconds: BulkHistogram, errors: Counter) -> None:
        self._gauge, self._histogram, self.errors = in_flight, seconds, errors
        self.in_flight = 0
        self.durations: list[float] = []

    def flush(self) -> None:
        self._gauge.set(self.in_flight)
        self._histogram.observe_many(self.durations)
        self.durations.clear()


class _StoreCall:
    __slots__ = ("_calls", "_started")

    def __init__(self, calls: _StoreCalls) -> None:
        self._calls = calls

    def __enter__(self) -> None:
        self._calls.in_flight += 1
        self._started = time.perf_counter()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        calls = self._calls
        calls.in_flight -= 1
        calls.durations.append(time.perf_counter() - self._started)
        if error is not None and getattr(error, "code", None) == "unavailable":
            calls.errors.inc()


class _Waiting(Call):
    """A call that waits for a thread until it has one or is cancelled."""

    def __init__(self, waiting: Gauge, waits: Histogram) -> None:
        self._waiting, self._waits = waiting, waits
        self._since = time.perf_counter()
        self._place = threading.Lock()  # held once the call waits no longer
        waiting.inc()

    def started(self) -> None:
        self._waits.observe(time.perf_counter() - self._since)
        self.leave()

    def leave(self) -> None:
        if self._place.acquire(blocking=False):
            self._waiting.dec()


@contextlib.contextmanager
def _outcome(counter: Callable[[str], Counter]) -> Iterator[None]:
    """Count how the block ends: by the code of its error, "error" for one without a code."""
    outcome = "error"
    try:
        yield
        outcome = "success"
    except Exception as error:
        if code := getattr(error, "code", None):
            outcome = _OUTCOMES.get(code, "refused")
        raise
    finally:
        counter(outcome).inc()
