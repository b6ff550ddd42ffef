"""Passkeys (Web Authentication, level 3): discoverable credentials, with user verification.

A passkey logs in without a name and without a password. The library `webauthn` checks what an
authenticator has signed. Each challenge is used once (store/challenges.py). The counter of
signatures is compared in the statement that raises it: an authenticator whose counter does not rise
may have been cloned, and is refused (section 6.1.1 of the specification).

The library works in threads. It takes half a second to load, and what it reads can be made to take
long: a regular expression in CBOR is compiled. LONGEST limits that.
"""

import asyncio
import base64
import binascii
import datetime
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.account_sql import ENTITLED
from store.authentication import Caller
from store.challenges import Challenges
from store.client import Client
from store.errors import (
    BadCredentials,
    BadPasskey,
    BadToken,
    ChallengeInvalid,
    TokenProblem,
    TooManyPasskeys,
    Unavailable,
)
from store.event_writer import FACTOR_ADDED, FACTOR_REMOVED, EventWriter
from store.limits import Limits
from store.mail_queue import PASSKEY, MailQueue
from store.notices import Notices
from store.passkey_rules import PasskeyRules
from store.postgresql.database import Database

if TYPE_CHECKING:
    from store.passkey_ceremonies import MadeCredential

_log = logging.getLogger("latchkey.passkeys")

MOST = 20
"""Passkeys of an account, at most."""
LONGEST = 16_384
"""Characters of each part of what an authenticator has made; those of a TPM have 8000."""
_LONGEST_ID = 1023
"""Bytes of a credential's id (Web Authentication, 4)."""
REGISTER, LOG_IN = "passkey-register", "passkey-login"
_DATA = """'{"factor": "passkey"}'::jsonb"""
_COLUMNS = "id, name, created, last_used"


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey of an account."""

    id: str
    """The credential's id in base64url."""
    name: str
    created: datetime.datetime
    last_used: datetime.datetime | None


class Passkeys:
    """Registers, verifies and removes passkeys. Every method raises Unavailable.

    Without origins, methods that use an authenticator always raise it.
    """

    def __init__(
        self,
        database: Database,
        challenges: Challenges,
        rules: PasskeyRules,
        notices: Notices,
        mail: MailQueue,
        events: EventWriter,
        limits: Limits | None,
    ) -> None:
        self._database = database
        self._challenges = challenges
        self._rules = rules
        self._notices = notices
        self._mail = mail
        self._events = events
        self._limits = limits

    async def registration_options(self, caller: Caller) -> dict[str, Any]:
        """Return what a client passes to `navigator.credentials.create`."""
        self._require()
        account = caller.account
        rows = await self._database.rows(
            "select id from passkey where account_id = %s", (account.id,)
        )
        challenge = self._challenges.make(REGISTER, account.id)
        known = [bytes(each) for [each] in rows]

        def options() -> dict[str, Any]:
            from store.passkey_ceremonies import creation_options  # noqa: PLC0415  # few need it

            return creation_options(self._rules, account, challenge, known)

        return await asyncio.to_thread(options)

    async def register(self, caller: Caller, name: str, credential: Mapping[str, Any]) -> Passkey:
        """Add the credential that a client has made, and return it.

        Raises BadPasskey, TooManyPasskeys, BadToken, RateLimited.
        """
        self._require()
        account, session = caller
        if self._limits:
            await self._limits.add_passkey(account.id)
        challenge = _challenge_of(credential)
        if not self._challenges.is_valid(challenge, REGISTER, account.id):
            raise BadPasskey("the challenge is not valid any more")

        def verify() -> "MadeCredential":
            from store.passkey_ceremonies import verify_creation  # noqa: PLC0415

            return verify_creation(self._rules, credential, challenge)

        made = await asyncio.to_thread(verify)
        if len(made.id) > _LONGEST_ID:
            raise BadPasskey("its id is too long")
        if not await self._challenges.use(challenge):
            raise BadPasskey("the challenge was used before")
        event = self._events.insertion(FACTOR_ADDED, "changed", data=_DATA)
        mail = await self._notices.for_factor(account, PASSKEY)
        mailed = f", mailed as ({self._mail.insertion(mail, 'changed')})" if mail else ""
        row = await self._database.row(
            f"""with entitled as (select id from account where {ENTITLED} for update),
                added as (
                    insert into passkey (id, account_id, public_key, sign_count, name)
                    select %s, id, %s, %s, %s from entitled
                     where (select count(*) from passkey where account_id = entitled.id) < {MOST}
                    on conflict do nothing returning account_id, {_COLUMNS}),
                changed as (
                    update account set modified = now(){self._events.assignment}
                      from added where account.id = added.account_id
                    returning account.id, username, email{self._events.returning}),
                logged as ({event}){mailed}
                select {_COLUMNS} from added""",
            (
                account.id,
                account.epoch,
                session.public_id,
                made.id,
                made.public_key,
                made.sign_count,
                name,
            ),
        )
        if row is None:
            await self._raise_reason(caller)
        self._mail.wake()
        return _passkey(row)

    async def login_options(self) -> dict[str, Any]:
        """Return what a client passes to `navigator.credentials.get`."""
        self._require()

        def options() -> dict[str, Any]:
            from store.passkey_ceremonies import request_options  # noqa: PLC0415

            return request_options(self._rules, self._challenges.make(LOG_IN))

        return await asyncio.to_thread(options)

    async def verify(self, credential: Mapping[str, Any], client: Client) -> int:
        """Return the id of the account that an authenticator has signed for.

        Raises ChallengeInvalid, RateLimited, and BadCredentials for everything else.
        """
        self._require()
        if self._limits:
            await self._limits.log_in_without_name(client)
        try:
            challenge, credential_id = _challenge_of(credential), _bytes_of(credential.get("id"))
        except BadPasskey:
            raise BadCredentials from None
        if not self._challenges.is_valid(challenge, LOG_IN):
            raise ChallengeInvalid
        row = await self._database.row(
            "select account_id, public_key from passkey where id = %s", (credential_id,)
        )
        if row is None:
            raise BadCredentials
        key = bytes(row[1])

        def verify() -> int:
            from store.passkey_ceremonies import verify_assertion  # noqa: PLC0415

            return verify_assertion(self._rules, credential, challenge, key)

        try:
            count = await asyncio.to_thread(verify)
        except BadPasskey as problem:
            _log.info("a passkey of account %d was refused: %s", row[0], problem)
            raise BadCredentials from None
        if not await self._challenges.use(challenge):
            raise ChallengeInvalid
        used = await self._database.row(
            """update passkey set sign_count = %s, last_used = now()
                where id = %s and (sign_count < %s or (sign_count = 0 and %s = 0))
                returning account_id""",
            (count, credential_id, count, count),
        )
        if used is None:
            _log.warning("a passkey of account %d may have been cloned: it was refused", row[0])
            raise BadCredentials
        return int(used[0])

    async def list_by_account(self, account_id: int) -> list[Passkey]:
        """Return an account's passkeys, the oldest first."""
        rows = await self._database.rows(
            f"select {_COLUMNS} from passkey where account_id = %s order by created, id",
            (account_id,),
        )
        return [_passkey(row) for row in rows]

    async def remove(self, caller: Caller, passkey_id: str) -> bool:
        """Remove a passkey of the caller; return False if there is none of this id."""
        try:
            credential_id = _bytes_of(passkey_id)
        except BadPasskey:
            return False
        account, session = caller
        event = self._events.insertion(FACTOR_REMOVED, "changed", data=_DATA)
        row = await self._database.row(
            f"""with gone as (
                    delete from passkey
                     where id = %s and account_id = (select id from account where {ENTITLED})
                    returning account_id),
                changed as (
                    update account set modified = now(){self._events.assignment}
                      from gone where account.id = gone.account_id
                    returning account.id, username{self._events.returning}),
                logged as ({event})
                select account_id from gone""",
            (credential_id, account.id, account.epoch, session.public_id),
        )
        return row is not None

    def _require(self) -> None:
        if not self._rules.origins:
            raise Unavailable("passkeys", "PASSKEY_ORIGINS is not set")

    async def _raise_reason(self, caller: Caller) -> None:
        """Raise why a passkey was not added."""
        found = await self.list_by_account(caller.account.id)
        if len(found) >= MOST:
            raise TooManyPasskeys
        row = await self._database.row(
            f"select id from account where {ENTITLED}",
            (caller.account.id, caller.account.epoch, caller.session.public_id),
        )
        raise BadPasskey("it is registered already") if row else BadToken(TokenProblem.REVOKED)


def _passkey(row: Any) -> Passkey:
    return Passkey(_text_of(bytes(row[0])), *row[1:])


def _challenge_of(credential: Mapping[str, Any]) -> bytes:
    """Return the challenge that a client says it has signed. Raises BadPasskey."""
    response = credential.get("response")
    if not isinstance(response, dict):
        raise BadPasskey("a part is missing")
    parts = [each for each in (*credential.values(), *response.values()) if isinstance(each, str)]
    if any(len(each) > LONGEST for each in parts):
        raise BadPasskey("a part is too long")
    data = response.get("clientDataJSON")
    try:
        found = json.loads(_bytes_of(data))
    except (ValueError, RecursionError):
        raise BadPasskey("clientDataJSON is not JSON") from None
    return _bytes_of(found.get("challenge") if isinstance(found, dict) else None)


def _bytes_of(text: object) -> bytes:
    """Return what a text of base64url stands for. Raises BadPasskey."""
    if not isinstance(text, str):
        raise BadPasskey("a part is missing")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadPasskey("a part is not base64url") from None


def _text_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
