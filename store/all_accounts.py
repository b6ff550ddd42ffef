"""Statements about all accounts, which only operators run."""

import asyncio

from store.account_sql import RAISED
from store.event_writer import SESSIONS_ENDED, EventWriter
from store.postgresql.database import Database

BATCH_SECONDS = 60.0
"""The timeout in seconds of one statement about many accounts."""


class AllAccounts:
    """All accounts. Every method raises Unavailable when PostgreSQL cannot serve."""

    def __init__(self, database: Database, events: EventWriter) -> None:
        """Use this database; statements write `events`."""
        self._database = database
        self._events = events

    async def raise_epochs(self, after: int, count: int) -> tuple[int, int] | None:
        """Raise the epochs of the `count` accounts with the lowest ids above `after`.

        Return the highest of these ids and the number of accounts, None when there are none. Each
        account has an event, after all that it had before. It may take BATCH_SECONDS.
        """
        [(last, ended)] = await self._database.rows(
            f"""with raised as (
                    update account set session_epoch = {RAISED}{self._events.reset}
                     where id > %(after)s and id <= (select max(id) from (
                           select id from account where id > %(after)s
                            order by id limit %(count)s) as batch)
                    returning id, username{self._events.returning}),
                logged as ({self._events.insertion(SESSIONS_ENDED, "raised")})
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
