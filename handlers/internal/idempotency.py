"""The header Idempotency-Key: a request that is repeated with its key has its effect once.

Contract: docs/contracts/service.md#repeated-requests.
"""

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from handlers.app_keys import IDEMPOTENCY_KEYS
from handlers.body import read_body
from handlers.http.response import JSON, Response
from handlers.internal.service_keys import ServiceKey
from handlers.problems import FieldError, InvalidFields
from store.admin import Identity
from store.idempotency import StoredResponse

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[!-~]{1,255}")


async def run_once(
    request: web.Request, service: ServiceKey, act: Callable[[Identity], Awaitable[Response]]
) -> Response:
    """Return the response of `act`, or the one that it had for the same request before.

    An account that it creates must have the identity that it is called with. Only responses of
    success are stored. Raises InvalidFields, IdempotencyKeyReused, IdempotencyKeyInUse.
    """
    given = request.headers.getall(HEADER, [])
    if not given:
        return await act(None)
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        message = "Send one key of 1 to 255 visible ASCII characters."
        raise InvalidFields([FieldError(HEADER, "invalid", message)])
    keys = request.app[IDEMPOTENCY_KEYS]
    body = await read_body(request)
    same = f"{request.method} {request.path}\n".encode() + body
    claim = await keys.claim(service.name, given[0], same)
    if isinstance(claim, StoredResponse):
        headers = {"Location": claim.location} if claim.location else {}
        return Response(claim.status, claim.body, JSON, headers)
    async with keys.processing(claim):
        response = await act(claim.identity)
        location = response.headers.get("Location")
        await keys.complete(claim, StoredResponse(response.status, response.body, location))
    return response
