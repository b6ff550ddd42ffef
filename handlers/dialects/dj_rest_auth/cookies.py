"""The cookies of JWTs, in Django's form. Contract: docs/contracts/dj-rest-auth.md#cookies.

They are read and set only in requests of the server's own origin, and of those that an option adds.
So no page of another site can act for its visitors, log them in as somebody else, or log them out.
"""

import time
from email.utils import formatdate
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from handlers.app_keys import COOKIE_ORIGINS, PUBLIC_URL
from handlers.dialects.dj_rest_auth.options import OPTIONS
from handlers.http.response import Response
from handlers.proxies import PROXIES
from store.jwt_sessions import JwtPair


def find_access(request: web.Request) -> str | None:
    """Return the access token of a request's cookie, None without one."""
    return _find(request, request.app[OPTIONS].jwt_auth_cookie)


def find_refresh(request: web.Request) -> str | None:
    """Return the refresh token of a request's cookie, None without one."""
    return _find(request, request.app[OPTIONS].jwt_auth_refresh_cookie)


def set_access(request: web.Request, response: Response, pair: JwtPair) -> None:
    """Set the cookie of an access token, if it has a name."""
    _add(
        request, response, request.app[OPTIONS].jwt_auth_cookie, "/", pair.access, pair.access_ends
    )


def set_refresh(request: web.Request, response: Response, pair: JwtPair) -> None:
    """Set the cookie of a refresh token, if it has a name."""
    options = request.app[OPTIONS]
    name, path = options.jwt_auth_refresh_cookie, options.jwt_auth_refresh_cookie_path
    _add(request, response, name, path, pair.refresh, pair.refresh_ends)


def delete(request: web.Request, response: Response) -> None:
    """Delete the cookies that have names."""
    options = request.app[OPTIONS]
    _add(request, response, options.jwt_auth_cookie, "/")
    path = options.jwt_auth_refresh_cookie_path
    _add(request, response, options.jwt_auth_refresh_cookie, path)


def _find(request: web.Request, name: str) -> str | None:
    return request.cookies.get(name) if name and _may_have_cookies(request) else None


def _may_have_cookies(request: web.Request) -> bool:
    """Return whether a request is of no page, or of one whose origin may have cookies."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or origin.lower() in request.app[COOKIE_ORIGINS]:
        return True
    public = urlsplit(request.app[PUBLIC_URL])
    own = request.app[PROXIES].base_url(request), f"{public.scheme}://{public.netloc}"
    return origin.lower() in {each.lower() for each in own}


def _add(
    request: web.Request,
    response: Response,
    name: str,
    path: str,
    value: str = '""',
    ends: int = 0,
) -> None:
    """Set a cookie until a time in seconds since 1970. One of the past deletes it."""
    if not name or not _may_have_cookies(request):
        return
    options = request.app[OPTIONS]
    domain, lifetime = options.jwt_auth_cookie_domain, max(0, ends - int(time.time()))
    parts = [
        f"{name}={value}",
        f"Domain={domain}" if domain else "",
        f"expires={formatdate(ends, usegmt=True)}",
        "HttpOnly" if options.jwt_auth_httponly and ends else "",
        f"Max-Age={lifetime}",
        f"Path={path}",
        f"SameSite={options.jwt_auth_samesite}",
        "Secure" if options.jwt_auth_secure else "",
    ]
    response.lines += f"{hdrs.SET_COOKIE}: {'; '.join(filter(None, parts))}\r\n"
