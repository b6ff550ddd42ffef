"""The protocol of store/sessions.py, step by step, on a real Redis."""

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from store.errors import BadToken, StaleEpoch, TokenProblem, Unavailable
from store.redis.client import connect_redis
from store.session_record import (
    REVOKED,
    IssuedToken,
    Session,
    SessionSpec,
    named_key,
    record_key,
    set_key,
)
from store.sessions import DAY, SURPLUS_SECONDS, Sessions

ACCOUNT, EPOCH = 7, 1_700_000_000_000_000
KUST, WICARE = SessionSpec("kust"), SessionSpec("wicare", sid_bytes=16)
FRESH, REFRESH = SessionSpec("fardel", "fresh"), SessionSpec("fardel", "refresh")
ACCESS = SessionSpec("fardel", "access", reuse=False)
SPECS = [KUST, WICARE, SessionSpec("lumotist"), SessionSpec("cellars"), FRESH, REFRESH]

SLACK = 60
"""Seconds that may pass within a test."""


@pytest.fixture
def sessions(core) -> Sessions:
    return core.sessions


async def read(sessions: Sessions, token: str) -> Session:
    """Return the session of a token, as Redis has it. Raises BadToken."""
    sid = sessions.sid_of(token)
    found = await sessions.read([sid], asyncio.get_running_loop().time() + sessions.timeout)
    if sid not in found:
        raise BadToken(TokenProblem.EXPIRED)
    session = found[sid]
    if session is None:
        raise BadToken(TokenProblem.REVOKED)
    return session


async def token_problem(sessions: Sessions, token: str) -> TokenProblem | None:
    """Return what is wrong with a token, None when its record exists."""
    try:
        await read(sessions, token)
    except BadToken as raised:
        return raised.problem
    return None


def names(redis_client) -> set[str]:
    """Return what the account's set names."""
    return {name.decode() for name in redis_client.zrange(set_key(ACCOUNT), 0, -1)}


def about(seconds: int) -> range:
    return range(seconds - SLACK, seconds + 1)


async def test_opening_twice_returns_the_same_token(sessions):
    first = await sessions.open(ACCOUNT, EPOCH, KUST)
    second = await sessions.open(ACCOUNT, EPOCH, KUST)
    assert (first.token, first.name) == (second.token, second.name)


async def test_a_session_is_read_as_it_was_opened(sessions, core):
    issued = await sessions.open(ACCOUNT, EPOCH, REFRESH)
    session = await read(sessions, issued.token)
    key = core.tokens.signing_key
    assert session == Session(session.sid, ACCOUNT, "fardel", "refresh", EPOCH, key, session.opened)
    assert session.opened in range(int(time.time()) - SLACK, int(time.time()) + 1)
    assert issued.name == session.name


async def test_what_is_issued_and_what_is_listed_have_the_same_times(sessions, monkeypatch):
    """Also if a second ends while the session is opened."""
    clock = itertools.count(time.time(), 0.7)
    monkeypatch.setattr("store.sessions.time.time", lambda: next(clock))
    issued = await sessions.open(ACCOUNT, EPOCH, KUST)
    [(session, ends)] = await sessions.list_by_account(ACCOUNT)
    assert session.opened == int(issued.issued)
    assert ends == pytest.approx(issued.ends, abs=0.001)


async def test_there_is_one_session_of_each_dialect_and_kind(sessions, redis_client):
    issued = [await sessions.open(ACCOUNT, EPOCH, spec) for spec in SPECS]
    again = [await sessions.open(ACCOUNT, EPOCH, spec) for spec in reversed(SPECS)]
    tokens = [each.token for each in issued]
    assert len(set(tokens)) == len(SPECS)
    assert tokens == [each.token for each in reversed(again)]
    assert [len(token) for token in tokens] == [40, 64, 40, 40, 40, 40]
    assert names(redis_client) == {each.name for each in issued}


async def test_a_dialect_whose_name_begins_like_anothers_has_its_own(sessions):
    one = await sessions.open(ACCOUNT, EPOCH, SessionSpec("kus"))
    other = await sessions.open(ACCOUNT, EPOCH, SessionSpec("kust"))
    assert one.token != other.token


async def test_accounts_do_not_share_sessions(sessions):
    mine = await sessions.open(ACCOUNT, EPOCH, KUST)
    theirs = await sessions.open(ACCOUNT + 1, EPOCH, KUST)
    assert mine.token != theirs.token
    assert (await read(sessions, theirs.token)).account_id == ACCOUNT + 1


async def test_there_may_be_any_number_of_access_sessions(sessions, redis_client):
    issued = [await sessions.open(ACCOUNT, EPOCH, ACCESS) for _ in range(5)]
    assert len({each.token for each in issued}) == 5
    assert [await token_problem(sessions, each.token) for each in issued] == [None] * 5
    assert names(redis_client) == {each.name for each in issued}


async def test_grants_that_reuse_nothing_open_one_more_and_later_ones_that_do_agree(
    sessions, redis_client
):
    """An option of DIALECTS chooses, and may be taken back while its sessions live."""
    another = replace(WICARE, reuse=False)
    issued = [await sessions.open(ACCOUNT, EPOCH, spec) for spec in (WICARE, another, another)]
    assert len({each.token for each in issued}) == 3
    assert [await token_problem(sessions, each.token) for each in issued] == [None] * 3
    again = {(await sessions.open(ACCOUNT, EPOCH, WICARE)).token for _ in range(4)}
    assert again == {issued[2].token}
    await sessions.end_older(ACCOUNT, EPOCH + 1)
    assert [await token_problem(sessions, each.token) for each in issued] == [
        TokenProblem.REVOKED
    ] * 3
    assert names(redis_client) == set()


async def test_twenty_servers_that_open_at_once_agree_on_one_session(connect, redis_client):
    """All write a record; one registers its own, and the others take theirs back."""
    async with connect() as one, connect() as other:
        servers = [one.sessions, other.sessions] * 10
        issued = await asyncio.gather(*(each.open(ACCOUNT, EPOCH, KUST) for each in servers))
    [name] = names(redis_client)
    assert {each.name for each in issued} == {name}
    assert sorted(redis_client.keys()) == sorted([named_key(name).encode(), b"sessions:7"])


async def test_a_closed_session_is_revoked_and_the_next_is_new(sessions, redis_client):
    first = await sessions.open(ACCOUNT, EPOCH, KUST)
    other = await sessions.open(ACCOUNT, EPOCH, WICARE)
    await sessions.end(await read(sessions, first.token))
    assert await token_problem(sessions, first.token) is TokenProblem.REVOKED
    assert await token_problem(sessions, other.token) is None
    assert names(redis_client) == {other.name}
    second = await sessions.open(ACCOUNT, EPOCH, KUST)
    assert second.token != first.token
    assert await token_problem(sessions, first.token) is TokenProblem.REVOKED


async def test_closing_a_session_that_has_run_out_makes_no_tombstone(sessions, redis_client):
    """Without a record there is no lifetime to keep, and `revoked` would never expire."""
    session = await read(sessions, (await sessions.open(ACCOUNT, EPOCH, KUST)).token)
    redis_client.delete(record_key(session.sid))
    await sessions.end(session)
    assert redis_client.keys() == []


async def test_closing_twice_leaves_the_session_opened_between(sessions):
    first = await sessions.open(ACCOUNT, EPOCH, KUST)
    session = await read(sessions, first.token)
    await sessions.end(session)
    second = await sessions.open(ACCOUNT, EPOCH, KUST)
    await sessions.end(session)
    assert await token_problem(sessions, second.token) is None
    assert (await sessions.open(ACCOUNT, EPOCH, KUST)).token == second.token


async def test_expired_revoked_and_forged_are_told_apart(connect, sessions, redis_client):
    expired = await sessions.open(ACCOUNT, EPOCH, ACCESS)
    closed = await sessions.open(ACCOUNT, EPOCH, KUST)
    await sessions.end(await read(sessions, closed.token))
    async with connect(secret_keys=("another key, of a server that is not this one",)) as another:
        forged = await another.sessions.open(ACCOUNT, EPOCH, WICARE)
    redis_client.pexpire(named_key(expired.name), 1)
    await asyncio.sleep(0.01)
    found = [await token_problem(sessions, each.token) for each in (expired, closed, forged)]
    assert found == [TokenProblem.EXPIRED, TokenProblem.REVOKED, TokenProblem.FORGED]


async def test_a_token_that_was_never_handed_out_is_expired_not_an_error(sessions, core):
    token = core.tokens.derive("00" * 10, core.tokens.signing_key)
    assert await token_problem(sessions, token) is TokenProblem.EXPIRED


@pytest.mark.parametrize("spec", [KUST, FRESH, REFRESH, ACCESS])
async def test_a_session_lives_for_the_lifetime_of_its_kind(sessions, redis_client, settings, spec):
    lifetime = settings.lifetimes[spec.kind]
    issued = await sessions.open(ACCOUNT, EPOCH, spec)
    assert redis_client.ttl(named_key(issued.name)) in about(lifetime)
    score = redis_client.zscore(set_key(ACCOUNT), issued.name)
    assert score == pytest.approx(time.time() + lifetime, abs=SLACK)
    assert issued.ends == pytest.approx(time.time() + lifetime, abs=SLACK)


async def test_the_set_outlives_every_session_it_names(sessions, redis_client, settings):
    """By a day; every register and every extension renews it."""
    longest = settings.lifetimes["refresh"] + DAY
    for spec in (ACCESS, KUST, KUST):
        redis_client.expire(set_key(ACCOUNT), 100)
        await sessions.open(ACCOUNT, EPOCH, spec)
        assert redis_client.ttl(set_key(ACCOUNT)) in about(longest)


async def test_a_tombstone_keeps_the_time_that_was_left(sessions, redis_client):
    issued = await sessions.open(ACCOUNT, EPOCH, KUST)
    redis_client.expire(named_key(issued.name), 5000)
    await sessions.end(await read(sessions, issued.token))
    assert redis_client.get(named_key(issued.name)) == REVOKED
    assert redis_client.ttl(named_key(issued.name)) in about(5000)


async def test_no_key_is_kept_for_ever(sessions, redis_client):
    issued = [await sessions.open(ACCOUNT, EPOCH, spec) for spec in [*SPECS, ACCESS]]
    await sessions.end(await read(sessions, issued[0].token))
    keys = redis_client.keys()
    assert len(keys) == len(issued) + 1
    assert all(redis_client.ttl(key) > 0 for key in keys)


@pytest.mark.parametrize("spec", [KUST, FRESH, REFRESH])
async def test_what_hands_a_token_out_again_extends_it(sessions, redis_client, settings, spec):
    issued = await sessions.open(ACCOUNT, EPOCH, spec)
    redis_client.expire(named_key(issued.name), 100)
    redis_client.zadd(set_key(ACCOUNT), {issued.name: time.time() + 100})
    await sessions.open(ACCOUNT, EPOCH, spec)
    lifetime = settings.lifetimes[spec.kind]
    assert redis_client.ttl(named_key(issued.name)) in about(lifetime)
    score = redis_client.zscore(set_key(ACCOUNT), issued.name)
    assert score == pytest.approx(time.time() + lifetime, abs=SLACK)


async def test_past_the_cap_those_that_end_first_are_ended(connect, redis_client):
    async with connect(sessions_per_account=3) as core:
        issued = [await core.sessions.open(ACCOUNT, EPOCH, ACCESS) for _ in range(5)]
        flaws = [await token_problem(core.sessions, each.token) for each in issued]
    assert flaws == [TokenProblem.REVOKED] * 2 + [None] * 3
    assert names(redis_client) == {each.name for each in issued[2:]}
    for each in issued[:2]:  # they are not kept, or an account's records would have no bound
        assert redis_client.ttl(named_key(each.name)) in about(SURPLUS_SECONDS)


async def test_the_cap_never_ends_the_new_session(connect, redis_client):
    """Even if it is itself the one that ends first."""
    async with connect(sessions_per_account=2) as core:
        sessions = core.sessions
        old = [await sessions.open(ACCOUNT, EPOCH, SessionSpec(name, "refresh")) for name in "abc"]
        new = await sessions.open(ACCOUNT, EPOCH, ACCESS)
        flaws = [await token_problem(sessions, each.token) for each in (*old, new)]
    assert flaws == [TokenProblem.REVOKED, TokenProblem.REVOKED, None, None]
    assert names(redis_client) == {old[2].name, new.name}


async def test_a_cap_that_was_lowered_ends_all_that_are_too_many(connect, redis_client):
    async with connect() as roomy:
        issued = [await roomy.sessions.open(ACCOUNT, EPOCH, ACCESS) for _ in range(6)]
    async with connect(sessions_per_account=2) as core:
        new = await core.sessions.open(ACCOUNT, EPOCH, KUST)
        flaws = [await token_problem(core.sessions, each.token) for each in issued]
    assert flaws == [TokenProblem.REVOKED] * 5 + [None]
    assert names(redis_client) == {issued[5].name, new.name}


# Extension by use


@pytest.fixture
def age(sessions, redis_client, settings) -> Callable[..., object]:
    """Open a session that was opened some part of its lifetime ago and ends in 100 seconds."""

    async def age(spec: SessionSpec = KUST, part: float = 0.02) -> Session:
        issued = await sessions.open(ACCOUNT, EPOCH, spec)
        session = await read(sessions, issued.token)
        ago = int(settings.lifetimes[spec.kind] * part)
        session = session._replace(opened=session.opened - ago)
        redis_client.set(record_key(session.sid), session.record(), ex=100)
        redis_client.zadd(set_key(ACCOUNT), {session.name: time.time() + 100})
        redis_client.expire(set_key(ACCOUNT), 200)
        return session

    return age


async def test_a_session_is_extended_by_use(sessions, redis_client, settings, age):
    """Its record, its score and the set that names it."""
    session = await age()
    sessions.renew(session)
    await sessions.close()
    lifetime = settings.lifetimes["token"]
    assert redis_client.ttl(record_key(session.sid)) in about(lifetime)
    score = redis_client.zscore(set_key(ACCOUNT), session.name)
    assert score == pytest.approx(time.time() + lifetime, abs=SLACK)
    assert redis_client.ttl(set_key(ACCOUNT)) in about(settings.lifetimes["refresh"] + DAY)


@pytest.mark.parametrize(
    ("spec", "part"), [(FRESH, 0.5), (REFRESH, 0.5), (ACCESS, 0.5), (KUST, 0.0), (KUST, 0.009)]
)
async def test_neither_other_kinds_nor_young_sessions_are_extended(
    sessions, redis_client, age, spec, part
):
    """Only `token`, and only after a hundredth of its lifetime: a busy client costs no writes."""
    session = await age(spec, part)
    sessions.renew(session)
    await sessions.close()
    assert redis_client.ttl(record_key(session.sid)) <= 100


async def test_a_session_is_extended_once_in_a_while(connect, sessions, redis_client, age):
    """As long as this process remembers it. Another process remembers separately."""
    session = await age()
    sessions.renew(session)
    await sessions.close()
    redis_client.expire(record_key(session.sid), 100)
    sessions.renew(session)
    await sessions.close()
    assert redis_client.ttl(record_key(session.sid)) <= 100
    async with connect() as another:
        another.sessions.renew(session)
    assert redis_client.ttl(record_key(session.sid)) > 100


async def test_more_sessions_than_one_batch_are_all_extended(sessions, redis_client, age):
    session = await age()
    used = [session._replace(sid=f"{number:020x}") for number in range(600)]
    for each in used:
        redis_client.set(record_key(each.sid), each.record(), ex=100)
        sessions.renew(each)
    await sessions.close()
    assert all(redis_client.ttl(record_key(each.sid)) > 100 for each in used)


async def test_sessions_that_cannot_be_renewed_are_logged_and_given_up(core, settings, age, caplog):
    """Nothing waits for Redis to come back; the next use is written by itself."""
    session = await age()
    nowhere = await connect_redis("unix:///nonexistent", 1, 1.0, at_once=False)
    sessions = Sessions(nowhere, core.tokens, settings.lifetimes, 10)
    for count in (300, 1):  # more than one batch
        for number in range(count):
            sessions.renew(session._replace(sid=f"{count:010x}{number:010x}"))
        await sessions.close()
    counted = [each.partition(":")[0] for each in caplog.messages]
    assert counted == ["300 sessions were not renewed", "1 sessions were not renewed"]


async def test_a_session_closed_between_use_and_extension_stays_closed(sessions, redis_client, age):
    """The race of a logout with a request in flight: an extension creates and revives nothing."""
    session = await age()
    sessions.renew(session)
    await sessions.end(session)
    await sessions.close()
    assert redis_client.get(record_key(session.sid)) == REVOKED
    assert names(redis_client) == set()


async def test_an_extension_makes_no_key(sessions, redis_client, age):
    session = await age()
    sessions.renew(session)
    redis_client.flushdb()
    await sessions.close()
    assert redis_client.keys() == []


# Secret keys


async def test_a_login_derives_the_same_token_while_its_key_is_listed(connect, sessions, settings):
    [old] = settings.secret_keys
    before = await sessions.open(ACCOUNT, EPOCH, KUST)
    async with connect(secret_keys=("a new key, that signs from now on", old)) as rotated:
        assert (await rotated.sessions.open(ACCOUNT, EPOCH, KUST)).token == before.token
        other = await rotated.sessions.open(ACCOUNT, EPOCH, WICARE)
        assert await token_problem(rotated.sessions, before.token) is None
    assert await token_problem(sessions, other.token) is TokenProblem.FORGED


async def test_a_session_whose_key_is_no_longer_listed_is_ended(connect, sessions):
    """For good: the key may be listed again one day."""
    before = await sessions.open(ACCOUNT, EPOCH, KUST)
    async with connect(secret_keys=("a new key, after the old one leaked",)) as rotated:
        after = await rotated.sessions.open(ACCOUNT, EPOCH, KUST)
        assert after.name != before.name
        assert await token_problem(rotated.sessions, after.token) is None
        assert await token_problem(rotated.sessions, before.token) is TokenProblem.FORGED
    assert await token_problem(sessions, before.token) is TokenProblem.REVOKED


# Epochs


async def test_end_older_ends_what_is_older_and_nothing_else(sessions, redis_client):
    old = [await sessions.open(ACCOUNT, EPOCH - 1, spec) for spec in (KUST, FRESH, ACCESS)]
    present = await sessions.open(ACCOUNT, EPOCH, WICARE)
    newer = await sessions.open(ACCOUNT, EPOCH + 1, REFRESH)
    others = await sessions.open(ACCOUNT + 1, EPOCH - 1, KUST)
    await sessions.end_older(ACCOUNT, EPOCH)
    assert [await token_problem(sessions, each.token) for each in old] == [TokenProblem.REVOKED] * 3
    for each in (present, newer, others):
        assert await token_problem(sessions, each.token) is None
    assert names(redis_client) == {present.name, newer.name}


async def test_end_older_takes_dead_names_out(sessions, redis_client):
    gone = await sessions.open(ACCOUNT, EPOCH, KUST)
    revoked = await sessions.open(ACCOUNT, EPOCH, WICARE)
    redis_client.delete(named_key(gone.name))
    redis_client.set(named_key(revoked.name), REVOKED)
    await sessions.end_older(ACCOUNT, EPOCH)
    assert names(redis_client) == set()


async def test_end_older_of_an_account_without_sessions_is_nothing(sessions, redis_client):
    await sessions.end_older(ACCOUNT, EPOCH)
    assert redis_client.keys() == []


async def test_a_session_of_an_older_epoch_is_not_handed_out(sessions, redis_client):
    old = await sessions.open(ACCOUNT, EPOCH - 1, KUST)
    new = await sessions.open(ACCOUNT, EPOCH, KUST)
    assert new.token != old.token
    assert (await read(sessions, new.token)).epoch == EPOCH
    assert names(redis_client) == {new.name}


async def test_a_session_of_a_newer_epoch_makes_an_older_login_stale(sessions, redis_client):
    """A login that was overtaken by an `end all` must not end what was opened after it."""
    newer = await sessions.open(ACCOUNT, EPOCH + 5, KUST)
    with pytest.raises(StaleEpoch) as raised:
        await sessions.open(ACCOUNT, EPOCH, KUST)
    assert raised.value.epoch == EPOCH + 5
    assert await token_problem(sessions, newer.token) is None
    assert names(redis_client) == {newer.name}
    assert len(redis_client.keys()) == 2


async def test_a_postgresql_that_was_set_back_takes_the_newer_session_out(sessions, redis_client):
    newer = await sessions.open(ACCOUNT, EPOCH + 5, KUST)
    issued = await sessions.open(ACCOUNT, EPOCH, KUST, database_restored=True)
    assert issued.token != newer.token
    assert (await read(sessions, issued.token)).epoch == EPOCH
    assert names(redis_client) == {issued.name}


# Crashes between two writes: the state that one leaves, written by hand


@pytest.mark.parametrize("state", [REVOKED, None])
async def test_a_dead_name_is_dropped_by_the_next_open(sessions, redis_client, state):
    """As after a close that revoked the record and died, or a record that ran out by itself."""
    dead = await sessions.open(ACCOUNT, EPOCH, KUST)
    if state:
        redis_client.set(named_key(dead.name), state, keepttl=True)
    else:
        redis_client.delete(named_key(dead.name))
    issued = await sessions.open(ACCOUNT, EPOCH, KUST)
    assert issued.token != dead.token
    assert names(redis_client) == {issued.name}
    assert await token_problem(sessions, issued.token) is None


async def test_a_record_that_was_never_registered_is_not_handed_out(sessions, redis_client):
    """As after an open that wrote its record and died."""
    lost = await sessions.open(ACCOUNT, EPOCH, KUST)
    redis_client.zrem(set_key(ACCOUNT), lost.name)
    assert (await sessions.open(ACCOUNT, EPOCH, KUST)).token != lost.token


async def test_a_session_is_over_before_its_name_is_taken_out(sessions, monkeypatch):
    """In the other order, a crash in between would leave a live session without a name."""
    issued = await sessions.open(ACCOUNT, EPOCH, KUST)

    async def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sessions, "_take_out", crash)
    with pytest.raises(KeyboardInterrupt):
        await sessions.end(await read(sessions, issued.token))
    assert await token_problem(sessions, issued.token) is TokenProblem.REVOKED


async def test_an_unknown_outcome_of_the_registration_deletes_nothing(
    sessions, redis_client, monkeypatch
):
    """Redis may have executed it, and another login may have returned that session since."""
    register = sessions._register

    async def lose_the_answer(*parts: object) -> None:
        await register(*parts)
        raise Unavailable("redis", "no reply in time")

    with monkeypatch.context() as patch:
        patch.setattr(sessions, "_register", lose_the_answer)
        with pytest.raises(Unavailable):
            await sessions.open(ACCOUNT, EPOCH, KUST)
    [name] = names(redis_client)
    assert (await sessions.open(ACCOUNT, EPOCH, KUST)).name == name


async def test_a_discarded_session_leaves_nothing(sessions, redis_client):
    issued: IssuedToken = await sessions.open(ACCOUNT, EPOCH, KUST)
    await sessions.discard(ACCOUNT, issued)
    assert redis_client.keys() == []
