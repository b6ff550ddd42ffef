"""The log of events: reads them in an order that misses none, and deletes old ones.

The position of an event is (transaction, id). A sequence gives out ids before their transactions
commit, and transactions do not commit in the order of their ids. A reader therefore stays below
the oldest transaction that is still running: nothing can appear there later. Two changes of one
account wait for each other, and the later one may belong to the older transaction. Its event gets
the higher position anyway, because the account's row has the position of its last event.
docs/events.md has the rules.
"""

import asyncio
import contextlib
import datetime
import re
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from store.errors import CursorExpired
from store.event_writer import Actor
from store.postgresql.database import Database

_CURSOR = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})")
_MAX_ID = 2**63 - 1
PRUNED_AT_ONCE = 1_000
"""Events that one statement deletes."""
SCANNED = 20_000
"""Events that a page of one type looks through: as many take 30 ms (bench/pages.py)."""
POLL_SECONDS = 0.5
"""How often a waiting reader looks for events, which any server may have written."""


class Cursor(NamedTuple):
    """A position: all events up to it, itself included, were read."""

    transaction: int
    id: int

    def __str__(self) -> str:
        """Return the cursor as clients get it; to them it is opaque."""
        return f"{self.transaction:x}-{self.id:x}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the cursor of a text, None when it is not one."""
        found = _CURSOR.fullmatch(text)
        if found is None or int(found[2], 16) > _MAX_ID:
            return None
        return cls(int(found[1], 16), int(found[2], 16))


START = Cursor(0, 0)
"""Before the oldest event."""


@dataclass(frozen=True, slots=True)
class Event:
    """What was done to an account."""

    id: int
    type: str
    time: datetime.datetime
    account_id: int
    username: str | None
    actor: Actor
    data: dict[str, Any]
    cursor: Cursor
    """Its position."""

    def shape(self) -> dict[str, Any]:
        """Return the event as every reader gets it (docs/events.md): its names are a contract."""
        return {
            "id": self.id,
            "type": self.type,
            "time": self.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "account": {"id": self.account_id, "username": self.username},
            "actor": {"type": self.actor.type, "name": self.actor.name},
            "data": self.data,
        }


class EventLog:
    """Reads the events, and deletes old ones. Every method raises Unavailable."""

    def __init__(self, database: Database, *, is_on: bool = False, days: int = 30) -> None:
        """Keep events for this many days. `is_on` says whether this server writes any."""
        self._database = database
        self.is_on = is_on
        self.days = days

    async def read(
        self,
        after: Cursor | None,
        limit: int,
        *,
        account_id: int | None = None,
        type: str | None = None,
    ) -> tuple[list[Event], Cursor]:
        """Return the next events, and the cursor to read on from; those of one account in order.

        Without `after`, they begin with the oldest that is kept. No event is ever skipped, however
        late its transaction commits. The cursor also moves when there was nothing to read. With
        `account_id` or `type`, only such events are returned.

        Raises CursorExpired when an event after the cursor was deleted because of its age, or when
        the cursor is of another database.
        """
        rows = await self._database.rows(
            f"""select oldest::text, retention.transaction::text, retention.event_id,
                       {"false" if after is None else "%(transaction)s::xid8 > following"}, found.*
                  from (select pg_snapshot_xmin(now) as oldest, pg_snapshot_xmax(now) as following
                          from pg_current_snapshot() as now) as snapshot
                 cross join event_retention as retention
                  left join lateral (
                       select {_COLUMNS} from event
                        where (transaction, id) > (%(transaction)s::xid8, %(id)s)
                          and transaction < oldest {_only(account_id, type)}
                        order by event.transaction, event.id limit %(limit)s) as found on true""",
            {
                "transaction": str((after or START).transaction),
                "id": (after or START).id,
                "account": account_id,
                "type": type,
                "limit": limit,
            },
        )
        oldest, deleted, deleted_id, is_ahead, *_ = rows[0]
        if after is not None and (is_ahead or after < (int(deleted), deleted_id)):
            raise CursorExpired
        events = [_event(*row[4:]) for row in rows if row[4] is not None]
        return events, events[-1].cursor if len(events) == limit else Cursor(int(oldest), 0)

    async def wait(
        self, after: Cursor | None, limit: int, seconds: float, stopped: asyncio.Event
    ) -> tuple[list[Event], Cursor]:
        """Do as `read`, and wait for an event for this long, or until `stopped` is set."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            events, after = await self.read(after, limit)
            left = deadline - loop.time()
            if events or left <= 0 or stopped.is_set():
                return events, after
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), min(left, POLL_SECONDS))

    async def latest(
        self, limit: int, *, account_id: int | None = None, type: str | None = None
    ) -> tuple[list[Event], Cursor]:
        """Return the last events, the oldest of them first, and the cursor to read on from."""
        rows = await self._database.rows(
            f"""select oldest::text, found.*
                  from (select pg_snapshot_xmin(pg_current_snapshot()) as oldest) as snapshot
                  left join lateral (
                       select {_COLUMNS} from event
                        where transaction < oldest {_only(account_id, type)}
                        order by event.transaction desc, event.id desc
                        limit %(limit)s) as found on true""",
            {"account": account_id, "type": type, "limit": limit},
        )
        events = [_event(*row[1:]) for row in reversed(rows) if row[1] is not None]
        return events, Cursor(int(rows[0][0]), 0)

    async def page(
        self,
        before: Cursor | None,
        limit: int,
        *,
        account_id: int | None = None,
        type: str | None = None,
    ) -> tuple[list[Event], Cursor | None]:
        """Return the events before a position, the newest first, and that of the next page.

        Without `before`, the page begins with the newest. The position is None after the last page.
        Of a type there may be few: a page looks through SCANNED events at most, and may be empty
        although there is a next one.
        """
        window = limit + 1 if type is None else SCANNED
        # All transactions before a position had ended when it was returned. With both conditions,
        # PostgreSQL would begin at the newest event.
        earlier = "transaction < pg_snapshot_xmin(pg_current_snapshot())"
        if before is not None:
            earlier = "(transaction, id) < (%(transaction)s::xid8, %(id)s)"
        rows = await self._database.rows(
            f"""with recent as materialized (
                    select {_COLUMNS}, event.transaction as position from event
                     where {earlier} {_only(account_id, None)}
                     order by event.transaction desc, event.id desc limit %(window)s)
                select found.*, (select count(*) from recent), last.transaction, last.id
                  from (select transaction, id from recent order by position, id limit 1) as last
                  left join lateral (
                       select * from recent where true {_only(None, type)}
                        order by position desc, id desc limit %(limit)s + 1) as found on true""",
            {
                "transaction": str((before or START).transaction),
                "id": (before or START).id,
                "account": account_id,
                "type": type,
                "window": window,
                "limit": limit,
            },
        )
        events = [_event(*row[:9]) for row in rows if row[0] is not None]
        if len(events) > limit:
            return events[:limit], events[limit - 1].cursor
        is_cut = bool(rows) and rows[0][-3] == window
        return events, Cursor(int(rows[0][-2]), rows[0][-1]) if is_cut else None

    async def newest(self) -> Cursor:
        """Return a cursor from which only later events are read, and those that commit now."""
        [oldest] = await self._database.one("select pg_snapshot_xmin(pg_current_snapshot())::text")
        return Cursor(int(oldest), 0)

    async def rebase(self) -> None:
        """Make all events readable in a database that was restored from a dump.

        The numbers of transactions begin again there, and stored positions may be far ahead. All
        events then get the order of their ids, and no receiver of webhooks misses one. Existing
        cursors may have expired.
        """
        await self._database.rows(
            """with restored as (
                    select from (select transaction from event
                                 union all select transaction from webhook
                                 union all select transaction from event_retention) as position
                     where transaction > pg_snapshot_xmax(pg_current_snapshot()) limit 1),
                receivers as (
                    update webhook set transaction = '0', event_id = coalesce(
                           (select min(id) - 1 from event
                             where (event.transaction, id) > (webhook.transaction, event_id)),
                           (select max(id) from event), 0)
                     where exists (select from restored)),
                retention as (
                    update event_retention set transaction = '0',
                           event_id = coalesce((select min(id) - 1 from event), event_id)
                     where exists (select from restored))
                update event set transaction = '0' where exists (select from restored)
                returning null"""
        )

    async def prune(self) -> int:
        """Delete some of the events that are older than the days they are kept; return how many.

        Call it again until it returns 0. Several processes may do so at a time.
        """
        [count] = await self._database.one(
            """with expired as (
                    select id from (select id, time from event
                                     order by transaction, id limit %s) as oldest
                     where time < now() - make_interval(days => %s)),
                gone as (
                    delete from event using expired where event.id = expired.id
                    returning event.transaction, event.id),
                recorded as (
                    update event_retention set transaction = last.transaction, event_id = last.id
                      from (select transaction, id from gone
                             order by transaction desc, id desc limit 1) as last
                     where (last.transaction, last.id) >
                           (event_retention.transaction, event_retention.event_id))
                select count(*) from gone""",
            (PRUNED_AT_ONCE, self.days),
        )
        return int(count)


_COLUMNS = "id, type, time, account_id, username, actor_type, actor_name, data, transaction::text"
"""The transaction is text: to be sorted by its number, it must be named `event.transaction`."""


def _only(account_id: int | None, type: str | None) -> str:
    """Return the conditions for events of an account, or of a type."""
    of_account = "" if account_id is None else "and account_id = %(account)s"
    return of_account + ("" if type is None else " and type = %(type)s")


def _event(
    id: int,
    type: str,
    time: datetime.datetime,
    account_id: int,
    username: str | None,
    actor_type: str,
    actor_name: str | None,
    data: dict[str, Any],
    transaction: str,
) -> Event:
    actor = Actor(actor_type, actor_name)
    cursor = Cursor(int(transaction), id)
    return Event(id, type, time.astimezone(datetime.UTC), account_id, username, actor, data, cursor)
