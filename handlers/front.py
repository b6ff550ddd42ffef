"""What every answer passes on its way out: an id, the documented CORS headers, and the log."""

import contextlib
import itertools
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import hdrs, web

from handlers.answers import Answer, SharedHeaders, json_response
from handlers.body import read_body
from handlers.dialect import Endpoint, say_no
from handlers.keys import ALLOW_ORIGIN, BODY, DRAINING, REQUEST_ID, REQUEST_LOG, SPOKEN
from handlers.metrics import METRICS
from store.errors import Refused

SHARED: dict[str, str] = {
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Content-Type, Authorization",
    hdrs.SERVER: "Latchkey",
}
Mounted = Callable[[web.Request], Awaitable[Any]]
"""What aiohttp calls: it hands the answer on as it is, to handlers/connection.py."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """Makes ids that no other process makes: a random beginning and a count."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._count = itertools.count(1)

    def of(self, request: web.Request) -> str:
        """Return the id that a proxy gave the request, or a new one."""
        given = request.headers.get("X-Request-ID")
        if given and _REQUEST_ID.fullmatch(given):
            return given
        return f"{self._prefix}-{next(self._count):x}"


def front(
    app: web.Application, endpoint: Endpoint, route: str, dialect: str, ids: RequestIds
) -> Mounted:
    """Return what is mounted for an endpoint: OPTIONS answered, the rest handed on, all logged.

    `dialect` is "" for a path that belongs to none, or where the request tells which it speaks.
    """
    handle, refuse = endpoint.handler, endpoint.refuse
    log, metrics, draining = app[REQUEST_LOG], app[METRICS], app[DRAINING]
    allow_methods = ", ".join([*endpoint.methods, "OPTIONS"])
    origin = {str(hdrs.ACCESS_CONTROL_ALLOW_ORIGIN): app[ALLOW_ORIGIN]} if app[ALLOW_ORIGIN] else {}
    shared = SharedHeaders({**origin, **SHARED})

    async def fronted(request: web.Request) -> Answer:
        started = time.perf_counter()
        method = request.method
        request_id = request[REQUEST_ID] = ids.of(request)
        if method == hdrs.METH_OPTIONS:
            said = json_response({}, 200, {hdrs.ACCESS_CONTROL_ALLOW_METHODS: allow_methods})
        else:
            try:
                said = await handle(request)
            except Exception as problem:
                said = say_no(refuse, problem, request)
        said.shared, said.request_id = shared, request_id
        said.closes = draining.is_set() or (request.body_exists and await _was_refused(request))
        seconds = time.perf_counter() - started
        log.add(method, route, said.status, seconds, request_id, said.why)
        spoken = dialect or request.get(SPOKEN, "")
        metrics.note(spoken, route, method, said.status, said.why, seconds)
        return said

    return fronted


async def _was_refused(request: web.Request) -> bool:
    """Tell whether a body was refused: what is left of it is not read, so the connection ends.

    The refusal is forgotten: its traceback leads to the request, and so would never be freed
    without the collector, which comes late. 4 000 slow bodies left 50 MB.
    """
    if hdrs.CONTENT_ENCODING in request.headers and request.method != hdrs.METH_OPTIONS:
        with contextlib.suppress(Refused):
            await read_body(request)  # aiohttp stumbles over what it can't unpack
    return isinstance(request.pop(BODY, None), Refused)


async def expect(request: web.Request) -> None:
    """Tell a client that waits for it to send its body (RFC 9110, 10.1.1).

    An expectation of another kind is passed over, as the RFC allows: a 417 would be no dialect's.
    """
    if request.headers[hdrs.EXPECT].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # aiohttp counts this as the answer's beginning otherwise
