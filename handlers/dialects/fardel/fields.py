"""The fields of fardel's requests, and the user object."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from handlers.body import read_body, read_json
from handlers.content_type import content_type_of
from handlers.dialects.fardel.routes import BadForm
from handlers.errors import UnsupportedMediaType
from store.account import Account
from store.names import MAX_NAME, is_email


async def read_form(request: web.Request) -> Mapping[str, Any]:
    """Return the fields of a JSON body. Raises UnsupportedMediaType, Malformed, BadForm."""
    await read_body(request)
    media_type = content_type_of(request).media_type
    if media_type != "application/json":
        raise UnsupportedMediaType(media_type)
    data = await read_json(request)
    if not isinstance(data, dict):
        raise BadForm
    return data


def required(data: Mapping[str, Any], name: str) -> str:
    """Return a field's text. Raises BadForm when it is missing or empty."""
    text = optional(data, name)
    if not text:
        raise BadForm
    return text


def optional(data: Mapping[str, Any], name: str) -> str:
    """Return a field's text, "" if absent or null. Raises BadForm if it is not text."""
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise BadForm
    return value or ""


def optional_name(data: Mapping[str, Any], name: str) -> str | None:
    """Return a first or last name, None when it is absent or empty. Raises BadForm."""
    text = optional(data, name)
    if len(text) > MAX_NAME:
        raise BadForm
    return text or None


def check_email(email: str) -> str:
    """Return the e-mail. Raises BadForm if it is not valid."""
    if not is_email(email):
        raise BadForm
    return email


def user(account: Account) -> dict[str, Any]:
    """Return the JSON of an account."""
    shown: dict[str, Any] = {
        "id": account.id,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "email": account.email or "",
    }
    if account.group_name:
        shown["group"] = account.group_name
    if account.is_admin:
        shown["is_admin"] = True
    if account.is_staff:
        shown["is_staff"] = True
    return shown
