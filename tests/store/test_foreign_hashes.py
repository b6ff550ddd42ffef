"""Accounts with hashes of other applications: their passwords stay, and so do their sessions."""

import asyncio

import pytest
from werkzeug.security import generate_password_hash

from store.account import Login, NewAccount
from store.errors import BadCredentials, Busy
from store.foreign_hashes import is_native
from store.session_record import SessionSpec

KIM, KIMS = NewAccount("kim", "kim@example.com"), Login("kim")
PASSWORD = "correct horse"
SPEC = SessionSpec("lumotist")
FOREIGN = generate_password_hash(PASSWORD, "pbkdf2:sha256:1000")


@pytest.fixture
async def kim(core, database):
    """An account that came with its hash."""
    account, _ = await core.access.register(KIM, PASSWORD)
    keep(database, FOREIGN)
    return account


def keep(database, hash):
    with database.cursor() as cursor:
        cursor.execute("update account set password = %s", (hash,))


def kept(database):
    with database.cursor() as cursor:
        cursor.execute("select password, session_epoch from account")
        [row] = cursor.fetchall()
        return row


async def log_in(core, password=PASSWORD):
    _, [opened] = await core.access.log_in(KIMS, password, [SPEC])
    return opened.token


async def test_the_first_login_makes_the_hash_ours_and_ends_no_session(core, kim, database):
    token = await log_in(core)
    hash, epoch = kept(database)
    assert is_native(hash, 4)
    assert epoch == kim.epoch
    assert (await core.access.authenticate(token)).account.id == kim.id
    assert await log_in(core) == token
    assert kept(database) == (hash, epoch)


async def test_a_wrong_password_changes_nothing(core, kim, database):
    with pytest.raises(BadCredentials):
        await log_in(core, "wrong")
    assert kept(database)[0] == FOREIGN


async def test_one_of_ours_at_another_cost_is_made_anew(connect, kim, database):
    async with connect(bcrypt_rounds=5) as other:
        await log_in(other)
        assert is_native(kept(database)[0], 5)
    async with connect() as one:
        await log_in(one)
        assert is_native(kept(database)[0], 4)


async def test_twenty_first_logins_at_once(core, kim, database):
    """Some verify the foreign hash, some what another made of it; all get the one token."""
    tokens = await asyncio.gather(*(log_in(core) for _ in range(20)))
    assert len(set(tokens)) == 1
    assert is_native(kept(database)[0], 4)


async def test_a_login_is_good_though_its_hash_can_not_be_made_now(
    core, kim, database, monkeypatch
):
    async def refuse(*given):
        raise Busy(1.0)

    monkeypatch.setattr(core.passwords, "hash", refuse)
    assert await core.access.authenticate(await log_in(core))
    assert kept(database)[0] == FOREIGN


async def test_a_password_that_was_changed_concurrently_stays_changed(
    core, kim, database, monkeypatch
):
    real = core.passwords.hash

    async def change_first(*given):
        keep(database, "another one's")
        return await real(*given)

    monkeypatch.setattr(core.passwords, "hash", change_first)
    await log_in(core)
    assert kept(database)[0] == "another one's"


@pytest.mark.parametrize("hash", ["!" + "x" * 40, "plain text", ""])
async def test_no_login_succeeds_where_no_password_can_be_right(core, kim, database, hash):
    keep(database, hash)
    for password in ("", "!", PASSWORD, hash):
        with pytest.raises(BadCredentials):
            await log_in(core, password)
