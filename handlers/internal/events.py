"""Events of accounts for other services. Contract: docs/contracts/service.md#events."""

import re

from aiohttp import web

from handlers.app_keys import DRAINING, EVENTS
from handlers.errors import NotFound
from handlers.http.response import Response, json_response
from handlers.internal.routes import NO_STORE, routes
from handlers.internal.service_keys import Scope, ServiceKey
from handlers.problems import FieldError, InvalidFields
from handlers.routes import GET
from store.event_log import Cursor

LIMIT, MAX_LIMIT = 100, 1000
"""Events of a response, by default and at most."""
MAX_WAIT = 60


@routes.require(Scope.READ, "/events", methods=GET)
async def list_events(request: web.Request, key: ServiceKey) -> Response:
    """GET /internal/events: return the events after a cursor, or wait for the next one."""
    log = request.app[EVENTS]
    if not log.is_on:
        raise NotFound
    after, limit, wait = _read_query(request)
    events, cursor = await log.wait(after, limit, wait, request.app[DRAINING])
    listed = [event.shape() for event in events]
    return json_response({"events": listed, "cursor": str(cursor)}, headers=NO_STORE)


def _read_query(request: web.Request) -> tuple[Cursor | None, int, int]:
    """Return `after`, `limit` and `wait`. Raises InvalidFields."""
    query = request.query
    errors = [
        FieldError(name, "unknown", "There is no such parameter.")
        for name in sorted(set(query) - {"after", "limit", "wait"})
    ]
    given = query.get("after")
    after = None if given is None else Cursor.parse(given)
    if given is not None and after is None:
        errors.append(FieldError("after", "invalid", "Send the cursor of a response."))
    limit = _whole(query.get("limit", str(LIMIT)), 1, MAX_LIMIT)
    if limit is None:
        errors.append(FieldError("limit", "invalid", f"Send a number from 1 to {MAX_LIMIT}."))
    wait = _whole(query.get("wait", "0"), 0, MAX_WAIT)
    if wait is None:
        errors.append(FieldError("wait", "invalid", f"Send a number from 0 to {MAX_WAIT}."))
    if errors or limit is None or wait is None:
        raise InvalidFields(errors)
    return after, limit, wait


def _whole(text: str, low: int, high: int) -> int | None:
    """Return a whole number within bounds, None for anything else."""
    is_number = re.fullmatch("[0-9]{1,9}", text)
    return int(text) if is_number and low <= int(text) <= high else None
