"""Sessions of JWTs in the real Redis. The rules are in docs/session-protocol.md#rotate."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import jwt
import pytest

from options import core_options
from store.account import Account, Login, NewAccount
from store.core import Core, open_core
from store.errors import BadToken, TokenProblem
from store.jwt_sessions import JwtPair, JwtRules, JwtSessions

KEY = "the signing key of the old back end, of 50 characters"
RULES = JwtRules("simplejwt", 300, 86_400, rotate=True, blacklist=True, grace=10)
STRICT = replace(RULES, grace=-1)
STAYS = replace(RULES, rotate=False)
KIM, PASSWORD = NewAccount("kim", "kim@example.com"), "pw"


@pytest.fixture
async def core(settings, clean) -> AsyncIterator[Core]:
    options = core_options(replace(settings, start_timeout=0))
    lifetimes = {**options.lifetimes, "simplejwt:jwt": RULES.refresh_lifetime}
    own = replace(options, cores=2, jwt_keys=[KEY], moved_at=time.time() + 60, lifetimes=lifetimes)
    async with open_core(own) as core:
        yield core


@pytest.fixture
def jwts(core) -> JwtSessions:
    assert core.jwts
    return core.jwts


@pytest.fixture
async def account(core) -> Account:
    account, _ = await core.access.register(KIM, PASSWORD)
    return account


async def log_in(core: Core, rules: JwtRules = RULES) -> JwtPair:
    account, [issued] = await core.access.log_in(Login("kim"), PASSWORD, [rules.spec])
    assert issued.token == ""
    assert core.jwts
    return core.jwts.pair(rules, account, issued)


async def problem(attempt: Any) -> TokenProblem | None:
    try:
        await attempt
    except BadToken as error:
        return error.problem
    return None


def old_refresh(account: Account, **changes: Any) -> str:
    now = int(time.time())
    claims = {"token_type": "refresh", "exp": now + 900, "iat": now - 900, "jti": "f" * 32}
    return jwt.encode({**claims, "user_id": account.id, **changes}, KEY, "HS256")


async def test_a_login_opens_one_session_for_both_tokens(core, jwts, account):
    pair = await log_in(core)
    caller = await core.access.authenticate(pair.access)
    assert caller.account.id == account.id
    assert (await jwts.verify(RULES, pair.refresh)).session == caller.session
    [(session, ends)] = await core.sessions.list_by_account(account.id)
    assert (session.kind, session.dialect) == ("jwt", "simplejwt")
    assert abs(ends - pair.refresh_ends) < 2
    assert await problem(core.access.authenticate(pair.refresh)) is TokenProblem.REFRESH
    assert await problem(jwts.refresh(RULES, pair.access)) is TokenProblem.NOT_REFRESH


async def test_without_rotation_a_refresh_token_stays(core, jwts, account):
    pair = await log_in(core, STAYS)
    for _ in range(3):
        found, again = await jwts.refresh(STAYS, pair.refresh)
        assert found.id == account.id
        assert (again.refresh, again.refresh_ends) == (pair.refresh, pair.refresh_ends)
        await core.access.authenticate(again.access)


async def test_a_rotated_token_has_one_successor_within_the_grace(core, jwts, account):
    pair = await log_in(core)
    refreshed = await asyncio.gather(*[jwts.refresh(RULES, pair.refresh) for _ in range(50)])
    [successor] = {again.refresh for _, again in refreshed}
    assert successor != pair.refresh
    _, third = await jwts.refresh(RULES, successor)
    assert third.refresh not in (successor, pair.refresh)
    await core.access.authenticate(third.access)


async def test_a_token_used_again_ends_the_session(core, jwts, account):
    pair = await log_in(core, STRICT)
    _, second = await jwts.refresh(STRICT, pair.refresh)
    assert await problem(jwts.verify(STRICT, pair.refresh)) is TokenProblem.REVOKED
    assert await problem(jwts.refresh(STRICT, pair.refresh)) is TokenProblem.REVOKED
    for attempt in (jwts.refresh(STRICT, second.refresh), core.access.authenticate(second.access)):
        assert await problem(attempt) is TokenProblem.REVOKED
    assert await core.sessions.list_by_account(account.id) == []


async def test_without_blacklisting_a_rotated_token_is_good_until_it_expires(core, jwts, account):
    rules = replace(STRICT, blacklist=False)
    pair = await log_in(core, rules)
    _, second = await jwts.refresh(rules, pair.refresh)
    _, third = await jwts.refresh(rules, pair.refresh)
    assert len({pair.refresh, second.refresh, third.refresh}) == 3
    for token in (pair.refresh, second.refresh, third.refresh):
        await jwts.verify(rules, token)


async def test_ending_a_refresh_token_ends_the_access_tokens(core, jwts, account):
    pair = await log_in(core)
    await jwts.end(RULES, pair.refresh)
    assert await problem(core.access.authenticate(pair.access)) is TokenProblem.REVOKED
    assert await problem(jwts.refresh(RULES, pair.refresh)) is TokenProblem.REVOKED


async def test_a_token_of_another_dialect_is_not_refreshed(core, jwts, account):
    pair = await log_in(core)
    other = replace(RULES, dialect="djoser")
    assert await problem(jwts.refresh(other, pair.refresh)) is TokenProblem.FORGED


async def test_a_new_password_ends_the_session_and_keeps_the_callers(core, jwts, account):
    other, pair = await log_in(core), await log_in(core)
    _, pair = await jwts.refresh(RULES, pair.refresh)
    caller = await core.access.authenticate(pair.access)
    await core.access.change(caller, {}, "another pw", keep=True)
    assert await problem(jwts.refresh(RULES, other.refresh)) is TokenProblem.REVOKED
    _, again = await jwts.refresh(RULES, pair.refresh)
    await core.access.authenticate(again.access)
    await core.access.end_all(await core.access.authenticate(again.access))
    assert await problem(jwts.refresh(RULES, again.refresh)) is TokenProblem.REVOKED


async def test_a_refresh_token_of_the_old_back_end_is_rotated_once(core, jwts, account):
    token = old_refresh(account)
    _, pair = await jwts.refresh(STRICT, token)
    assert (await core.access.authenticate(pair.access)).account.id == account.id
    assert await problem(jwts.refresh(STRICT, token)) is TokenProblem.REVOKED
    assert await problem(jwts.refresh(STRICT, pair.refresh)) is TokenProblem.REVOKED


async def test_an_old_refresh_token_that_was_ended_stays_ended(core, jwts, account):
    await jwts.end(RULES, old_refresh(account))
    assert await problem(jwts.refresh(RULES, old_refresh(account))) is TokenProblem.REVOKED


async def test_which_old_refresh_tokens_are_refused(core, jwts, account):
    late = old_refresh(account, iat=int(time.time()) + 3600, jti="a" * 32)
    assert await problem(jwts.refresh(RULES, late)) is TokenProblem.FORGED
    unknown = old_refresh(account, user_id=account.id + 1, jti="b" * 32)
    assert await problem(jwts.refresh(RULES, unknown)) is TokenProblem.REVOKED
    jwts._moved_at = time.time() - RULES.refresh_lifetime - 1
    past = old_refresh(account, iat=1, jti="c" * 32)
    assert await problem(jwts.refresh(RULES, past)) is TokenProblem.EXPIRED
    jwts._moved_at = time.time() - 60  # the account's epoch is later, as after a new password
    changed = old_refresh(account, jti="d" * 32)
    assert await problem(jwts.refresh(RULES, changed)) is TokenProblem.REVOKED
    jwts._moved_at = 0
    assert await problem(jwts.refresh(RULES, old_refresh(account))) is TokenProblem.FORGED
