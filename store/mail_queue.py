"""The queue of e-mail in PostgreSQL: a message is a row until its delivery is recorded.

A row holds no text and no token. The sender makes both when it sends. docs/mail.md has the rules.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

from store.errors import Unavailable
from store.postgresql.database import Database, Row

RESET = "reset"
ACTIVATE, RENAME = "activate", "rename"
FACTOR_ON, FACTOR_OFF, PASSKEY = "factor_on", "factor_off", "passkey"
IDENTITY = "identity"
KINDS = (
    "verify",
    "change",
    "changed",
    RESET,
    "password",
    "device",
    ACTIVATE,
    RENAME,
    FACTOR_ON,
    FACTOR_OFF,
    PASSKEY,
    IDENTITY,
)
"""Confirm an address; confirm a new one; the address was changed (to the old one); reset the
password; the password was changed; a new device has logged in; activate an account; choose another
username; the second factor was turned on, or off; a passkey was added; an identity was linked."""


class DialectMail(NamedTuple):
    """A kind of message, with the link that an option of a dialect gives."""

    kind: str
    dialect: str


Mail = str | DialectMail
"""What a statement queues: a kind of message, perhaps with the link of a dialect."""


@dataclass(frozen=True, slots=True)
class QueuedMail:
    """A message that waits."""

    id: int
    kind: str
    account_id: int | None
    """None for a link that anyone may request: the sender looks the address up."""
    address: str
    """Where it goes, as it was typed."""
    session_epoch: int | None
    """For a change: the epoch that the account had then."""
    previous: str | None
    """For a change: the folded address that the account had then."""
    expires: datetime.datetime | None
    """When its link ends; None without a link."""
    created: datetime.datetime
    attempts: int
    """How often it was claimed, this time included."""
    dialect: str | None = None
    """The dialect whose link it has; None for the link of the settings."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the queue."""

    count: int
    oldest_seconds: float
    """The age of the oldest message, 0 when there is none."""


_COLUMNS = ", ".join(f"mail.{each.name}" for each in fields(QueuedMail))
_MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class MailRules:
    """The settings of messages. Lifetimes are in seconds."""

    problem: str | None = None
    """Why this server sends no mail, None when it does."""
    verify_lifetime: int = 3 * 86_400
    reset_lifetime: int = 3600
    device_notices: bool = False


class MailQueue:
    """The table `mail`. Every method raises Unavailable when PostgreSQL cannot serve."""

    def __init__(self, database: Database, rules: MailRules) -> None:
        self._database = database
        self.rules = rules
        self._lifetimes = {
            "verify": rules.verify_lifetime,
            "change": rules.verify_lifetime,
            RESET: rules.reset_lifetime,
            ACTIVATE: rules.verify_lifetime,
            RENAME: rules.reset_lifetime,
        }
        self.wake: Callable[[], None] = _sleep_on
        """To be called after a statement with an `insertion`: the sender of this process sets it.
        Other processes find the row within seconds."""

    def require(self) -> None:
        """Raise Unavailable unless this server sends mail."""
        if self.rules.problem:
            raise Unavailable("mail", self.rules.problem)

    def insertion(
        self,
        mail: Mail,
        source: str,
        *,
        address: str = "email",
        epoch: str = "null",
        previous: str = "null",
    ) -> str:
        """Return the text of an INSERT that queues a message for each row of `source`.

        It is meant for a CTE, so that a message is written in the same statement as its cause:
        `with changed as (update … returning id, email), mailed as (<this>) select … from changed`.
        `source` is a FROM item, with a WHERE if it needs one, whose rows have the account's `id`.
        The other arguments are SQL expressions over it. Nothing is queued where the address is
        NULL, where this server sends no mail, or where notices of this kind are off.
        """
        kind, dialect = mail if isinstance(mail, DialectMail) else (mail, None)
        if kind not in KINDS:
            raise ValueError(f"not a kind of message: {kind!r}")
        if self.rules.problem or (kind == "device" and not self.rules.device_notices):
            return "select"
        name = f"'{dialect}'" if dialect else "null"
        return f"""insert into mail
                   (kind, dialect, account_id, address, session_epoch, previous, expires)
            select '{kind}', {name}, id, each.address, each.epoch, each.previous,
                   {self._expires(kind)}
              from (select id, {address} as address, ({epoch})::bigint as epoch,
                           ({previous})::text as previous
                      from {source}) as each
             where each.address is not null"""

    async def add(
        self,
        kind: str,
        address: str,
        *,
        account_id: int | None = None,
        session_epoch: int | None = None,
        previous: str | None = None,
        dialect: str | None = None,
    ) -> None:
        """Queue a message that has no other cause in the database: one INSERT.

        A link that anyone may request has no account, so it is the same statement for known and
        unknown addresses. The
        address must be valid text (`store.names.is_valid_text`). Raises Unavailable also when this
        server sends no mail.
        """
        if kind not in KINDS:
            raise ValueError(f"not a kind of message: {kind!r}")
        self.require()
        await self._database.rows(
            f"""insert into mail
                       (kind, dialect, account_id, address, session_epoch, previous, expires)
                values (%s, %s, %s, %s, %s, %s, {self._expires(kind)})""",
            (kind, dialect, account_id, address, session_epoch, previous),
        )
        self.wake()

    def _expires(self, kind: str) -> str:
        lifetime = self._lifetimes.get(kind)
        return f"now() + interval '{lifetime} seconds'" if lifetime else "null"

    async def claim(self, limit: int, lease_seconds: float) -> list[QueuedMail]:
        """Take up to `limit` messages that are due. No other process gets them during the lease.

        A message whose sender has died is due again when the lease ends.
        """
        rows = await self._database.rows(
            f"""with due as materialized (
                    select id from mail where due <= now() order by due limit %s
                       for update skip locked)
                update mail set due = now() + make_interval(secs => %s), attempts = attempts + 1
                  from due where mail.id = due.id
                returning {_COLUMNS}""",
            (limit, lease_seconds),
        )
        return sorted((QueuedMail(*row) for row in rows), key=lambda each: each.id)

    async def delivered(self, mail_id: int) -> None:
        """Record that a message was delivered: its row is deleted."""
        await self.drop(mail_id)

    async def drop(self, mail_id: int) -> None:
        """Delete a message that is not to be sent."""
        await self._database.rows("delete from mail where id = %s", (mail_id,))

    async def failed(self, mail: QueuedMail, retry_in: float) -> None:
        """Have a message tried again after this many seconds, unless it was claimed again."""
        await self._database.rows(
            """update mail set due = now() + make_interval(secs => %s)
                where id = %s and attempts = %s""",
            (retry_in, mail.id, mail.attempts),
        )

    async def release(self, mail: QueuedMail) -> None:
        """Give back a claimed message that was not attempted."""
        await self._database.rows(
            "update mail set due = now(), attempts = attempts - 1 where id = %s and attempts = %s",
            (mail.id, mail.attempts),
        )

    async def newest(self, count: int) -> list[QueuedMail]:
        """Return the messages that wait, the newest first."""
        rows = await self._database.rows(
            f"select {_COLUMNS} from mail order by created desc, id desc limit %s", (count,)
        )
        return [QueuedMail(*row) for row in rows]

    async def backlog(self) -> Backlog:
        """Count what waits, up to 10 000 messages."""
        row: Row = await self._database.one(
            """select count(*), coalesce(extract(epoch from now() - min(created)), 0)
                 from (select created from mail order by due limit %s) as waiting""",
            (_MOST_COUNTED,),
        )
        return Backlog(row[0], max(0.0, float(row[1])))


def _sleep_on() -> None:
    """Do nothing: this process has no sender."""
