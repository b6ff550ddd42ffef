"""The paths that both wicare and fardel define, and how a request there chooses the dialect.

A form body, a `username` in the JSON body, or the `Token` scheme chooses wicare; anything else, a
body that can't be read included, chooses fardel. This is the only place that knows two dialects.
Contract: docs/contracts/index.md#shared-paths.
"""

import contextlib

from aiohttp import web

from handlers.app_keys import SPOKEN
from handlers.body import read_json
from handlers.content_type import content_type_of
from handlers.errors import say_no
from handlers.forms import MULTIPART, URLENCODED
from handlers.http.response import Answer
from handlers.routes import Endpoint
from store.errors import Refused

FORM = "wicare"
REST = "fardel"


def tell_apart(form: Endpoint, rest: Endpoint) -> Endpoint:
    """Return the endpoint of a path that both dialects own."""

    async def speak(request: web.Request) -> Answer:
        is_form = await speaks_form(request)
        request[SPOKEN], spoken = (FORM, form) if is_form else (REST, rest)
        try:
            return await spoken.handler(request)
        except Exception as problem:
            return say_no(spoken.refuse, problem, request)

    return Endpoint(speak, tuple(dict.fromkeys(form.methods + rest.methods)), rest.refuse)


async def speaks_form(request: web.Request) -> bool:
    """Return whether a request at a shared path is for wicare."""
    words = request.headers.get("Authorization", "").lower().split()
    media_type = content_type_of(request).media_type
    if words[:1] == ["token"] or media_type in (URLENCODED, MULTIPART):
        return True
    with contextlib.suppress(Refused):
        data = await read_json(request)
        return isinstance(data, dict) and "username" in data
    return False
