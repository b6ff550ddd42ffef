"""Metrics for Prometheus: what is counted of each request, and GET /metrics.

Requests are noted one by one and counted some at a time: counting each would cost a read a
twentieth of its time.
"""

import asyncio
import platform
from collections.abc import Sequence

from aiohttp import HttpVersion11, hdrs, web
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from handlers.dialects import drf
from handlers.errors import Crashed, NotFound
from handlers.http.response import Answer
from handlers.proxies import is_within, peer_of
from handlers.routes import GET, Checks, Routes
from store.addresses import Network, parse_address
from store.errors import Busy, TooMany, Unavailable
from store.measured import Measured
from store.metrics import StoreMetrics
from store.session import Grant

FLUSH_SECONDS = 0.25
OPENMETRICS = "application/openmetrics-text"
OTHER = "other"
"""Any method that no endpoint has: a client can make up as many as it likes."""

BY_A_PROXY = (
    "forwarded",
    "via",
    "x-forwarded-",
    "x-original-",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-proxyuser-ip",
    "x-azure-",
    "x-envoy-",
    "true-client-ip",
    "client-ip",
    "fastly-",
    "cf-",
    "cdn-loop",
)
"""What the headers that proxies and content delivery networks add begin with."""

_KNOWN = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts requests, and shows all that is counted to clients in the networks `allow`.

    With `shared`, that is what all processes have counted together.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        stores: StoreMetrics,
        allow: Sequence[Network],
        *,
        shared: bool,
        version: str,
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
        self._bad_requests = Counter(
            "latchkey_bad_requests",
            "Requests without a route: not HTTP, or a method that HTTP does not have.",
            registry=registry,
        )
        Gauge(
            "latchkey_build_info",
            "Always 1; its labels are the versions of this server and of its Python.",
            ("version", "python"),
            registry=registry,
            multiprocess_mode="livemax",
        ).labels(version, platform.python_version()).set(1)
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

    def expect_dialect(self, name: str, grants: Sequence[Grant] = ()) -> None:
        """Have what is counted of a dialect begin at 0: rate() does not see a first event."""
        for refusal in (Busy, Crashed, TooMany, Unavailable):
            self._refusals.labels(name, refusal.__name__)
        if name:
            self.stores.expect_dialect(name, {grant.kind for grant in grants})

    def expect_route(self, dialects: Sequence[str], route: str, methods: Sequence[str]) -> None:
        """Have the failures at a route begin at 0."""
        for dialect in dialects:
            for method in methods:
                for status in (500, 503):
                    self._requests.labels(dialect, route, method, status)

    def count_bad_request(self) -> None:
        """Count bytes that no route was found for, because they are not HTTP."""
        self._bad_requests.inc()

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
        """Return whether a request may see them: one that comes directly from a network `allow`.

        A proxy on the same machine has a loopback address whoever its client is, so whatever a
        proxy adds refuses, and so does HTTP/1.0, which no scraper speaks and nginx does, adding
        nothing. A web page that has its own name resolve to this machine (DNS rebinding) sends
        that name in Host.
        """
        peer = parse_address(peer_of(request))
        if peer is None or not is_within(str(peer), self._allow):
            return False
        if any(name.lower().startswith(BY_A_PROXY) for name in request.headers):
            return False
        if request.version < HttpVersion11:
            return False
        return not peer.is_loopback or _is_local(request.host)

    def exposition(self, *, as_openmetrics: bool) -> tuple[bytes, str]:
        """Return all metrics, and the media type they are written in. Takes some milliseconds."""
        registry = self._registry
        if self._shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        write, media_type = choose_encoder(OPENMETRICS if as_openmetrics else "")
        return write(registry), media_type


METRICS = web.AppKey("metrics", Metrics)


def check_access(request: web.Request) -> None:
    """Raise NotFound for a client that may not see the metrics, before its method is checked."""
    if not request.app[METRICS].allows(request):
        raise NotFound


routes = Routes(drf.render_error, Checks(open=check_access))


@routes.open("/metrics", methods=GET, cors=False)
async def show(request: web.Request) -> Answer:
    """Answer with all metrics, in the text format of Prometheus or as OpenMetrics."""
    metrics = request.app[METRICS]
    metrics.flush()
    wanted = OPENMETRICS in request.headers.get(hdrs.ACCEPT, "")
    content, media_type = await asyncio.to_thread(metrics.exposition, as_openmetrics=wanted)
    return Answer(body=content, media_type=media_type, headers={hdrs.CACHE_CONTROL: "no-store"})


def _is_local(host: str) -> bool:
    """Return whether a Host header names this machine: by an address, or as localhost."""
    name = host.partition(":")[0].rstrip(".").lower()
    is_localhost = name == "localhost" or name.endswith(".localhost")
    return is_localhost or parse_address(host) is not None
