"""What clients see: the dialects, and the few paths that belong to none of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from aiohttp import web

from handlers import metrics
from handlers.dialects import cellars, drf, fardel, kust, lumotist, shared_paths, wicare
from handlers.errors import NotFound
from handlers.http import unreadable
from handlers.http.expectation import expect
from handlers.http.middleware import Mounted, RequestIds, front
from handlers.http.resolver import ROUTES, Anywhere, Route
from handlers.http.response import Answer
from handlers.mounts import Mount
from handlers.routes import Dialect, Endpoint
from handlers.system import docs, health, openapi, pictures

DIALECTS: dict[str, Dialect] = {
    "wicare": wicare.DIALECT,
    "lumotist": lumotist.DIALECT,
    "kust": kust.DIALECT,
    "cellars": cellars.DIALECT,
    "fardel": fardel.DIALECT,
}

_OR = " or "
ALL_METHODS = ("GET", "POST", "PUT")

Around = Callable[[Mounted, str, str], Mounted]
"""What makes of a thing to mount, its route and its dialect, if it has one, another to mount."""


class Conflict(Exception):
    """Two dialects claim one path; the text names both, and the path."""


def mount(
    app: web.Application,
    mounts: Mapping[str, Mount],
    *,
    with_docs: bool = False,
    around: Around | None = None,
) -> None:
    """Mount the named dialects, each where its mount says and under its own name. Raises Conflict.

    `around` is put around each, if it is given.
    """
    owners: dict[str, tuple[str, Endpoint]] = {}
    for name, mounted in mounts.items():
        dialect = DIALECTS[name]
        if dialect.options_key:
            app[dialect.options_key] = mounted.options or dialect.options
        for path, endpoint in dialect.endpoints.items():
            _claim(owners, f"/{name}{path}", name, endpoint)
            if mounted.base != f"/{name}":
                _claim(owners, mounted.base + path, name, endpoint)
        for path, endpoint in dialect.other_endpoints.items():
            _claim(owners, f"/{name}{path}", name, endpoint)
    for name, mounted in mounts.items():
        for path, endpoint in DIALECTS[name].other_endpoints.items():
            owners.setdefault(mounted.base + path, (name, endpoint))
    ids = RequestIds()
    routes = app[ROUTES] = {}

    counting = app[metrics.METRICS]
    counting.expect_dialect("")
    for name in mounts:
        counting.expect_dialect(name, DIALECTS[name].grants)

    def fronted(endpoint: Endpoint, route: str, owner: str = "") -> Mounted:
        names = owner.split(_OR)
        counting.expect_route(names, route, endpoint.methods)
        dialect = owner if len(names) == 1 else ""
        handler = front(app, endpoint, route, dialect, ids)
        handler = around(handler, route, dialect) if around else handler
        refusing = front(app, replace(endpoint, handler=unreadable.refuse), route, dialect, ids)
        routes[handler] = Route(bool(owner), refusing)
        return handler

    def add(path: str, route: str, endpoint: Endpoint, owner: str = "") -> None:
        handler = fronted(endpoint, route, owner)
        app.router.add_route("*", path, handler, expect_handler=expect)

    for path, (owner, endpoint) in owners.items():
        add(path, path, endpoint, owner)
        add(path + "/", path, endpoint, owner)
    add("/healthz", "/healthz", health.HEALTH)
    add("/readyz", "/readyz", health.READY)
    add("/metrics", "/metrics", metrics.ENDPOINT)
    add("/pictures/{id}", "/pictures/{id}", pictures.ENDPOINT)
    for path, endpoint in openapi.endpoints(mounts).items():
        add(path, path, endpoint)
    for path, endpoint in docs.endpoints(mounts).items() if with_docs else ():
        add(path, path, endpoint)
    for name in mounts:
        unknown = Endpoint(_not_found, ALL_METHODS, DIALECTS[name].refuse)
        add(f"/{name}{{rest:(?s:/.*)?}}", f"/{name}/*", unknown, name)
    everywhere = Anywhere()
    app.router.register_resource(everywhere)
    unknown = Endpoint(_not_found, ALL_METHODS, drf.refuse)
    everywhere.add_route("*", fronted(unknown, "*"), expect_handler=expect)


def _claim(
    owners: dict[str, tuple[str, Endpoint]], path: str, name: str, endpoint: Endpoint
) -> None:
    owner, other = owners.setdefault(path, (name, endpoint))
    if owner == name:
        return
    if {owner, name} != {shared_paths.FORM, shared_paths.REST}:
        raise Conflict(f"{owner} and {name} both answer at {path}")
    by_name = {owner: other, name: endpoint}
    both = shared_paths.tell_apart(by_name[shared_paths.FORM], by_name[shared_paths.REST])
    owners[path] = (f"{owner}{_OR}{name}", both)


async def _not_found(request: web.Request) -> Answer:
    raise NotFound
