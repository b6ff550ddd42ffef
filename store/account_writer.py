"""Runs the statements that change accounts, each with its event and its message."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import psycopg2.errors

from store.account_sql import NAMES, RETURNED, folded_name
from store.errors import IdentityTaken, Taken, Unstorable
from store.event_writer import EventWriter
from store.mail_queue import Mail, MailQueue
from store.names import is_valid_text
from store.postgresql.database import Database, Row

_TAKEN = {"account_username_taken": "username", "account_email_taken": "email"}
_IDENTITY_TAKEN = "identity_pkey"


class Effect(NamedTuple):
    """Another statement that is run with one about an account, whose rows are `written`."""

    sql: str
    parameters: Sequence[Any]


NO_EFFECT = Effect("", ())


class AccountWriter:
    """Writes accounts. Every method raises Unavailable when PostgreSQL cannot serve."""

    def __init__(self, database: Database, mail: MailQueue | None, events: EventWriter) -> None:
        self._database = database
        self._mail = mail
        self._events = events

    def with_events(self, events: EventWriter) -> Self:
        """Return a writer of the same accounts that writes these events."""
        return type(self)(self._database, self._mail, events)

    async def write(
        self,
        sql: str,
        values: Mapping[str, Any],
        parameters: Sequence[Any],
        event: tuple[str, str],
        own_id: int = 0,
        mail: Mail | None = None,
        effect: Effect = NO_EFFECT,
    ) -> list[Row]:
        """Run a statement with these parameters: the values, the folded names, then the others.

        `event` is the type and the data of its event. Raises Taken, Unstorable, IdentityTaken.
        """
        folded = {field: folded_name(field, values[field]) for field in NAMES if field in values}
        for field, value in values.items():
            if isinstance(value, str) and not is_valid_text(value):
                raise Unstorable(field)
        all_parameters = (*values.values(), *folded.values(), *parameters)
        try:
            return await self.run(sql, all_parameters, event, mail, effect=effect)
        except psycopg2.errors.UniqueViolation as error:
            if error.diag.constraint_name == _IDENTITY_TAKEN:
                raise IdentityTaken from None
            clash = _TAKEN[error.diag.constraint_name]
            raise Taken(await self._taken(folded, own_id) | {clash}) from None

    async def run(
        self,
        sql: str,
        parameters: Sequence[Any],
        event: tuple[str, str] | None = None,
        mail: Mail | None = None,
        returned: str = RETURNED,
        effect: Effect = NO_EFFECT,
    ) -> list[Row]:
        """Run a statement, with its event, a message of the kind `mail` and another effect, if any.

        It returns first what is `returned`, and what the event and the message need.
        """
        effects = [f"affected as ({effect.sql})"] if effect.sql else []
        if event and self._events.is_on:
            insertion = self._events.insertion(event[0], "written", data=event[1])
            effects.append(f"logged as ({insertion})")
        if mail and self._mail:
            effects.append(f"mailed as ({self._mail.insertion(mail, 'written')})")
        if effects:
            sql = f"with written as ({sql}), {', '.join(effects)} select {returned} from written"
        rows = await self._database.rows(sql, (*parameters, *effect.parameters))
        if mail and self._mail:
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
