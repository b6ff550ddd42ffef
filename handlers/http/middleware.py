"""The middleware of every request: its id, the CORS headers, errors, the log and metrics."""

import asyncio
import itertools
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs, web

from handlers.app_keys import (
    ALLOW_ORIGIN,
    DIALECT,
    DRAINING,
    METRICS,
    RENDER_ERROR,
    REQUEST_ID,
    REQUEST_LOG,
)
from handlers.body import drop_body
from handlers.errors import error_response
from handlers.http.expectation import expects_continue
from handlers.http.response import Response, SharedHeaders, allow_header, json_response
from handlers.proxies import PROXIES
from handlers.routes import Endpoint
from store.errors import AppError

if TYPE_CHECKING:
    from telemetry.tracing import Tracing

_SERVER: dict[str, str] = {hdrs.SERVER: "Latchkey"}
_ALLOWED_HEADERS = "Content-Type, Authorization"
SHARED_HEADERS: dict[str, str] = {hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _ALLOWED_HEADERS, **_SERVER}
EXPOSED_HEADERS: dict[str, str] = {hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: "Retry-After, X-Request-ID"}
"""The headers that a page may read. handlers/cors.py adds them where it decides the origin."""
_PREFLIGHT: dict[str, str] = {
    # All methods, or a page would see a network error instead of the dialect's 405.
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    hdrs.ACCESS_CONTROL_MAX_AGE: "7200",  # Chrome's maximum
}
_MORE_HEADERS: dict[str, str] = {
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: f"{_ALLOWED_HEADERS}, X-Request-ID, X-Requested-With, "
    "traceparent, tracestate, baggage, sentry-trace"
}
"""For a preflight that requests more headers (docs/contracts/index.md#cors), as libraries do."""
RouteHandler = Callable[[web.Request], Awaitable[Any]]
"""What aiohttp calls. It passes the response unchanged to handlers/http/connection.py."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET_LENGTH = 40
_SECRET = re.compile(rf"[A-Za-z0-9]{{{_SECRET_LENGTH}}}")
"""No tracing system makes ids with so long a word. Tokens and hashes are such words."""


class RequestIds:
    """Generates request ids that are unique to this process: a random prefix and a counter."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._count = itertools.count(1)

    def for_request(self, request: web.Request) -> str:
        """Return the request's X-Request-ID if it is valid, otherwise a new id.

        An id that could be a token is not used: it would be logged and sent back.
        """
        given = request.headers.get("X-Request-ID")
        if (
            given
            and _REQUEST_ID.fullmatch(given)
            and (len(given) < _SECRET_LENGTH or not _SECRET.search(given))
        ):
            return given
        return f"{self._prefix}-{next(self._count):x}"


def apply_middleware(
    app: web.Application, endpoint: Endpoint, route: str, dialect: str, ids: RequestIds
) -> RouteHandler:
    """Return the route handler of an endpoint. It handles OPTIONS, renders errors and logs.

    `dialect` is "" for a path that belongs to none, and for a shared path.
    """
    handle, render_error = endpoint.handler, endpoint.render_error
    log, metrics, draining = app[REQUEST_LOG], app[METRICS], app[DRAINING]
    headers = _cors_headers(app[ALLOW_ORIGIN]) if endpoint.cors else _no_cors(endpoint.methods)
    shared, preflight, longer_preflight = headers
    # Envoy forwards any OPTIONS to an endpoint that no page of another origin may use.
    preflight_method = hdrs.METH_OPTIONS if endpoint.cors or not endpoint.options else ""
    calls_handler = endpoint.options

    async def wrapped(request: web.Request) -> Response:
        started = time.perf_counter()
        method = request.method
        request_id = request[REQUEST_ID] = ids.for_request(request)
        if method == preflight_method and not (
            calls_handler and hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers
        ):
            response = json_response({})
            common = longer_preflight if _requests_more_headers(request) else preflight
        else:
            common = shared
            try:
                response = await handle(request)
            except Exception as problem:
                render = request.get(RENDER_ERROR, render_error)
                response = error_response(render, problem, request)
            except asyncio.CancelledError:  # the client has disconnected
                drop_body(request)
                raise
        response.shared, response.request_id = common, request_id
        response.closes = (request.body_exists and _ends_connection(request)) or draining.is_set()
        seconds = time.perf_counter() - started
        log.add(method, route, response.status, seconds, request_id, response.reason)
        chosen = dialect or request.get(DIALECT, "")
        metrics.note(chosen, route, method, response.status, response.reason, seconds)
        return response

    return wrapped


def only_at_port(port: int, handle: RouteHandler, otherwise: RouteHandler) -> RouteHandler:
    """Return a handler that handles connections to this port, and passes others to `otherwise`."""

    async def handle_or_not(request: web.Request) -> Any:
        name = request.transport and request.transport.get_extra_info("sockname")
        return await (handle if name and name[1] == port else otherwise)(request)

    return handle_or_not


def traced(handle: RouteHandler, tracing: "Tracing", route: str, dialect: str) -> RouteHandler:
    """Return a handler that records a span of each request."""

    async def in_span(request: web.Request) -> Response:
        scheme = request.app[PROXIES].scheme(request)
        parent = request.headers.get("traceparent", "")
        with tracing.request(request.method, route, dialect, scheme, parent) as span:
            response: Response = await handle(request)
            chosen, error = request.get(DIALECT, ""), response.reason.partition(":")[0]
            tracing.describe(span, response.status, response.request_id, chosen, error)
        return response

    return in_span


@cache
def _cors_headers(origin: str) -> tuple[SharedHeaders, SharedHeaders, SharedHeaders]:
    """Return the headers of responses, of preflights, and of preflights for more headers."""
    origin_headers = {hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: origin, **EXPOSED_HEADERS} if origin else {}
    common = {**origin_headers, **SHARED_HEADERS}
    return (
        SharedHeaders(common),
        SharedHeaders({**common, **_PREFLIGHT}),
        SharedHeaders({**common, **_PREFLIGHT, **_MORE_HEADERS}),
    )


@cache
def _no_cors(methods: tuple[str, ...]) -> tuple[SharedHeaders, SharedHeaders, SharedHeaders]:
    """Return the same of an endpoint that no page of another origin may use."""
    options = SharedHeaders({**_SERVER, hdrs.ALLOW: allow_header(methods)})
    return SharedHeaders(_SERVER), options, options


def _requests_more_headers(request: web.Request) -> bool:
    """Return whether a preflight requests headers beyond those of the contracts."""
    requested = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "").lower().split(",")
    return any(name.strip() not in ("", "content-type", "authorization") for name in requested)


def _ends_connection(request: web.Request) -> bool:
    """Return whether the connection ends after the response to a request with a body.

    It ends if reading the body failed, because the rest is not read. It ends if the client waits
    for a 100 that was not sent, because it may or may not send the body. It ends if the request
    has an Upgrade header and its body is incomplete, because aiohttp's parser stops after it.

    The body's error is released: its traceback refers to the request, so that only the garbage
    collector would free both. 4 000 slow bodies left 50 MB.
    """
    body = drop_body(request)
    if body is None and expects_continue(request):
        return True
    if hdrs.UPGRADE in request.headers and not request.content.is_eof():
        return True
    return isinstance(body, AppError)
