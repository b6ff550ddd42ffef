"""The routes of /internal, to which its modules add their endpoints."""

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from aiohttp import hdrs, web

from handlers.app_keys import REQUEST_ID
from handlers.errors import InsufficientScope
from handlers.http.response import Response
from handlers.internal.service_keys import Scope, ServiceKey, authenticate
from handlers.problems import render_error
from handlers.routes import POST, Checks, Routes
from store.event_writer import Actor

PREFIX = "/internal"
NO_STORE: dict[str, str] = {hdrs.CACHE_CONTROL: "no-store"}

KeyHandler = Callable[[web.Request, ServiceKey], Awaitable[Response]]
_KeyHandler = TypeVar("_KeyHandler", bound=KeyHandler)


class Principal(Protocol):
    """Who sends a request: a service, or an administrator (handlers/admin)."""

    @property
    def actor(self) -> Actor:
        """The actor of the events."""


_log = logging.getLogger("latchkey.internal")


class ServiceRoutes(Routes):
    """Collects endpoints that require a service key."""

    def require(
        self, scope: Scope, *paths: str, methods: tuple[str, ...] = POST
    ) -> Callable[[_KeyHandler], _KeyHandler]:
        """Return a decorator that adds an endpoint for keys of this scope or a wider one.

        Its handler is called with the request and the key. A line of the log connects the request's
        id with the key's name, except for introspections, which come with every other request.
        """

        def add(handler: _KeyHandler) -> _KeyHandler:
            async def checked(request: web.Request) -> Response:
                key = authenticate(request)
                if key.scope < scope:
                    raise InsufficientScope(scope.name.lower())
                if scope > Scope.INTROSPECT:
                    this = {"request_id": request[REQUEST_ID]}
                    _log.info("a request of the service %s", key.name, extra=this)
                return await handler(request, key)

            self.open(*(PREFIX + path for path in paths), methods=methods, internal=True)(checked)
            return handler

        return add


routes = ServiceRoutes(render_error, Checks(method_first=True))
