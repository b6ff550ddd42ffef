"""The routes of the admin page's API, and the check of who sends a request.

Each request is checked by itself: an account that is not a superuser any more, is disabled or is
logged out loses access at once.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from aiohttp import hdrs, web

from handlers.app_keys import FRESH_SESSIONS, REQUEST_ID
from handlers.authorization import authenticate
from handlers.errors import FreshLoginRequired, SuperuserRequired
from handlers.http.response import Response
from handlers.internal.routes import NO_STORE
from handlers.problems import render_error
from handlers.routes import GET, POST, Checks, Routes
from store.authentication import Caller
from store.event_writer import Actor

PREFIX = "/ui/admin/api"
DIALECT = "latchkey"
"""Sessions of other dialects are those of apps, and often live where other scripts read them."""
HEADERS: dict[str, str] = {**NO_STORE, hdrs.X_CONTENT_TYPE_OPTIONS: "nosniff"}

_log = logging.getLogger("latchkey.admin")


class Administrator(NamedTuple):
    """The superuser who sends a request."""

    caller: Caller

    @property
    def id(self) -> int:
        """The account's id."""
        return self.caller.account.id

    @property
    def actor(self) -> Actor:
        """The actor of its events."""
        return Actor("admin", str(self.id))


AdminHandler = Callable[[web.Request, Administrator], Awaitable[Response]]
_AdminHandler = TypeVar("_AdminHandler", bound=AdminHandler)


async def find_administrator(request: web.Request) -> Administrator:
    """Return who sends a request. Raises MissingToken, BadHeader, BadToken, SuperuserRequired.

    To be called again after the body has arrived, which may take long.
    """
    caller = await authenticate(request)
    if not caller.account.is_superuser or caller.session.dialect != DIALECT:
        raise SuperuserRequired
    return Administrator(caller)


async def require_fresh(request: web.Request, administrator: Administrator) -> None:
    """Raise FreshLoginRequired unless the session was opened or confirmed recently."""
    if not await request.app[FRESH_SESSIONS].is_fresh(administrator.caller.session):
        raise FreshLoginRequired


class AdminRoutes(Routes):
    """Collects endpoints for superusers."""

    def require(
        self, path: str, *, methods: tuple[str, ...] = POST, fresh: bool = False
    ) -> Callable[[_AdminHandler], _AdminHandler]:
        """Return a decorator that adds an endpoint. With `fresh`, it requires a recent login.

        A line of the log connects the id of a request that is not a GET with the administrator.
        """

        def add(handler: _AdminHandler) -> _AdminHandler:
            async def checked(request: web.Request) -> Response:
                administrator = await find_administrator(request)
                if fresh:
                    await require_fresh(request, administrator)
                if methods != GET:
                    this = {"request_id": request[REQUEST_ID]}
                    what = f"{request.method} {request.path.removeprefix(PREFIX)}"
                    _log.info("administrator %d: %s", administrator.id, what, extra=this)
                response = await handler(request, administrator)
                response.headers.update(HEADERS)
                return response

            self.open(PREFIX + path, methods=methods, cors=False)(checked)
            return handler

        return add


routes = AdminRoutes(render_error, Checks(method_first=True))
