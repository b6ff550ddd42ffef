"""The dialects as programs read them: OpenAPI descriptions, from openapi/<dialect>.json.

Each is served under its dialect's name, and /openapi.json is all of them in one, where a path
begins with the name under which it always answers. In a file, components and operations bear the
dialect's name, so that none clash.
"""

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from handlers import drf
from handlers.answers import JSON, Answer, allow_header
from handlers.dialect import Endpoint, WrongMethod

DIRECTORY = Path(__file__).parent.parent / "openapi"
METHODS = ("GET",)


def endpoints(names: Collection[str]) -> dict[str, Endpoint]:
    """Return what serves the descriptions of these dialects, by its path."""
    apart = {f"/{name}/openapi.json": _serve(_read(name)) for name in names if _read(name)}
    return {"/openapi.json": _serve(_together(tuple(names))), **apart}


@cache  # a program makes its application once, but the tests a thousand times
def _read(name: str) -> bytes:
    file = DIRECTORY / f"{name}.json"
    return file.read_bytes() if file.exists() else b""


@cache
def _together(names: tuple[str, ...]) -> bytes:
    return orjson.dumps(
        together({name: orjson.loads(_read(name)) for name in names if _read(name)})
    )


def together(documents: Mapping[str, Any]) -> dict[str, Any]:
    """Return one description of several dialects."""
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
        "info": {"title": "Latchkey", "version": max(versions, default="0")},
        "tags": tags,
        "paths": paths,
        "components": components,
    }


def _serve(content: bytes) -> Endpoint:
    async def show(request: web.Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            raise WrongMethod(request.method, allow_header(METHODS))
        return Answer(body=content, media_type=JSON)

    return Endpoint(show, METHODS, drf.refuse)
