"""Connections: what happens below the level of requests."""

import logging

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

from handlers import drf
from handlers.dialect import NotFound
from handlers.front import ALLOW_HEADERS

NOWHERE = {
    hdrs.SERVER: "Latchkey",
    hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: ALLOW_HEADERS,
}

_log = logging.getLogger("latchkey.connection")


class Connection(RequestHandler):
    """A client's connection. What the HTTP parser refuses gets a bare 400 and one quiet line."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer with the status alone: nothing of what was sent, nothing of what went wrong."""
        if status < 500:
            _log.info("a request that is not HTTP was refused: %s", type(exc).__name__)
        else:
            _log.error("unexpected error", exc_info=exc)
        response = _Bare(status=status)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; CONNECT has no path that a route could match, and gets a 404 here."""
        if isinstance(resp, web.HTTPException):
            resp = drf.refuse(NotFound())
            resp.headers.update(NOWHERE)
            _log.info("%s without a path was refused", request.method)
        return await super().finish_response(request, resp, start_time)


class _Bare(web.Response):
    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)
        self.headers.popall(hdrs.CONTENT_TYPE, None)


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application on connections of ours."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **made._kwargs)

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self.server.connections) if self.server else 0
