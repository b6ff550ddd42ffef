"""Accounts as values: what a request, a login, a registration and an operator see of one."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple

from store.identity import Identity


class Account(NamedTuple):
    """An account, as an authenticated request sees it.

    A tuple, because one is made for every request. `epoch` is in microseconds.
    """

    id: int
    username: str | None
    email: str | None
    first_name: str | None
    last_name: str | None
    is_active: bool
    is_staff: bool
    is_admin: bool
    group_name: str | None
    epoch: int
    created: datetime.datetime
    picture_id: str | None
    kept_session: str | None
    """`Session.kept_under` of the session that is live although its epoch is an older one."""
    email_verified: bool = False
    is_superuser: bool = False
    activated: bool = True
    """False until the link of a registration that asks for one was used."""


@dataclass(frozen=True, slots=True)
class Details:
    """All of an account but its hash and its epoch."""

    id: int
    username: str | None
    email: str | None
    first_name: str | None
    last_name: str | None
    is_active: bool
    activated: bool
    is_staff: bool
    is_superuser: bool
    is_admin: bool
    group_name: str | None
    created: datetime.datetime
    modified: datetime.datetime
    last_login: datetime.datetime | None
    email_verified_at: datetime.datetime | None
    """When its owner proved the address; None when it is not verified."""
    days_count: int
    towns: list[int]
    groups: list[int]
    user_permissions: list[int]
    cellar: list[int]
    wants: list[int]
    address: str
    address2: str
    city: str
    state: str
    zipcode: str


class AccountSummary(NamedTuple):
    """An account as other services see it. A tuple, because a page has many."""

    id: int
    username: str | None
    email: str | None
    email_verified: bool
    first_name: str | None
    last_name: str | None
    picture_id: str | None
    created: datetime.datetime
    last_login: datetime.datetime | None
    is_active: bool
    is_staff: bool
    is_superuser: bool
    password_set: bool
    """Whether a password can match the hash. Imported accounts may have an unusable one."""


_KEPT_BY_THE_STORE = {"id", "created", "modified", "last_login"}
CHANGEABLE = {each.name for each in fields(Details)} - _KEPT_BY_THE_STORE | {"password"}
"""The columns that `Accounts.change` may set: their names become part of its statement."""


def check_columns(values: Mapping[str, Any]) -> None:
    """Raise ValueError if a key is not in CHANGEABLE."""
    if unknown := values.keys() - CHANGEABLE:
        raise ValueError(f"not a column of an account that can be changed: {min(unknown)!r}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account and its password hash, to verify a login. Never leaves `store/`."""

    account: Account
    hash: str
    second_factor: bool = False
    """Whether a password alone does not let it in."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """The fields of a registration. A missing username or e-mail is None."""

    username: str | None = None
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    towns: Sequence[int] = ()
    activated: bool = True
    """Whether it can log in at once, not only after the link of an e-mail was used."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """The values of other columns, by names that are in CHANGEABLE."""
    identity: Identity | None = None
    """The identity of a provider that logs in to it."""


FactorRule = Literal["ask", "otp", "exempt", "forbid"]
"""What a login of an account with a second factor needs: its code, which `ask` says if it is
missing or wrong; nothing; or it is refused."""


@dataclass(frozen=True, slots=True)
class Login:
    """The name of a login: an e-mail, a username, or either of both, the e-mail first."""

    username: str | None = None
    email: str | None = None
    code: str | None = None
    """The code of the second factor, if it was sent."""
    factor: FactorRule = "otp"

    @property
    def names(self) -> list[tuple[str, str]]:
        """The fields to look the name up in, in this order, each with the name."""
        both = ("email", self.email), ("username", self.username)
        return [(field, name) for field, name in both if name is not None]
