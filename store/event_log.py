"""The events of accounts: what was changed and by whom, written in the statement of the change.

docs/events.md has the rules: which changes have events, their order, and how long they are kept.

The position of an event is (transaction, id). A sequence gives out ids before their transactions
commit, and transactions do not commit in the order of their ids. A reader therefore stays below
the oldest transaction that is still running: nothing can appear there later. Two changes of one
account wait for each other, and the later one may belong to the older transaction. Its event gets
the higher position anyway, because the account's row has the position of its last event.
"""

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from store.errors import CursorExpired
from store.postgresql.database import Database

CREATED = "account.created"
CHANGED = "account.changed"
EMAIL_VERIFIED = "account.email_verified"
PASSWORD_CHANGED = "account.password_changed"  # noqa: S105  # not a password
DISABLED = "account.disabled"
ENABLED = "account.enabled"
DELETED = "account.deleted"
SESSIONS_ENDED = "sessions.ended"
TYPES = (
    CREATED,
    CHANGED,
    EMAIL_VERIFIED,
    PASSWORD_CHANGED,
    DISABLED,
    ENABLED,
    DELETED,
    SESSIONS_ENDED,
)
"""Each change has one event: a new password also ends sessions, and is one event."""

NO_DATA = "'{}'::jsonb"
ACTOR_TYPES = ("account", "operator", "service", "admin")
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,100}")
_CURSOR = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})")
_POSITION = "greatest(last_event, pg_current_xact_id())"
_MAX_ID = 2**63 - 1
PRUNED_AT_ONCE = 1_000
"""Events that one statement deletes."""


class Actor(NamedTuple):
    """Who made a change: the account itself, an operator, a service key or an admin, by name."""

    type: str
    name: str | None = None
    """None for the account itself, whose name is its username."""


ITSELF = Actor("account")


@dataclass(frozen=True, slots=True)
class EventWriter:
    """The parts that statements about accounts need to write events; empty when they are off."""

    is_on: bool = False
    actor: Actor = ITSELF

    def __post_init__(self) -> None:
        """Raise ValueError for an actor that cannot be part of a statement."""
        kind, name = self.actor
        if kind not in ACTOR_TYPES or (name is not None and not _NAME.fullmatch(name)):
            raise ValueError(f"not an actor: {self.actor!r}")

    def acting_as(self, actor: Actor) -> Self:
        """Return a writer of the same events with this actor. Raises ValueError."""
        return replace(self, actor=actor)

    @property
    def assignment(self) -> str:
        """What an UPDATE of an account sets as well."""
        return f", last_event = {_POSITION}" if self.is_on else ""

    @property
    def position(self) -> str:
        """The value that an INSERT of an account has for the column that `returning` names."""
        return ", pg_current_xact_id()" if self.is_on else ""

    @property
    def returning(self) -> str:
        """What the statement must return as well, besides the account's id and username."""
        return ", last_event" if self.is_on else ""

    def insertion(self, type: str, source: str, *, data: str = NO_DATA) -> str:
        """Return the text of an INSERT that writes an event for each row of `source`.

        It is meant for a CTE, in the statement of the change: neither is there without the other.
        `source` is a FROM item, with a WHERE if it needs one, whose rows have `id`, `username` and
        `last_event`. `data` is an SQL expression over it, of type jsonb.
        """
        if type not in TYPES:
            raise ValueError(f"not a type of event: {type!r}")
        if not self.is_on:
            return "select"
        name = "username" if self.actor.name is None else f"'{self.actor.name}'"
        return f"""insert into event
                   (transaction, type, account_id, username, actor_type, actor_name, data)
            select {_POSITION}, '{type}', id, username, '{self.actor.type}', {name}, {data}
              from {source}"""


def fields_data(columns: Iterable[str]) -> str:
    """Return the SQL expression of an event's data that names these columns, without values."""
    named = ", ".join(f'"{column}"' for column in sorted(columns))
    return f"""'{{"fields": [{named}]}}'::jsonb"""


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
                       select id, type, time, account_id, username, actor_type, actor_name, data,
                              transaction::text
                         from event
                        where (transaction, id) > (%(transaction)s::xid8, %(id)s)
                          and transaction < oldest
                          {"" if account_id is None else "and account_id = %(account)s"}
                          {"" if type is None else "and type = %(type)s"}
                        order by transaction, id limit %(limit)s) as found on true""",
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

    async def newest(self) -> Cursor:
        """Return a cursor from which only later events are read, and those that commit now."""
        [oldest] = await self._database.one("select pg_snapshot_xmin(pg_current_snapshot())::text")
        return Cursor(int(oldest), 0)

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
