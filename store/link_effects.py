"""What the links of e-mails do to accounts: one statement each, with its notice and its event.

A statement checks what the link's token was bound to, so of two uses at a time one has an effect.
"""

import psycopg2.errors

from store.account import Account
from store.account_sql import COLUMNS, RAISED, RETURNED, assignments, folded_name
from store.errors import Taken
from store.event_writer import (
    ALL_FACTORS,
    CHANGED,
    EMAIL_VERIFIED,
    FACTOR_REMOVED,
    PASSWORD_CHANGED,
    EventWriter,
    fields_data,
)
from store.mail_queue import FACTOR_OFF, MailQueue
from store.names import fold_email
from store.postgresql.database import Database, Row


class LinkEffects:
    """Changes accounts by links. Every method raises Unavailable when PostgreSQL cannot serve.

    Each returns the account as it is then; None when nothing was changed, because the account is
    gone or has changed since the token was checked.
    """

    def __init__(
        self,
        database: Database,
        mail: MailQueue,
        events: EventWriter = EventWriter(),  # noqa: B008  # it is frozen
    ) -> None:
        self._database = database
        self._mail = mail
        self._events = events

    async def verify(self, account: Account) -> Account | None:
        """Record that the address is its owner's. An earlier time stays, and is no event."""
        event = self._events.insertion(
            EMAIL_VERIFIED, "changed where is_new", data=fields_data(["email_verified_at"])
        )
        return _account(
            await self._database.row(
                f"""with changed as (
                        update account
                           set email_verified_at = coalesce(email_verified_at, now())
                               {self._events.assignment}
                         where id = %s and email = %s
                        returning {COLUMNS}, email_verified_at = now() as is_new
                                  {self._events.returning}),
                    logged as ({event})
                    select {RETURNED} from changed""",
                (account.id, account.email),
            )
        )

    async def activate(self, account: Account) -> Account | None:
        """Activate an account, whose owner has proved its address by that.

        An account that an operator has disabled stays as it is.
        """
        event = self._events.insertion(
            EMAIL_VERIFIED, "changed", data=fields_data(["activated", "email_verified_at"])
        )
        return _account(
            await self._database.row(
                f"""with changed as (
                        update account
                           set activated = true, modified = now(),
                               email_verified_at = coalesce(email_verified_at, now())
                               {self._events.assignment}
                         where id = %s and email = %s and is_active and not activated
                        returning {COLUMNS}{self._events.returning}),
                    logged as ({event})
                    select {RETURNED} from changed""",
                (account.id, account.email),
            )
        )

    async def change_name(self, account: Account, field: str, name: str) -> Account | None:
        """Replace the account's username or e-mail, which is then unverified.

        Raises Taken, Unstorable.
        """
        sets, parameters = assignments({field: name}, None)
        event = self._events.insertion(CHANGED, "changed", data=fields_data([field]))
        try:
            row = await self._database.row(
                f"""with changed as (
                        update account set {sets}, modified = now(){self._events.assignment}
                         where id = %s and session_epoch = %s and email = %s
                           and username is not distinct from %s and is_active and activated
                        returning {COLUMNS}{self._events.returning}),
                    logged as ({event})
                    select {RETURNED} from changed""",
                (
                    name,
                    folded_name(field, name),
                    *parameters,
                    account.id,
                    account.epoch,
                    account.email,
                    account.username,
                ),
            )
        except psycopg2.errors.UniqueViolation:
            raise Taken(frozenset({field})) from None
        return _account(row)

    async def change_email(self, account: Account, email: str, requested: int) -> Account | None:
        """Replace the account's address by one that its owner has proved; tell the old one.

        `requested` is when the change was requested, in seconds since 1970. It is not made if the
        present address was verified later: the account had the new address before and was changed
        back, and the link must not undo that. Raises Taken.
        """
        notice = self._mail.insertion("changed", "changed", address="old_email")
        event = self._events.insertion(
            CHANGED, "changed", data=fields_data(["email", "email_verified_at"])
        )
        try:
            row = await self._database.row(
                f"""with old as (
                        select id as old_id, email as old_email from account
                         where id = %(id)s and session_epoch = %(epoch)s
                           and email is not distinct from %(old_email)s
                           and (email_verified_at is null
                                or email_verified_at < to_timestamp(%(requested)s + 1))
                           for update),
                    changed as (
                        update account set email = %(email)s, email_folded = %(new_folded)s,
                               email_verified_at = now(), modified = now()
                               {self._events.assignment}
                          from old where id = old_id
                        returning {COLUMNS}, old_email{self._events.returning}),
                    mailed as ({notice}),
                    logged as ({event})
                    select {RETURNED} from changed""",
                {
                    "id": account.id,
                    "epoch": account.epoch,
                    "old_email": account.email,
                    "requested": requested,
                    "email": email,
                    "new_folded": fold_email(email),
                },
            )
        except psycopg2.errors.UniqueViolation:
            raise Taken(frozenset({"email"})) from None
        self._mail.wake()
        return _account(row)

    async def reset_password(self, account: Account, hash: str) -> Account | None:
        """Set a password hash, end every session, and verify the address that the link came to.

        If that was not verified before, passkeys and identities are removed, and so is a second
        factor that was enrolled with this address.
        """
        notice = self._mail.insertion("password", "changed")
        both, one = fields_data(["password", "email_verified_at"]), fields_data(["password"])
        event = self._events.insertion(
            PASSWORD_CHANGED, "changed", data=f"case when is_new then {both} else {one} end"
        )
        removal_notice = self._mail.insertion(FACTOR_OFF, f"changed where {_HAS_REMOVED}")
        removal = self._events.insertion(
            FACTOR_REMOVED, f"changed where {_HAS_REMOVED_ANY}", data=ALL_FACTORS
        )
        row = await self._database.row(
            f"""with changed as (
                    update account set password = %s, session_epoch = {RAISED},
                           kept_session = null, modified = now(), last_login = now(),
                           email_verified_at = coalesce(email_verified_at, now()),
                           second_factor = second_factor and (email_verified_at is not null
                               or exists (select from totp where account_id = account.id
                                             and totp.email is distinct from account.email))
                           {self._events.assignment}
                     where id = %s and session_epoch = %s and email = %s and is_active and activated
                    returning {COLUMNS}, email_verified_at = now() as is_new
                              {self._events.returning}),
                {_REMOVED},
                mailed as ({notice}),
                removal_mailed as ({removal_notice}),
                logged as ({event}),
                removal_logged as ({removal})
                select {RETURNED} from changed""",
            (hash, account.id, account.epoch, account.email),
        )
        self._mail.wake()
        return _account(row)


_REMOVED = """totp_removed as (
        delete from totp using changed
         where account_id = changed.id and is_new and totp.email = changed.email
        returning account_id, confirmed_at),
    passkey_removed as (
        delete from passkey using changed where account_id = changed.id and is_new
        returning account_id),
    identity_removed as (
        delete from identity using changed where account_id = changed.id and is_new
        returning account_id)"""
_HAS_REMOVED = """exists (select from passkey_removed)
    or exists (select from totp_removed where confirmed_at is not null)"""
_HAS_REMOVED_ANY = f"{_HAS_REMOVED} or exists (select from identity_removed)"


def _account(row: Row | None) -> Account | None:
    return Account(*row) if row else None
