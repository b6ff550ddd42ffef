"""The paths that wicare and fardel share, and how a request chooses between them.

A form body, a `username` in the JSON body, or the scheme `Token` chooses wicare. Any other request,
also one with a malformed body, chooses fardel. This is the only module that knows two dialects.
Contract: docs/contracts/index.md#shared-paths.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from handlers.app_keys import DIALECT, RENDER_ERROR
from handlers.body import read_json
from handlers.content_type import content_type_of
from handlers.forms import MULTIPART, URLENCODED
from handlers.http.response import Response
from handlers.routes import Endpoint
from store.errors import AppError

WICARE = "wicare"
FARDEL = "fardel"
DIALECTS = {WICARE, FARDEL}


def choose_dialect(endpoints: Mapping[str, Endpoint]) -> Endpoint:
    """Return the endpoint of a path, from those of each dialect that has the path.

    If there are two, the request chooses one. It is handled, its errors are rendered and it is
    counted as on a path of that dialect alone.
    """
    if len(endpoints) == 1:
        [endpoint] = endpoints.values()
        return endpoint

    async def choose(request: web.Request) -> Response:
        dialect = WICARE if await is_wicare(request) else FARDEL
        chosen = endpoints[dialect]
        request[DIALECT], request[RENDER_ERROR] = dialect, chosen.render_error
        return await chosen.handler(request)

    methods = [method for dialect in (WICARE, FARDEL) for method in endpoints[dialect].methods]
    return replace(endpoints[FARDEL], handler=choose, methods=tuple(dict.fromkeys(methods)))


async def is_wicare(request: web.Request) -> bool:
    """Return whether a request on a shared path is wicare's. Its body is parsed only once."""
    words = request.headers.get("Authorization", "").lower().split()
    media_type = content_type_of(request).media_type
    if words[:1] == ["token"] or media_type in (URLENCODED, MULTIPART):
        return True
    with contextlib.suppress(AppError):
        data = await read_json(request)
        return isinstance(data, dict) and "username" in data
    return False
