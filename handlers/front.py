"""What every answer passes on its way out: an id, the documented CORS headers, and the log."""

import contextlib
import itertools
import re
import secrets
import time

from aiohttp import hdrs, web

from handlers.answers import json_response
from handlers.body import read_body
from handlers.dialect import Endpoint, Handler, answer
from handlers.keys import ALLOW_ORIGIN, BODY, DRAINING, REFUSAL, REQUEST_ID, REQUEST_LOG
from store.errors import Refused

ALLOW_HEADERS = "Content-Type, Authorization"
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


def front(endpoint: Endpoint, route: str, ids: RequestIds) -> Handler:
    """Return what is mounted for an endpoint: OPTIONS answered, the rest handed on, all logged."""
    answered = answer(endpoint)
    allow_methods = ", ".join([*endpoint.methods, "OPTIONS"])

    async def fronted(request: web.Request) -> web.Response:
        started = time.perf_counter()
        app = request.app
        request_id = request[REQUEST_ID] = ids.of(request)
        if request.method == hdrs.METH_OPTIONS:
            response = json_response({})
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = allow_methods
        else:
            response = await answered(request)
            if hdrs.CONTENT_ENCODING in request.headers:  # aiohttp stumbles if it can't unpack it
                with contextlib.suppress(Refused):
                    await read_body(request)
        headers = response.headers
        if origin := app[ALLOW_ORIGIN]:
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ALLOW_HEADERS
        headers[hdrs.SERVER] = "Latchkey"
        headers["X-Request-ID"] = request_id
        if app[DRAINING].is_set() or isinstance(request.get(BODY), Refused):
            response.force_close()  # what is left of a body that was refused is not read
        seconds = time.perf_counter() - started
        app[REQUEST_LOG].add(
            request.method, route, response.status, seconds, request_id, _why(request)
        )
        return response

    return fronted


async def expect(request: web.Request) -> None:
    """Tell a client that waits for it to send its body (RFC 9110, 10.1.1).

    An expectation of another kind is passed over, as the RFC allows: a 417 would be no dialect's.
    """
    if request.headers[hdrs.EXPECT].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # aiohttp counts this as the answer's beginning otherwise


def _why(request: web.Request) -> str:
    refusal = request.get(REFUSAL)
    return type(refusal).__name__ if refusal else ""
