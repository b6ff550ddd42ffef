"""Serves the OpenAPI descriptions of the dialects, from openapi/<dialect>.json.

Each is served under its dialect's name, with the dialect's name and mount as its servers.
/openapi.json combines all of them; its paths begin with the dialect's name. In the files,
components and operations have the dialect's name, so that they do not conflict. Endpoints that the
options of a mount switch off are left out.

`x-latchkey-path` is a path's other form: in /openapi.json the whole path where DIALECTS mounts it,
in a dialect's description the path below the mount, if an option moves it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from handlers.dialects import drf
from handlers.http.response import JSON, Response
from handlers.routes import GET, Checks, Handler, Routes

DIRECTORY = Path(__file__).parent.parent.parent / "openapi"


PATH = "x-latchkey-path"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a dialect is mounted: the prefix, and the path below it for each path it serves."""

    base: str
    paths: Mapping[str, str]


def routes(places: Mapping[str, Place]) -> Routes:
    """Return the endpoints of the descriptions of the dialects at these places."""
    described = {name: place for name, place in places.items() if _file(name).exists()}
    found = Routes(drf.render_error, Checks(method_first=True))
    # Made when they are first requested: the descriptions take 1 MB while they are combined.
    combined = cache(lambda: orjson.dumps(_combined(described)))
    found.open("/openapi.json", methods=GET)(_serve(combined))
    for name, place in described.items():
        document = cache(partial(_single, name, place))
        found.open(f"/{name}/openapi.json", methods=GET)(_serve(document))
    return found


def _file(name: str) -> Path:
    return DIRECTORY / f"{name}.json"


def _load(name: str, place: Place) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(_file(name).read_bytes())
    there = {re.sub(r":[^}]*", "", path): moved for path, moved in place.paths.items()}
    paths: dict[str, Any] = {}
    for path, item in document["paths"].items():
        key = path.rstrip("/")
        if key in there:
            moved = there[key]
            paths[path] = item if "{" in key or moved == key else {**item, PATH: f"{moved}/"}
    return {**document, "paths": paths}


def _single(name: str, place: Place) -> bytes:
    return orjson.dumps(with_servers(_load(name, place), name, place.base))


def _combined(places: Mapping[str, Place]) -> dict[str, Any]:
    bases = {name: place.base for name, place in places.items()}
    return combine({name: _load(name, place) for name, place in places.items()}, bases)


def with_servers(document: dict[str, Any], name: str, base: str) -> dict[str, Any]:
    """Return a dialect's description with its name and its mount as servers.

    A path that an option moves is only at one of the servers, as its own list of servers says.
    """
    servers = [{"url": f"/{name}", "description": "The dialect's name: always available."}]
    paths = {
        path: {**item, "servers": servers[:1]} if PATH in item else item
        for path, item in document["paths"].items()
    }
    document = {**document, "paths": paths}
    if base != f"/{name}":
        here = "Where DIALECTS mounts it. On a shared path a request may choose the other dialect."
        return {**document, "servers": [*servers, {"url": base or "/", "description": here}]}
    return {**document, "servers": servers}


def combine(documents: Mapping[str, Any], bases: Mapping[str, str]) -> dict[str, Any]:
    """Return one description of several dialects that names their mounts."""
    also = ", ".join(f"{name} at {bases[name] or '/'}" for name in documents)
    versions = [document["info"]["version"] for document in documents.values()]
    paths: dict[str, Any] = {}
    components: dict[str, dict[str, Any]] = {}
    for name, document in documents.items():
        for path, item in document["paths"].items():
            paths[f"/{name}{path}"] = {**item, PATH: bases[name] + item.get(PATH, path)}
        for kind, named in document["components"].items():
            components.setdefault(kind, {}).update(named)
    tags = [
        {"name": name, "description": document["info"]["description"]}
        for name, document in documents.items()
    ]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Latchkey",
            "version": max(versions, default="0"),
            "description": f"Each dialect is served under its name, as the paths here, "
            f"and where DIALECTS mounts it: {also}.",
        },
        "tags": tags,
        "paths": paths,
        "components": components,
    }


def _serve(make: Callable[[], bytes]) -> Handler:
    async def show(request: web.Request) -> Response:
        return Response(body=make(), media_type=JSON)

    return show
