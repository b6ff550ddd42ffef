"""Serves the OpenAPI descriptions of the dialects, from openapi/<dialect>.json.

Each is served under its dialect's name, with the dialect's name and mount as its servers.
/openapi.json combines all of them; its paths begin with the dialect's name. In the files,
components and operations have the dialect's name, so that they do not conflict. Endpoints that the
options of a mount switch off are left out.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from handlers.dialects import drf
from handlers.http.response import JSON, Response
from handlers.mounts import Mount
from handlers.routes import GET, Checks, Handler, Routes

DIRECTORY = Path(__file__).parent.parent.parent / "openapi"


def routes(mounts: Mapping[str, Mount], served: Iterable[str]) -> Routes:
    """Return the endpoints of the descriptions of these dialects, of which these paths are served.

    `served` has at least the paths below the dialects' names.
    """
    there = frozenset(served)
    bases = tuple((name, mount.base) for name, mount in mounts.items() if _file(name).exists())
    found = Routes(drf.render_error, Checks(method_first=True))
    found.open("/openapi.json", methods=GET)(_serve(partial(_combined, bases, there)))
    for name, base in bases:
        document = partial(_single, name, base, there)
        found.open(f"/{name}/openapi.json", methods=GET)(_serve(document))
    return found


def _file(name: str) -> Path:
    return DIRECTORY / f"{name}.json"


def _load(name: str, served: frozenset[str]) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(_file(name).read_bytes())
    there = {re.sub(r":[^}]*", "", path) for path in served}
    paths = document["paths"].items()
    kept = {path: item for path, item in paths if f"/{name}{path}".rstrip("/") in there}
    return {**document, "paths": kept}


# Made when they are first requested: the descriptions take 1 MB while they are combined.
@cache
def _single(name: str, base: str, served: frozenset[str]) -> bytes:
    return orjson.dumps(with_servers(_load(name, served), name, base))


@cache
def _combined(bases: tuple[tuple[str, str], ...], served: frozenset[str]) -> bytes:
    return orjson.dumps(combine({name: _load(name, served) for name, _ in bases}, dict(bases)))


def with_servers(document: dict[str, Any], name: str, base: str) -> dict[str, Any]:
    """Return a dialect's description with its name and its mount as servers."""
    servers = [{"url": f"/{name}", "description": "The dialect's name: always available."}]
    if base != f"/{name}":
        here = "Where DIALECTS mounts it. On a shared path a request may choose the other dialect."
        servers.append({"url": base or "/", "description": here})
    return {**document, "servers": servers}


def combine(documents: Mapping[str, Any], bases: Mapping[str, str]) -> dict[str, Any]:
    """Return one description of several dialects that names their mounts."""
    also = ", ".join(f"{name} at {bases[name] or '/'}" for name in documents)
    versions = [document["info"]["version"] for document in documents.values()]
    paths: dict[str, Any] = {}
    components: dict[str, dict[str, Any]] = {}
    for name, document in documents.items():
        paths |= {f"/{name}{path}": item for path, item in document["paths"].items()}
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
