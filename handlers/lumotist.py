"""The dialect of documents/001: accounts with a picture, under /account/.

Where the document is silent: a register that is refused answers 400 (the original first sent 200);
`picture` in the profile is "" until one is set, then a URL; `/acount/set_picture` (sic, the
document's own list) answers like `/account/set_picture`; a username may hold any character that
can be stored.
"""

from typing import Any

from aiohttp import web

from handlers import drf
from handlers.answers import json_response
from handlers.dialect import Dialect, Malformed, WrongMediaType
from handlers.drf import PASSWORD, Errors, Routes, Text, read_data, read_fields
from handlers.keys import ACCESS, PICTURES
from handlers.pictures import picture_url
from store.access import Caller
from store.accounts import Login, NewAccount
from store.errors import NoSuchPicture, Refused, Taken, Unstorable
from store.rules import MAX_NAME, is_email
from store.session import Grant

GRANT = Grant("lumotist")

USERNAME = Text("username", max_length=32)
EMAIL = Text("email", max_length=MAX_NAME, checks=((is_email, "Enter a valid email address."),))
TAKEN = "user with this {} already exists."


def refuse_register(refusal: Refused) -> web.Response:
    """Say no to a registration: what is wrong with its fields comes wrapped."""
    match refusal:
        case Taken():
            fields = sorted(refusal.fields, reverse=True)  # username first
            errors = {name: [TAKEN.format(name)] for name in fields}
        case Errors():
            errors = dict(refusal.by_field)
        case Unstorable():
            errors = {refusal.field: [drf.UNSTORABLE]}
        case _:
            return drf.refuse(refusal)
    return json_response({"success": False, "errors": errors}, 400)


def refuse_picture(refusal: Refused) -> web.Response:
    """Say no to a picture: whatever is wrong with the request is wrong with its id."""
    if isinstance(refusal, NoSuchPicture | Malformed | WrongMediaType | Errors):
        return json_response({"success": False, "error": "Invalid picture id."}, 400)
    return drf.refuse(refusal)


routes = Routes(drf.refuse)


@routes.open("/account/register", refuse=refuse_register)
async def register(request: web.Request) -> web.Response:
    """Make an account and answer its token."""
    data = await read_data(request)
    username, email, password = read_fields(data, USERNAME, EMAIL, PASSWORD)
    new = NewAccount(username, email)
    _, [opened] = await request.app[ACCESS].register(new, password, [GRANT])
    return json_response({"success": True, "token": opened.token})


@routes.open("/account/login")
async def login(request: web.Request) -> web.Response:
    """Answer the account's token: the one it already has, if it has one."""
    username, password = read_fields(await read_data(request), Text("username"), PASSWORD)
    _, [opened] = await request.app[ACCESS].log_in(Login(username), password, [GRANT])
    return json_response({"token": opened.token})


@routes.guarded("/account/logout")
async def logout(request: web.Request, caller: Caller) -> web.Response:
    """End the session the request came with."""
    await request.app[ACCESS].log_out(caller)
    return json_response({"success": True})


@routes.guarded("/account/profile", methods=("GET",))
async def profile(request: web.Request, caller: Caller) -> web.Response:
    """Answer who the caller is."""
    account = caller.account
    data = {
        "id": account.id,
        "username": account.username or "",
        "email": account.email or "",
        "created": account.created.strftime("%d-%m-%Y"),
        "picture": picture_url(request, account.picture_id),
    }
    return json_response({"success": True, "data": data})


@routes.guarded("/account/delete")
async def delete(request: web.Request, caller: Caller) -> web.Response:
    """Delete the caller's account, with its pictures and sessions."""
    await request.app[ACCESS].delete(caller)
    return json_response({"success": True})


@routes.guarded("/account/get_pictures", methods=("GET",))
async def get_pictures(request: web.Request, caller: Caller) -> web.Response:
    """List the gallery by its groups."""
    groups: dict[str, list[dict[str, Any]]] = {"male": [], "female": []}
    for picture in await request.app[PICTURES].gallery():
        url = picture_url(request, picture.picture_id)
        entry = {"id": picture.id, "name": picture.name, "picture": url}
        groups.setdefault(picture.group, []).append(entry)
    return json_response(groups)


@routes.guarded("/account/set_picture", "/acount/set_picture", refuse=refuse_picture)
async def set_picture(request: web.Request, caller: Caller) -> web.Response:
    """Make a picture of the gallery the caller's; id 0 takes it away."""
    data = await read_data(request)
    await request.app[PICTURES].choose(caller.account.id, _picture_id(data.get("id")))
    return json_response({"success": True})


def _picture_id(value: object) -> int:
    """Read an id, a number or a string of digits. Raises NoSuchPicture."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    raise NoSuchPicture


DIALECT = Dialect("lumotist", drf.refuse, routes.endpoints)
