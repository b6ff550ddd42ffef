"""Sessions of JWTs in the real Redis. The rules are in docs/session-protocol.md#rotate."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest

from options import core_options
from store.account import Account, Login, NewAccount
from store.core import Core, open_core
from store.errors import BadToken, TokenProblem
from store.jwt_sessions import JwtPair, JwtRules, JwtSessions
from store.session_record import Session, record_key, set_key
from store.session_scripts import MOVE, REVOKE_OLDER, ROTATE

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


async def test_a_token_used_again_ends_the_session(core, jwts, account, redis_client):
    pair = await log_in(core, STRICT)
    _, second = await jwts.refresh(STRICT, pair.refresh)
    assert await problem(jwts.verify(STRICT, pair.refresh)) is TokenProblem.REVOKED
    assert await problem(jwts.refresh(STRICT, pair.refresh)) is TokenProblem.REVOKED
    for attempt in (jwts.refresh(STRICT, second.refresh), core.access.authenticate(second.access)):
        assert await problem(attempt) is TokenProblem.REVOKED
    assert redis_client.zcard(set_key(account.id)) == 0


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


# Races. Each operation runs once between the authentication of a refresh and its rotation, which is
# the order that could go wrong, and once beside it, in whatever order it comes.


def between(jwts: JwtSessions, monkeypatch, operation: Callable[[], Awaitable[Any]]) -> None:
    """Run `operation` once, after a refresh was authenticated and before its rotation."""
    rotate = jwts._rotate

    async def later(*arguments: Any) -> Any:
        monkeypatch.setattr(jwts, "_rotate", rotate)
        await operation()
        return await rotate(*arguments)

    monkeypatch.setattr(jwts, "_rotate", later)


def end(core: Core, jwts: JwtSessions, how: str, pair: JwtPair) -> Callable[[], Awaitable[Any]]:
    """Return an operation that ends the session of a pair."""

    async def operation() -> None:
        caller = await core.access.authenticate(pair.access)
        account_id = caller.account.id
        if how == "logout":
            await core.access.log_out(caller)
        elif how == "end":
            await jwts.end(RULES, pair.refresh)
        elif how == "logoutall":
            await core.access.end_all(caller)
        elif how == "password":
            await core.access.change(caller, {}, "another pw")
        elif how == "disable":
            await core.admin.change(account_id, {"is_active": False})
        elif how == "epoch":  # as when Redis is unavailable after the statement
            await core.access._accounts.raise_epoch(account_id)
        else:
            await core.access.delete(caller)

    return operation


ENDINGS = ("logout", "end", "logoutall", "password", "disable", "delete", "epoch")


@pytest.mark.parametrize("how", ENDINGS)
async def test_a_rotation_under_way_does_not_revive_a_session_that_ends(
    core, jwts, account, monkeypatch, redis_client, how
):
    pair = await log_in(core)
    between(jwts, monkeypatch, end(core, jwts, how, pair))
    refreshed = await asyncio.gather(jwts.refresh(RULES, pair.refresh), return_exceptions=True)
    tokens = [pair] + [each[1] for each in refreshed if isinstance(each, tuple)]
    # Where the record is left, the rotation succeeds: with tokens that count for nothing.
    assert len(tokens) == (2 if how == "epoch" else 1)
    for each in tokens:
        assert await problem(core.access.authenticate(each.access))
        assert await problem(jwts.refresh(RULES, each.refresh))
    if how != "epoch":
        assert redis_client.get(record_key(jwts._tokens.read(pair.access).sid)) == b"revoked"
        assert redis_client.zcard(set_key(account.id)) == 0


@pytest.mark.parametrize("how", ENDINGS)
async def test_refreshes_beside_the_end_of_their_session(core, jwts, account, how):
    pair = await log_in(core)
    refreshes = [jwts.refresh(RULES, pair.refresh) for _ in range(10)]
    found = await asyncio.gather(*refreshes, end(core, jwts, how, pair)(), return_exceptions=True)
    assert found[-1] is None
    succeeded = [each[1] for each in found[:-1] if isinstance(each, tuple)]
    assert len({each.refresh for each in succeeded}) <= 1
    assert all(isinstance(each, tuple | BadToken) for each in found[:-1])
    for each in [pair, *succeeded]:
        assert await problem(core.access.authenticate(each.access))
        assert await problem(jwts.refresh(RULES, each.refresh))


@pytest.mark.parametrize("raced", [False, True])
async def test_a_rotation_and_a_password_that_keeps_the_session(
    core, jwts, account, monkeypatch, redis_client, raced
):
    """One changes the generation in the record, the other the epoch. Neither is lost."""
    pair = await log_in(core)
    caller = await core.access.authenticate(pair.access)
    if raced:
        refresh, _ = await asyncio.gather(
            jwts.refresh(RULES, pair.refresh),
            core.access.change(caller, {}, "another pw", keep=True),
        )
    else:
        between(
            jwts,
            monkeypatch,
            lambda: core.access.change(caller, {}, "another pw", keep=True),
        )
        refresh = await jwts.refresh(RULES, pair.refresh)
    now = await core.access.authenticate(refresh[1].access)
    fields = redis_client.get(record_key(now.session.sid)).decode().split()
    assert (int(fields[3]), fields[6]) == (now.account.epoch, "1")
    assert now.account.epoch > caller.account.epoch
    _, third = await jwts.refresh(RULES, refresh[1].refresh)
    await core.access.authenticate(third.access)


async def test_two_rotations_between_which_others_end_have_one_successor(
    core, jwts, account, monkeypatch
):
    """The second has authenticated before the first rotated."""
    pair = await log_in(core)
    first: list[Any] = []

    async def rotate() -> None:
        first.append(await jwts.refresh(RULES, pair.refresh))

    between(jwts, monkeypatch, rotate)
    _, second = await jwts.refresh(RULES, pair.refresh)
    assert second.refresh == first[0][1].refresh


# The scripts


FIELDS = "7 simplejwt jwt 50 0123abcd 1700000000"


@pytest.mark.parametrize(
    ("record", "generation", "strict", "reply", "after"),
    [
        (None, 0, 1, [0, 0], None),
        ("revoked", 0, 1, [0, 0], "revoked"),
        (FIELDS, 0, 1, [1, 1000], f"{FIELDS} 1 1000"),
        (f"{FIELDS} 4 900", 4, 1, [5, 1000], f"{FIELDS} 5 1000"),
        (f"{FIELDS} 4 900", 7, 1, [8, 1000], f"{FIELDS} 8 1000"),  # Redis lost rotations
        (f"{FIELDS} 4 990", 3, 1, [4, 990], f"{FIELDS} 4 990"),
        (f"{FIELDS} 4 1003", 3, 1, [4, 1003], f"{FIELDS} 4 1003"),  # another server's clock
        (f"{FIELDS} 4 989", 3, 1, [-1, 0], "revoked"),
        (f"{FIELDS} 4 990", 2, 1, [-1, 0], "revoked"),
        (f"{FIELDS} 4 990", 3, 0, [4, 990], f"{FIELDS} 4 990"),
        (f"{FIELDS} 4 989", 3, 0, [5, 1000], f"{FIELDS} 5 1000"),
        (f"{FIELDS} 4 990", 2, 0, [5, 1000], f"{FIELDS} 5 1000"),
    ],
)
def test_the_script_that_rotates(redis_client, clean, record, generation, strict, reply, after):
    key = record_key("f" * 32)
    if record is not None:
        redis_client.set(key, record, ex=500)
    arguments = (generation, 1000, 10, strict, 9000)
    assert redis_client.eval(ROTATE, 1, key, *arguments) == reply
    assert redis_client.get(key) == (after.encode() if after else None)
    renewed = after is not None and after.endswith(" 1000")
    assert redis_client.ttl(key) == (-2 if record is None else 9000 if renewed else 500)


def test_a_rotation_that_arrives_twice_has_one_successor_without_grace(redis_client, clean):
    """The time is the caller's, so it is the same both times."""
    key = record_key("f" * 32)
    redis_client.set(key, FIELDS, ex=500)
    for _ in range(2):
        assert redis_client.eval(ROTATE, 1, key, 0, 1000, 0, 1, 9000) == [1, 1000]
    assert redis_client.eval(ROTATE, 1, key, 0, 1001, 0, 1, 9000) == [-1, 0]


def test_the_scripts_of_a_raised_epoch_leave_the_generation(redis_client, clean):
    key, rotated = record_key("f" * 32), f"{FIELDS} 4 990"
    redis_client.set(key, rotated, ex=500)
    assert redis_client.eval(MOVE, 1, key, 60) == 0
    assert redis_client.get(key) == rotated.replace(" 50 ", " 60 ").encode()
    assert redis_client.eval(REVOKE_OLDER, 1, key, 60) == 0
    assert redis_client.eval(REVOKE_OLDER, 1, key, 61) == 1
    assert redis_client.get(key) == b"revoked"
    assert redis_client.ttl(key) == 500


async def test_a_rotation_extends_the_name_the_set_and_the_record(
    core, jwts, account, redis_client
):
    pair = await log_in(core)
    sid, names = jwts._tokens.read(pair.access).sid, set_key(account.id)
    name = f"simplejwt:jwt:{sid}"
    redis_client.zadd(names, {name: 1})
    for key in (names, record_key(sid)):
        redis_client.expire(key, 9)
    _, again = await jwts.refresh(STAYS, pair.refresh)
    assert redis_client.zscore(names, name) == 1
    assert {redis_client.ttl(key) for key in (names, record_key(sid))} == {9}
    _, again = await jwts.refresh(RULES, pair.refresh)
    assert abs(redis_client.zscore(names, name) - again.refresh_ends) < 2
    assert redis_client.ttl(record_key(sid)) == RULES.refresh_lifetime
    assert redis_client.ttl(names) > RULES.refresh_lifetime


async def test_the_newest_token_is_good_when_redis_lost_its_rotation(
    core, jwts, account, redis_client
):
    pair = await log_in(core)
    key = record_key(jwts._tokens.read(pair.access).sid)
    before = redis_client.get(key)
    _, second = await jwts.refresh(STRICT, pair.refresh)
    _, third = await jwts.refresh(STRICT, second.refresh)
    redis_client.set(key, before, ex=500)
    _, fourth = await jwts.refresh(STRICT, third.refresh)
    assert jwts._tokens.read(fourth.refresh).generation == 3
    assert await problem(jwts.refresh(STRICT, third.refresh)) is TokenProblem.REVOKED


async def test_a_rotated_token_is_not_good_again_when_rotation_is_off(core, jwts, account):
    pair = await log_in(core)
    _, second = await jwts.refresh(RULES, pair.refresh)
    for attempt in (jwts.refresh(STAYS, pair.refresh), jwts.verify(STAYS, pair.refresh)):
        assert await problem(attempt) is TokenProblem.REVOKED
    _, again = await jwts.refresh(STAYS, second.refresh)
    assert again.refresh == second.refresh


# Refresh tokens of an old back end


def move_after(jwts: JwtSessions, account: Account) -> None:
    """Let the move be just after the account has come to be."""
    jwts._moved_at = account.epoch / 1e6 + 1e-5


async def test_all_requests_with_an_old_token_have_one_successor(core, jwts, account, redis_client):
    token = old_refresh(account)
    refreshed = await asyncio.gather(*[jwts.refresh(RULES, token) for _ in range(50)])
    [successor] = {pair.refresh for _, pair in refreshed}
    assert jwts._tokens.read(successor).generation == 1
    assert redis_client.zcard(set_key(account.id)) == 1
    assert len(redis_client.keys("session:*")) == 1


@pytest.mark.parametrize("how", ENDINGS)
async def test_an_old_token_opens_nothing_after_the_end_of_its_session(
    core, jwts, account, redis_client, how
):
    token, beside = old_refresh(account), old_refresh(account, jti="e" * 32)
    move_after(jwts, account)
    _, pair = await jwts.refresh(RULES, token)
    await end(core, jwts, how, pair)()
    for refused in (token, pair.refresh):
        assert await problem(jwts.refresh(RULES, refused))
    one_session = how in ("logout", "end")
    assert (await problem(jwts.refresh(RULES, beside)) is None) == one_session
    if how == "disable":
        await core.admin.change(account.id, {"is_active": True})
        assert await problem(jwts.refresh(RULES, beside)) is TokenProblem.REVOKED
    names = redis_client.zrange(set_key(account.id), 0, -1)
    assert len(names) == (how in ("logout", "end", "epoch"))


@pytest.mark.parametrize("rules", [RULES, STAYS])
async def test_an_old_tokens_session_that_was_kept_is_refreshed(core, jwts, account, rules):
    """Its account's epoch is after the move then, and its session is open already."""
    token, beside = old_refresh(account), old_refresh(account, jti="e" * 32)
    move_after(jwts, account)
    _, pair = await jwts.refresh(rules, token)
    caller = await core.access.authenticate(pair.access)
    await core.access.change(caller, {}, "another pw", keep=True)
    for _ in range(2):
        _, again = await jwts.refresh(rules, token)
        assert again.refresh == pair.refresh
        await core.access.authenticate(again.access)
    assert await problem(jwts.refresh(rules, beside)) is TokenProblem.REVOKED


async def test_an_old_tokens_session_lasts_longer_than_its_tokens_are_accepted(core, jwts, account):
    token, beside = old_refresh(account), old_refresh(account, jti="e" * 32)
    await jwts.refresh(STAYS, token)
    jwts._moved_at = time.time() - RULES.refresh_lifetime
    await jwts.refresh(STAYS, old_refresh(account, iat=1))
    past = old_refresh(account, iat=1, jti="e" * 32)
    assert beside != past
    assert await problem(jwts.refresh(STAYS, past)) is TokenProblem.EXPIRED


@pytest.mark.parametrize("rules", [RULES, STAYS])
async def test_an_old_token_whose_request_failed_before_it_had_a_name(
    core, jwts, account, redis_client, rules
):
    claims = jwts._tokens.read(old_refresh(account))
    await core.sessions.open_as(claims.sid, account.id, account.epoch, RULES.spec)
    assert redis_client.zcard(set_key(account.id)) == 0
    await jwts.refresh(rules, old_refresh(account))
    assert redis_client.zrange(set_key(account.id), 0, -1) == [
        f"simplejwt:jwt:{claims.sid}".encode()
    ]


async def test_an_old_token_whose_session_ends_before_it_is_registered_has_no_name(
    core, jwts, account, monkeypatch, redis_client
):
    token, register = old_refresh(account), core.sessions.register
    _, pair = await jwts.refresh(RULES, token)

    async def later(session: Session) -> None:
        await core.sessions.end(session)
        await register(session)

    monkeypatch.setattr(core.sessions, "register", later)
    assert await problem(jwts.refresh(RULES, token)) is TokenProblem.REVOKED
    assert redis_client.zcard(set_key(account.id)) == 0
    assert await problem(core.access.authenticate(pair.access)) is TokenProblem.REVOKED


async def test_an_old_token_at_two_mounts_has_one_name(core, jwts, account, redis_client):
    await jwts.refresh(RULES, old_refresh(account))
    other = replace(RULES, dialect="djoser")
    assert await problem(jwts.refresh(other, old_refresh(account))) is TokenProblem.FORGED
    assert redis_client.zcard(set_key(account.id)) == 1


async def test_an_old_tokens_session_above_the_limit_does_not_come_back(
    core, jwts, account, redis_client
):
    """The record of any other surplus session is gone after two minutes."""
    core.sessions._per_account = 1
    token = old_refresh(account)
    _, pair = await jwts.refresh(RULES, token)
    key = record_key(jwts._tokens.read(pair.access).sid)
    redis_client.zadd(set_key(account.id), {f"simplejwt:jwt:{key[8:]}": 1})
    second = await log_in(core)
    assert redis_client.get(key) == b"revoked"
    assert redis_client.ttl(key) == RULES.refresh_lifetime
    for refused in (token, pair.refresh):
        assert await problem(jwts.refresh(RULES, refused)) is TokenProblem.REVOKED
    await log_in(core)
    surplus = record_key(jwts._tokens.read(second.access).sid)
    assert redis_client.get(surplus) == b"revoked"
    assert 0 < redis_client.ttl(surplus) <= 120
