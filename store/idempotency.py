"""Idempotency keys: a service that repeats a request gets the first response again.

A key is claimed before its request is processed, and its response is stored afterwards. The claim
reserves the identity of the account that the request may create. So a request that is repeated
after a crash or an outage in between finds the account by this identity, instead of its names taken
by itself.
"""

import contextlib
import hmac
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from store.account_sql import CLOCK
from store.errors import AppError, IdempotencyKeyInUse, IdempotencyKeyReused
from store.postgresql.database import Database

KEPT_HOURS = 24
LEASE_SECONDS = 60
"""How long a request may be processed, after which it may be repeated although it did not end."""
PRUNED_AT_ONCE = 100
"""Expired rows that one statement deletes. Each claim runs it, and a task (store/pruning.py)."""


class StoredResponse(NamedTuple):
    """A response as it was sent the first time."""

    status: int
    body: bytes
    location: str | None


class Claim(NamedTuple):
    """The right to process a request."""

    service: str
    key: str
    identity: tuple[int, int]
    """The id and the session epoch that an account created by this request must have."""


class IdempotencyKeys:
    """The table of requests with a key. Every method raises Unavailable."""

    def __init__(self, database: Database, secret_keys: Sequence[bytes]) -> None:
        """Derive a key for MACs from each secret key: the first one makes them, all verify.

        Bodies have passwords in them, so a plain digest of one would be worth guessing.
        """
        self._database = database
        self._keys = [hmac.digest(key, b"latchkey idempotency", "sha256") for key in secret_keys]

    async def claim(self, service: str, key: str, request: bytes) -> Claim | StoredResponse:
        """Claim a service's key for a request, or return the response that it has got.

        `request` is what must be equal in a repeated request. Raises IdempotencyKeyReused if it is
        not, and IdempotencyKeyInUse while the request is being processed.
        """
        digests = [hmac.digest(each, request, "sha256") for each in self._keys]
        own = {"service": service, "key": key, "digest": digests[0], "digests": digests}
        await self.prune(service, key)
        rows = await self._database.rows(
            f"""with claimed as (
                    insert into idempotent_request as known
                           (service, key, digest, account_id, session_epoch, leased_until)
                    values (%(service)s, %(key)s, %(digest)s, nextval('account_id'), {CLOCK},
                            now() + interval '{LEASE_SECONDS} seconds')
                        on conflict (service, key) do update
                       set leased_until = excluded.leased_until
                     where known.status is null and known.leased_until <= now()
                       and known.digest = any(%(digests)s)
                    returning account_id, session_epoch)
                select true, account_id, session_epoch, true, null, null, null from claimed
                 union all
                select false, null, null, digest = any(%(digests)s), status, body, location
                  from idempotent_request
                 where service = %(service)s and key = %(key)s
                   and not exists (select from claimed)""",
            own,
        )
        if not rows:  # a concurrent request has just claimed it
            raise IdempotencyKeyInUse
        claimed, account_id, epoch, is_same, status, body, location = rows[0]
        if claimed:
            return Claim(service, key, (account_id, epoch))
        if not is_same:
            raise IdempotencyKeyReused
        if status is None:
            raise IdempotencyKeyInUse
        return StoredResponse(status, bytes(body), location)

    @contextlib.asynccontextmanager
    async def processing(self, claim: Claim) -> AsyncIterator[None]:
        """End the claim when the request fails, so that it can be repeated at once."""
        try:
            yield
        except AppError:
            await self._database.rows(
                """update idempotent_request set leased_until = now()
                    where service = %s and key = %s and account_id = %s returning key""",
                (claim.service, claim.key, claim.identity[0]),
            )
            raise

    async def complete(self, claim: Claim, response: StoredResponse) -> None:
        """Store the response to a request."""
        await self._database.rows(
            """update idempotent_request set status = %s, body = %s, location = %s
                where service = %s and key = %s and account_id = %s returning key""",
            (*response, claim.service, claim.key, claim.identity[0]),
        )

    async def prune(self, service: str = "", key: str = "") -> int:
        """Delete some of the rows that have expired, that of this key first; return how many."""
        rows = await self._database.rows(
            f"""delete from idempotent_request
                 where (service, key) in (
                       select service, key from idempotent_request
                        where created < now() - interval '{KEPT_HOURS} hours'
                        order by (service, key) = (%s, %s) desc, created limit {PRUNED_AT_ONCE}
                          for update skip locked)
                returning key""",
            (service, key),
        )
        return len(rows)
