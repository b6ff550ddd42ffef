"""Opens, reads, extends and ends sessions in Redis.

The order of the writes is the protocol of docs/session-protocol.md#operations. tests/model checks
it: before you change a step here, change the model. Each script uses one key, which is passed to
it, so the same code runs on one Redis and on a cluster. store/session_record.py documents the keys.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from store import imported_tokens
from store.errors import BadToken, Busy, StaleEpoch, TokenProblem
from store.jwt_tokens import JwtTokens, is_taken_over
from store.redis.client import Redis
from store.session_record import (
    JWT,
    REVOKED,
    IssuedToken,
    Session,
    SessionSpec,
    named_key,
    parse,
    record_key,
    set_key,
)
from store.session_renewal import SessionRenewer
from store.session_scripts import FIND, MOVE, REGISTER, REVOKE_OLDER
from store.tokens import Tokens
from telemetry.observer import UNOBSERVED, Observer

DAY = 86_400
MAX_ATTEMPTS = 8
SURPLUS_SECONDS = 120
"""How long the record of a surplus session, one above its account's limit, stays `revoked`: longer
than a write can be in flight (STORE_TIMEOUT), but short, to bound an account's records in Redis."""
NOT_DERIVED = frozenset({imported_tokens.KIND, imported_tokens.FIXED, JWT})
"""Kinds whose tokens do not depend on the key that their records name."""


class Sessions:
    """The sessions in one Redis. Every method that awaits raises Unavailable."""

    def __init__(
        self,
        redis: Redis,
        tokens: Tokens,
        lifetimes: Mapping[str, int],
        per_account: int,
        *,
        imported_tokens: bool = False,
        jwts: JwtTokens | None = None,
        observer: Observer = UNOBSERVED,
    ) -> None:
        """Use `redis`, which the caller closes after `close` of this.

        `lifetimes` has the seconds that sessions of a kind, or of `<dialect>:<kind>`, live without
        use. An account has at most `per_account` sessions. With `imported_tokens`, tokens that
        other applications made are looked up as well; with `jwts`, JWTs.
        """
        self._redis = redis
        self._tokens = tokens
        self._lifetimes = lifetimes
        self.set_lifetime = max(lifetimes.values()) + DAY
        """How long an account's set lives after it was written to, in seconds."""
        self._per_account = per_account
        self._imported_tokens = imported_tokens
        self._jwts = jwts
        self.timeout = redis.timeout
        self._observer = observer
        self._renewer = SessionRenewer(redis, lifetimes, self.set_lifetime)
        self.renew = self._renewer.renew

    def sid_of(self, token: str) -> str:
        """Return the session id of a token, without I/O. Raises BadToken when no key made it.

        A JWT must be an access token that has not expired.
        """
        sid = self._tokens.sid_of(token)
        if sid is None and self._jwts is not None:
            sid = self._jwts.sid_of(token)
        if sid is None and self._imported_tokens:
            sid = imported_tokens.digest_of(token)
        if sid is None:
            raise BadToken(TokenProblem.FORGED)
        return sid

    async def read(self, sids: Sequence[str], deadline: float) -> dict[str, Session | None]:
        """Return by id the sessions that have not expired, None for one that was ended.

        One round trip; Redis must reply by the event loop's time `deadline`. Whether a session is
        live depends on its account and epoch too, which the caller compares. Raises Unavailable.
        """
        records = await self._redis.get_many([record_key(sid) for sid in sids], deadline)
        return {
            sid: parse(sid, record) for sid, record in zip(sids, records, strict=True) if record
        }

    async def open(
        self,
        account_id: int,
        epoch: int,
        spec: SessionSpec,
        kept_session: str | None = None,
        *,
        database_restored: bool = False,
    ) -> IssuedToken:
        """Return the account's open session of the spec's dialect and kind, or open a new one.

        A spec without `reuse` always opens a new one. `epoch` and `kept_session` are the account's,
        as they were read with what justifies the session. Raises StaleEpoch when the account has a
        session of a newer epoch, unless `database_restored`: then the epoch in PostgreSQL went
        back, and that session is replaced unless it is the kept one. Raises Busy when concurrent
        logins win MAX_ATTEMPTS times.
        """
        for _ in range(MAX_ATTEMPTS):
            now = time.time()  # the same in the record, in the set and in the response
            name = await self._find(account_id, spec, now) if spec.reuse else None
            if name is None:
                sid = self._tokens.new_sid(spec.sid_bytes)
                await self._write(sid, account_id, epoch, spec, now)
                name = await self._register(account_id, spec, sid, now)
                if name == spec.name(sid):
                    self._observer.session_opened(spec.dialect, spec.kind)
                    return self._issue(spec, sid, self._tokens.signing_key, now)
                await self._redis.execute(self._redis.client.delete(record_key(sid)))
            session = await self._read_and_renew(name, spec)
            if session and session.epoch > epoch and not database_restored:
                raise StaleEpoch(session.epoch)
            if session and (session.epoch == epoch or session.kept_under(epoch) == kept_session):
                if self._tokens.knows(session.key_id):
                    return self._issue(spec, session.sid, session.key_id, now)
                await self._revoke([name])  # its key is not listed now, but may be listed again
            await self._take_out(account_id, [name])
        raise Busy(1.0)

    async def open_as(self, sid: str, account_id: int, epoch: int, spec: SessionSpec) -> None:
        """Write a session's record, unless it is there, be it revoked. `register` has to follow."""
        if await self._write(sid, account_id, epoch, spec, time.time()):
            self._observer.session_opened(spec.dialect, spec.kind)

    async def register(self, session: Session) -> None:
        """Enter a session into its account's set, unless its name is there already."""
        spec = SessionSpec(session.dialect, session.kind, reuse=False)
        await self._register(session.account_id, spec, session.sid, time.time())

    async def discard(self, account_id: int, issued: IssuedToken) -> None:
        """Delete a session whose token no client has received."""
        await self._redis.execute(self._redis.client.delete(named_key(issued.name)))
        await self._take_out(account_id, [issued.name])

    async def end(self, session: Session) -> None:
        """End one session. The record first: a crash in between leaves only a name without one."""
        await self._revoke([session.name])
        await self._take_out(session.account_id, [session.name])

    async def end_unknown(self, account_id: int) -> None:
        """End the account's sessions whose signing key is not listed.

        Their tokens are rejected already. Ended, they stay so if the key is listed again.
        """
        names = [
            session.name
            for session, _ in await self.list_by_account(account_id)
            if session.kind not in NOT_DERIVED and not self._tokens.knows(session.key_id)
        ]
        if names:
            await self._revoke(names)
            await self._take_out(account_id, names)

    async def end_older(self, account_id: int, epoch: int, kept: Session | None = None) -> None:
        """Revoke the account's sessions of epochs below `epoch`, and remove their names.

        PostgreSQL must have raised the account's epoch before. That has ended the sessions, even
        if Redis loses writes; this frees their memory and the places under the account's limit.
        The session that PostgreSQL kept is given the epoch instead.
        """
        found: list[bytes] = await self._redis.execute(
            self._redis.client.zrange(set_key(account_id), 0, -1)
        )
        names = list(dict.fromkeys([*([kept.name] if kept else ()), *map(bytes.decode, found)]))
        pipeline = self._redis.client.pipeline(transaction=False)
        for name in names:
            script = MOVE if kept and name == kept.name else REVOKE_OLDER
            pipeline.eval(script, 1, named_key(name), epoch)
        replies = await self._redis.execute_pipeline(pipeline)
        ended = [name for name, has_ended in zip(names, replies, strict=True) if has_ended]
        await self._take_out(account_id, ended)

    async def list_by_account(self, account_id: int) -> list[tuple[Session, float]]:
        """Return the account's sessions that are neither revoked nor expired, by their ends.

        Each comes with its end in seconds since 1970. Whether it is live depends on its account
        and epoch too, which the caller compares. Raises Unavailable.
        """
        deadline = asyncio.get_running_loop().time() + self.timeout
        found: list[tuple[bytes, float]] = await self._redis.execute(
            self._redis.client.zrange(set_key(account_id), 0, -1, withscores=True), deadline
        )
        ends = {name.decode().rpartition(":")[2]: score for name, score in found}
        sessions = await self.read(list(ends), deadline) if ends else {}
        return [(session, ends[sid]) for sid, session in sessions.items() if session]

    def last_used(self, session: Session, ends: float) -> float:
        """Return when a session that has this end was last extended, in seconds since 1970."""
        if session.kind == imported_tokens.FIXED:
            return session.opened
        return max(session.opened, ends - self._lifetime(session.dialect, session.kind))

    async def import_tokens(
        self, dialect: str, tokens: Sequence[imported_tokens.Imported]
    ) -> list[bool]:
        """Open a session for each token that another application made.

        Return for each whether it is open now: see `imported_tokens.import_tokens`.
        """
        lifetime = self._lifetimes[imported_tokens.KIND]
        return await imported_tokens.import_tokens(
            self._redis, dialect, tokens, lifetime, self.set_lifetime
        )

    async def close(self) -> None:
        """Write the extensions that are pending."""
        await self._renewer.close()

    async def _find(self, account_id: int, spec: SessionSpec, now: float) -> str | None:
        key, ends = set_key(account_id), now + self._lifetime(spec.dialect, spec.kind)
        name: bytes | None = await self._redis.execute(
            self._redis.client.eval(FIND, 1, key, spec.name(""), ends, self.set_lifetime)
        )
        return name.decode() if name else None

    async def _write(
        self, sid: str, account_id: int, epoch: int, spec: SessionSpec, now: float
    ) -> Any:
        """Write a new session's record; return None if there is one already."""
        key_id, opened = self._tokens.signing_key, int(now)
        session = Session(
            sid, account_id, spec.dialect, spec.kind, epoch, key_id, opened, spec.device
        )
        lifetime = self._lifetime(spec.dialect, spec.kind)
        return await self._redis.execute(
            self._redis.client.set(record_key(sid), session.record(), nx=True, ex=lifetime)
        )

    async def _register(self, account_id: int, spec: SessionSpec, sid: str, now: float) -> str:
        """Enter a session into its account's set; return the set's name of that dialect and kind.

        That is the given one, unless a concurrent login entered another. Surplus ones are revoked.
        """
        names: list[bytes] = await self._redis.execute(
            self._redis.client.eval(
                REGISTER,
                1,
                set_key(account_id),
                spec.name("") if spec.reuse else "",
                spec.name(sid),
                now + self._lifetime(spec.dialect, spec.kind),
                self.set_lifetime,
                self._per_account,
            )
        )
        registered, *surplus = [name.decode() for name in names]
        if surplus:
            await self._revoke(surplus, SURPLUS_SECONDS)
            await self._take_out(account_id, surplus)
        return registered

    async def _read_and_renew(self, name: str, spec: SessionSpec) -> Session | None:
        """Extend a session and return it, None when its record is gone or revoked."""
        lifetime = self._lifetime(spec.dialect, spec.kind)
        record: Any = await self._redis.execute(
            self._redis.client.getex(named_key(name), ex=lifetime)
        )
        return parse(name.rpartition(":")[2], record)

    async def _revoke(self, names: Sequence[str], seconds: int | None = None) -> None:
        """Mark sessions as ended, for the rest of their lifetimes or for `seconds`."""
        pipeline = self._redis.client.pipeline(transaction=False)
        for name in names:  # an old back end's token could open its session again
            ex = None if is_taken_over(name) else seconds
            pipeline.set(named_key(name), REVOKED, xx=True, keepttl=ex is None, ex=ex)
        await self._redis.execute_pipeline(pipeline)

    async def _take_out(self, account_id: int, names: Sequence[str]) -> None:
        if names:
            await self._redis.execute(self._redis.client.zrem(set_key(account_id), *names))
        for name in names:
            dialect, kind = name.split(":")[:2]
            self._observer.session_closed(dialect, kind)

    def _lifetime(self, dialect: str, kind: str) -> int:
        return self._lifetimes.get(f"{dialect}:{kind}") or self._lifetimes[kind]

    def _issue(self, spec: SessionSpec, sid: str, key_id: str, now: float) -> IssuedToken:
        ends = now + self._lifetime(spec.dialect, spec.kind)
        token = "" if spec.kind == JWT else self._tokens.derive(sid, key_id)
        return IssuedToken(token, spec.name(sid), now, ends)
