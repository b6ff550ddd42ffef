"""The HTTP interface: the dialects, and the paths that belong to no dialect."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from aiohttp import web

from handlers import admin, internal, problems
from handlers.app_keys import METRICS, TRACING
from handlers.authorization import SCHEMES
from handlers.dialects import (
    authtoken,
    cellars,
    dj_rest_auth,
    djoser,
    drf,
    fardel,
    knox,
    kust,
    latchkey,
    lumotist,
    shared_paths,
    simplejwt,
    wicare,
)
from handlers.errors import NotFound
from handlers.http import unreadable
from handlers.http.expectation import ignore_expectation
from handlers.http.middleware import (
    RequestIds,
    RouteHandler,
    apply_middleware,
    only_at_port,
    traced,
)
from handlers.http.resolver import ROUTES, CatchAll, Route
from handlers.http.response import Response
from handlers.internal.routes import PREFIX as INTERNAL
from handlers.internal.service_keys import SERVICE_KEYS
from handlers.logins import FACTOR_RULES
from handlers.mounts import Mount
from handlers.routes import Dialect, Endpoint, Routes
from handlers.system import docs, error_codes, health, metrics, openapi, pictures, ui, verify
from handlers.system.branding import PageOptions
from store.session_record import JWT

DIALECTS: dict[str, Dialect] = {
    "wicare": wicare.DIALECT,
    "lumotist": lumotist.DIALECT,
    "kust": kust.DIALECT,
    "cellars": cellars.DIALECT,
    "fardel": fardel.DIALECT,
    "latchkey": latchkey.DIALECT,
    "djoser": djoser.DIALECT,
    "simplejwt": simplejwt.DIALECT,
    "dj-rest-auth": dj_rest_auth.DIALECT,
    "knox": knox.DIALECT,
    "authtoken": authtoken.DIALECT,
}

ALL_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Routes that monitoring requests continually."""


class Conflict(Exception):
    """Two dialects claim one path; the text names both, and the path."""


def mount(
    app: web.Application,
    mounts: Mapping[str, Mount],
    *,
    pages: PageOptions | None = None,
    with_docs: bool = False,
    internal_port: int = 0,
) -> None:
    """Add the routes of the named dialects: each at its mount and under its name.

    `pages` says which pages there are below /ui/, and how they look: they come with the dialect
    latchkey. `with_docs` adds the page at /docs. With `internal_port`, internal endpoints exist
    only for connections to that port. Those of /internal exist only if there are service keys.
    Raises Conflict.
    """
    owners = _find_owners(mounts)
    app[FACTOR_RULES] = {name: mounted.second_factor for name, mounted in mounts.items()}
    for name, mounted in mounts.items():
        dialect = DIALECTS[name]
        if dialect.options_key:
            app[dialect.options_key] = mounted.options or dialect.options
    ids = RequestIds()
    routes = app[ROUTES] = {}

    request_metrics, tracing = app[METRICS], app.get(TRACING)
    request_metrics.expect_dialect("")
    for name in mounts:
        request_metrics.expect_dialect(name, {spec.kind for spec in DIALECTS[name].session_specs})

    def wrap(endpoint: Endpoint, route: str, *dialects: str) -> RouteHandler:
        request_metrics.expect_route(dialects or ("",), route, endpoint.methods)
        dialect = dialects[0] if len(dialects) == 1 else ""
        handler = apply_middleware(app, endpoint, route, dialect, ids)
        if tracing and route not in UNTRACED:
            handler = traced(handler, tracing, route, dialect)
        raising = replace(endpoint, handler=unreadable.raise_error)
        unreadable_handler = apply_middleware(app, raising, route, dialect, ids)
        if endpoint.internal and internal_port:
            handler = only_at_port(internal_port, handler, unknown_path)
            unreadable_handler = only_at_port(
                internal_port, unreadable_handler, routes[unknown_path].handle_unreadable
            )
        routes[handler] = Route(bool(dialects), unreadable_handler)
        return handler

    unknown_path = wrap(Endpoint(_not_found, ALL_METHODS, drf.render_error), "*")

    def add(path: str, route: str, endpoint: Endpoint, *dialects: str) -> None:
        handler = wrap(endpoint, route, *dialects)
        app.router.add_route("*", path, handler, expect_handler=ignore_expectation)

    for path, by_dialect in owners.items():
        endpoint = shared_paths.choose_dialect(by_dialect)
        add(path, path, endpoint, *by_dialect)
        add(path + "/", path, endpoint, *by_dialect)
    system = [health.routes, metrics.routes, pictures.routes, openapi.routes(_places(mounts))]
    if app[SERVICE_KEYS]:
        system.append(internal.routes)
    pages = pages or PageOptions()
    system += _pages(mounts, pages, with_docs=with_docs)
    for each in system:
        for path, endpoint in each.endpoints.items():
            add(path, path, endpoint)
    add("/verify", "/verify", verify.endpoint(drf.render_error))
    for name, mounted in mounts.items():
        path, dialect = f"/{name}/verify", DIALECTS[name]
        schemes = SCHEMES | dialect.schemes(mounted.options or dialect.options)
        add(path, path, verify.endpoint(dialect.render_error, schemes), name)
    for name in mounts:
        unknown = Endpoint(_not_found, ALL_METHODS, DIALECTS[name].render_error)
        add(f"/{name}{{rest:(?s:/.*)?}}", f"/{name}/*", unknown, name)
    unknown = Endpoint(_not_found, ALL_METHODS, problems.render_error, cors=False)
    if app[SERVICE_KEYS]:
        add(f"{INTERNAL}/{{rest:(?s:.*)}}", f"{INTERNAL}/*", replace(unknown, internal=True))
    if pages.admin:
        add(f"{admin.PREFIX}/{{rest:(?s:.*)}}", f"{admin.PREFIX}/*", unknown)
    catch_all = CatchAll()
    app.router.register_resource(catch_all)
    catch_all.add_route("*", unknown_path, expect_handler=ignore_expectation)


def _pages(mounts: Mapping[str, Mount], pages: PageOptions, *, with_docs: bool) -> list[Routes]:
    """Return the routes of the pages for people, and of the API of the admin page."""
    found = [docs.routes(mounts)] if with_docs else []
    if "latchkey" in mounts:
        found += [error_codes.routes(), ui.routes(pages)]
    return [*found, admin.routes] if pages.admin else found


def lifetimes(name: str, mounted: Mount) -> Mapping[str, int]:
    """Return the seconds that sessions of a dialect live by kind, where its options say so."""
    dialect = DIALECTS[name]
    return dialect.lifetimes(mounted.options or dialect.options)


def issue_jwts(mounts: Iterable[str]) -> bool:
    """Return whether one of these dialects can issue JWTs."""
    return any(spec.kind == JWT for name in mounts for spec in DIALECTS[name].session_specs)


def links(mounts: Mapping[str, Mount]) -> Mapping[tuple[str, str], str]:
    """Return the links that the options of mounts give to messages, by dialect and kind."""
    return {
        (name, kind): link
        for name, mounted in mounts.items()
        for kind, link in DIALECTS[name].links(mounted.options or DIALECTS[name].options).items()
        if link
    }


def needs_mail(mounts: Mapping[str, Mount]) -> bool:
    """Return whether, as the options of a mount say, no new account can log in without e-mail."""
    return any(
        DIALECTS[name].needs_mail(mounted.options or DIALECTS[name].options)
        for name, mounted in mounts.items()
    )


def allows_credentials(mounts: Mapping[str, Mount]) -> bool:
    """Return whether, as the options of a mount say, pages of CORS_ORIGINS may send cookies."""
    return any(
        DIALECTS[name].allows_credentials(mounted.options or DIALECTS[name].options)
        for name, mounted in mounts.items()
    )


def _places(mounts: Mapping[str, Mount]) -> dict[str, openapi.Place]:
    return {
        name: openapi.Place(mounted.base, _paths_at_mount(name, mounted))
        for name, mounted in mounts.items()
    }


def _paths_at_mount(name: str, mounted: Mount) -> dict[str, str]:
    """Return the paths of a dialect's endpoints, and the path of each below the mount's prefix.

    Endpoints that options switch off are left out.
    """
    dialect = DIALECTS[name]
    options = mounted.options or dialect.options
    found: dict[str, str] = {}
    for path in dialect.endpoints:
        moved = getattr(options, dialect.paths[path]) if path in dialect.paths else path
        if moved:
            found[path] = path if moved is True else moved.rstrip("/")
    return found


def _find_owners(mounts: Mapping[str, Mount]) -> dict[str, dict[str, Endpoint]]:
    """Return the endpoints of each path by dialect: one, or the two that share the path."""
    owners: dict[str, dict[str, Endpoint]] = {}
    for name, mounted in mounts.items():
        dialect = DIALECTS[name]
        for path, moved in _paths_at_mount(name, mounted).items():
            endpoint = dialect.endpoints[path]
            _claim(owners, f"/{name}{path}", name, endpoint)
            _claim(owners, mounted.base + moved, name, endpoint)
        for path, endpoint in DIALECTS[name].other_endpoints.items():
            _claim(owners, f"/{name}{path}", name, endpoint)
    for name, mounted in mounts.items():
        for path, endpoint in DIALECTS[name].other_endpoints.items():
            owners.setdefault(mounted.base + path, {name: endpoint})
    return owners


def _claim(
    owners: dict[str, dict[str, Endpoint]], path: str, name: str, endpoint: Endpoint
) -> None:
    by_dialect = owners.setdefault(path, {})
    if by_dialect and {*by_dialect, name} not in ({name}, shared_paths.DIALECTS):
        raise Conflict(f"{' or '.join(by_dialect)} and {name} both answer at {path}")
    if by_dialect.setdefault(name, endpoint) is not endpoint:
        raise Conflict(f"two endpoints of {name} answer at {path}")


async def _not_found(request: web.Request) -> Response:
    raise NotFound
