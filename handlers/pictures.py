"""Pictures by their URLs: /pictures/<random id>, for anyone who knows the id.

A picture never changes under its id, so it may be kept for ever (RFC 8246), and its id is its ETag.
"""

import re

from aiohttp import hdrs, web

from handlers import drf
from handlers.answers import Answer, allow_header
from handlers.dialect import Endpoint, NotFound, WrongMethod
from handlers.keys import PICTURES, PUBLIC_URL
from handlers.proxies import PROXIES
from store.images import SIDES

DEFAULT_SIDE = 256
METHODS = ("GET",)
HEADERS = {
    hdrs.CACHE_CONTROL: "public, max-age=31536000, immutable",
    hdrs.X_CONTENT_TYPE_OPTIONS: "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_ID = re.compile(r"[\w-]{22}", re.ASCII)


def picture_url(request: web.Request, picture_id: str | None) -> str:
    """Return the URL of a picture, "" for none."""
    if picture_id is None:
        return ""
    base = request.app[PUBLIC_URL] or request.app[PROXIES].base_url(request)
    return f"{base}/pictures/{picture_id}"


async def show(request: web.Request) -> Answer:
    """Answer a picture as WebP, 256 pixels a side or `?size=` 512 or 64."""
    if request.method not in ("GET", "HEAD"):
        raise WrongMethod(request.method, allow_header(METHODS))
    picture_id, side = request.match_info["id"], request.query.get("size", str(DEFAULT_SIDE))
    if side not in map(str, SIDES):
        raise drf.Errors({"size": [f'"{side}" is not a valid choice.']})
    if not _ID.fullmatch(picture_id):
        raise NotFound
    etag = f"{picture_id}-{side}"
    headers = {**HEADERS, hdrs.ETAG: f'"{etag}"'}
    if any(known.value in (etag, "*") for known in request.if_none_match or ()):
        if not await request.app[PICTURES].exists(picture_id):
            raise NotFound
        return Answer(304, headers=headers)
    content = await request.app[PICTURES].read(picture_id, int(side))
    if content is None:
        raise NotFound
    return Answer(body=content, media_type="image/webp", headers=headers)


ENDPOINT = Endpoint(show, METHODS, drf.refuse)
