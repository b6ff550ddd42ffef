"""From a request to its handler: plain paths in one lookup, all others through aiohttp's router."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.web_urldispatcher import PlainResource, UrlMappingMatchInfo

Handle = Callable[[Any], Awaitable[Any]]


class Route(NamedTuple):
    """What is known of a route besides its handler.

    `handle_unreadable` is its handler for a request that the HTTP parser has refused.
    """

    is_of_dialect: bool
    handle_unreadable: Handle


ROUTES: web.AppKey[dict[Handle, Route]] = web.AppKey("routes")
"""By the handler of each."""


class CatchAll(PlainResource):
    """Matches what nothing else does, `OPTIONS *` and newlines included."""

    def __init__(self) -> None:
        super().__init__("/")

    def _match(self, path: str) -> dict[str, str]:
        return {}


def with_path_lookup(app: web.Application, resolve: Handle) -> Handle:
    """Return a handler that finds plain paths in one lookup, and has aiohttp resolve all others.

    It sets `_match_info`, as aiohttp's own resolving does, and reads `_version`, which costs less
    than the property.
    """
    known: dict[str, tuple[UrlMappingMatchInfo, Handle]] = {}
    for resource in app.router.resources():
        if type(resource) is PlainResource:
            known[resource.canonical] = _match(app, resource)
        elif isinstance(resource, CatchAll):
            anywhere = _match(app, resource)

    def handle(request: web.Request) -> Awaitable[Any]:
        if request._version not in (HttpVersion11, HttpVersion10):
            return _refuse_version(request)
        found = known.get(request.raw_path)
        if found is None:
            if request.method == hdrs.METH_CONNECT:  # its target is no path: no route matches
                found = anywhere
            elif "//" in request.raw_path:
                return _collapse_slashes(app, resolve, request)
            else:
                return resolve(request)
        request._match_info, handler = found
        return handler(request)

    return handle


def _match(app: web.Application, resource: PlainResource) -> tuple[UrlMappingMatchInfo, Handle]:
    [route] = resource
    match = UrlMappingMatchInfo({}, route)
    match.add_app(app)
    match.freeze()
    return match, match.handler


async def _refuse_version(request: web.Request) -> web.Response:
    """Refuse a request line that names a version which HTTP/1 does not have (RFC 9110, 15.6.6).

    aiohttp's parser takes HTTP/0.9 and HTTP/2.0, and its responses name the version of the request.
    """
    status = 505 if request._version > HttpVersion11 else 400
    request._version = HttpVersion11
    response = EmptyResponse(status=status)
    response.force_close()
    return response


async def _collapse_slashes(app: web.Application, resolve: Handle, request: web.Request) -> Any:
    """Take `//` in a path for `/`: clients join a base URL that ends in `/` and a path.

    Only for a dialect's paths. A proxy that keeps strangers from /metrics looks at the path as it
    stands, so `//metrics` must stay unknown.
    """
    url = request.rel_url
    path = re.sub("//+", "/", url.raw_path)
    joined = request.clone(rel_url=url.with_path(path, encoded=True, keep_query=True))
    match = await app.router.resolve(joined)
    return await resolve(joined if app[ROUTES][match.handler].is_of_dialect else request)


async def handle_unreadable(app: web.Application, request: web.Request) -> Any:
    """Return the response to a request that the HTTP parser has refused."""
    match = await app.router.resolve(request)
    match.add_app(app)
    match.freeze()
    request._match_info = match
    return await app[ROUTES][match.handler].handle_unreadable(request)


class EmptyResponse(web.Response):
    """A response that says nothing but its status."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)
        self.headers.popall(hdrs.CONTENT_TYPE, None)
