"""Imports and exports the secrets of authenticator apps."""

from collections.abc import AsyncIterator, Sequence

from store.event_writer import FACTOR_ADDED, EventWriter
from store.postgresql.database import Database
from store.second_factors import TOTP_DATA
from store.totp import TotpSecrets


class FactorTransfer:
    """The secrets of all accounts. Every method raises Unavailable."""

    def __init__(self, database: Database, secrets: TotpSecrets, events: EventWriter) -> None:
        self._database = database
        self._totp = secrets
        self._events = events

    async def without_secret(self, account_ids: Sequence[int]) -> set[int]:
        """Return which of these accounts exist and have no second factor."""
        rows = await self._database.rows(
            "select id from account where id = any(%s::bigint[]) and not second_factor",
            (list(account_ids),),
        )
        return {row[0] for row in rows}

    async def import_secrets(self, secrets: Sequence[tuple[int, bytes]]) -> set[int]:
        """Turn second factors on by secrets that apps have already, by account id.

        Return the ids of accounts whose secret was taken: those that exist and had none. Of several
        secrets of an account the first one counts.
        """
        given = dict(reversed(secrets))
        event = self._events.insertion(FACTOR_ADDED, "changed", data=TOTP_DATA)
        rows = await self._database.rows(
            f"""with given as (
                    select * from unnest(%s::bigint[], %s::bytea[]) as given (own_id, own_secret)),
                added as (
                    insert into totp (account_id, secret, confirmed_at)
                    select id, own_secret, now() from given join account on id = own_id
                    on conflict (account_id) do update
                       set secret = excluded.secret, confirmed_at = now(), last_step = 0
                     where totp.confirmed_at is null
                    returning account_id),
                changed as (
                    update account set second_factor = true{self._events.assignment}
                      from added where id = account_id
                    returning id, username{self._events.returning}),
                logged as ({event})
                select id from changed""",
            (list(given), [self._totp.seal(each, secret) for each, secret in given.items()]),
        )
        return {row[0] for row in rows}

    async def export_secrets(
        self,
    ) -> AsyncIterator[tuple[int, str | None, str | None, bytes | None]]:
        """Yield each account that has a second factor: id, username, e-mail and its secret.

        The secret is None if its key is not listed.
        """
        after = 0
        while True:
            rows = await self._database.rows(
                """select id, username, account.email, secret
                     from totp join account on id = account_id
                    where confirmed_at is not null and id > %s order by id limit 1000""",
                (after,),
            )
            for account_id, username, email, sealed in rows:
                yield account_id, username, email, self._totp.open(account_id, bytes(sealed))
            if not rows:
                return
            after = rows[-1][0]
