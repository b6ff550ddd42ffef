"""Connections: reading, writing and closing below the level of requests."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler

from handlers.app_keys import DRAINING, METRICS, PICTURE_LIMITS, UNREADABLE
from handlers.http.encoder import CHUNK_BYTES, WriteBatcher, as_response, encode
from handlers.http.lingering import MAX_SECONDS, MAX_SILENCE, MIN_BYTES, InputDiscarder
from handlers.http.resolver import EmptyResponse, handle_unreadable, with_path_lookup
from handlers.http.response import Response
from handlers.http.unreadable import Unreadable, read_unreadable

MAX_CONSECUTIVE = 16
"""Pipelined requests of one connection that are handled before other connections get a turn."""
UNREAD_SECONDS = 1.0
"""Seconds that a client may read nothing of its response while the server stops."""
_REQUEST_TIMEOUT = 408

_log = logging.getLogger("latchkey.connection")


class Connection(RequestHandler):
    """A client's connection.

    It uses these internals of aiohttp: `_messages` (parsed requests that wait), `_paused`,
    `_drain_waiter` and `_drain_helper` (flow control), `_upgraded`, `_current_request`,
    `_lingering_time`, `_make_error_handler`, and the application's `_make_request`.
    """

    __slots__ = (
        "_app",
        "_consecutive",
        "_max_discarded",
        "_no_signals",
        "_reparsed",
        "_timeout",
        "_write_batcher",
    )

    def __init__(
        self,
        manager: web.Server,
        *,
        app: web.Application,
        write_batcher: WriteBatcher,
        **settings: object,
    ) -> None:
        """Create a connection that writes its responses through `write_batcher`."""
        super().__init__(manager, **settings)  # type: ignore[arg-type]  # aiohttp's settings
        self._app = app
        self._write_batcher = write_batcher
        self._no_signals = not app.on_response_prepare  # then no signal changes a response
        self._max_discarded = max(MIN_BYTES, app[PICTURE_LIMITS].body_bytes)
        self._consecutive = 0
        self._reparsed: web.BaseRequest | None = None
        self._timeout: asyncio.Timeout | InputDiscarder | None = None

    def send_continue(self) -> None:
        """Send 100 Continue, so that the client sends its body."""
        if self.transport is not None:
            self._write_batcher.send(self.transport, b"HTTP/1.1 100 Continue\r\n\r\n")

    def close(self) -> None:
        """End after the response to the request in progress.

        It stops waiting for the rest of a body, and for a client that reads nothing for a second.
        """
        super().close()
        if isinstance(self._timeout, InputDiscarder):
            self._timeout.end()
        elif self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(self._loop.time() + (UNREAD_SECONDS if self._paused else 0))

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109  # aiohttp's
        """End within `timeout` seconds; aiohttp takes twice as long if a handler does not end."""
        transport = self.transport
        try:
            async with asyncio.timeout(timeout):
                await super().shutdown(timeout)
        except TimeoutError:
            if self._task_handler is not None:
                self._task_handler.cancel()
            self.force_close()
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()  # closing would wait for the client to read

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return a response with only the status: no request data, no error message.

        aiohttp has no parsed request here and assumes HTTP/1.0; its responses use `_version`.
        """
        request._version = HttpVersion11
        if status < 500:
            self._app[METRICS].count_bad_request()
            _log.info("a request that is not HTTP was refused: %s", type(exc).__name__)
        else:
            _log.error("unexpected error", exc_info=exc)
        response = EmptyResponse(status=status)
        response.force_close()
        return response

    async def finish_response(
        self,
        request: web.BaseRequest,
        resp: web.StreamResponse | Response,
        start_time: float | None,
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; return it, and whether the client has disconnected."""
        if isinstance(resp, Response) and self._no_signals and self._is_ordinary(request, resp):
            if self._paused:
                await self._drain_helper()
            if self.transport is None or self.transport.is_closing():
                return resp, True  # type: ignore[return-value]  # aiohttp reads only its keep_alive
            self._write_batcher.send(self.transport, encode(resp))
            resp.body = b""  # aiohttp keeps an idle connection's last response: 4 KiB of orjson
            if request.body_exists and not request.content.is_eof():
                await self._discard_body(request, resp.status)
            if self._messages:
                await self._yield_turn()
            return resp, False  # type: ignore[return-value]
        self._write_batcher.empty()
        response = as_response(resp) if isinstance(resp, Response) else resp
        sent, gone = await super().finish_response(self._reparsed or request, response, start_time)
        if not gone and not request.content.is_eof():
            await self._discard_body(request, response.status)
        if not gone and self._reparsed:
            await self._discard_rest()
        if self._messages:
            await self._yield_turn()
        return sent, gone

    async def _yield_turn(self) -> None:
        """Let other connections have a turn after MAX_CONSECUTIVE requests of this one.

        From Python 3.12 on, aiohttp starts requests eagerly. Pipelined requests that wait for
        nothing would all be handled in one turn of the event loop: 190 were measured.
        """
        self._consecutive += 1
        if self._consecutive >= MAX_CONSECUTIVE:
            self._consecutive = 0
            await asyncio.sleep(0)

    async def _drain_helper(self) -> None:
        """Wait until the client has read; abort the connection if it reads nothing for too long.

        aiohttp calls this when flow control has paused writing, and waits without a limit.
        """
        while self._paused and self.transport is not None:
            transport = self.transport
            before = transport.get_write_buffer_size()
            try:
                seconds = UNREAD_SECONDS if self._close else self._keepalive_timeout
                async with asyncio.timeout(seconds) as self._timeout:
                    return await super()._drain_helper()
            except TimeoutError:
                self._drain_waiter = None  # the timeout cancelled it
                if transport.get_write_buffer_size() >= before:
                    transport.abort()
                    raise ConnectionResetError("the client does not read") from None
            finally:
                self._timeout = None
        await super()._drain_helper()

    async def _discard_body(self, request: web.BaseRequest, status: int) -> None:
        """Discard the rest of a body (handlers/http/lingering.py); past the limits, close.

        aiohttp limits only the time: in one second it read hundreds of megabytes. A client that
        was too slow (408) gets the short `lingering_time`.
        """
        body, left, clock = request.content, self._max_discarded, self._loop.time
        silence, seconds = MAX_SILENCE, MAX_SECONDS
        if status == _REQUEST_TIMEOUT:
            silence = seconds = self._lingering_time
        deadline = clock() + seconds
        self._current_request = request  # its body ends with the connection
        with contextlib.suppress(
            TimeoutError, web.RequestPayloadError, HttpProcessingError, OSError
        ):
            async with asyncio.timeout(silence) as self._timeout:
                while left > 0 and not body.is_eof() and not self._close:
                    left -= len(await body.readany())
                    self._timeout.reschedule(min(deadline, clock() + silence))
        self._current_request = self._timeout = None
        if not body.is_eof():
            self._lingering_time = 0.0  # then aiohttp closes at once

    def _make_error_handler(self, err_info: Any) -> Any:
        """Return the handler of a request that the parser rejected."""
        unreadable = read_unreadable(err_info.exc, self, self._loop)
        err_info.exc.with_traceback(None)  # it refers to itself: only the collector would free it
        if unreadable is None:
            return super()._make_error_handler(err_info)
        return partial(self._handle_unreadable, unreadable)

    async def _handle_unreadable(self, unreadable: Unreadable, request: web.BaseRequest) -> Any:
        again = self._reparsed = self._app._make_request(
            unreadable.message, EMPTY_PAYLOAD, self, request.writer, request.task
        )
        again[UNREADABLE] = unreadable.error
        response = await handle_unreadable(self._app, again)
        response.closes = True
        return response

    async def _discard_rest(self) -> None:
        """Discard what follows a request that could not be parsed, until the client closes."""
        transport = self.transport
        if transport is None or transport.is_closing() or not transport.can_write_eof():
            return
        transport.write_eof()
        self._timeout = InputDiscarder(self, self._max_discarded)
        transport.set_protocol(self._timeout)
        await self._timeout.wait()
        self._timeout = None

    def _is_ordinary(self, request: web.BaseRequest, response: Response) -> bool:
        return (
            request.keep_alive
            and not response.closes
            and request.version == HttpVersion11
            and request.method != hdrs.METH_HEAD
            and len(response.body) <= CHUNK_BYTES
            and not self._upgraded
        )


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application on `Connection`s."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        made, write_batcher = await super()._make_server(), WriteBatcher()
        return _Server(
            with_path_lookup(self.app, made.request_handler),
            request_factory=made.request_factory,
            **made._kwargs,
            auto_decompress=False,  # no body is decompressed, even if no handler reads it
            app=self.app,
            write_batcher=write_batcher,
        )

    async def drain(self, seconds: float, keep_going: Callable[[], bool] = lambda: True) -> None:
        """Serve for `seconds` more, with `Connection: close` and status 503 at /readyz.

        New connections are accepted, so that a load balancer sees the 503 before the socket
        closes. `keep_going` is called repeatedly; when it returns False, this returns.
        """
        self.app[DRAINING].set()
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        # aiohttp has no event for the end of the last connection.
        while keep_going() and (left := deadline - clock()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left, 0.02))
