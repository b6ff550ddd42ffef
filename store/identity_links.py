"""Which identities of OpenID providers log in to which accounts: the table `identity`."""

from store.account import Account
from store.account_sql import ENTITLED
from store.authentication import Caller
from store.errors import BadToken, Busy, LastWayIn, TokenProblem
from store.event_writer import FACTOR_ADDED, FACTOR_REMOVED, EventWriter
from store.identity import Identity, LinkedIdentity
from store.mail_queue import IDENTITY, MailQueue
from store.notices import Notices
from store.postgresql.database import Database

_DATA = "jsonb_build_object('factor', 'identity', 'provider', provider)"
_MAX_ATTEMPTS = 8


class IdentityLinks:
    """Links identities to accounts. Every method raises Unavailable."""

    def __init__(
        self, database: Database, notices: Notices, mail: MailQueue, events: EventWriter
    ) -> None:
        self._database = database
        self._notices = notices
        self._mail = mail
        self._events = events

    async def account_of(self, identity: Identity) -> int | None:
        """Return the id of the account that an identity logs in to, None if it is not linked."""
        row = await self._database.row(
            "select account_id from identity where provider = %s and subject = %s", identity
        )
        return row[0] if row else None

    async def list_by_account(self, account_id: int) -> list[LinkedIdentity]:
        """Return what is linked to an account, the oldest first."""
        rows = await self._database.rows(
            """select provider, created from identity where account_id = %s
                order by created, provider""",
            (account_id,),
        )
        return [LinkedIdentity(*row) for row in rows]

    async def link(
        self, account: Account, identity: Identity, session_id: str | None = None
    ) -> bool:
        """Link an identity to an account, and tell its owner by e-mail; return whether it was.

        It was not if it is linked already, or the account has one of this provider. The account
        must have its epoch still, or keep the session of this public id. Without a session, the
        account's address must be verified still: it is what justifies the link.
        """
        event = self._events.insertion(FACTOR_ADDED, "changed", data=_DATA)
        mail = await self._notices.for_factor(account, IDENTITY)
        mailed = f", mailed as ({self._mail.insertion(mail, 'changed')})" if mail else ""
        row = await self._database.row(
            f"""with entitled as (
                    select id from account
                     where {ENTITLED}
                       and (%s or (email = %s and email_verified_at is not null))
                       for update),
                added as (
                    insert into identity (provider, subject, account_id)
                    select %s, %s, id from entitled
                    on conflict do nothing returning account_id, provider),
                changed as (
                    update account set modified = now(){self._events.assignment}
                      from added where account.id = added.account_id
                    returning account.id, username, email, provider{self._events.returning}),
                logged as ({event}){mailed}
                select id from changed""",
            (
                account.id,
                account.epoch,
                session_id,
                session_id is not None,
                account.email,
                *identity,
            ),
        )
        self._mail.wake()
        return row is not None

    async def unlink(self, caller: Caller, provider: str) -> bool:
        """Unlink the caller's identity of a provider; return False if it has none.

        Raises LastWayIn if nobody could log in to the account then; BadToken, Busy.
        """
        account, session = caller
        entitled = account.id, account.epoch, session.public_id
        event = self._events.insertion(FACTOR_REMOVED, "changed", data=_DATA)
        for _ in range(_MAX_ATTEMPTS):
            ways = await self._database.row(
                f"""select modified, exists (select from identity
                                              where account_id = account.id and provider = %s),
                           (password <> '' and left(password, 1) <> '!')
                           or exists (select from passkey where account_id = account.id)
                           or exists (select from identity
                                       where account_id = account.id and provider <> %s)
                      from account where {ENTITLED}""",
                (provider, provider, *entitled),
            )
            if ways is None:
                raise BadToken(TokenProblem.REVOKED)
            modified, is_linked, has_another = ways
            if not is_linked:
                return False
            if not has_another:
                raise LastWayIn
            # What changes the ways in sets `modified`: of two requests, only one finds it as read.
            row = await self._database.row(
                f"""with entitled as (
                        select id from account where {ENTITLED} and modified = %s for update),
                    gone as (
                        delete from identity using entitled
                         where account_id = entitled.id and provider = %s
                        returning account_id, provider),
                    changed as (
                        update account set modified = now(){self._events.assignment}
                          from gone where account.id = gone.account_id
                        returning account.id, username, provider{self._events.returning}),
                    logged as ({event})
                    select id from changed""",
                (*entitled, modified, provider),
            )
            if row:
                return True
        raise Busy(1.0)
