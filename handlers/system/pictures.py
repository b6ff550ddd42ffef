"""Pictures by their URLs: /pictures/<random id>, for every client that knows the id.

The picture of an id never changes, so its id, side and format are its ETag. It may be deleted, so
caches must revalidate after a day. It is sent as WebP, or as JPEG to a client that does not accept
WebP.
"""

import re
from collections.abc import Sequence

from aiohttp import hdrs, web

from handlers.app_keys import IMAGES, PICTURES, PUBLIC_URL
from handlers.dialects import drf
from handlers.errors import NotFound
from handlers.http.response import Response
from handlers.proxies import PROXIES, client_of
from handlers.routes import GET, Checks, Routes
from store.images import SIDES

DEFAULT_SIDE = 256
MAX_AGE = 86_400
"""Seconds until a deleted picture has left every cache that follows RFC 9111."""
HEADERS = {
    hdrs.CACHE_CONTROL: f"public, max-age={MAX_AGE}",
    hdrs.VARY: hdrs.ACCEPT,
    hdrs.X_CONTENT_TYPE_OPTIONS: "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)
_ID = re.compile(r"[\w-]{22}", re.ASCII)


routes = Routes(drf.render_error, Checks(method_first=True))


def picture_url(request: web.Request, picture_id: str | None) -> str:
    """Return the URL of a picture, "" for none."""
    if picture_id is None:
        return ""
    base = request.app[PUBLIC_URL] or request.app[PROXIES].base_url(request)
    return f"{base}/pictures/{picture_id}"


@routes.open("/pictures/{id}", methods=GET)
async def show(request: web.Request) -> Response:
    """GET /pictures/{id}: return a picture, 256 pixels a side or `?size=` 512 or 64."""
    picture_id, side = request.match_info["id"], request.query.get("size", str(DEFAULT_SIDE))
    if side not in map(str, SIDES):
        raise drf.InvalidFields({"size": [f'"{side}" is not a valid choice.']})
    if not _ID.fullmatch(picture_id):
        raise NotFound
    as_jpeg = prefers_jpeg(request.headers.getall(hdrs.ACCEPT, ()))
    etag = f"{picture_id}-{side}{'-jpeg' if as_jpeg else ''}"
    headers = {**HEADERS, hdrs.ETAG: f'"{etag}"'}
    if any(known.value in (etag, "*") for known in request.if_none_match or ()):
        if not await request.app[PICTURES].exists(picture_id):
            raise NotFound
        return Response(304, headers=headers)
    content = await request.app[PICTURES].read(picture_id, int(side))
    if content is None:
        raise NotFound
    if as_jpeg:
        content = await request.app[IMAGES].jpeg(etag, content, client_of(request))
    return Response(
        body=content, media_type="image/jpeg" if as_jpeg else "image/webp", headers=headers
    )


def prefers_jpeg(accept: Sequence[str]) -> bool:
    """Return whether these Accept headers (RFC 9110, 12.5.1) prefer JPEG to WebP.

    Headers that name no image type do not concern images: such a client gets WebP.
    """
    weights = _weights(",".join(accept))
    webp, jpeg = (
        weights.get(kind, weights.get("image/*", weights.get("*/*")))
        for kind in ("image/webp", "image/jpeg")
    )
    if webp:
        return webp < (jpeg or 0)
    return bool(jpeg) or (jpeg is None and any(kind.startswith("image/") for kind in weights))


def _weights(accept: str) -> dict[str, float]:
    weights = {}
    for part in accept.lower().split(","):
        kind, *parameters = (each.strip() for each in part.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        if kind and _WEIGHT.fullmatch(weight):
            weights[kind] = float(weight)
    return weights
