"""What clients see: the dialects, and the few paths that belong to none of them."""

from collections.abc import Mapping

from aiohttp import web

from handlers import (
    cellars,
    description,
    drf,
    fardel,
    kust,
    lumotist,
    pictures,
    probes,
    shared,
    wicare,
)
from handlers.answers import Answer
from handlers.dialect import Dialect, Endpoint, NotFound
from handlers.front import RequestIds, expect, front
from handlers.keys import ALLOW_ORIGIN

DIALECTS: dict[str, Dialect] = {
    "wicare": wicare.DIALECT,
    "lumotist": lumotist.DIALECT,
    "kust": kust.DIALECT,
    "cellars": cellars.DIALECT,
    "fardel": fardel.DIALECT,
}

ALL_METHODS = ("GET", "POST", "PUT")


class Conflict(Exception):
    """Two dialects claim one path; the text names both, and the path."""


class Anywhere(web.PlainResource):
    """Matches what nothing else does, `OPTIONS *` and newlines included."""

    def __init__(self) -> None:
        super().__init__("/")

    def _match(self, path: str) -> dict[str, str]:
        return {}


def mount(app: web.Application, mounts: Mapping[str, str]) -> None:
    """Mount the named dialects, each at its prefix and under its own name. Raises Conflict."""
    owners: dict[str, tuple[str, Endpoint]] = {}
    for name, prefix in mounts.items():
        dialect = DIALECTS[name]
        for path, endpoint in dialect.endpoints.items():
            _claim(owners, f"/{name}{path}", name, endpoint)
            if prefix.strip("/") != name:
                _claim(owners, prefix.rstrip("/") + path, name, endpoint)
    ids, allow_origin = RequestIds(), app[ALLOW_ORIGIN]

    def add(path: str, route: str, endpoint: Endpoint) -> None:
        app.router.add_route(
            "*", path, front(endpoint, route, ids, allow_origin), expect_handler=expect
        )

    for path, (_, endpoint) in owners.items():
        add(path, path, endpoint)
        add(path + "/", path, endpoint)
    add("/healthz", "/healthz", probes.HEALTH)
    add("/readyz", "/readyz", probes.READY)
    add("/pictures/{id}", "/pictures/{id}", pictures.ENDPOINT)
    for path, endpoint in description.endpoints(mounts).items():
        add(path, path, endpoint)
    for name in mounts:
        unknown = Endpoint(_not_found, ALL_METHODS, DIALECTS[name].refuse)
        add(f"/{name}{{rest:(?s:/.*)?}}", f"/{name}/*", unknown)
    everywhere = Anywhere()
    app.router.register_resource(everywhere)
    unknown = Endpoint(_not_found, ALL_METHODS, drf.refuse)
    everywhere.add_route("*", front(unknown, "*", ids, allow_origin), expect_handler=expect)


def _claim(
    owners: dict[str, tuple[str, Endpoint]], path: str, name: str, endpoint: Endpoint
) -> None:
    owner, other = owners.setdefault(path, (name, endpoint))
    if owner == name:
        return
    if {owner, name} != {shared.FORM, shared.REST}:
        raise Conflict(f"{owner} and {name} both answer at {path}")
    by_name = {owner: other, name: endpoint}
    owners[path] = (name, shared.tell_apart(by_name[shared.FORM], by_name[shared.REST]))


async def _not_found(request: web.Request) -> Answer:
    raise NotFound
