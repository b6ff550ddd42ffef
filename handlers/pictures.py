"""Pictures by their URLs: /pictures/<random id>, for anyone who knows the id."""

from aiohttp import web

from handlers import drf
from handlers.answers import allow_header
from handlers.dialect import Endpoint, NotFound, WrongMethod
from handlers.keys import PICTURES, PUBLIC_URL

DEFAULT_SIDE = 256
METHODS = ("GET",)


def picture_url(request: web.Request, picture_id: str | None) -> str:
    """Return the URL of a picture, "" for none."""
    if picture_id is None:
        return ""
    base = request.app[PUBLIC_URL] or f"{request.scheme}://{request.host}"
    return f"{base}/pictures/{picture_id}"


async def show(request: web.Request) -> web.Response:
    """Answer a picture as WebP, 256 pixels a side."""
    if request.method not in ("GET", "HEAD"):
        raise WrongMethod(request.method, allow_header(METHODS))
    content = await request.app[PICTURES].read(request.match_info["id"], DEFAULT_SIDE)
    if content is None:
        raise NotFound
    return web.Response(body=content, content_type="image/webp")


ENDPOINT = Endpoint(show, METHODS, drf.refuse)
