"""lumotist, a dialect that corresponds to DRF's authtoken. Contract: docs/contracts/lumotist.md.

Decisions where the original contract is silent: a failed registration is a 400 (the original first
sent 200); `picture` in the profile is "" until one is set, then a URL; `/acount/set_picture` (sic,
in the original's list) is the same endpoint as `/account/set_picture`; a username may have any
visible character. set_picture also accepts an uploaded picture, in the formats of
docs/contracts/lumotist.md#uploading-a-picture.
"""

import datetime
from typing import Any

from aiohttp import web

from handlers import logins
from handlers.app_keys import ACCESS, IMAGES, PICTURES
from handlers.dialects import drf
from handlers.dialects.drf import EMAIL, PASSWORD, InvalidFields, Text, read_data, read_fields
from handlers.errors import (
    NOT_COMPRESSED,
    Malformed,
    PayloadTooLarge,
    UnsupportedEncoding,
    UnsupportedMediaType,
)
from handlers.http.response import Response, json_response
from handlers.picture_upload import NotBase64, PictureMissing, read_upload
from handlers.proxies import client_of
from handlers.routes import GET, Dialect, Routes
from handlers.system.pictures import picture_url
from store.account import Login, NewAccount
from store.authentication import Caller
from store.errors import AppError, BadPicture, NoSuchPicture, PictureProblem, Taken, Unstorable
from store.session_record import SessionSpec

SESSION = SessionSpec("lumotist")

USERNAME = Text("username", max_length=32)
ACCEPTED = (
    "Send `id` in JSON or a form, or a picture: as a file in a multipart form, as the body itself "
    "with Content-Type image/* or application/octet-stream, or as base64 in the JSON field "
    "`picture`."
)
FORMATS = "Allowed are JPEG, PNG, WebP and GIF."
PICTURE_PROBLEMS = {
    PictureProblem.UNKNOWN_FORMAT: f"This is no picture that can be read. {FORMATS}",
    PictureProblem.DAMAGED: f"The picture is damaged or cut off. {FORMATS}",
    PictureProblem.HEIF: f"HEIC and AVIF pictures are not supported. {FORMATS}",
    PictureProblem.PIXELS: "The picture has too many pixels. At most {limit} are allowed.",
    PictureProblem.ANIMATION: (
        "The animation is too long. At most 40 times {limit} pixels are allowed."
    ),
    PictureProblem.COSTLY: "The picture takes too much time or memory to decode.",
}
TAKEN = "user with this {} already exists."


def render_register_error(error: AppError) -> Response:
    """Return the response to an error of a registration: errors of fields are wrapped."""
    match error:
        case Taken():
            errors = {name: [TAKEN.format(name)] for name in drf.in_order(error)}
        case InvalidFields():
            errors = dict(error.by_field)
        case Unstorable():
            errors = {error.field: [drf.UNSTORABLE]}
        case _:
            return drf.render_error(error)
    return json_response({"success": False, "errors": errors}, 400)


def render_picture_error(error: AppError) -> Response:
    """Return the response to an error of set_picture: the problem, and what is accepted.

    See docs/contracts/lumotist.md#errors-of-set_picture.
    """
    match error:
        case BadPicture():
            return _picture_error(PICTURE_PROBLEMS[error.problem].format(limit=error.limit))
        case NotBase64():
            return _picture_error(f"The picture is no base64. {FORMATS}")
        case PayloadTooLarge():
            message = f"The picture is too large. At most {error.limit} bytes are allowed."
            return _picture_error(message, 413)
        case PictureMissing():
            return _picture_error(f"No `id` and no picture was sent. {ACCEPTED}")
        case UnsupportedMediaType():
            return _picture_error(f'Unsupported media type "{error.media_type}". {ACCEPTED}')
        case UnsupportedEncoding():
            message = f"The request body must not be compressed. {ACCEPTED}"
            return _picture_error(message, 415, NOT_COMPRESSED)
        case Malformed(form="Multipart form"):
            return _picture_error(f"{error}. {ACCEPTED}")
        case NoSuchPicture() | Malformed() | InvalidFields():
            return _picture_error("Invalid picture id.")
        case _:
            return drf.render_error(error)


def _picture_error(
    message: str, status: int = 400, headers: dict[str, str] | None = None
) -> Response:
    return json_response({"success": False, "error": message}, status, headers)


routes = Routes(drf.render_error, drf.CHECKS)


@routes.open("/account/register", render_error=render_register_error)
async def register(request: web.Request) -> Response:
    """POST /account/register: create an account and return its token."""
    data = await read_data(request)
    username, email, password = read_fields(data, USERNAME, EMAIL, PASSWORD)
    new = NewAccount(username, email)
    _, [issued] = await request.app[ACCESS].register(
        new, password, [SESSION], client=client_of(request)
    )
    return json_response({"success": True, "token": issued.token})


@routes.open("/account/login")
async def login(request: web.Request) -> Response:
    """POST /account/login: return the account's token, the existing one if there is one."""
    data = await read_data(request)
    username, password = read_fields(data, Text("username"), PASSWORD)
    _, [issued] = await logins.log_in(request, Login(username), password, [SESSION], data)
    return json_response({"token": issued.token})


@routes.guarded("/account/logout")
async def logout(request: web.Request, caller: Caller) -> Response:
    """POST /account/logout: end the session of the request's token."""
    await request.app[ACCESS].log_out(caller)
    return json_response({"success": True})


@routes.guarded("/account/profile", methods=GET)
async def profile(request: web.Request, caller: Caller) -> Response:
    """GET /account/profile: return the caller's account."""
    account = caller.account
    created = account.created.astimezone(datetime.UTC)
    data = {
        "id": account.id,
        "username": account.username or "",
        "email": account.email or "",
        "created": f"{created.day:02}-{created.month:02}-{created.year}",
        "picture": picture_url(request, account.picture_id),
    }
    return json_response({"success": True, "data": data})


@routes.guarded("/account/delete")
async def delete(request: web.Request, caller: Caller) -> Response:
    """POST /account/delete: delete the caller's account with its pictures and sessions."""
    await request.app[ACCESS].delete(caller)
    return json_response({"success": True})


@routes.guarded("/account/get_pictures", methods=GET)
async def get_pictures(request: web.Request, caller: Caller) -> Response:
    """GET /account/get_pictures: return the gallery by its groups."""
    groups: dict[str, list[dict[str, Any]]] = {"male": [], "female": []}
    for picture in await request.app[PICTURES].gallery():
        url = picture_url(request, picture.picture_id)
        entry = {"id": picture.id, "name": picture.name, "picture": url}
        groups.setdefault(picture.group, []).append(entry)
    return json_response(groups)


@routes.guarded("/account/set_picture", "/acount/set_picture", render_error=render_picture_error)
async def set_picture(request: web.Request, caller: Caller) -> Response:
    """POST /account/set_picture: set an uploaded picture, one of the gallery, or (id 0) none."""
    access, pictures, account = request.app[ACCESS], request.app[PICTURES], caller.account
    sent = await read_upload(request)
    await access.confirm(caller)
    if isinstance(sent, int):
        await pictures.choose(account.id, account.epoch, sent, caller.session.public_id)
    else:
        sides = await request.app[IMAGES].square(sent, account.id, client_of(request))
        await access.confirm(caller)
        await pictures.keep(account.id, account.epoch, sides, caller.session.public_id)
    return json_response({"success": True})


DIALECT = Dialect("lumotist", drf.render_error, routes.endpoints, session_specs=[SESSION])
