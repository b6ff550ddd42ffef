"""Accounts in PostgreSQL: their names, password hashes, epochs and other columns."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg2.errors

from store.account import CHANGEABLE, Account, Credentials, Details, Login, NewAccount
from store.account_sql import (
    CLOCK,
    COLUMNS,
    DETAILS,
    ENTITLED,
    KEPT,
    NAMES,
    RAISED,
    assignments,
)
from store.batching import BatchLoader
from store.errors import Taken, Unstorable
from store.names import FOLD, forms, is_seen, is_valid_name, is_valid_text
from store.postgresql.database import Database, Row
from store.postgresql.prepared import Prepared
from telemetry.observer import UNOBSERVED, Observer

MAX_ID = 2**63 - 1
BATCH_SECONDS = 60.0
"""The timeout in seconds of one statement about many accounts, which only operators run."""

_TAKEN = {"account_username_taken": "username", "account_email_taken": "email"}


class Accounts:
    """The account table. Every method raises Unavailable when PostgreSQL cannot serve."""

    def __init__(self, database: Database, observer: Observer = UNOBSERVED) -> None:
        self._database = database
        # Given one id as an array, PostgreSQL plans the statement at each execution.
        self._one = Prepared(f"select {COLUMNS} from account where id = %s", "bigint")
        self._many = Prepared(
            f"select {COLUMNS} from account where id = any(%s::bigint[])", "bigint[]"
        )
        self._by_name: BatchLoader[tuple[str, str], Credentials] = BatchLoader(
            self._fetch_by_name, database.timeout, observer=observer, name="login"
        )

    def close(self) -> None:
        """End the tasks that look up names."""
        self._by_name.close()

    async def get_many(self, ids: Iterable[int], deadline: float) -> dict[int, Account]:
        """Return by id the accounts that exist, as they are now, in one round trip.

        PostgreSQL must reply by the event loop's time `deadline`.
        """
        known = [str(account_id) for account_id in ids if 0 < account_id <= MAX_ID]
        if len(known) == 1:
            rows = await self._database.rows(self._one, known, deadline)
        else:
            rows = await self._database.rows(self._many, (f"{{{','.join(known)}}}",), deadline)
        return {row[0]: Account._make(row) for row in rows}

    async def details(self, account_id: int) -> Details | None:
        """Return all columns of an account except its hash, None when there is no account."""
        if not 0 < account_id <= MAX_ID:
            return None
        row = await self._database.row(
            f"select {DETAILS} from account where id = %s", (account_id,)
        )
        return Details(*row) if row else None

    async def find(self, name: str, *fields: str) -> list[Details]:
        """Return every account that has this name in one of the fields; without fields, in either.

        There may be two, because a username may be another account's e-mail.
        """
        if not is_valid_name(name):
            return []
        wanted = [forms(field, name) if field in (fields or NAMES) else [] for field in NAMES]
        rows = await self._database.rows(
            f"""select {DETAILS} from account
                where username_folded = any(%s::text[]) or email_folded = any(%s::text[])
                order by id""",
            wanted,
        )
        return [Details(*row) for row in rows]

    async def ids_of(self, field: str, names: Iterable[str]) -> dict[str, int]:
        """Return the ids of the accounts of these names, by name; `field` is username or email."""
        if field not in NAMES:
            raise ValueError(f"not a name of an account: {field!r}")
        wanted = {name: forms(field, name) for name in names if is_valid_name(name)}
        rows = await self._database.rows(
            f"select {field}_folded, id from account where {field}_folded = any(%s::text[])",
            ([form for found in wanted.values() for form in found],),
        )
        ids: dict[str, int] = dict(rows)
        found = {name: [ids[form] for form in wanted[name] if form in ids] for name in wanted}
        return {name: first[0] for name, first in found.items() if first}

    async def credentials(self, login: Login) -> Credentials | None:
        """Return the account and hash of a login's name, None when there is no account.

        Raises Unstorable for characters that no name can have.
        """
        field, name = login.field, login.name
        if name is None or not is_valid_text(name):
            raise Unstorable(field)
        if not is_valid_name(name):
            return None
        # All forms in one statement, so that the time does not depend on which form exists.
        wanted = (self._by_name.get((field, form)) for form in forms(field, name))
        found = await asyncio.gather(*wanted)
        return next((each for each in found if each), None)

    async def new_identity(self) -> tuple[int, int]:
        """Reserve an id and a session epoch for a new account; return both."""
        row = await self._database.one(f"select nextval('account_id'), {CLOCK}")
        return row[0], row[1]

    async def insert(
        self, identity: tuple[int, int], new: NewAccount, hash: str, *, logged_in: bool
    ) -> Account | None:
        """Insert an account and return it; None when its id is used by another account.

        `logged_in` sets its last login to now. Raises Taken, with every field that is taken, and
        Unstorable.
        """
        values = {
            "username": new.username or None,
            "email": new.email or None,
            "first_name": new.first_name,
            "last_name": new.last_name,
        }
        rows = await self._write(
            f"""insert into account (username, email, first_name, last_name, username_folded,
                    email_folded, id, session_epoch, password, towns, last_login)
                values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::bigint[],
                    case when %s then now() end)
                on conflict (id) do nothing returning {COLUMNS}""",
            values,
            (*identity, hash, list(new.towns), logged_in),
        )
        return Account(*rows[0]) if rows else None

    async def change(
        self,
        account_id: int,
        changes: Mapping[str, Any],
        epoch: int | None = None,
        session_id: str | None = None,
        *,
        keeps_session: bool = False,
    ) -> Account | None:
        """Set columns of an account and return it as it is afterwards.

        `changes` has values by column; `password` is a hash. When the account does not exist, or
        neither has the given epoch nor keeps the session of the given public id, nothing changes
        and None is returned. A new password or a changed `is_active` raises the epoch in the same
        statement, which ends every session of the account; with `keeps_session`, every session but
        that one. Another e-mail is unverified. Raises Taken, Unstorable; ValueError for a column
        not in CHANGEABLE.
        """
        if unknown := changes.keys() - CHANGEABLE:
            raise ValueError(f"not a column of an account that can be changed: {min(unknown)!r}")
        sets, parameters = assignments(changes, session_id if keeps_session else None)
        rows = await self._write(
            f"""update account set {sets}, modified = now()
                where {ENTITLED} returning {COLUMNS}""",
            changes,
            (*parameters, account_id, epoch, session_id),
            account_id,
        )
        return Account(*rows[0]) if rows else None

    async def record_login(self, account_id: int, epoch: int) -> bool:
        """Set `last_login` to now; return whether the account still has this epoch."""
        row = await self._database.row(
            """update account set last_login = now()
                where id = %s and session_epoch = %s returning id""",
            (account_id, epoch),
        )
        return row is not None

    async def replace_hash(self, account_id: int, kept: str, fresh: str) -> None:
        """Replace the hash `kept` by `fresh`, of the same password, unless it was changed."""
        await self._database.rows(
            "update account set password = %s where id = %s and password = %s returning id",
            (fresh, account_id, kept),
        )

    async def raise_epoch(
        self,
        account_id: int,
        epoch: int | None = None,
        session_id: str | None = None,
        *,
        keeps_session: bool = False,
    ) -> int | None:
        """Raise the account's epoch, which ends its sessions, and return the new epoch.

        With `keeps_session`, the session of the given public id stays live. When the account does
        not exist, or neither has the given epoch nor keeps that session, nothing changes and None
        is returned.
        """
        kept = f", {KEPT}" if keeps_session else ""
        row = await self._database.row(
            f"""update account set session_epoch = {RAISED}{kept}
                 where {ENTITLED} returning session_epoch""",
            (*([session_id] if keeps_session else []), account_id, epoch, session_id),
        )
        return row[0] if row else None

    async def raise_epochs(self, after: int, count: int) -> tuple[int, int] | None:
        """Raise the epochs of the `count` accounts with the lowest ids above `after`.

        Return the highest of these ids and the number of accounts, None when there are none. It
        may take BATCH_SECONDS.
        """
        [(last, ended)] = await self._database.rows(
            f"""with raised as (
                    update account set session_epoch = {RAISED}
                     where id > %(after)s and id <= (select max(id) from (
                           select id from account where id > %(after)s
                            order by id limit %(count)s) as batch)
                    returning id)
                select max(id), count(*) from raised""",
            {"after": after, "count": count},
            asyncio.get_running_loop().time() + BATCH_SECONDS,
        )
        return (last, ended) if ended else None

    async def count(self) -> int:
        """Return the number of accounts. With a million of them it may take a second."""
        deadline = asyncio.get_running_loop().time() + BATCH_SECONDS
        [(count,)] = await self._database.rows("select count(*) from account", (), deadline)
        return int(count)

    async def delete(self, account_id: int, epoch: int, session_id: str | None = None) -> bool:
        """Delete the account and its pictures; return False if nothing matches.

        The account must have this epoch or keep the session of this public id.
        """
        row = await self._database.row(
            f"delete from account where {ENTITLED} returning id", (account_id, epoch, session_id)
        )
        return row is not None

    async def _write(
        self, sql: str, values: Mapping[str, Any], parameters: Sequence[Any], own_id: int = 0
    ) -> list[Row]:
        """Run a statement with these parameters: the values, the folded names, then the others.

        Raises Taken, Unstorable.
        """
        folded = {field: _folded(field, values[field]) for field in NAMES if field in values}
        for field, value in values.items():
            if isinstance(value, str) and not is_valid_text(value):
                raise Unstorable(field)
        try:
            return await self._database.rows(sql, (*values.values(), *folded.values(), *parameters))
        except psycopg2.errors.UniqueViolation as error:
            clash = _TAKEN[error.diag.constraint_name]
            raise Taken(await self._taken(folded, own_id) | {clash}) from None

    async def _taken(self, folded: Mapping[str, str | None], own_id: int) -> frozenset[str]:
        """Return every field that is taken. The error of the unique index names only one."""
        row = await self._database.one(
            """select exists (select from account where username_folded = %s and id <> %s),
                      exists (select from account where email_folded = %s and id <> %s)""",
            [part for field in NAMES for part in (folded.get(field), own_id)],
        )
        return frozenset(field for field, taken in zip(NAMES, row, strict=True) if taken)

    async def _fetch_by_name(
        self, names: list[tuple[str, str]], deadline: float
    ) -> dict[tuple[str, str], Credentials]:
        usernames = [name for field, name in names if field == "username"]
        emails = [name for field, name in names if field == "email"]
        rows = await self._database.rows(
            f"""select 'username', username_folded, password, {COLUMNS} from account
                 where username_folded = any(%s::text[])
                union all
                select 'email', email_folded, password, {COLUMNS} from account
                 where email_folded = any(%s::text[])""",
            (usernames, emails),
            deadline,
        )
        return {(row[0], row[1]): Credentials(Account(*row[3:]), row[2]) for row in rows}


def _folded(field: str, name: str | None) -> str | None:
    """Return the folded form of a new name, None for None. Raises Unstorable."""
    if name is None:
        return None
    if not (is_valid_name(name) and is_seen(name)):
        raise Unstorable(field)
    return FOLD[field](name)
