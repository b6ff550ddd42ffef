"""What every answer passes on its way out: an id, the documented CORS headers, and the log."""

import itertools
import re
import secrets
import time

from aiohttp import hdrs, web

from handlers.answers import json_response
from handlers.dialect import Endpoint, Handler, answer
from handlers.keys import ALLOW_ORIGIN, DRAINING, REFUSAL, REQUEST_ID, REQUEST_LOG

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
        headers = response.headers
        if origin := app[ALLOW_ORIGIN]:
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ALLOW_HEADERS
        headers[hdrs.SERVER] = "Latchkey"
        headers["X-Request-ID"] = request_id
        if app[DRAINING].is_set():
            response.force_close()
        seconds = time.perf_counter() - started
        app[REQUEST_LOG].add(
            request.method, route, response.status, seconds, request_id, _why(request)
        )
        return response

    return fronted


def _why(request: web.Request) -> str:
    refusal = request.get(REFUSAL)
    return type(refusal).__name__ if refusal else ""
