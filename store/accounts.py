"""Accounts in PostgreSQL: their names, password hashes, epochs and other columns."""

import asyncio
import copy
from collections.abc import Iterable, Mapping
from typing import Any, Self

from store.account import Account, Details, NewAccount, check_columns
from store.account_names import AccountNames
from store.account_sql import (
    CLOCK,
    COLUMNS,
    DETAILS,
    ENTITLED,
    KEPT,
    RAISED,
    assignments,
    event_of,
    placeholder,
)
from store.account_writer import NO_EFFECT, AccountWriter, Effect
from store.batching import BatchLoader
from store.event_writer import CREATED, DELETED, NO_DATA, SESSIONS_ENDED, Actor, EventWriter
from store.mail_queue import Mail, MailQueue
from store.postgresql.database import Database
from store.postgresql.prepared import Prepared
from telemetry.observer import UNOBSERVED, Observer

MAX_ID = 2**63 - 1
_LINK = """insert into identity (provider, subject, account_id)
    select %s, %s, id from written"""


class Accounts:
    """The account table. Every method raises Unavailable when PostgreSQL cannot serve."""

    def __init__(
        self,
        database: Database,
        mail: MailQueue | None = None,
        observer: Observer = UNOBSERVED,
        events: EventWriter = EventWriter(),  # noqa: B008  # it is frozen
    ) -> None:
        """Use this database; statements write `events` and queue in `mail` what they cause."""
        self._database = database
        self._events = events
        self._account_writer = AccountWriter(database, mail, events)
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
        """Cancel the look-ups of names and details."""
        self._names.close()
        self._details.close()

    def acting_as(self, actor: Actor) -> Self:
        """Return the same accounts, with another actor of the events. Raises ValueError."""
        accounts = copy.copy(self)
        accounts._events = self._events.acting_as(actor)
        accounts._account_writer = self._account_writer.with_events(accounts._events)
        return accounts

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
        mail: Mail | None = None,
    ) -> Account | None:
        """Insert an account and return it; None when its id is used by another account.

        `logged_in` sets its last login to now. The event is account.created. `mail` is the
        message that the statement queues, None for none. Raises Taken, with every field that is
        taken, IdentityTaken, and Unstorable; ValueError for a column not in CHANGEABLE.
        """
        check_columns(new.others)
        values = {
            "username": new.username or None,
            "email": new.email or None,
            "first_name": new.first_name,
            "last_name": new.last_name,
            "towns": list(new.towns),
            "activated": new.activated,
            **new.others,
        }
        column, position = self._events.returning, self._events.position
        rows = await self._account_writer.write(
            f"""insert into account ({", ".join(values)}, username_folded, email_folded, id,
                    session_epoch, password, last_login{column})
                values ({", ".join(map(placeholder, values))}, %s, %s, %s, %s, %s,
                    case when %s then now() end{position})
                on conflict (id) do nothing returning {COLUMNS}{column}""",
            values,
            (*identity, hash, logged_in),
            (CREATED, NO_DATA),
            mail=mail,
            effect=Effect(_LINK, new.identity) if new.identity else NO_EFFECT,
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
        mail: Mail | None = None,
    ) -> Account | None:
        """Set columns of an account and return it as it is afterwards.

        `changes` has values by column; `password` is a hash. When the account does not exist, or
        neither has the given epoch nor keeps the session of the given public id, nothing changes
        and None is returned. A new password or a changed `is_active` raises the epoch in the same
        statement, which ends every session of the account; with `keeps_session`, every session but
        that one. Another e-mail is unverified. `event_of` has the event. `mail` is the
        message that the statement queues. Raises Taken, Unstorable; ValueError for a column not in
        CHANGEABLE.
        """
        check_columns(changes)
        sets, parameters = assignments(changes, session_id if keeps_session else None)
        rows = await self._account_writer.write(
            f"""update account set {sets}, modified = now(){self._events.assignment}
                where {ENTITLED} returning {COLUMNS}{self._events.returning}""",
            changes,
            (*parameters, account_id, epoch, session_id),
            event_of(changes),
            account_id,
            mail,
        )
        return Account(*rows[0]) if rows else None

    async def record_login(self, account_id: int, epoch: int, mail: Mail | None = None) -> bool:
        """Set `last_login` to now; return whether the account still has this epoch.

        `mail` is the kind of message that the statement queues.
        """
        rows = await self._account_writer.run(
            f"""update account set last_login = now()
                where id = %s and session_epoch = %s returning {COLUMNS}""",
            (account_id, epoch),
            mail=mail,
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
        rows = await self._account_writer.run(
            f"""update account set session_epoch = {RAISED}{kept}{self._events.assignment}
                 where {ENTITLED}
                returning session_epoch, id, username{self._events.returning}""",
            (*([session_id] if keeps_session else []), account_id, epoch, session_id),
            (SESSIONS_ENDED, NO_DATA),
            returned="session_epoch",
        )
        return rows[0][0] if rows else None

    async def delete(self, account_id: int, epoch: int, session_id: str | None = None) -> bool:
        """Delete the account and its pictures; return False if nothing matches.

        The account must have this epoch or keep the session of this public id.
        """
        rows = await self._account_writer.run(
            f"""delete from account where {ENTITLED}
                returning id, username{self._events.returning}""",
            (account_id, epoch, session_id),
            (DELETED, NO_DATA),
            returned="id",
        )
        return bool(rows)

    async def _fetch_details(self, ids: list[int], deadline: float) -> dict[int, Details]:
        rows = await self._database.rows(
            f"select {DETAILS} from account where id = any(%s::bigint[])", (ids,), deadline
        )
        return {row[0]: Details(*row) for row in rows}
