"""What the stores count for Prometheus: logins, sessions, look-ups, threads, connections, errors.

Methods of the objects at hand are wrapped, once, at the start, so that the store itself is about
storing. What every read does is noted in a list, and counted some at a time: `flush`.
"""

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    values,
)
from prometheus_client.values import MultiProcessValue

from store.access import Access
from store.coalesce import Coalesced
from store.errors import BadCredentials, Busy, Inactive, Refused, Taken, TooMany, Unavailable
from store.fair_queue import FairQueue
from store.images import Images
from store.measured import Measured
from store.passwords import Passwords
from store.postgresql.database import Database
from store.redis.client import OnCluster, Redis
from store.workers import Workers
from store.wrap import wrap

_TRIP_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_WAIT_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_KEYS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

_OUTCOMES: dict[type[Refused], str] = {
    BadCredentials: "wrong",
    Inactive: "inactive",
    Taken: "taken",
    TooMany: "limited",
    Busy: "busy",
    Unavailable: "unavailable",
}
"""What a refused login or registration is called; any other is "refused"."""
_ALWAYS = ("limited", "busy", "unavailable", "refused", "error")
"""The outcomes that both may have."""


class StoreMetrics:
    """The metrics of one process's stores, in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._flushes: list[Callable[[], None]] = []
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        measured = partial(Measured, registry=registry)
        self._logins = counter("latchkey_logins", "Logins.", ("dialect", "outcome"))
        self._registrations = counter("latchkey_registrations", "Registrations.", ("outcome",))
        self._opened = counter("latchkey_sessions_opened", "Sessions opened.", ("dialect", "kind"))
        self._closed = counter(
            "latchkey_sessions_closed",
            "Sessions ended before their time, or found run out at the next login.",
            ("dialect", "kind"),
        )
        self._keys = measured(
            "latchkey_lookup_batch_keys", "Keys that shared a look-up.", ("lookup",), buckets=_KEYS
        )
        self._waiting = gauge(
            "latchkey_queue_depth",
            "Passwords to hash, or pictures to convert, that wait for a thread.",
            ("work",),
        )
        self._waits = measured(
            "latchkey_queue_wait_seconds",
            "How long each waited for its thread.",
            ("work",),
            buckets=_WAIT_SECONDS,
        )
        self._in_use = gauge(
            "latchkey_store_calls_in_flight",
            "Statements and commands under way or waiting for a connection, as sampled.",
            ("store",),
        )
        self._limit = gauge(
            "latchkey_store_connections_limit",
            "Connections that a store's pool may have.",
            ("store",),
        )
        self._errors = counter(
            "latchkey_store_errors",
            "Statements and commands that a store did not answer, or could not serve.",
            ("store",),
        )
        self._trips = measured(
            "latchkey_store_seconds",
            "How long each statement and command took, the wait for a connection included.",
            ("store",),
            buckets=_TRIP_SECONDS,
        )
        for outcome in ("success", "taken", *_ALWAYS):
            self._registrations.labels(outcome)

    def expect_dialect(self, name: str, kinds: Iterable[str]) -> None:
        """Have what is counted of a dialect begin at 0: rate() does not see a first event."""
        for outcome in ("success", "wrong", "inactive", *_ALWAYS):
            self._logins.labels(name, outcome)
        for kind in kinds:
            self._opened.labels(name, kind)
            self._closed.labels(name, kind)

    def count_stores(
        self, database: Database, redis: Redis, database_pool: int, redis_pool: int
    ) -> None:
        """Count what both stores are asked; the pools have these sizes."""
        self._limit.labels("postgresql").set(database_pool)
        self._limit.labels("redis").set(redis_pool)
        trips = {name: _Trips(self, name) for name in ("postgresql", "redis")}
        self._flushes += [each.flush for each in trips.values()]
        wrap(redis, "ask", trips["redis"].made)
        if not isinstance(redis, OnCluster):  # whose look-ups are asked as all else is
            wrap(redis, "get_many", trips["redis"].made)
        wrap(database, "rows", trips["postgresql"].made)

    def count_access(self, access: Access) -> None:
        """Count logins, registrations, sessions, and the keys of each look-up."""
        wrap(access, "log_in", self._logged_in)
        wrap(access, "register", self._signed_up)
        wrap(access._sessions, "_register", self._registered)
        wrap(access._sessions, "_take_out", self._taken_out)
        self._count_keys(access._callers, "session")
        self._count_keys(access._accounts._by_name, "login")

    def count_threads(self, passwords: Passwords, images: Images) -> None:
        """Count what waits for a thread, and how long."""
        self._count_work(passwords._workers, "password")
        for workers in images.workers:
            self._count_work(workers, "picture")

    def flush(self) -> None:
        """Count what has been noted; to be called a few times a second."""
        for flush in self._flushes:
            flush()

    async def _logged_in(
        self,
        log_in: Callable[..., Awaitable[Any]],
        login: Any,
        password: str,
        grants: Any,
        *rest: Any,
    ) -> Any:
        with _outcome(partial(self._logins.labels, grants[0].dialect)):
            return await log_in(login, password, grants, *rest)

    async def _signed_up(
        self, register: Callable[..., Awaitable[Any]], *args: Any, **options: Any
    ) -> Any:
        with _outcome(self._registrations.labels):
            return await register(*args, **options)

    async def _registered(
        self, register: Callable[..., Awaitable[str]], account_id: int, grant: Any, sid: str
    ) -> str:
        name = await register(account_id, grant, sid)
        if name == grant.name(sid):
            self._opened.labels(grant.dialect, grant.kind).inc()
        return name

    async def _taken_out(
        self, take_out: Callable[..., Awaitable[None]], account_id: int, names: Any
    ) -> None:
        await take_out(account_id, names)
        for name in names:
            self._closed.labels(*name.split(":")[:2]).inc()

    def _count_keys(self, lookups: Coalesced[Any, Any], name: str) -> None:
        sizes: list[float] = []

        async def fetch(run: Callable[..., Awaitable[Any]], keys: list[Any], by: float) -> Any:
            sizes.append(len(keys))
            return await run(keys, by)

        def flush() -> None:
            self._keys.labels(name).observe_many(sizes)
            sizes.clear()

        self._flushes.append(flush)
        wrap(lookups, "_fetch", fetch)

    def _count_work(self, workers: Workers | FairQueue, name: str) -> None:
        waiting, waits = self._waiting.labels(name), self._waits.labels(name)

        async def run(
            go: Callable[..., Awaitable[Any]], work: Callable[..., Any], *args: Any, **turn: Any
        ) -> Any:
            with _queued(waiting, waits) as begun:

                def counted() -> Any:
                    begun()
                    return work(*args)

                return await go(counted, **turn)

        wrap(workers, "run", run)


class _Trips:
    """Counts the calls of one store, each failure once though it passes two of them."""

    def __init__(self, metrics: StoreMetrics, store: str) -> None:
        self._in_use = metrics._in_use.labels(store)
        self._seconds = metrics._trips.labels(store)
        self._errors = metrics._errors.labels(store)
        self._counted: Unavailable | None = None
        self._under_way = 0
        self._took: list[float] = []

    async def made(self, call: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        self._under_way += 1
        try:
            return await call(*args, **options)
        except Unavailable as refusal:
            if refusal is not self._counted:
                self._errors.inc()
            self._counted = refusal
            raise
        finally:
            self._under_way -= 1
            self._took.append(time.perf_counter() - begun)

    def flush(self) -> None:
        self._in_use.set(self._under_way)
        self._seconds.observe_many(self._took)
        self._took.clear()


def make_registry(*, shared: bool) -> CollectorRegistry:
    """Return where metrics are kept: with those of the process itself, unless several share it."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # else every counter comes with a second one
    registry = CollectorRegistry()
    if not shared:
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
    return registry


def count_together() -> None:
    """Have all processes count in files of one directory, PROMETHEUS_MULTIPROC_DIR.

    Else prometheus-client decides so at its import, before any setting has been read.
    """
    values.ValueClass = MultiProcessValue()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _outcome(counter: Callable[[str], Counter]) -> Iterator[None]:
    """Count how the block ends."""
    outcome = "error"
    try:
        yield
        outcome = "success"
    except Refused as refusal:
        outcome = _OUTCOMES.get(type(refusal), "refused")
        raise
    finally:
        counter(outcome).inc()


@contextlib.contextmanager
def _queued(waiting: Gauge, waits: Histogram) -> Iterator[Callable[[], None]]:
    """Count one that waits until it begins, or is given up; give what says that it begins."""
    asked, there = time.perf_counter(), [True]
    waiting.inc()

    def begun() -> None:
        waits.observe(time.perf_counter() - asked)
        leave()

    def leave() -> None:
        with contextlib.suppress(IndexError):  # whoever is first: a thread, or who gave up
            there.pop()
            waiting.dec()

    try:
        yield begun
    finally:
        leave()
