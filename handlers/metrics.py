"""Metrics for Prometheus: what is counted of each request, and GET /metrics.

Requests are noted one by one and counted some at a time: counting each would cost a read a
twentieth of its time.
"""

import asyncio
from collections.abc import Sequence

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from handlers import drf
from handlers.answers import Answer, allow_header
from handlers.dialect import Endpoint, NotFound, WrongMethod
from handlers.proxies import address_of, is_within
from store.addresses import Network
from store.metrics import Measured, StoreMetrics

FLUSH_SECONDS = 0.25
METHODS = ("GET",)
OPENMETRICS = "application/openmetrics-text"
OTHER = "other"
"""Any method that no endpoint has: a client can make up as many as it likes."""

_KNOWN = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts requests, and shows all that is counted to who asks from one of the networks `allow`.

    With `shared`, that is what all processes have counted together.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        stores: StoreMetrics,
        allow: Sequence[Network],
        *,
        shared: bool,
    ) -> None:
        self._requests = Counter(
            "latchkey_requests",
            "Requests answered.",
            ("dialect", "route", "method", "status"),
            registry=registry,
        )
        self._refusals = Counter(
            "latchkey_refusals",
            "Requests refused, by the reason that the log names.",
            ("dialect", "refusal"),
            registry=registry,
        )
        self._took = Measured(
            "latchkey_request_seconds",
            "How long an answer took, from the end of the request's head.",
            ("dialect", "route"),
            registry=registry,
            buckets=_SECONDS,
        )
        self.stores = stores
        self._registry = registry
        self._allow = allow
        self._shared = shared
        self._noted: dict[tuple[str, str, str, int, str], list[float]] = {}
        self._is_due = False

    def note(
        self, dialect: str, route: str, method: str, status: int, why: str, seconds: float
    ) -> None:
        """Note a request that has been answered; it is counted within FLUSH_SECONDS.

        `why` begins with the name of the refusal, if it was refused.
        """
        what = dialect, route, method, status, why
        if (alike := self._noted.get(what)) is None:
            alike = self._noted[what] = []
            if not self._is_due:
                self._is_due = True
                asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush_in_time)
        alike.append(seconds)

    def _flush_in_time(self) -> None:
        self._is_due = False
        self.flush()

    def flush(self) -> None:
        """Count what has been noted."""
        noted, self._noted = self._noted, {}
        for (dialect, route, method, status, why), took in noted.items():
            named = method if method in _KNOWN else OTHER
            self._requests.labels(dialect, route, named, status).inc(len(took))
            self._took.labels(dialect, route).observe_many(took)
            if why:
                self._refusals.labels(dialect, why.partition(":")[0]).inc(len(took))
        self.stores.flush()

    def allows(self, request: web.Request) -> bool:
        """Tell whether a request may see them.

        Behind a proxy that nobody trusts to say who asks, nobody may.
        """
        address = address_of(request)
        hidden = "X-Forwarded-For" in request.headers and address == request.remote
        return not hidden and is_within(address, self._allow)

    def exposition(self, *, as_openmetrics: bool) -> tuple[bytes, str]:
        """Return all metrics, and the media type they are written in. Takes some milliseconds."""
        registry = self._registry
        if self._shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        write, media_type = choose_encoder(OPENMETRICS if as_openmetrics else "")
        return write(registry), media_type


METRICS = web.AppKey("metrics", Metrics)


async def show(request: web.Request) -> Answer:
    """Answer with all metrics, in the text format of Prometheus or as OpenMetrics."""
    metrics = request.app[METRICS]
    if not metrics.allows(request):
        raise NotFound
    if request.method not in ("GET", "HEAD"):
        raise WrongMethod(request.method, allow_header(METHODS))
    metrics.flush()
    wanted = OPENMETRICS in request.headers.get(hdrs.ACCEPT, "")
    content, media_type = await asyncio.to_thread(metrics.exposition, as_openmetrics=wanted)
    return Answer(body=content, media_type=media_type, headers={hdrs.CACHE_CONTROL: "no-store"})


ENDPOINT = Endpoint(show, METHODS, drf.refuse)
