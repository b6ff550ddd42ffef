"""Endpoints of an account: register, read, change, delete, password, picture and the gallery."""

import sys
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from handlers.app_keys import ACCESS, IMAGES, PICTURES, REQUIRE_VERIFIED_EMAIL
from handlers.dialects.latchkey.confirmations import read_confirmed
from handlers.dialects.latchkey.routes import DELETE, PATCH, routes
from handlers.dialects.latchkey.sessions import device_spec, login_shape, token_shape
from handlers.dialects.latchkey.shapes import account_shape
from handlers.http.response import Response, json_response, no_content
from handlers.json_fields import (
    DEVICE,
    FIRST_NAME,
    LAST_NAME,
    OPTIONAL_EMAIL,
    USERNAME,
    Text,
    find_errors,
    is_anything,
    password_errors,
    password_field,
    raise_errors,
    read_object,
    texts,
)
from handlers.picture_upload import read_upload
from handlers.problems import REQUIRED, FieldError
from handlers.proxies import client_of
from handlers.routes import GET, PUT
from handlers.system.pictures import picture_url
from store.account import NewAccount
from store.authentication import Caller
from store.errors import NoSuchPicture
from store.pictures import NO_PICTURE

PASSWORD, CURRENT, NEW = map(password_field, ("password", "current", "new"))
PICTURE = Text("picture", sys.maxsize, required=False, may_be_empty=True, check=is_anything)


@routes.open("/v1/accounts")
async def register(request: web.Request) -> Response:
    """POST /v1/accounts: create an account, and log its device in."""
    data = await read_object(request)
    fields = USERNAME, OPTIONAL_EMAIL, PASSWORD, FIRST_NAME, LAST_NAME, DEVICE
    username, email, password, first_name, last_name, device = texts(data, *fields)
    errors = find_errors(data, *fields)
    if data.get("email") is None:
        if request.app[REQUIRE_VERIFIED_EMAIL]:
            errors.append(FieldError("email", "required", REQUIRED))
        elif data.get("username") is None:
            errors.append(FieldError("username", "required", "Send a username or an e-mail."))
    errors += await password_errors(request, PASSWORD, data, username, email)
    raise_errors(errors)
    new = NewAccount(username or None, email or None, first_name or None, last_name or None)
    spec = device_spec(request, device)
    account, [issued] = await request.app[ACCESS].register(
        new, password, [spec], client_of(request), verify=True
    )
    shape = await login_shape(request, account, spec, issued)
    return json_response(shape, 201, {"Location": "/v1/account"})


@routes.guarded("/v1/account", methods=GET)
async def show(request: web.Request, caller: Caller) -> Response:
    """GET /v1/account: return the caller's account."""
    return json_response(await account_shape(request, caller.account))


@routes.guarded("/v1/account", methods=PATCH)
async def change(request: web.Request, caller: Caller) -> Response:
    """PATCH /v1/account: change names; null or "" removes a first or last name."""
    data = await read_object(request)
    errors = find_errors(data, USERNAME, FIRST_NAME, LAST_NAME)
    if "username" in data and data["username"] is None:
        errors.append(FieldError("username", "required", REQUIRED))
    raise_errors(errors)
    account = caller.account
    if data:
        changes = {name: text or None for name, text in data.items()}
        account, _ = await request.app[ACCESS].change(caller, changes, client=client_of(request))
    return json_response(await account_shape(request, account))


@routes.guarded("/v1/account", methods=DELETE)
async def delete(request: web.Request, caller: Caller) -> Response:
    """DELETE /v1/account: delete the account, with its password, its pictures and sessions."""
    await read_confirmed(request, caller)
    await request.app[ACCESS].delete(caller)
    return no_content()


@routes.guarded("/v1/account/deletion")
async def delete_by_post(request: web.Request, caller: Caller) -> Response:
    """POST /v1/account/deletion: as DELETE /v1/account, for clients that drop its body."""
    return await delete(request, caller)


@routes.guarded("/v1/account/password", methods=PUT)
async def change_password(request: web.Request, caller: Caller) -> Response:
    """PUT /v1/account/password: change it, end every session, and log this device in again."""
    data = await read_object(request)
    errors = find_errors(data, CURRENT, NEW)
    names = caller.account.username, caller.account.email
    errors += await password_errors(request, NEW, data, *names)
    raise_errors(errors)
    current, new = texts(data, CURRENT, NEW)
    access, client = request.app[ACCESS], client_of(request)
    await access.verify_password(caller, current, client)
    spec = device_spec(request, caller.session.device or "")
    _, [issued] = await access.change(caller, {}, new, [spec], client, notify=True)
    return json_response(token_shape(spec, issued))


@routes.guarded("/v1/account/picture", methods=PUT)
async def set_picture(request: web.Request, caller: Caller) -> Response:
    """PUT /v1/account/picture: set an uploaded picture, or one of the gallery."""
    access, pictures, account = request.app[ACCESS], request.app[PICTURES], caller.account
    session_id = caller.session.public_id
    sent = await read_upload(request, "gallery", check_picture)
    await access.confirm(caller)
    if isinstance(sent, int):
        if sent == NO_PICTURE:
            raise NoSuchPicture
        picture_id = await pictures.choose(account.id, account.epoch, sent, session_id)
    else:
        sides = await request.app[IMAGES].square(sent, account.id, client_of(request))
        await access.confirm(caller)
        picture_id = await pictures.keep(account.id, account.epoch, sides, session_id)
    return json_response({"picture": picture_url(request, picture_id)})


def check_picture(data: Mapping[str, Any]) -> None:
    """Raise InvalidFields for unknown fields, and for a picture that is not text."""
    others = {name: value for name, value in data.items() if name != "gallery"}
    raise_errors(find_errors(others, PICTURE))


@routes.guarded("/v1/account/picture", methods=DELETE)
async def remove_picture(request: web.Request, caller: Caller) -> Response:
    """DELETE /v1/account/picture: show no picture, and delete an uploaded one."""
    account, session = caller
    await request.app[PICTURES].choose(account.id, account.epoch, NO_PICTURE, session.public_id)
    return no_content()


@routes.open("/v1/gallery", methods=GET)
async def gallery(request: web.Request) -> Response:
    """GET /v1/gallery: return the pictures that an account can choose from."""
    pictures = [
        {
            "id": each.id,
            "group": each.group,
            "name": each.name,
            "url": picture_url(request, each.picture_id),
        }
        for each in await request.app[PICTURES].gallery()
    ]
    return json_response({"pictures": pictures})
