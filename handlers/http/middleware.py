"""What every response passes on its way out: an id, the CORS headers, and the log."""

import asyncio
import itertools
import re
import secrets
import time
from collections.abc import Awaitable, Callable
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
SHARED: dict[str, str] = {hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _ALLOWED_HEADERS, **_SERVER}
EXPOSED: dict[str, str] = {hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: "Retry-After, X-Request-ID"}
"""What a page may read besides the body; handlers/cors.py adds it where it decides the origin."""
_PREFLIGHT: dict[str, str] = {
    # Not those of the path: a page would see a network error in place of the dialect's 405.
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    hdrs.ACCESS_CONTROL_MAX_AGE: "7200",  # the longest that Chrome keeps one
}
_MORE: dict[str, str] = {
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: f"{_ALLOWED_HEADERS}, X-Request-ID, X-Requested-With, "
    "traceparent, tracestate, baggage, sentry-trace"
}
"""For a preflight that asks for other headers (docs/contracts/index.md#cors): for libraries."""
RouteHandler = Callable[[web.Request], Awaitable[Any]]
"""What aiohttp calls: it hands the answer on as it is, to handlers/http/connection.py."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET_LENGTH = 40
_SECRET = re.compile(rf"[A-Za-z0-9]{{{_SECRET_LENGTH}}}")
"""No tracing system makes an id with so long a word; tokens and hashes are such words."""


class RequestIds:
    """Makes ids that no other process makes: a random beginning and a count."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._count = itertools.count(1)

    def of(self, request: web.Request) -> str:
        """Return the id that a proxy or the client gave the request, or a new one.

        One that could be a token is not taken: it would be logged and sent back.
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
    """Return what is mounted for an endpoint: OPTIONS answered, the rest handed on, all logged.

    `dialect` is "" for a path that belongs to none, or where the request tells which it speaks.
    """
    handle, render_error = endpoint.handler, endpoint.render_error
    log, metrics, draining = app[REQUEST_LOG], app[METRICS], app[DRAINING]
    shared, preflight, longer_preflight = _common_headers(app, endpoint)

    async def wrapped(request: web.Request) -> Response:
        started = time.perf_counter()
        method = request.method
        request_id = request[REQUEST_ID] = ids.of(request)
        if method == hdrs.METH_OPTIONS:
            response = json_response({})
            common = longer_preflight if _requests_more_headers(request) else preflight
        else:
            common = shared
            try:
                response = await handle(request)
            except Exception as problem:
                render = request.get(RENDER_ERROR, render_error)
                response = error_response(render, problem, request)
            except asyncio.CancelledError:  # the client has gone
                drop_body(request)
                raise
        response.shared, response.request_id = common, request_id
        response.closes = (request.body_exists and _ends_connection(request)) or draining.is_set()
        seconds = time.perf_counter() - started
        log.add(method, route, response.status, seconds, request_id, response.reason)
        spoken = dialect or request.get(DIALECT, "")
        metrics.note(spoken, route, method, response.status, response.reason, seconds)
        return response

    return wrapped


def traced(handle: RouteHandler, tracing: "Tracing", route: str, dialect: str) -> RouteHandler:
    """Return a handler that makes a span of each request."""

    async def in_span(request: web.Request) -> Response:
        scheme = request.app[PROXIES].scheme(request)
        parent = request.headers.get("traceparent", "")
        with tracing.request(request.method, route, dialect, scheme, parent) as span:
            response: Response = await handle(request)
            spoken, error = request.get(DIALECT, ""), response.reason.partition(":")[0]
            tracing.describe(span, response.status, response.request_id, spoken, error)
        return response

    return in_span


def _common_headers(
    app: web.Application, endpoint: Endpoint
) -> tuple[SharedHeaders, SharedHeaders, SharedHeaders]:
    """Return the headers of every answer, of a preflight's, and of one that asks for more."""
    if not endpoint.cors:
        options = SharedHeaders({**_SERVER, hdrs.ALLOW: allow_header(endpoint.methods)})
        return SharedHeaders(_SERVER), options, options
    origin = app[ALLOW_ORIGIN]
    everyone = {hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: origin, **EXPOSED} if origin else {}
    common = {**everyone, **SHARED}
    return (
        SharedHeaders(common),
        SharedHeaders({**common, **_PREFLIGHT}),
        SharedHeaders({**common, **_PREFLIGHT, **_MORE}),
    )


def _requests_more_headers(request: web.Request) -> bool:
    """Return whether a preflight asks for headers beyond those of the contracts."""
    requested = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "").lower().split(",")
    return any(name.strip() not in ("", "content-type", "authorization") for name in requested)


def _ends_connection(request: web.Request) -> bool:
    """Return whether the connection ends behind the answer to a request with a body.

    It does when the body was refused, for what is left of it is not read. It does when the client
    was not told to send the body: nobody knows whether it will. And it does when the request asks
    for an upgrade and its body is still on the way: at its end aiohttp's parser stops for good.

    The refusal is forgotten: its traceback leads to the request, and so would never be freed
    without the collector, which comes late. 4 000 slow bodies left 50 MB.
    """
    body = drop_body(request)
    if body is None and expects_continue(request):
        return True
    if hdrs.UPGRADE in request.headers and not request.content.is_eof():
        return True
    return isinstance(body, AppError)
