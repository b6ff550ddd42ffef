"""Declares endpoints and dialects, and checks requests before their handlers run.

An endpoint is declared with its paths and methods. The checks of a dialect are data: how it finds
the caller, how it treats a token that is not required, and whether the method or the token is
checked first. Methods are checked only here.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import hdrs, web

from handlers.authorization import authenticate
from handlers.errors import MethodNotAllowed, RenderError
from handlers.http.response import Response, allow_header, json_response
from store.authentication import Caller
from store.session_record import SessionSpec

GET = ("GET",)
POST = ("POST",)
PUT = ("PUT",)
GET_OR_POST = ("GET", "POST")

Handler = Callable[[web.Request], Awaitable[Response]]
GuardedHandler = Callable[[web.Request, Caller], Awaitable[Response]]
Authenticate = Callable[[web.Request], Awaitable[Caller]]
Check = Callable[[web.Request], Awaitable[object] | None]

_AnyHandler = TypeVar("_AnyHandler", bound=Callable[..., Awaitable[Response]])


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The handler of a path. It is called with requests of any method.

    `methods` are the allowed methods. `cors` says whether web pages of other origins may use it,
    `options` whether the handler is called with OPTIONS, too, unless it is a preflight, and
    `internal` whether with INTERNAL_PORT it exists only on that port.
    """

    handler: Handler
    methods: tuple[str, ...]
    render_error: RenderError
    cors: bool = True
    options: bool = False
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Checks:
    """The checks of a request before its handler runs.

    `authenticate` finds the caller of a guarded endpoint; `open` is called for an open one. Both
    are plain functions, which may raise; only what they return is awaited, so that a read needs no
    coroutine for them. With `method_first` the method is checked before both.

    With `others_guarded` a path may have open and guarded methods, and all other methods require a
    token, also OPTIONS unless it is a preflight.
    """

    authenticate: Authenticate = authenticate
    open: Check | None = None
    method_first: bool = False
    others_guarded: bool = False


class ByMethod(dict[str, _AnyHandler]):
    """The handlers of a path by method. A lookup of any other method raises MethodNotAllowed.

    The handler of GET also handles HEAD (RFC 9110, 9.3.2).
    """

    def __init__(self, methods: tuple[str, ...], handler: _AnyHandler) -> None:
        super().__init__()
        self.methods: tuple[str, ...] = ()
        self.add(methods, handler)

    def add(self, methods: tuple[str, ...], handler: _AnyHandler) -> None:
        """Add methods. Raises ValueError if the path already has one of them."""
        if not self.keys().isdisjoint(methods):
            raise ValueError(f"{', '.join(methods)}: declared twice")
        self.methods += methods
        self.update(dict.fromkeys(methods, handler))
        if "GET" in methods:
            self["HEAD"] = handler

    def __missing__(self, method: str) -> _AnyHandler:
        raise MethodNotAllowed(method, allow_header(self.methods))


class Routes:
    """Collects endpoints. `render_error` renders their errors unless an endpoint has another."""

    def __init__(self, render_error: RenderError, checks: Checks) -> None:
        self._render_error = render_error
        self._checks = checks
        self._by_method: dict[str, ByMethod[Handler]] = {}
        self.endpoints: dict[str, Endpoint] = {}

    def open(
        self,
        *paths: str,
        methods: tuple[str, ...] = POST,
        render_error: RenderError | None = None,
        cors: bool = True,
        internal: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Return a decorator that adds an endpoint which requires no token.

        Web pages of other origins cannot use an `internal` one.
        """
        check = self._checks.open

        def add(handler: Handler) -> Handler:
            handlers = ByMethod(methods, handler)

            async def checked(request: web.Request) -> Response:
                if check is not None and (checking := check(request)) is not None:
                    await checking
                return await handlers[request.method](request)

            self._add(paths, methods, checked, render_error, cors=cors, internal=internal)
            return handler

        return add

    def guarded(
        self,
        *paths: str,
        methods: tuple[str, ...] = POST,
        render_error: RenderError | None = None,
        authenticate: Authenticate | None = None,
    ) -> Callable[[GuardedHandler], GuardedHandler]:
        """Return a decorator that adds an endpoint which requires a token.

        Its handler is called with the request and the caller. `authenticate` finds the caller
        instead of the dialect's function.
        """
        find_caller = authenticate or self._checks.authenticate

        def add(handler: GuardedHandler) -> GuardedHandler:
            handlers = ByMethod(methods, handler)

            async def checked(request: web.Request) -> Response:
                caller = await find_caller(request)
                return await handlers[request.method](request, caller)

            self._add(paths, methods, checked, render_error)
            return handler

        return add

    def _add(
        self,
        paths: Sequence[str],
        methods: tuple[str, ...],
        checked: Handler,
        render_error: RenderError | None,
        *,
        cors: bool = True,
        internal: bool = False,
    ) -> None:
        render = render_error or self._render_error
        for path in paths:
            if path not in self._by_method:
                self._by_method[path] = ByMethod(methods, checked)
            elif self._checks.method_first or self._checks.others_guarded:
                self._by_method[path].add(methods, checked)
            else:
                raise ValueError(f"{path}: without method_first a path has one handler")
            by_method = self._by_method[path]
            handler = _dispatch(by_method) if self._checks.method_first else checked
            if self._checks.others_guarded:
                handler = _dispatch_guarded(by_method, self._checks.authenticate)
            self.endpoints[path] = Endpoint(
                handler,
                by_method.methods,
                render,
                cors=cors and not internal,
                options=self._checks.others_guarded,
                internal=internal,
            )


def _dispatch(by_method: ByMethod[Handler]) -> Handler:
    def dispatch(request: web.Request) -> Awaitable[Response]:
        return by_method[request.method](request)

    return dispatch


def _dispatch_guarded(by_method: ByMethod[Handler], authenticate: Authenticate) -> Handler:
    async def other_method(request: web.Request) -> Response:
        await authenticate(request)
        if request.method == hdrs.METH_OPTIONS:
            return json_response({}, headers={hdrs.ALLOW: allow_header(by_method.methods)})
        return await by_method[request.method](request)

    def dispatch(request: web.Request) -> Awaitable[Response]:
        return by_method.get(request.method, other_method)(request)

    return dispatch


@dataclass(frozen=True, slots=True)
class NoOptions:
    """The options of a dialect that has none."""


@dataclass(frozen=True)
class Dialect:
    """An API contract: its endpoints by path, and how it renders errors.

    `other_endpoints` are served under the dialect's name, and at its mount where no other dialect
    claims their paths. `options` are the options of its mount with their defaults
    (handlers/mounts.py); the application has the given ones under `options_key`. `session_specs`
    are the sessions that it opens.

    `paths` names, for an endpoint's path, the option that has another path for it at the mount, or
    "" if the endpoint does not exist. The option may also be a switch of the endpoint.
    `lifetimes` returns the seconds that sessions of a kind live, as the options say, and `links`
    the links of its messages by their kind, with {uid} or {uid36} and {token}; "" for none.
    `needs_mail` returns whether no new account can log in without e-mail, and `allows_credentials`
    whether pages of CORS_ORIGINS may send cookies. `schemes` returns what its apps may write before
    a token besides Token and Bearer, in lower case. A dialect that is not mounted `by_default` is
    mounted when DIALECTS names it.
    """

    name: str
    render_error: RenderError
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    other_endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    options: Any = NoOptions()
    options_key: web.AppKey[Any] | None = None
    session_specs: Sequence[SessionSpec] = ()
    paths: Mapping[str, str] = field(default_factory=dict)
    lifetimes: Callable[[Any], Mapping[str, int]] = lambda options: {}
    links: Callable[[Any], Mapping[str, str]] = lambda options: {}
    needs_mail: Callable[[Any], bool] = lambda options: False
    allows_credentials: Callable[[Any], bool] = lambda options: False
    schemes: Callable[[Any], frozenset[str]] = lambda options: frozenset()
    by_default: bool = True
