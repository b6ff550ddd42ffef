"""Finds the handler of a request: one lookup for a plain path, otherwise aiohttp's router."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.web_urldispatcher import PlainResource, UrlMappingMatchInfo

Handle = Callable[[Any], Awaitable[Any]]


class Route(NamedTuple):
    """The properties of a route besides its handler.

    `handle_unreadable` is its handler for a request that the HTTP parser rejected.
    """

    is_of_dialect: bool
    handle_unreadable: Handle


ROUTES: web.AppKey[dict[Handle, Route]] = web.AppKey("routes")
"""The routes by their handlers."""


class CatchAll(PlainResource):
    """Matches every other path, `OPTIONS *` and paths with newlines included."""

    def __init__(self) -> None:
        super().__init__("/")

    def _match(self, path: str) -> dict[str, str]:
        return {}


def with_path_lookup(app: web.Application, resolve: Handle) -> Handle:
    """Return a handler that finds plain paths in one lookup and calls `resolve` for all others.

    It sets `_match_info`, as aiohttp's resolver does, and reads `_version`, which is faster than
    the property.
    """
    known: dict[str, tuple[UrlMappingMatchInfo, Handle]] = {}
    for resource in app.router.resources():
        if type(resource) is PlainResource:
            known[resource.canonical] = _match(app, resource)
        elif isinstance(resource, CatchAll):
            catch_all = _match(app, resource)

    def handle(request: web.Request) -> Awaitable[Any]:
        if request._version not in (HttpVersion11, HttpVersion10):
            return _unsupported_version(request)
        found = known.get(request.raw_path)
        if found is None:
            if request.method == hdrs.METH_CONNECT:  # its target is not a path, so no route matches
                found = catch_all
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


async def _unsupported_version(request: web.Request) -> web.Response:
    """Return the response to a version other than HTTP/1.0 and HTTP/1.1 (RFC 9110, 15.6.6).

    aiohttp's parser accepts HTTP/0.9 and HTTP/2.0, and its responses use the request's version.
    """
    status = 505 if request._version > HttpVersion11 else 400
    request._version = HttpVersion11
    response = EmptyResponse(status=status)
    response.force_close()
    return response


async def _collapse_slashes(app: web.Application, resolve: Handle, request: web.Request) -> Any:
    """Treat `//` in a path as `/`: clients join a base URL that ends in `/` and a path.

    This applies only to a dialect's paths. A proxy that blocks /metrics compares the path as it is
    sent, so `//metrics` must stay unknown.
    """
    url = request.rel_url
    path = re.sub("//+", "/", url.raw_path)
    joined = request.clone(rel_url=url.with_path(path, encoded=True, keep_query=True))
    match = await app.router.resolve(joined)
    return await resolve(joined if app[ROUTES][match.handler].is_of_dialect else request)


async def handle_unreadable(app: web.Application, request: web.Request) -> Any:
    """Return the response to a request that the HTTP parser rejected."""
    match = await app.router.resolve(request)
    match.add_app(app)
    match.freeze()
    request._match_info = match
    return await app[ROUTES][match.handler].handle_unreadable(request)


class EmptyResponse(web.Response):
    """A response with only a status: no Server and no Content-Type header."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)
        self.headers.popall(hdrs.CONTENT_TYPE, None)
