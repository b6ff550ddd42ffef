"""Events of accounts, written in the statement of the change: what was changed, and by whom.

docs/events.md has the rules: which changes have events, and what they contain. store/event_log.py
reads them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

CREATED = "account.created"
CHANGED = "account.changed"
EMAIL_VERIFIED = "account.email_verified"
PASSWORD_CHANGED = "account.password_changed"  # noqa: S105  # not a password
DISABLED = "account.disabled"
ENABLED = "account.enabled"
DELETED = "account.deleted"
FACTOR_ADDED = "account.factor_added"
FACTOR_REMOVED = "account.factor_removed"
SESSIONS_ENDED = "sessions.ended"
TYPES = (
    CREATED,
    CHANGED,
    EMAIL_VERIFIED,
    PASSWORD_CHANGED,
    DISABLED,
    ENABLED,
    DELETED,
    FACTOR_ADDED,
    FACTOR_REMOVED,
    SESSIONS_ENDED,
)
"""Each change has one event: a new password also ends sessions, and is one event. Only a reset that
removes factors has two."""

NO_DATA = "'{}'::jsonb"
ALL_FACTORS = """'{"factor": "all"}'::jsonb"""
ACTOR_TYPES = ("account", "operator", "service", "admin")
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,100}")
_POSITION = "greatest(last_event, pg_current_xact_id())"


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
    def reset(self) -> str:
        """Do as `assignment`, for accounts of a restored database while nothing else writes.

        The numbers of transactions begin again there, and those of accounts may be far ahead.
        """
        return f", last_event = {'pg_current_xact_id()' if self.is_on else 'null'}"

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
