"""What a query selects: GET /internal/accounts. Contract: docs/contracts/service.md#list."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from handlers.json_fields import MOST_UNKNOWN
from handlers.problems import FieldError, InvalidFields
from store.directory import MAX_ID
from store.names import is_valid_name

MAX_IDS = 500
DEFAULT_LIMIT, MAX_LIMIT = 100, 500
_FLAGS = {"true": True, "false": False}
_DIGITS = re.compile(r"[0-9]{1,19}")


class Ids(NamedTuple):
    """The accounts with these ids."""

    ids: list[int]


class Name(NamedTuple):
    """The account with this username or e-mail; `field` says which."""

    field: str
    name: str


class Page(NamedTuple):
    """A page of the accounts that the filters let through."""

    after: int = 0
    limit: int = DEFAULT_LIMIT
    search: str = ""
    active: bool | None = None


def parse_query(query: Sequence[tuple[str, str]]) -> Ids | Name | Page:
    """Return what the parameters of a query select. Raises InvalidFields."""
    given, errors = dict(query), []
    alone = {"ids", "username", "email"} & given.keys()
    for name in given:
        if name not in ("ids", "username", "email", *Page._fields):
            errors.append(FieldError(name[:64], "unknown", "This parameter is unknown."))
        elif alone and len(query) > 1:
            errors.append(FieldError(name, "invalid", f"Send {min(alone)} alone, and once."))
    if len(given) < len(query) and not errors:
        errors.append(FieldError("", "invalid", "Send each parameter once."))
    if errors:
        raise InvalidFields(errors[:MOST_UNKNOWN])
    if not alone:
        return _parse_page(given)
    [name] = alone
    return Ids(_parse_ids(given[name])) if name == "ids" else Name(name, given[name])


def _parse_ids(text: str) -> list[int]:
    words = text.split(",")
    if not all(map(_DIGITS.fullmatch, words)):
        raise InvalidFields([FieldError("ids", "invalid", "Send whole numbers with commas.")])
    if len(words) > MAX_IDS:
        raise InvalidFields([FieldError("ids", "invalid", f"Send at most {MAX_IDS} ids.")])
    return [int(word) for word in words]


def _parse_page(given: Mapping[str, str]) -> Page:
    after, limit = given.get("after", "0"), given.get("limit", str(DEFAULT_LIMIT))
    search, active = given.get("search", ""), given.get("active")
    errors = []
    if not (_DIGITS.fullmatch(after) and int(after) <= MAX_ID):
        errors.append(FieldError("after", "invalid", "This must be the id of an account."))
    if not (_DIGITS.fullmatch(limit) and 1 <= int(limit) <= MAX_LIMIT):
        errors.append(FieldError("limit", "invalid", f"This must be from 1 to {MAX_LIMIT}."))
    if not is_valid_name(search):
        errors.append(FieldError("search", "invalid", "No name can begin with this."))
    if active not in (None, *_FLAGS):
        errors.append(FieldError("active", "invalid", "This must be true or false."))
    if errors:
        raise InvalidFields(errors)
    return Page(int(after), int(limit), search, _FLAGS[active] if active else None)
