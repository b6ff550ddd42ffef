"""The directory of accounts: looks accounts up by ids or a name, and lists them page by page.

Every statement reads an index up to the end of its page, so a page takes the same time wherever it
is (bench/pages.py measures it).
"""

import asyncio
import re
from collections.abc import Iterable

from store.account import AccountSummary
from store.batching import BatchLoader
from store.names import fold, forms, is_valid_name
from store.postgresql.database import Database, Parameters, Row
from telemetry.observer import UNOBSERVED, Observer

MAX_ID = 2**63 - 1

_SUMMARY = """id, username, email, email_verified_at is not null as email_verified, first_name,
    last_name, picture_id, created, last_login, is_active, is_staff, is_superuser,
    password <> '' and left(password, 1) <> '!' as password_set"""
_SEARCH = """
(select {summary}, coalesce(email_folded < username_folded and email_folded like %(pattern)s,
                            false),
        username_folded as name, 0 as field
   from account
  where username_folded like %(pattern)s and username_folded > %(name)s {active}
  order by username_folded limit %(window)s)
union all
(select {summary}, coalesce(username_folded <= email_folded and username_folded like %(pattern)s,
                            false),
        email_folded, 1
   from account
  where email_folded like %(pattern)s and email_folded {above} %(name)s {active}
  order by email_folded limit %(window)s)
order by name, field limit %(window)s"""
"""The names that match, in their order; the column before them says whether the account's other
name matches as well and comes first. Such rows are left out only afterwards: otherwise one index
would be read to its end where each e-mail follows its account's username."""

_MAX_WINDOW = 5_000


class Directory:
    """Looks accounts up for other services. Every method raises Unavailable."""

    def __init__(self, database: Database, observer: Observer = UNOBSERVED) -> None:
        """Look up ids in this; `close` cancels what is in flight."""
        self._database = database
        self._by_id: BatchLoader[int, AccountSummary] = BatchLoader(
            self._fetch, database.timeout, observer=observer, name="details"
        )

    def close(self) -> None:
        """Cancel the look-ups of ids."""
        self._by_id.close()

    async def get(self, account_id: int) -> AccountSummary | None:
        """Return an account as it is now, None when it does not exist."""
        return await self._by_id.get(account_id) if 0 < account_id <= MAX_ID else None

    async def get_many(self, ids: Iterable[int]) -> list[AccountSummary]:
        """Return the accounts that exist, in the order of `ids`. Concurrent lookups share batches.

        `store.batching.BATCH` ids or fewer are one statement.
        """
        valid = [account_id for account_id in dict.fromkeys(ids) if 0 < account_id <= MAX_ID]
        found = await asyncio.gather(*map(self._by_id.get, valid))
        return [account for account in found if account]

    async def find(self, field: str, name: str) -> list[AccountSummary]:
        """Return the accounts of this username or e-mail; `field` says which of both it is.

        There may be two if one still has the form of an older folding.
        """
        return await self._rows(
            f"""select {_SUMMARY} from account where {_COLUMN[field]} = any(%s::text[])
                 order by id""",
            (forms(field, name) if is_valid_name(name) else [],),
        )

    async def page(
        self, after: int, limit: int, *, is_active: bool | None = None
    ) -> list[AccountSummary]:
        """Return the accounts with the lowest ids above `after`, at most `limit`.

        With `is_active`, only those that are active, or are not.
        """
        return await self._rows(
            f"""select {_SUMMARY} from account where id > %s {_ACTIVE[is_active]}
                 order by id limit %s""",
            (after, limit),
        )

    async def has_superuser(self) -> bool:
        """Return whether an active account is a superuser. Reads all accounts if none is one."""
        [found] = await self._database.one(
            "select exists (select from account where is_superuser and is_active)"
        )
        return bool(found)

    async def search(
        self, text: str, after: int, limit: int, *, is_active: bool | None = None
    ) -> list[AccountSummary] | None:
        """Return the accounts whose username or e-mail begins with a text, at most `limit`.

        Their order is that of the name that matches; of two the lower one counts. The page begins
        behind the account `after`, 0 for the first page. Return None when no account of this id
        matches. The text must be a valid name.
        """
        prefix = fold(text)
        position = await self._position(prefix, after) if after else ("", 0)
        if position is None:
            return None
        found: list[AccountSummary] = []
        window = 2 * limit + 2  # most accounts have two names that match, or one
        while True:
            rows = await self._matches(prefix, position, window, is_active)
            found += [AccountSummary._make(row[:-3]) for row in rows if not row[-3]]
            if len(found) >= limit or len(rows) < window:
                return found[:limit]
            position, window = rows[-1][-2:], min(4 * window, _MAX_WINDOW)

    async def _position(self, prefix: str, account_id: int) -> tuple[str, int] | None:
        """Return where an account is in a search: the name that counts, and which name that is."""
        names = await self._database.row(
            "select username_folded, email_folded from account where id = %s", (account_id,)
        )
        matching = [
            (name, field)
            for field, name in enumerate(names or ())
            if name and name.startswith(prefix)
        ]
        return min(matching, default=None)

    async def _matches(
        self, prefix: str, after: tuple[str, int], window: int, is_active: bool | None
    ) -> list[Row]:
        name, field = after
        # A username may be equal to another account's e-mail, and comes before it.
        sql = _SEARCH.format(
            summary=_SUMMARY, active=_ACTIVE[is_active], above=">" if field else ">="
        )
        return await self._database.rows(
            sql, {"pattern": _pattern(prefix), "name": name, "window": window}
        )

    async def _rows(self, sql: str, parameters: Parameters) -> list[AccountSummary]:
        return list(map(AccountSummary._make, await self._database.rows(sql, parameters)))

    async def _fetch(self, ids: list[int], deadline: float) -> dict[int, AccountSummary]:
        rows = await self._database.rows(
            f"select {_SUMMARY} from account where id = any(%s::bigint[])", (ids,), deadline
        )
        return {row[0]: AccountSummary._make(row) for row in rows}


_COLUMN = {"username": "username_folded", "email": "email_folded"}
_ACTIVE = {None: "", True: "and is_active", False: "and not is_active"}


def _pattern(prefix: str) -> str:
    """Return a LIKE pattern of what begins with a text. Its index is in the order of bytes."""
    return re.sub(r"([\\%_])", r"\\\1", prefix) + "%"
