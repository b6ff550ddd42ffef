"""Sessions of JWTs: their pairs of tokens, the rotation of refresh tokens, and old back ends'.

A login opens one session, which its access and refresh tokens name, whatever is issued later. To
end it ends them all. The operations are those of docs/session-protocol.md#rotate; tests/model
checks them: before you change a step here, change the model.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from store.account import Account
from store.accounts import Accounts
from store.authentication import Caller
from store.errors import BadToken, TokenProblem
from store.jwt_tokens import SID_BYTES, Claims, JwtTokens, sid_of_old
from store.limits import Limits
from store.redis.client import Redis
from store.session_record import (
    JWT,
    REVOKED,
    IssuedToken,
    Session,
    SessionSpec,
    record_key,
    set_key,
)
from store.session_scripts import EXTEND, ROTATE
from store.sessions import Sessions

_log = logging.getLogger("latchkey.jwt")
_USED_AGAIN = -1


@dataclass(frozen=True, slots=True)
class JwtRules:
    """How a dialect issues and accepts JWTs. Times are in seconds."""

    dialect: str
    access_lifetime: int
    refresh_lifetime: int
    rotate: bool
    """Whether a refresh returns another refresh token."""
    blacklist: bool
    """Whether a refresh token that was rotated ends its session when it is used again."""
    grace: int
    """How long after a rotation the token before it is answered with the same successor."""
    claims: tuple[str, ...] = ()
    """Attributes of the account that the tokens state, besides its id."""

    @property
    def spec(self) -> SessionSpec:
        """The session that a login of this dialect opens."""
        return SessionSpec(self.dialect, JWT, sid_bytes=SID_BYTES, reuse=False)


class JwtPair(NamedTuple):
    """An access token, a refresh token, and their ends in seconds since 1970."""

    access: str
    refresh: str
    access_ends: int
    refresh_ends: int


class JwtSessions:
    """Issues, refreshes and ends JWTs. Every method that awaits raises Unavailable."""

    def __init__(
        self,
        redis: Redis,
        tokens: JwtTokens,
        sessions: Sessions,
        accounts: Accounts,
        caller_of: Callable[[str], Awaitable[Caller]],
        limits: Limits | None,
        moved_at: float,
    ) -> None:
        """Compose from these; `caller_of` authenticates a session's id.

        `moved_at` is when the old back end was replaced, in seconds since 1970; 0 if there is none.
        """
        self._redis = redis
        self._tokens = tokens
        self._sessions = sessions
        self._accounts = accounts
        self._caller_of = caller_of
        self._limits = limits
        self._moved_at = moved_at

    def pair(self, rules: JwtRules, account: Account, issued: IssuedToken) -> JwtPair:
        """Return the first tokens of a session that a login has opened."""
        opened = int(issued.issued)
        refresh, ends = self._refresh_token(rules, account, issued.sid, 0, opened)
        return self._pair(rules, account, issued.sid, opened, refresh, ends)

    async def refresh(self, rules: JwtRules, token: str) -> tuple[Account, JwtPair]:
        """Return the account of a refresh token, a new access token and a refresh token.

        The latter is the given one unless `rules` rotate: then it is the next one, or for `grace`
        seconds the one that was next the first time. Raises BadToken, RateLimited, Busy.
        """
        claims, caller = await self._authenticate_refresh(rules, token)
        account, session = caller
        if self._limits:
            await self._limits.refresh(account.id)
        if claims.is_old:  # each time, because the request that opened it may have failed here
            await self._sessions.register(session)
        ends = int(claims.expires)
        if rules.rotate:
            generation, rotated = await self._rotate(rules, session, claims.generation)
            token, ends = self._refresh_token(rules, account, session.sid, generation, rotated)
        elif _is_used(rules, claims, caller):
            raise BadToken(TokenProblem.REVOKED)
        return account, self._pair(rules, account, session.sid, int(time.time()), token, ends)

    async def verify(self, rules: JwtRules, token: str) -> Caller:
        """Return the caller of an access or a refresh token. Raises BadToken."""
        claims = self._tokens.read(token)
        if claims.is_refresh:
            claims, caller = await self._authenticate_refresh(rules, token)
            if _is_used(rules, claims, caller):
                raise BadToken(TokenProblem.REVOKED)
            return caller
        if claims.is_old:
            raise BadToken(TokenProblem.FORGED)
        return await self._caller_of(claims.sid)

    async def end(self, rules: JwtRules, token: str) -> None:
        """End the session of a refresh token, and so its access tokens.

        Raises BadToken, also for a token that was rotated, which ends the session too.
        """
        claims, caller = await self._authenticate_refresh(rules, token)
        await self._sessions.end(caller.session)
        if _is_used(rules, claims, caller):
            raise BadToken(TokenProblem.REVOKED)

    def account_id_of(self, token: str) -> int | None:
        """Return the account's id that a token states, None unless its signature is right."""
        return self._tokens.account_id_of(token)

    async def _authenticate_refresh(self, rules: JwtRules, token: str) -> tuple[Claims, Caller]:
        claims = self._tokens.read(token)
        if not claims.is_refresh:
            raise BadToken(TokenProblem.NOT_REFRESH)
        if claims.is_old:
            await self._open(rules, claims)
        caller = await self._caller_of(claims.sid)
        session = caller.session
        if (session.dialect, session.kind) != (rules.dialect, JWT):
            raise BadToken(TokenProblem.FORGED)
        return claims, caller

    async def _open(self, rules: JwtRules, claims: Claims) -> None:
        """Open the session of an old back end's refresh token, unless that was done before.

        The account must be as it was at the move: a new password or logoutall raises its epoch.
        Once it is not, or a lifetime after the move, only a session that is open already counts.
        """
        if not claims.issued < self._moved_at:
            raise BadToken(TokenProblem.FORGED)
        problem = TokenProblem.EXPIRED
        if time.time() < self._moved_at + rules.refresh_lifetime:
            account = await self._accounts.get(claims.account_id)
            if account and account.epoch <= self._moved_at * 1e6:
                await self._sessions.open_as(claims.sid, account.id, account.epoch, rules.spec)
                return
            problem = TokenProblem.REVOKED
        deadline = asyncio.get_running_loop().time() + self._sessions.timeout
        if not await self._sessions.read([claims.sid], deadline):
            raise BadToken(problem)

    async def _rotate(self, rules: JwtRules, session: Session, generation: int) -> tuple[int, int]:
        """Rotate a refresh token; return the next generation and when it was made.

        The name is extended first, so that no session outlives its name.
        """
        now = int(time.time())
        key, ends = set_key(session.account_id), now + rules.refresh_lifetime
        await self._redis.execute(
            self._redis.client.eval(EXTEND, 1, key, session.name, ends, self._sessions.set_lifetime)
        )
        following, rotated = await self._redis.execute(
            self._redis.client.eval(
                ROTATE,
                1,
                record_key(session.sid),
                generation,
                now,
                rules.grace,
                int(rules.blacklist),
                rules.refresh_lifetime,
            )
        )
        if following == _USED_AGAIN:
            _log.warning(
                "a refresh token of account %d was used again: session %s was ended",
                session.account_id,
                session.public_id,
            )
        if following <= 0:
            await self._sessions.end(session)
            raise BadToken(TokenProblem.REVOKED)
        return following, rotated

    def _refresh_token(
        self, rules: JwtRules, account: Account, sid: str, generation: int, issued: int
    ) -> tuple[str, int]:
        ends = issued + rules.refresh_lifetime
        jti = f"{sid}.{generation}"
        return self._sign(rules, account, "refresh", jti, issued, ends), ends

    def _pair(
        self, rules: JwtRules, account: Account, sid: str, issued: int, refresh: str, ends: int
    ) -> JwtPair:
        access_ends = issued + rules.access_lifetime
        access = self._sign(rules, account, "access", sid, issued, access_ends)
        return JwtPair(access, refresh, access_ends, ends)

    def _sign(
        self, rules: JwtRules, account: Account, kind: str, jti: str, issued: int, ends: int
    ) -> str:
        claims = {
            "token_type": kind,
            "exp": ends,
            "iat": issued,
            "jti": jti,
            "user_id": str(account.id),
        }
        for name in rules.claims:
            value = getattr(account, name)
            claims[name] = "" if value is None else value
        return self._tokens.sign(claims)


async def refuse_old_tokens(redis: Redis, tokens: Sequence[tuple[str, float]]) -> None:
    """Refuse refresh tokens that the replaced back end had ended, and end their sessions.

    Each is given by its `jti` and its end in seconds since 1970. Raises Unavailable.
    """
    pipeline = redis.client.pipeline(transaction=False)
    for jti, ends in tokens:
        seconds = max(1, math.ceil(ends - time.time()))
        pipeline.set(record_key(sid_of_old(jti)), REVOKED, ex=seconds)
    await redis.execute_pipeline(pipeline)


def _is_used(rules: JwtRules, claims: Claims, caller: Caller) -> bool:
    """Return whether a refresh token was rotated, where that ends its use."""
    return rules.blacklist and claims.generation < caller.session.generation
