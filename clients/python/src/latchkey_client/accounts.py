"""The accounts of a server and their sessions: `/internal/accounts`, for back ends.

Contract: docs/contracts/service.md. Reading requires a service key of the scope `read`, the rest
one of the scope `write`.
"""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, Unpack

import httpx

from latchkey_client.calls import Call, content_of, nothing
from latchkey_client.errors import ApiError

PATH = "/internal/accounts"
MAX_IDS = 500
"""How many ids one request may look up."""
_SESSION_ID = re.compile("[0-9a-f]{16}")
MAX_QUERY = 7000
"""How long the ids of a request may be: servers and proxies limit its first line to 8 kB."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account. Times are in UTC."""

    id: int
    username: str | None
    email: str | None
    email_verified: bool
    first_name: str | None
    last_name: str | None
    picture: str | None
    """The URL of the picture."""
    created: datetime
    last_login: datetime | None
    is_active: bool
    is_staff: bool
    is_superuser: bool
    password_set: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Some accounts, and the id after which the next page begins: None on the last page."""

    accounts: list[Account]
    next: int | None


@dataclass(frozen=True, slots=True)
class Session:
    """A session of an account. Times are in UTC."""

    id: str
    dialect: str
    kind: str
    device: str | None
    created: datetime
    last_used: datetime
    expires: datetime


class Changes(TypedDict, total=False):
    """The fields of an account that can be changed. None removes a text."""

    username: str | None
    email: str | None
    email_verified: bool
    email_verified_at: str | None
    """A time as in RFC 3339, instead of `email_verified`."""
    first_name: str | None
    last_name: str | None
    is_active: bool
    is_staff: bool
    is_superuser: bool
    is_admin: bool
    group: str | None
    days_count: int
    towns: list[int]
    groups: list[int]
    user_permissions: list[int]
    cellar: list[int]
    wants: list[int]
    address: str | None
    address2: str | None
    city: str | None
    state: str | None
    zipcode: str | None


class NewAccount(Changes, total=False):
    """The fields of a new account: a password, or a hash that `account import` accepts."""

    password: str
    password_hash: str


def get(account_id: int) -> Call[Account | None]:
    """Return the call that reads an account; its result is None if there is none."""
    return Call("GET", f"{PATH}/{account_id:d}", _optional_account, repeatable=True)


def get_many(ids: Iterable[int]) -> list[Call[list[Account]]]:
    """Return the calls that look ids up, `MAX_IDS` each. Unknown ids have no account."""
    texts = [f"{each:d}" for each in dict.fromkeys(ids)]
    longest = max(map(len, texts), default=1) + len("%2C")
    size = min(MAX_IDS, MAX_QUERY // longest)
    chunks = [texts[first : first + size] for first in range(0, len(texts), size)]
    queries = [{"ids": ",".join(chunk)} for chunk in chunks]
    return [Call("GET", PATH, _accounts, query=query, repeatable=True) for query in queries]


def find(field: str, name: str) -> Call[Account | None]:
    """Return the call that looks an account up by `username` or `email`; None if there is none."""
    return Call("GET", PATH, _first, query={field: name}, repeatable=True)


def page(after: int, limit: int, search: str | None, active: bool | None) -> Call[Page]:
    """Return the call that lists accounts by id, those that match a search by name."""
    query = {"after": f"{after:d}", "limit": f"{limit:d}"}
    if search is not None:
        query["search"] = search
    if active is not None:
        query["active"] = "true" if active else "false"
    return Call("GET", PATH, _page, query=query, repeatable=True)


def create(idempotency_key: str | None, **fields: Unpack[NewAccount]) -> Call[Account]:
    """Return the call that creates an account, at most once however often it is sent."""
    key = idempotency_key or str(uuid.uuid4())
    return Call("POST", PATH, _account, json=fields, idempotency_key=key, repeatable=True)


def change(account_id: int, **changes: Unpack[Changes]) -> Call[Account]:
    """Return the call that changes an account. Disabling it ends its sessions."""
    return Call("PATCH", f"{PATH}/{account_id:d}", _account, json=changes)


def delete(account_id: int) -> Call[None]:
    """Return the call that deletes an account."""
    return Call("DELETE", f"{PATH}/{account_id:d}", nothing)


def set_password(account_id: int, **password: str) -> Call[None]:
    """Return the call that sets a `password` or a `password_hash`, and ends all sessions."""
    return Call("PUT", f"{PATH}/{account_id:d}/password", nothing, json=password)


def send_password_reset(account_id: int) -> Call[None]:
    """Return the call that sends the e-mail with which the owner sets a new password."""
    path, key = f"{PATH}/{account_id:d}/password-reset", str(uuid.uuid4())
    return Call("POST", path, nothing, json={}, idempotency_key=key, repeatable=True)


def sessions(account_id: int) -> Call[list[Session]]:
    """Return the call that lists the sessions of an account."""
    return Call("GET", f"{PATH}/{account_id:d}/sessions", _sessions, repeatable=True)


def end_session(account_id: int, session_id: str) -> Call[None]:
    """Return the call that ends a session by its public id. Raises ValueError for another text.

    The path with `..` is that of the account: it would be deleted.
    """
    if not _SESSION_ID.fullmatch(session_id):
        raise ValueError("a session's id has 16 hexadecimal digits")
    return Call("DELETE", f"{PATH}/{account_id:d}/sessions/{session_id}", nothing)


def end_sessions(account_id: int) -> Call[None]:
    """Return the call that ends all sessions."""
    return Call("DELETE", f"{PATH}/{account_id:d}/sessions", nothing)


def _accounts(response: httpx.Response) -> list[Account]:
    return _page(response).accounts


def _first(response: httpx.Response) -> Account | None:
    return next(iter(_accounts(response)), None)


def _page(response: httpx.Response) -> Page:
    content = content_of(response)
    return Page([_read_account(each) for each in content["accounts"]], content.get("next"))


def _account(response: httpx.Response) -> Account:
    return _read_account(content_of(response))


def _optional_account(response: httpx.Response) -> Account | None:
    try:
        return _account(response)
    except ApiError as error:
        if error.code == "not_found":
            return None
        raise


def _read_account(found: dict[str, Any]) -> Account:
    times = {"created": _time(found["created"]), "last_login": _time(found["last_login"])}
    return Account(**{name: found[name] for name in Account.__slots__} | times)


def _sessions(response: httpx.Response) -> list[Session]:
    return [_read_session(each) for each in content_of(response)["sessions"]]


def _read_session(found: dict[str, Any]) -> Session:
    times = {name: _time(found[name]) for name in ("created", "last_used", "expires")}
    return Session(**{name: found[name] for name in Session.__slots__} | times)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
