"""The gallery for superusers: adds and removes the pictures that every account can choose from.

The page lists them by GET /v1/gallery, as apps do.
"""

from aiohttp import web

from handlers.admin.routes import Administrator, find_administrator, routes
from handlers.app_keys import IMAGES, PICTURES
from handlers.errors import NotFound
from handlers.http.response import Response, json_response
from handlers.internal.accounts import DELETE
from handlers.json_fields import Text, find_errors, is_shown, raise_errors, texts
from handlers.picture_upload import PictureMissing, read_upload
from handlers.proxies import client_of

GROUP, NAME = (Text(name, 64, check=is_shown) for name in ("group", "name"))


@routes.require("/gallery")
async def add(request: web.Request, administrator: Administrator) -> Response:
    """POST /ui/admin/api/gallery?group=&name=: add the picture that the body is."""
    raise_errors(find_errors(request.query, GROUP, NAME))
    group, name = texts(request.query, GROUP, NAME)
    sent = await read_upload(request)
    if isinstance(sent, int):
        raise PictureMissing
    sides = await request.app[IMAGES].square(sent, administrator.id, client_of(request))
    await find_administrator(request)
    gallery_id = await request.app[PICTURES].add_to_gallery(group, name, sides)
    return json_response({"id": gallery_id}, 201)


@routes.require("/gallery/{id}", methods=DELETE, fresh=True)
async def remove(request: web.Request, _: Administrator) -> Response:
    """DELETE /ui/admin/api/gallery/{id}: remove a picture, from accounts too; return how many."""
    text = request.match_info["id"]
    is_id = text.isascii() and text.isdigit() and len(text) < 11
    shown = await request.app[PICTURES].remove_from_gallery(int(text)) if is_id else None
    if shown is None:
        raise NotFound
    return json_response({"accounts": shown})
