"""Token introspection (RFC 7662). Contract: docs/contracts/service.md#introspection."""

from aiohttp import hdrs, web

from handlers.app_keys import INTROSPECTION
from handlers.body import read_body
from handlers.content_type import content_type_of
from handlers.errors import UnsupportedMediaType
from handlers.forms import URLENCODED, parse_urlencoded
from handlers.http.response import Response, json_response, safe_header_value
from handlers.internal.routes import NO_STORE, routes
from handlers.internal.service_keys import Scope, ServiceKey
from handlers.problems import REQUIRED, FieldError, InvalidFields


@routes.require(Scope.INTROSPECT, "/introspect")
async def introspect(request: web.Request, key: ServiceKey) -> Response:
    """POST /internal/introspect: return whether a token is active, and whose it is."""
    found = await request.app[INTROSPECTION].introspect(await _read_token(request))
    if found is None:
        return json_response({"active": False}, headers=NO_STORE)
    (account, session), ends = found
    names = {"username": account.username, "email": account.email}
    token = {
        "active": True,
        "sub": str(account.id),
        **{name: value for name, value in names.items() if value},
        "email_verified": account.email_verified,
        "token_type": "Bearer",
        "kind": session.kind,
        "iat": session.opened,
        "exp": int(ends),
        "dialect": session.dialect,
        "sid": session.public_id,
    }
    return json_response(token, headers=NO_STORE)


async def _read_token(request: web.Request) -> str:
    """Return the form's token. Other fields are ignored (RFC 7662, 2.1)."""
    body, content_type = await read_body(request), content_type_of(request)
    if content_type.media_type != URLENCODED:
        raise UnsupportedMediaType(safe_header_value(request.headers.get(hdrs.CONTENT_TYPE, "")))
    tokens = parse_urlencoded(body, content_type.charset).lists.get("token", [""])
    if len(tokens) > 1:
        raise InvalidFields([FieldError("token", "invalid", "Send one token.")])
    [token] = tokens
    if not token:
        raise InvalidFields([FieldError("token", "required", REQUIRED)])
    return str(token)
