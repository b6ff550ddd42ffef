"""Accounts by their names: whose a username or an e-mail is, and a login's password hash."""

import asyncio
from collections.abc import Iterable

from store.account import Account, Credentials, Details, Login
from store.account_sql import COLUMNS, DETAILS, NAMES
from store.batching import BatchLoader
from store.errors import Unstorable
from store.names import forms, is_valid_name, is_valid_text
from store.postgresql.database import Database
from telemetry.observer import UNOBSERVED, Observer


class AccountNames:
    """Looks up accounts by name. Every method raises Unavailable when PostgreSQL cannot serve."""

    def __init__(self, database: Database, observer: Observer = UNOBSERVED) -> None:
        self._database = database
        self._by_name: BatchLoader[tuple[str, str], Credentials] = BatchLoader(
            self._fetch_by_name, database.timeout, observer=observer, name="login"
        )

    def close(self) -> None:
        """Cancel the look-ups of names."""
        self._by_name.close()

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
        for field, name in login.names:
            if not is_valid_text(name):
                raise Unstorable(field)
        # All forms in one statement, so that the time does not depend on which form exists.
        wanted = (
            self._by_name.get((field, form))
            for field, name in login.names
            if is_valid_name(name)
            for form in forms(field, name)
        )
        found = await asyncio.gather(*wanted)
        return next((each for each in found if each), None)

    async def credentials_of(self, account_id: int) -> Credentials | None:
        """Return an account and its hash by its id, None when there is no account."""
        row = await self._database.row(
            f"select password, second_factor, {COLUMNS} from account where id = %s", (account_id,)
        )
        return Credentials(Account(*row[2:]), row[0], row[1]) if row else None

    async def _fetch_by_name(
        self, names: list[tuple[str, str]], deadline: float
    ) -> dict[tuple[str, str], Credentials]:
        usernames = [name for field, name in names if field == "username"]
        emails = [name for field, name in names if field == "email"]
        rows = await self._database.rows(
            f"""select 'username', username_folded, password, second_factor, {COLUMNS} from account
                 where username_folded = any(%s::text[])
                union all
                select 'email', email_folded, password, second_factor, {COLUMNS} from account
                 where email_folded = any(%s::text[])""",
            (usernames, emails),
            deadline,
        )
        return {(row[0], row[1]): Credentials(Account(*row[4:]), row[2], row[3]) for row in rows}
