"""GET /internal/openapi.json: the description of /internal, from openapi/internal.json.

It is for the services that use /internal: the page at /docs and /openapi.json do not have it.
"""

from functools import cache

from aiohttp import web

from handlers.http.response import JSON, Response
from handlers.internal.routes import routes
from handlers.internal.service_keys import Scope, ServiceKey
from handlers.routes import GET
from handlers.system.openapi import DIRECTORY


@routes.require(Scope.INTROSPECT, "/openapi.json", methods=GET)
async def show(request: web.Request, key: ServiceKey) -> Response:
    """GET /internal/openapi.json: return the description."""
    return Response(body=_read(), media_type=JSON)


@cache
def _read() -> bytes:
    return (DIRECTORY / "internal.json").read_bytes()
