"""Second factors of accounts: one-time codes of an authenticator app, and recovery codes.

PostgreSQL records the step of the last code that was accepted, in the statement that accepts it: no
server accepts that code, or an older one, again.
"""

import re
from dataclasses import dataclass
from secrets import token_bytes

from store.account import Account
from store.account_sql import ENTITLED
from store.authentication import Caller
from store.errors import BadToken, FactorExists, NoFactor, TokenProblem, WrongCode
from store.event_writer import ALL_FACTORS, FACTOR_ADDED, FACTOR_REMOVED, Actor, EventWriter
from store.limits import Limits
from store.mail_queue import FACTOR_OFF, FACTOR_ON, MailQueue
from store.notices import Notices
from store.postgresql.database import Database
from store.recovery_codes import compact, digest_of, new_codes
from store.totp import SECRET_BYTES, TotpSecrets, in_base32

MAX_ATTEMPTS = 8
_DIGITS = re.compile(r"[0-9]{6}")
TOTP_DATA = """'{"factor": "totp"}'::jsonb"""


@dataclass(frozen=True, slots=True)
class Factors:
    """The second factors of an account."""

    totp: bool
    recovery_codes_left: int

    @property
    def methods(self) -> list[str]:
        """The names of what can be used for a login."""
        found = {"totp": self.totp, "recovery": self.recovery_codes_left > 0}
        return [name for name, is_there in found.items() if is_there]


class SecondFactors:
    """Enrols, verifies and removes second factors. Every method raises Unavailable."""

    def __init__(
        self,
        database: Database,
        secrets: TotpSecrets,
        limits: Limits | None,
        notices: Notices,
        mail: MailQueue,
        events: EventWriter,
    ) -> None:
        """Compose second factors; without `limits`, guesses are not counted."""
        self._database = database
        self._totp = secrets
        self._limits = limits
        self._notices = notices
        self._mail = mail
        self._events = events

    async def begin(self, caller: Caller) -> str:
        """Make a secret for the caller's authenticator app, and return it in base32.

        It has no effect before `confirm`. A secret that was not confirmed is replaced. Raises
        FactorExists, BadToken.
        """
        account, session = caller
        secret = token_bytes(SECRET_BYTES)
        row = await self._database.row(
            f"""insert into totp (account_id, secret)
                select id, %s from account where {ENTITLED}
                on conflict (account_id) do update set secret = excluded.secret, last_step = 0
                 where totp.confirmed_at is null
                returning account_id""",
            (self._totp.seal(account.id, secret), account.id, account.epoch, session.public_id),
        )
        if row is None:
            await self._raise_reason(account)
        return in_base32(secret)

    async def confirm(self, caller: Caller, code: str) -> list[str]:
        """Turn the second factor on by a code of its secret; return new recovery codes.

        From then on a password alone lets nobody in. Sessions stay. Raises WrongCode, NoFactor,
        FactorExists, BadToken, RateLimited.
        """
        account, session = caller
        await self._count(account.id)
        row = await self._database.row(
            "select secret, confirmed_at is not null from totp where account_id = %s",
            (account.id,),
        )
        if row is None:
            raise NoFactor
        if row[1]:
            raise FactorExists
        sealed = bytes(row[0])
        step = self._totp.step_of(account.id, sealed, compact(code))
        codes, digests = new_codes()
        event = self._events.insertion(FACTOR_ADDED, "changed", data=TOTP_DATA)
        mail = await self._notices.for_factor(account, FACTOR_ON)
        mailed = f", mailed as ({self._mail.insertion(mail, 'changed')})" if mail else ""
        changed = await self._database.row(
            f"""with confirmed as (
                    update totp set confirmed_at = now(), last_step = %s, email = owner.email
                      from (select id, email from account where {ENTITLED} for update) as owner
                     where account_id = owner.id and confirmed_at is null and secret = %s
                    returning account_id),
                coded as (
                    insert into recovery_code (account_id, digest)
                    select account_id, unnest(%s::bytea[]) from confirmed),
                changed as (
                    update account set second_factor = true{self._events.assignment}
                      from confirmed where id = account_id
                    returning id, username, email{self._events.returning}),
                logged as ({event}){mailed}
                select id from changed""",
            (step, account.id, account.epoch, session.public_id, sealed, digests),
        )
        if changed is None:
            await self._raise_reason(account)
        self._mail.wake()
        return codes

    async def verify(self, account_id: int, code: str) -> None:
        """Accept a code of the authenticator app or a recovery code, once.

        Raises WrongCode, RateLimited: each attempt counts against the account's limit.
        """
        await self._count(account_id)
        code = compact(code)
        if _DIGITS.fullmatch(code):
            accepted = await self._accept_totp(account_id, code)
        else:
            accepted = await self._accept_recovery_code(account_id, code)
        if not accepted:
            raise WrongCode

    async def renew_recovery_codes(self, caller: Caller, code: str) -> list[str]:
        """Replace the recovery codes, by a code; return the new ones.

        Raises WrongCode, NoFactor, BadToken, RateLimited.
        """
        await self._require(caller.account.id)
        await self.verify(caller.account.id, code)
        for _ in range(MAX_ATTEMPTS):
            if codes := await self._replace_recovery_codes(caller):
                return codes
        raise BadToken(TokenProblem.REVOKED)

    async def _replace_recovery_codes(self, caller: Caller) -> list[str]:
        """Return new recovery codes; none if the caller is not entitled, or of a concurrent call.

        The statement would not see, and not delete, the codes of that. A new row has a new `xmin`.
        """
        account, session = caller
        version = await self._database.row(
            "select xmin::text from totp where account_id = %s", (account.id,)
        )
        codes, digests = new_codes()
        rows = await self._database.rows(
            f"""with entitled as (
                    update totp set confirmed_at = confirmed_at
                     where confirmed_at is not null and xmin::text = %s and account_id =
                           (select id from account where {ENTITLED} for update)
                    returning account_id),
                removed as (
                    delete from recovery_code using entitled
                     where recovery_code.account_id = entitled.account_id)
                insert into recovery_code (account_id, digest)
                select account_id, unnest(%s::bytea[]) from entitled returning account_id""",
            (version and version[0], account.id, account.epoch, session.public_id, digests),
        )
        return codes if rows else []

    async def disable(self, caller: Caller, code: str) -> None:
        """Turn the second factor off, by a code. Raises WrongCode, NoFactor, BadToken."""
        account, session = caller
        await self._require(account.id)
        await self.verify(account.id, code)
        event = self._events.insertion(FACTOR_REMOVED, "changed", data=TOTP_DATA)
        row = await self._database.row(
            f"""with gone as (
                    delete from totp
                     where account_id = (select id from account where {ENTITLED} for update)
                    returning account_id),
                changed as (
                    update account set second_factor = false{self._events.assignment}
                      from gone where id = account_id
                    returning id, username, email{self._events.returning}),
                logged as ({event}){self._notice_of_removal()}
                select id from changed""",
            (account.id, account.epoch, session.public_id),
        )
        if row is None:
            raise BadToken(TokenProblem.REVOKED)
        self._mail.wake()

    async def reset(self, account_id: int, actor: Actor | None = None) -> bool:
        """Remove an account's second factor and its passkeys, for an owner who has lost them.

        Return False when it has none. Its owner is told by e-mail. Without `actor`, the actor of
        the event is the one of all events of this process.
        """
        events = self._events.acting_as(actor) if actor else self._events
        event = events.insertion(FACTOR_REMOVED, "changed", data=ALL_FACTORS)
        row = await self._database.row(
            f"""with locked as (select id as own_id from account where id = %s for update),
                totp_gone as (
                    delete from totp using locked where account_id = own_id returning account_id),
                passkeys_gone as (
                    delete from passkey using locked where account_id = own_id
                    returning account_id),
                changed as (
                    update account set second_factor = false{events.assignment}
                      from locked
                     where id = own_id and (exists (select from totp_gone)
                                            or exists (select from passkeys_gone))
                    returning id, username, email{events.returning}),
                logged as ({event}){self._notice_of_removal()}
                select id from changed""",
            (account_id,),
        )
        self._mail.wake()
        return row is not None

    async def factors_of(self, account_id: int) -> Factors:
        """Return an account's second factors."""
        row = await self._database.row(
            """select count(digest) from totp left join recovery_code using (account_id)
                where account_id = %s and confirmed_at is not null group by account_id""",
            (account_id,),
        )
        return Factors(row is not None, row[0] if row else 0)

    async def outlives_reset(self, account: Account) -> bool:
        """Return whether a reset of the password by e-mail leaves the account's second factor.

        It does not if the address was never verified and is the one of the enrolment: another
        person may have registered the account with it. An address that was set later proves
        nothing about the factor's owner.
        """
        row = await self._database.row(
            """select account_id from totp where account_id = %s and confirmed_at is not null
                  and (%s or email is distinct from %s)""",
            (account.id, account.email_verified, account.email),
        )
        return row is not None

    def _notice_of_removal(self) -> str:
        """Return the part of a statement that tells the owner, if this server sends mail."""
        if self._mail.rules.problem:
            return ""
        notice = self._mail.insertion(FACTOR_OFF, "changed where email is not null")
        return f", mailed as ({notice})"

    async def _accept_totp(self, account_id: int, code: str) -> bool:
        row = await self._database.row(
            "select secret from totp where account_id = %s and confirmed_at is not null",
            (account_id,),
        )
        if row is None:
            return False
        sealed = bytes(row[0])
        step = self._totp.step_of(account_id, sealed, code)
        # A secret under an older key is sealed again under the first one.
        fresh = self._totp.seal_again(account_id, sealed)
        accepted = await self._database.row(
            """update totp set last_step = %s, secret = %s
                where account_id = %s and secret = %s and last_step < %s returning account_id""",
            (step, fresh, account_id, sealed, step),
        )
        return accepted is not None

    async def _accept_recovery_code(self, account_id: int, code: str) -> bool:
        row = await self._database.row(
            """delete from recovery_code
                where account_id = %s and digest = %s
                  and exists (select from totp where totp.account_id = recovery_code.account_id
                                 and confirmed_at is not null)
                returning account_id""",
            (account_id, digest_of(code)),
        )
        return row is not None

    async def _require(self, account_id: int) -> None:
        if not (await self.factors_of(account_id)).totp:
            raise NoFactor

    async def _count(self, account_id: int) -> None:
        if self._limits:
            await self._limits.try_code(account_id)

    async def _raise_reason(self, account: Account) -> None:
        """Raise why nothing was written."""
        if (await self.factors_of(account.id)).totp:
            raise FactorExists
        raise BadToken(TokenProblem.REVOKED)
