"""Forward authentication: a proxy asks /verify whether to let a request through, and for whom.

Contract: docs/contracts/service.md#forward-authentication. The proxy forwards the client's
Authorization header, with whatever method the client used: nginx sends GET, Envoy the client's own,
OPTIONS included. It needs no service key, since it reveals only what the token's owner may read.
"""

import re
from functools import partial
from urllib.parse import quote

from aiohttp import web

from handlers.app_keys import ACCESS
from handlers.authorization import SCHEMES, token_of
from handlers.errors import MissingToken, RenderError
from handlers.http.response import Response
from handlers.routes import Endpoint
from store.authentication import Caller
from store.errors import AppError, BadToken, Unavailable

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""The methods that metrics count by name. Any other method works, too."""
_UNRESERVED = re.compile("[A-Za-z0-9._~-]*").fullmatch


def endpoint(render_error: RenderError, schemes: frozenset[str] = SCHEMES) -> Endpoint:
    """Return the endpoint of a path whose errors are rendered by this, but for their status.

    A refused token is always a 401: nginx makes a 500 of any other status. A token has one of the
    `schemes`.
    """

    def render(error: AppError) -> Response:
        response = render_error(error)
        if isinstance(error, BadToken | MissingToken):
            response.status = 401
            response.headers = {"WWW-Authenticate": "Bearer", **response.headers}
        return response

    return Endpoint(partial(verify, schemes), METHODS, render, cors=False, options=True)


async def verify(schemes: frozenset[str], request: web.Request) -> Response:
    """Any method, /verify: return 200 with the caller in headers, or raise as a read does."""
    try:
        token = token_of(request, schemes)
    except AppError:
        token = ""  # malformed, which is an invalid token and not a missing one
    if token is not None:
        lines = identity_lines(await request.app[ACCESS].authenticate(token))
    elif request.query.get("optional") == "1":
        lines = "Cache-Control: no-store\r\n"
    else:
        raise MissingToken
    if "?" in request.raw_path and request.query.get("again") == "1":
        # The proxy has refused the request already: a 200 would tell the client that it succeeded.
        raise Unavailable("/verify", "accepts what was refused a moment ago")
    return Response(lines=lines)


def identity_lines(caller: Caller) -> str:
    """Return the headers that say who a caller is; an absent value has no header.

    They are encoded here, which takes a third of the time that a dictionary of them takes.
    """
    account, session = caller
    lines = (
        f"Cache-Control: no-store\r\nX-Account-Id: {account.id}\r\n"
        f"X-Session-Dialect: {session.dialect}\r\nX-Session-Kind: {session.kind}\r\n"
        f"X-Session-Id: {session.public_id}\r\n"
    )
    if account.username:
        lines += f"X-Account-Username: {percent_encoded(account.username)}\r\n"
    if account.email:
        lines += f"X-Account-Email: {percent_encoded(account.email)}\r\n"
    if account.email_verified:
        lines += "X-Account-Email-Verified: 1\r\n"
    if account.is_staff:
        lines += "X-Account-Staff: 1\r\n"
    if account.is_superuser:
        lines += "X-Account-Superuser: 1\r\n"
    return lines


def percent_encoded(value: str) -> str:
    """Return the value with all but RFC 3986's unreserved characters percent-encoded."""
    if _UNRESERVED(value.replace("@", "")):  # nearly always, in a fifth of the time of quote
        return value.replace("@", "%40")
    return quote(value, safe="")
