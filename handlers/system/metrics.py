"""GET /metrics, and the check of who may read it."""

import asyncio
from collections.abc import Sequence

from aiohttp import HttpVersion11, hdrs, web

from handlers.app_keys import METRICS
from handlers.dialects import drf
from handlers.errors import NotFound
from handlers.http.response import Response
from handlers.proxies import is_within, peer_of
from handlers.routes import GET, Checks, Routes
from store.addresses import Network, parse_address
from telemetry.metrics import OPENMETRICS

PROXY_HEADERS = (
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
"""The beginnings of the headers that proxies and content delivery networks add."""

METRICS_ALLOW: web.AppKey[Sequence[Network]] = web.AppKey("metrics_allow")
"""The networks whose clients may read the metrics."""


def check_access(request: web.Request) -> None:
    """Raise NotFound for a client that may not read the metrics, before the method is checked."""
    if not _is_allowed(request):
        raise NotFound


routes = Routes(drf.render_error, Checks(open=check_access))


@routes.open("/metrics", methods=GET, internal=True)
async def show(request: web.Request) -> Response:
    """GET /metrics: return all metrics, in Prometheus' text format or as OpenMetrics."""
    metrics = request.app[METRICS]
    metrics.flush()
    wanted = OPENMETRICS in request.headers.get(hdrs.ACCEPT, "")
    content, media_type = await asyncio.to_thread(metrics.exposition, as_openmetrics=wanted)
    return Response(body=content, media_type=media_type, headers={hdrs.CACHE_CONTROL: "no-store"})


def _is_allowed(request: web.Request) -> bool:
    """Return whether a request comes directly from a network of METRICS_ALLOW.

    A proxy on the same machine has a loopback address for every client. Therefore a request with a
    header that proxies add is rejected, and so is HTTP/1.0, which no scraper uses, but nginx does
    without adding a header. A web page whose name resolves to this machine (DNS rebinding) sends
    that name in Host.
    """
    peer = parse_address(peer_of(request))
    if peer is None or not is_within(str(peer), request.app[METRICS_ALLOW]):
        return False
    if any(name.lower().startswith(PROXY_HEADERS) for name in request.headers):
        return False
    if request.version < HttpVersion11:
        return False
    return not peer.is_loopback or _is_local(request.host)


def _is_local(host: str) -> bool:
    """Return whether a Host header is an address or localhost."""
    name = host.partition(":")[0].rstrip(".").lower()
    is_localhost = name == "localhost" or name.endswith(".localhost")
    return is_localhost or parse_address(host) is not None
