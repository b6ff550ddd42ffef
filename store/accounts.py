"""Accounts in PostgreSQL: who there is, under which names, with which hash and epoch."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg2.errors

from store.coalesce import Coalesced
from store.connect import Database, Row
from store.errors import Taken, Unstorable
from store.rules import fold, is_nameable, is_storable

MAX_ID = 2**63 - 1

_TAKEN = {"account_username_taken": "username", "account_email_taken": "email"}

_COLUMNS = """id, username, email, first_name, last_name, is_active, is_staff, is_admin, group_name,
    session_epoch, created, picture_id"""

_CLOCK = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
_RAISED = f"greatest(session_epoch + 1, {_CLOCK})"
"""The next session epoch: never one that was used before."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account, as an authenticated request sees it."""

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


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a login is verified against. Never leaves `store/`."""

    account: Account
    hash: str


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What a registration gives. A missing username or e-mail is None."""

    username: str | None = None
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    towns: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Login:
    """The name that someone logs in with: a username, or else an e-mail."""

    username: str | None = None
    email: str | None = None


class Accounts:
    """The account table. Every method raises Unavailable when PostgreSQL can't serve."""

    def __init__(self, database: Database) -> None:
        self._database = database
        deadline = database.deadline
        self._by_id: Coalesced[int, Account] = Coalesced(self._fetch_by_id, deadline)
        self._by_name: Coalesced[tuple[str, str], Credentials] = Coalesced(
            self._fetch_by_name, deadline
        )

    async def get(self, account_id: int) -> Account | None:
        """Return the account of this id as it is now, None when there is none."""
        return await self._by_id.get(account_id) if 0 < account_id <= MAX_ID else None

    async def credentials(self, login: Login) -> Credentials | None:
        """Return what a login by this name is verified against, None when there is no account.

        Raises Unstorable for what no account could ever be called, by its characters.
        """
        field, name = ("username", login.username) if login.username else ("email", login.email)
        if name is None or not is_storable(name):
            raise Unstorable(field)
        return await self._by_name.get((field, fold(name))) if is_nameable(name) else None

    async def new_identity(self) -> tuple[int, int]:
        """Take an id and a session epoch for an account that is to be inserted."""
        row = await self._database.one(f"select nextval('account_id'), {_CLOCK}")
        return row[0], row[1]

    async def insert(
        self, identity: tuple[int, int], new: NewAccount, hash: str, *, logged_in: bool
    ) -> Account:
        """Insert an account and return it.

        Raises Taken, with every field that is, or Unstorable.
        """
        username, username_folded = _storable("username", new.username)
        email, email_folded = _storable("email", new.email)
        for field, text in (("first_name", new.first_name), ("last_name", new.last_name)):
            if text and not is_storable(text):
                raise Unstorable(field)
        try:
            row = await self._database.one(
                f"""insert into account (id, session_epoch, username, username_folded, email,
                        email_folded, password, first_name, last_name, towns, last_login)
                    values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::bigint[],
                        case when %s then now() end)
                    returning {_COLUMNS}""",
                (
                    *identity,
                    username,
                    username_folded,
                    email,
                    email_folded,
                    hash,
                    new.first_name,
                    new.last_name,
                    list(new.towns),
                    logged_in,
                ),
            )
        except psycopg2.errors.UniqueViolation as error:
            clash = _TAKEN[error.diag.constraint_name]
            raise Taken(
                await self._taken(username_folded, email_folded) | frozenset({clash})
            ) from None
        return Account(*row)

    async def record_login(self, account_id: int, epoch: int) -> bool:
        """Set `last_login` to now; tell whether the account still has this epoch."""
        row = await self._database.row(
            """update account set last_login = now()
                where id = %s and session_epoch = %s returning id""",
            (account_id, epoch),
        )
        return row is not None

    async def raise_epoch(self, account_id: int) -> int | None:
        """End every session the account has; return its new epoch, None when it is gone."""
        row = await self._database.row(
            f"update account set session_epoch = {_RAISED} where id = %s returning session_epoch",
            (account_id,),
        )
        return row[0] if row else None

    async def delete(self, account_id: int, epoch: int) -> bool:
        """Delete the account and its pictures, if it still has this epoch; tell whether it had."""
        row = await self._database.row(
            "delete from account where id = %s and session_epoch = %s returning id",
            (account_id, epoch),
        )
        return row is not None

    async def _taken(self, username_folded: str | None, email_folded: str | None) -> frozenset[str]:
        """Name every field that is taken: the index that clashed told only the first."""
        row = await self._database.one(
            """select exists (select from account where username_folded = %s),
                      exists (select from account where email_folded = %s)""",
            (username_folded, email_folded),
        )
        return frozenset(
            field for field, taken in zip(("username", "email"), row, strict=True) if taken
        )

    async def _fetch_by_id(self, ids: list[int], by: float) -> dict[int, Account]:
        rows = await self._database.rows(
            f"select {_COLUMNS} from account where id = any(%s::bigint[])", (ids,), by
        )
        return {row[0]: Account(*row) for row in rows}

    async def _fetch_by_name(
        self, names: list[tuple[str, str]], by: float
    ) -> dict[tuple[str, str], Credentials]:
        usernames = [name for field, name in names if field == "username"]
        emails = [name for field, name in names if field == "email"]
        rows = await self._database.rows(
            f"""select 'username', username_folded, password, {_COLUMNS} from account
                 where username_folded = any(%s::text[])
                union all
                select 'email', email_folded, password, {_COLUMNS} from account
                 where email_folded = any(%s::text[])""",
            (usernames, emails),
            by,
        )
        return {(row[0], row[1]): _credentials(row) for row in rows}


def _credentials(row: Row) -> Credentials:
    return Credentials(Account(*row[3:]), row[2])


def _storable(field: str, name: str | None) -> tuple[str | None, str | None]:
    """Return a name and its folded form, or two Nones. Raises Unstorable."""
    if not name:
        return None, None
    if not is_nameable(name):
        raise Unstorable(field)
    return name, fold(name)
