"""How far each receiver of events has come, and which process sends to it: the table `webhook`."""

import datetime
from dataclasses import dataclass

from store.event_log import Cursor
from store.postgresql.database import Database

_FREE = """name = %(name)s and paused is null and due <= now()
    and (leased_by = %(owner)s or leased_until is null or leased_until < now())"""


@dataclass(frozen=True, slots=True)
class WebhookState:
    """What is known of a receiver."""

    name: str
    failures: int
    """Attempts that failed since the last delivery."""
    due: datetime.datetime
    """The next attempt."""
    paused: datetime.datetime | None
    problem: str | None
    """Why the last attempt failed."""
    lag_seconds: float
    """The age of the oldest event that was not delivered, 0 when there is none."""


class WebhookStates:
    """The states of receivers. Every method raises Unavailable when PostgreSQL cannot serve.

    An owner is a process. The lease of a receiver has one owner at a time, and only it can record.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, name: str) -> None:
        """Add a receiver, if it is new: it gets the events from now on."""
        await self._database.rows(
            """insert into webhook (name, transaction, event_id)
               select %s, pg_snapshot_xmin(pg_current_snapshot()), 0
                   on conflict do nothing""",
            (name,),
        )

    async def due(self, name: str, owner: str) -> Cursor | None:
        """Return what a receiver has got, None if this owner has nothing to send to it now."""
        row = await self._database.row(
            f"select transaction::text, event_id from webhook where {_FREE}",
            {"name": name, "owner": owner},
        )
        return Cursor(int(row[0]), row[1]) if row else None

    async def claim(self, name: str, owner: str, seconds: float) -> Cursor | None:
        """Take or renew the lease of a receiver; return as `due` does."""
        row = await self._database.row(
            f"""update webhook set leased_by = %(owner)s,
                       leased_until = now() + make_interval(secs => %(seconds)s)
                 where {_FREE} returning transaction::text, event_id""",
            {"name": name, "owner": owner, "seconds": seconds},
        )
        return Cursor(int(row[0]), row[1]) if row else None

    async def delivered(self, name: str, owner: str, cursor: Cursor, seconds: float) -> bool:
        """Record a delivery and renew the lease; return False if it is another's by now."""
        row = await self._database.row(
            """update webhook
                  set transaction = %(transaction)s::xid8, event_id = %(id)s, failures = 0,
                      failing_since = null, problem = null,
                      leased_until = now() + make_interval(secs => %(seconds)s)
                where name = %(name)s and leased_by = %(owner)s returning true""",
            {
                "name": name,
                "owner": owner,
                "transaction": str(cursor.transaction),
                "id": cursor.id,
                "seconds": seconds,
            },
        )
        return row is not None

    async def skip(self, name: str, owner: str) -> None:
        """Go on with the oldest event that is kept: those before were deleted."""
        await self._database.rows(
            """update webhook set transaction = retention.transaction,
                      event_id = retention.event_id
                 from event_retention as retention where name = %s and leased_by = %s""",
            (name, owner),
        )

    async def failed(
        self, name: str, owner: str, problem: str, *, waits: tuple[float, float], tried_for: float
    ) -> tuple[int, bool]:
        """Record a failure and give the lease up; return how many there were, and if it is paused.

        The first wait of `waits` is doubled with each failure up to the second. When no delivery
        has succeeded for `tried_for` seconds since the first failure, the receiver is paused.
        """
        row = await self._database.row(
            """update webhook
                  set failures = failures + 1, problem = %(problem)s,
                      leased_by = null, leased_until = null,
                      failing_since = coalesce(failing_since, now()),
                      due = now() + make_interval(
                          secs => least(%(first)s * 2.0 ^ least(failures, 30), %(longest)s)),
                      paused = case when coalesce(failing_since, now())
                                    <= now() - make_interval(secs => %(tried_for)s) then now() end
                where name = %(name)s and leased_by = %(owner)s
               returning failures, paused is not null""",
            {
                "name": name,
                "owner": owner,
                "problem": problem,
                "first": waits[0],
                "longest": waits[1],
                "tried_for": tried_for,
            },
        )
        return (row[0], row[1]) if row else (0, False)

    async def release(self, owner: str) -> None:
        """Give up all leases of an owner that stops."""
        await self._database.rows(
            "update webhook set leased_by = null, leased_until = null where leased_by = %s",
            (owner,),
        )

    async def resume(self, name: str) -> bool:
        """Send to a receiver again, at once; return whether there is one of this name."""
        row = await self._database.row(
            """update webhook set paused = null, failures = 0, failing_since = null, due = now()
                where name = %s returning true""",
            (name,),
        )
        return row is not None

    async def all(self) -> list[WebhookState]:
        """Return every receiver that was ever configured, by name."""
        rows = await self._database.rows(
            """select name, failures, due, paused, problem,
                      greatest(extract(epoch from now() - next.time), 0)::float
                 from webhook left join lateral (
                      select time from event
                       where (event.transaction, event.id) > (webhook.transaction, event_id)
                       order by event.transaction, event.id limit 1) as next on true
                order by name"""
        )
        return [WebhookState(*row) for row in rows]
