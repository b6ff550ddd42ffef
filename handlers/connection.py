"""Connections: what happens below the level of requests."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_urldispatcher import PlainResource, UrlMappingMatchInfo

from handlers import drf
from handlers.answers import Answer
from handlers.dialect import NotFound
from handlers.front import SHARED
from handlers.keys import DRAINING
from handlers.wire import AT_ONCE, Outbox, as_response, encode

NOWHERE: dict[str, str] = {hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*", **SHARED}

WAITED_OUT = 16 * 1024 * 1024
"""Bytes of a body that nobody reads which are taken in, so that its client can read the answer."""

IN_A_ROW = 16
"""Pipelined requests of one connection that are answered before the others have a turn."""

_log = logging.getLogger("latchkey.connection")

Handle = Callable[[Any], Awaitable[web.StreamResponse]]


class Connection(RequestHandler):
    """A client's connection. What the HTTP parser refuses gets a bare 400 and one quiet line."""

    __slots__ = ("_in_a_row", "_outbox", "_plain")

    def __init__(
        self, manager: web.Server, *, outbox: Outbox, plain: bool, **settings: object
    ) -> None:
        """Make a connection whose answers leave through `outbox`.

        `plain` says that no signal of the application has a part in what is sent.
        """
        super().__init__(manager, **settings)  # type: ignore[arg-type]  # they are aiohttp's own
        self._outbox = outbox
        self._plain = plain
        self._in_a_row = 0

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
        self,
        request: web.BaseRequest,
        resp: web.StreamResponse | Answer,
        start_time: float | None,
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; tell whether the client has gone.

        CONNECT has no path that a route could match, and gets its 404 here.
        """
        if isinstance(resp, Answer) and self._plain and self._is_ordinary(request, resp):
            if self._paused:
                await self._drain_helper()
            if self.transport is None or self.transport.is_closing():
                return resp, True  # type: ignore[return-value]  # aiohttp asks its keep_alive only
            self._outbox.send(self.transport, encode(resp))
            resp.body = b""  # aiohttp keeps an idle connection's last answer; orjson's take 4 KiB
            if request.body_exists and not request.content.is_eof():
                await self._wait_out(request)
            if self._messages:
                await self._give_way()
            return resp, False  # type: ignore[return-value]
        self._outbox.empty()
        if isinstance(resp, web.HTTPException):
            resp = drf.refuse(NotFound())
            resp.headers = NOWHERE
            _log.info("%s without a path was refused", request.method)
        response = as_response(resp) if isinstance(resp, Answer) else resp
        sent, gone = await super().finish_response(request, response, start_time)
        if not gone and not request.content.is_eof():
            await self._wait_out(request)
        if self._messages:
            await self._give_way()
        return sent, gone

    async def _give_way(self) -> None:
        """Let other connections have a turn after IN_A_ROW requests of this one.

        From Python 3.12 on aiohttp starts requests eagerly. Those that wait for nothing would all
        be answered in one turn of the event loop: 190 of one connection before one of another.
        """
        self._in_a_row += 1
        if self._in_a_row >= IN_A_ROW:
            self._in_a_row = 0
            await asyncio.sleep(0)

    async def _wait_out(self, request: web.BaseRequest) -> None:
        """Drop what is left of a body; one that is too long ends the connection.

        aiohttp's own way has a limit of time alone: in a second it took in hundreds of megabytes.
        """
        body, left = request.content, WAITED_OUT
        self._current_request = request  # whose body ends with the connection
        with contextlib.suppress(
            TimeoutError, web.RequestPayloadError, HttpProcessingError, OSError
        ):
            async with asyncio.timeout(self._lingering_time):
                while left > 0 and not body.is_eof():
                    left -= len(await body.readany())
        self._current_request = None
        if not body.is_eof():
            self._lingering_time = 0.0  # aiohttp closes at once

    def _is_ordinary(self, request: web.BaseRequest, answer: Answer) -> bool:
        return (
            request.keep_alive
            and not answer.closes
            and request.version == HttpVersion11
            and request.method != hdrs.METH_HEAD
            and len(answer.body) <= AT_ONCE
            and not self._upgraded
        )


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
        made, outbox = await super()._make_server(), Outbox()
        return _Server(
            _straight(self.app, made.request_handler, outbox),
            request_factory=made.request_factory,
            **made._kwargs,
            auto_decompress=False,  # no body is decompressed, not even one that nobody reads
            outbox=outbox,
            plain=not self.app.on_response_prepare,
        )

    async def drain(self, seconds: float, tell: Callable[[], None] = lambda: None) -> None:
        """Close each connection behind its next answer, so that no client meets a closed one.

        This ends when all are closed, after `seconds` at the latest; `tell` is called meanwhile.
        """
        self.app[DRAINING].set()
        clock = asyncio.get_running_loop().time
        give_up = clock() + seconds
        # aiohttp has no event for the last connection's going.
        while self.server and self.server.connections and clock() < give_up:
            tell()
            await asyncio.sleep(0.02)


def _straight(app: web.Application, resolve: Handle, outbox: Outbox) -> Handle:
    """Return a handler that finds plain paths in one look, and has aiohttp resolve all others."""
    known: dict[str, tuple[UrlMappingMatchInfo, Handle]] = {}
    for resource in app.router.resources():
        if type(resource) is PlainResource:
            [route] = resource
            match = UrlMappingMatchInfo({}, route)
            match.add_app(app)
            match.freeze()
            known[resource.canonical] = match, match.handler

    def handle(request: web.Request) -> Awaitable[web.StreamResponse]:
        if hdrs.EXPECT in request.headers:
            outbox.empty()  # "100 Continue" is written past it
            return resolve(request)
        found = known.get(request.raw_path)
        if found is None:
            return resolve(request)
        request._match_info, handler = found
        return handler(request)

    return handle
