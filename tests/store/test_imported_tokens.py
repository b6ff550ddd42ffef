"""Tokens that another application made: good until they are ended, and never handed out."""

import hashlib
import secrets
import time

import pytest

from store.account import Login, NewAccount
from store.errors import BadToken, TokenProblem
from store.imported_tokens import Imported, digest_of, import_tokens, sid_of
from store.session_record import SessionSpec, record_key, set_key
from store.sessions import DAY, Sessions

KIM, KIMS, PASSWORD = NewAccount("kim", "kim@example.com"), Login("kim"), "pw"
SPEC, LIFETIME = SessionSpec("lumotist"), 1000


@pytest.fixture
def token():
    return secrets.token_hex(20)


@pytest.fixture
async def access(core, settings):
    """A server that looks imported tokens up."""
    sessions = Sessions(core.redis, core.tokens, settings.lifetimes, 10, imported_tokens=True)
    core.access._sessions = core.access._authentication._sessions = sessions
    yield core.access
    await sessions.close()


@pytest.fixture
async def kim(core):
    account, _ = await core.access.register(KIM, PASSWORD)
    return account


async def take(core, account, token):
    entry = Imported(digest_of(token), account.id, account.epoch)
    return await import_tokens(core.redis, "lumotist", [entry], LIFETIME, LIFETIME + DAY)


async def token_problem(access, token):
    try:
        await access.authenticate(token)
    except BadToken as refused:
        return refused.problem
    return None


async def test_it_stands_for_its_account(core, access, kim, token):
    assert await token_problem(access, token) == TokenProblem.FORGED
    assert await take(core, kim, token) == [True]
    caller = await access.authenticate(token)
    assert caller.account.id == kim.id
    assert (caller.session.dialect, caller.session.kind) == ("lumotist", "imported")


async def test_redis_holds_no_such_token(core, access, kim, token, redis_client):
    await take(core, kim, token)
    sid = hashlib.sha256(token.encode()).hexdigest()
    [name] = redis_client.zrange(set_key(kim.id), 0, -1)
    assert name.decode() == f"lumotist:imported:{sid}"
    assert token not in redis_client.get(record_key(sid)).decode()
    assert 0 < redis_client.ttl(record_key(sid)) <= LIFETIME
    assert redis_client.ttl(set_key(kim.id)) > LIFETIME


async def test_a_login_opens_a_separate_session(core, access, kim, token):
    await take(core, kim, token)
    _, [opened] = await access.log_in(KIMS, PASSWORD, [SPEC])
    assert opened.token != token
    assert await token_problem(access, token) is None
    assert await token_problem(access, opened.token) is None


async def test_a_logout_ends_it_and_no_other(core, access, kim, token, redis_client):
    other = secrets.token_hex(20)
    await take(core, kim, token)
    await take(core, kim, other)
    await access.log_out(await access.authenticate(token))
    assert [await token_problem(access, each) for each in (token, other)] == [
        TokenProblem.REVOKED,
        None,
    ]
    assert redis_client.zcard(set_key(kim.id)) == 1


async def test_the_epoch_ends_it(core, access, kim, token):
    await take(core, kim, token)
    await core.admin.end_all(kim.id)
    assert await token_problem(access, token) == TokenProblem.REVOKED


async def test_one_of_an_older_epoch_is_never_live(core, access, kim, token):
    """An end of all sessions also ends those of tokens that are imported later."""
    await core.accounts.raise_epoch(kim.id)
    await take(core, kim, token)
    assert await token_problem(access, token) == TokenProblem.REVOKED


async def test_it_may_be_imported_again_and_what_was_ended_stays_ended(core, access, kim, token):
    other = secrets.token_hex(20)
    await take(core, kim, token)
    await take(core, kim, other)
    await access.log_out(await access.authenticate(token))
    entries = [Imported(digest_of(each), kim.id, kim.epoch) for each in (token, other)]
    assert await import_tokens(core.redis, "lumotist", entries, LIFETIME, LIFETIME + DAY) == [
        False,
        True,
    ]
    assert [await token_problem(access, each) for each in (token, other)] == [
        TokenProblem.REVOKED,
        None,
    ]


async def test_use_extends_it(core, access, kim, token, redis_client, monkeypatch):
    await take(core, kim, token)
    key = record_key(hashlib.sha256(token.encode()).hexdigest())
    later = time.time() + DAY
    monkeypatch.setattr("store.sessions.time.time", lambda: later)
    await access.authenticate(token)
    await access._sessions.close()
    assert redis_client.ttl(key) > LIFETIME


async def test_off_it_is_not_a_token_and_nothing_is_looked_up(core, kim, token, redis_client):
    await take(core, kim, token)
    before = redis_client.info()["total_commands_processed"]
    assert await token_problem(core.access, token) == TokenProblem.FORGED
    assert redis_client.info()["total_commands_processed"] == before + 1


@pytest.mark.parametrize(
    "junk", ["", "x", "A" * 40, "0" * 39, "0" * 41, "0" * 63, "0" * 128, "é" * 40]
)
async def test_what_can_be_no_such_token_is_not_looked_up(core, access, redis_client, junk):
    before = redis_client.info()["total_commands_processed"]
    assert await token_problem(access, junk) == TokenProblem.FORGED
    assert redis_client.info()["total_commands_processed"] == before + 1


@pytest.fixture
def of_knox():
    return secrets.token_hex(32)


async def take_knox(core, account, token, seconds):
    digest = hashlib.sha512(token.encode()).hexdigest()  # all that knox has kept of it
    entry = Imported(sid_of(digest), account.id, account.epoch, time.time() + seconds)
    return await import_tokens(core.redis, "knox", [entry], LIFETIME, LIFETIME + DAY)


async def test_a_token_of_knox_stands_for_its_account_by_its_digest(core, access, kim, of_knox):
    assert await token_problem(access, of_knox) == TokenProblem.FORGED
    assert await take_knox(core, kim, of_knox, 60) == [True]
    caller = await access.authenticate(of_knox)
    assert caller.account.id == kim.id
    assert (caller.session.dialect, caller.session.kind) == ("knox", "imported-fixed")
    await access.log_out(caller)
    assert await token_problem(access, of_knox) == TokenProblem.REVOKED
    assert await take_knox(core, kim, of_knox, 60) == [False]


async def test_a_digest_is_not_a_token(core, access, kim, of_knox):
    """A copy of knox's table has no token in it."""
    await take_knox(core, kim, of_knox, 60)
    digest = hashlib.sha512(of_knox.encode()).hexdigest()
    assert await token_problem(access, digest) == TokenProblem.FORGED


async def test_no_use_moves_the_end_of_a_token_of_knox(
    core, access, kim, of_knox, redis_client, monkeypatch
):
    await take_knox(core, kim, of_knox, 60)
    key = record_key(sid_of(hashlib.sha512(of_knox.encode()).hexdigest()))
    [(session, ends)] = await access._sessions.list_by_account(kim.id)
    assert access._sessions.last_used(session, ends) == session.opened
    later = time.time() + DAY
    monkeypatch.setattr("store.session_renewal.time.time", lambda: later)
    await access.authenticate(of_knox)
    await access._sessions.close()
    assert 0 < redis_client.ttl(key) <= 60


async def test_the_end_is_bounded_by_that_of_the_accounts_set(
    core, access, kim, of_knox, redis_client
):
    await take_knox(core, kim, of_knox, 30 * DAY)
    key = record_key(digest_of(of_knox))
    assert LIFETIME < redis_client.ttl(key) <= redis_client.ttl(set_key(kim.id)) <= LIFETIME + DAY


async def test_a_login_after_a_change_of_keys_leaves_it(core, access, kim, of_knox, token):
    await take_knox(core, kim, of_knox, 60)
    await take(core, kim, token)
    await core.sessions.end_unknown(kim.id)
    assert [await token_problem(access, each) for each in (of_knox, token)] == [None, None]
