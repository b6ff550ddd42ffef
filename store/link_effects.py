"""What the links of e-mails do to accounts: one statement each, with the notice that it causes.

A statement checks what the link's token was bound to, so of two uses at a time one has an effect.
"""

import psycopg2.errors

from store.account import Account
from store.account_sql import COLUMNS, RAISED, RETURNED
from store.errors import Taken
from store.mail_queue import MailQueue
from store.names import fold_email
from store.postgresql.database import Database, Row


class LinkEffects:
    """Changes accounts by links. Every method raises Unavailable when PostgreSQL cannot serve.

    Each returns the account as it is then; None when nothing was changed, because the account is
    gone or has changed since the token was checked.
    """

    def __init__(self, database: Database, mail: MailQueue) -> None:
        self._database = database
        self._mail = mail

    async def verify(self, account: Account) -> Account | None:
        """Record that the account's address is its owner's; an earlier time stays."""
        return _account(
            await self._database.row(
                f"""update account set email_verified_at = coalesce(email_verified_at, now())
                     where id = %s and email = %s
                    returning {COLUMNS}""",
                (account.id, account.email),
            )
        )

    async def change_email(self, account: Account, email: str, requested: int) -> Account | None:
        """Replace the account's address by one that its owner has proved; tell the old one.

        `requested` is when the change was requested, in seconds since 1970. It is not made if the
        present address was verified later: the account had the new address before and was changed
        back, and the link must not undo that. Raises Taken.
        """
        notice = self._mail.insertion("changed", "changed", address="old_email")
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
                          from old where id = old_id
                        returning {COLUMNS}, old_email),
                    mailed as ({notice})
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
        """Set a password hash, end every session, and verify the address that the link came to."""
        notice = self._mail.insertion("password", "changed")
        row = await self._database.row(
            f"""with changed as (
                    update account set password = %s, session_epoch = {RAISED},
                           kept_session = null, modified = now(), last_login = now(),
                           email_verified_at = coalesce(email_verified_at, now())
                     where id = %s and session_epoch = %s and email = %s and is_active
                    returning {COLUMNS}),
                mailed as ({notice})
                select {RETURNED} from changed""",
            (hash, account.id, account.epoch, account.email),
        )
        self._mail.wake()
        return _account(row)


def _account(row: Row | None) -> Account | None:
    return Account(*row) if row else None
