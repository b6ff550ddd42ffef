"""Accounts in PostgreSQL: their names, password hashes, epochs and other columns."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg2.errors

from store.account import CHANGEABLE, Account, Details, NewAccount
from store.account_names import AccountNames
from store.account_sql import (
    CLOCK,
    COLUMNS,
    DETAILS,
    ENTITLED,
    KEPT,
    NAMES,
    RAISED,
    RETURNED,
    assignments,
)
from store.batching import BatchLoader
from store.errors import Taken, Unstorable
from store.mail_queue import MailQueue
from store.names import FOLD, is_seen, is_valid_name, is_valid_text
from store.postgresql.database import Database, Row
from store.postgresql.prepared import Prepared
from telemetry.observer import UNOBSERVED, Observer

MAX_ID = 2**63 - 1
BATCH_SECONDS = 60.0
"""The timeout in seconds of one statement about many accounts, which only operators run."""

_TAKEN = {"account_username_taken": "username", "account_email_taken": "email"}


class Accounts:
    """The account table. Every method raises Unavailable when PostgreSQL cannot serve."""

    def __init__(
        self, database: Database, mail: MailQueue | None = None, observer: Observer = UNOBSERVED
    ) -> None:
        """Use this database; statements queue the messages that they cause in `mail`."""
        self._database = database
        self._mail = mail
        # Given one id as an array, PostgreSQL plans the statement at each execution.
        self._one = Prepared(f"select {COLUMNS} from account where id = %s", "bigint")
        self._many = Prepared(
            f"select {COLUMNS} from account where id = any(%s::bigint[])", "bigint[]"
        )
        self._details: BatchLoader[int, Details] = BatchLoader(
            self._fetch_details, database.timeout, observer=observer, name="details"
        )
        self._names = AccountNames(database, observer)
        self.find, self.ids_of = self._names.find, self._names.ids_of
        self.credentials = self._names.credentials
        self.credentials_of = self._names.credentials_of

    def close(self) -> None:
        """End the tasks that look up names and details."""
        self._names.close()
        self._details.close()

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

    async def get(self, account_id: int) -> Account | None:
        """Return an account as it is now, None when it does not exist."""
        deadline = asyncio.get_running_loop().time() + self._database.timeout
        return (await self.get_many([account_id], deadline)).get(account_id)

    async def details(self, account_id: int) -> Details | None:
        """Return all columns of an account except its hash, None when there is no account."""
        if not 0 < account_id <= MAX_ID:
            return None
        return await self._details.get(account_id)

    async def new_identity(self) -> tuple[int, int]:
        """Reserve an id and a session epoch for a new account; return both."""
        row = await self._database.one(f"select nextval('account_id'), {CLOCK}")
        return row[0], row[1]

    async def insert(
        self,
        identity: tuple[int, int],
        new: NewAccount,
        hash: str,
        *,
        logged_in: bool,
        mail: str | None = None,
    ) -> Account | None:
        """Insert an account and return it; None when its id is used by another account.

        `logged_in` sets its last login to now. `mail` is the kind of message that the statement
        queues, None for none. Raises Taken, with every field that is taken, and
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
            mail=mail,
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
        mail: str | None = None,
    ) -> Account | None:
        """Set columns of an account and return it as it is afterwards.

        `changes` has values by column; `password` is a hash. When the account does not exist, or
        neither has the given epoch nor keeps the session of the given public id, nothing changes
        and None is returned. A new password or a changed `is_active` raises the epoch in the same
        statement, which ends every session of the account; with `keeps_session`, every session but
        that one. Another e-mail is unverified. `mail` is the kind of message that the statement
        queues. Raises Taken, Unstorable; ValueError for a column not in CHANGEABLE.
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
            mail,
        )
        return Account(*rows[0]) if rows else None

    async def record_login(self, account_id: int, epoch: int, mail: str | None = None) -> bool:
        """Set `last_login` to now; return whether the account still has this epoch.

        `mail` is the kind of message that the statement queues.
        """
        rows = await self._run(
            f"""update account set last_login = now()
                where id = %s and session_epoch = %s returning {COLUMNS}""",
            (account_id, epoch),
            mail,
        )
        return bool(rows)

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
        self,
        sql: str,
        values: Mapping[str, Any],
        parameters: Sequence[Any],
        own_id: int = 0,
        mail: str | None = None,
    ) -> list[Row]:
        """Run a statement with these parameters: the values, the folded names, then the others.

        Raises Taken, Unstorable.
        """
        folded = {field: _folded(field, values[field]) for field in NAMES if field in values}
        for field, value in values.items():
            if isinstance(value, str) and not is_valid_text(value):
                raise Unstorable(field)
        try:
            return await self._run(sql, (*values.values(), *folded.values(), *parameters), mail)
        except psycopg2.errors.UniqueViolation as error:
            clash = _TAKEN[error.diag.constraint_name]
            raise Taken(await self._taken(folded, own_id) | {clash}) from None

    async def _run(self, sql: str, parameters: Sequence[Any], mail: str | None) -> list[Row]:
        """Run a statement that returns COLUMNS; it queues a message of the kind `mail`, if any."""
        if mail is None or self._mail is None:
            return await self._database.rows(sql, parameters)
        rows = await self._database.rows(
            f"""with written as ({sql}), mailed as ({self._mail.insertion(mail, "written")})
                select {RETURNED} from written""",
            parameters,
        )
        self._mail.wake()
        return rows

    async def _taken(self, folded: Mapping[str, str | None], own_id: int) -> frozenset[str]:
        """Return every field that is taken. The error of the unique index names only one."""
        row = await self._database.one(
            """select exists (select from account where username_folded = %s and id <> %s),
                      exists (select from account where email_folded = %s and id <> %s)""",
            [part for field in NAMES for part in (folded.get(field), own_id)],
        )
        return frozenset(field for field, taken in zip(NAMES, row, strict=True) if taken)

    async def _fetch_details(self, ids: list[int], deadline: float) -> dict[int, Details]:
        rows = await self._database.rows(
            f"select {DETAILS} from account where id = any(%s::bigint[])", (ids,), deadline
        )
        return {row[0]: Details(*row) for row in rows}


def _folded(field: str, name: str | None) -> str | None:
    """Return the folded form of a new name, None for None. Raises Unstorable."""
    if name is None:
        return None
    if not (is_valid_name(name) and is_seen(name)):
        raise Unstorable(field)
    return FOLD[field](name)
