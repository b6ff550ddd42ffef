"""GET /ui/admin/api/events: what was done to accounts, the newest first (docs/events.md)."""

from aiohttp import web

from handlers.admin.routes import Administrator, routes
from handlers.app_keys import EVENTS
from handlers.errors import NotFound
from handlers.http.response import Response, json_response
from handlers.problems import FieldError, InvalidFields
from handlers.routes import GET
from store.directory import MAX_ID
from store.event_log import Cursor
from store.event_writer import TYPES

PAGE = 50


@routes.require("/events", methods=GET)
async def list_events(request: web.Request, _: Administrator) -> Response:
    """GET /ui/admin/api/events: return a page `before` a position, of an account or a type."""
    log = request.app[EVENTS]
    if not log.is_on:
        raise NotFound
    before, account_id, type = _read_query(request)
    events, following = await log.page(before, PAGE, account_id=account_id, type=type)
    listed = [event.shape() for event in events]
    return json_response({"events": listed, "next": str(following) if following else None})


def _read_query(request: web.Request) -> tuple[Cursor | None, int | None, str | None]:
    query = request.query
    errors = [
        FieldError(name[:64], "unknown", "There is no such parameter.")
        for name in sorted(set(query) - {"before", "account", "type"})
    ]
    before, account, type = (query.get(name) for name in ("before", "account", "type"))
    position = Cursor.parse(before) if before is not None else None
    if before is not None and position is None:
        errors.append(FieldError("before", "invalid", "Send `next` of a response."))
    is_id = account is None or (
        account.isascii() and account.isdigit() and len(account) < 20 and int(account) <= MAX_ID
    )
    if not is_id:
        errors.append(FieldError("account", "invalid", "This must be the id of an account."))
    if type is not None and type not in TYPES:
        errors.append(FieldError("type", "invalid", "There is no such type of event."))
    if errors:
        raise InvalidFields(errors)
    return position, int(account) if account else None, type
