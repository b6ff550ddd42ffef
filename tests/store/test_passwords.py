import asyncio
import hashlib
import time
from collections.abc import Iterator

import bcrypt
import pytest

from store.errors import Busy, Unstorable
from store.passwords import MAX_COMPOSED, Match, Passwords

ROUNDS = 4
LONG = "x" * 9_999


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    passwords = Passwords(ROUNDS, threads=1, max_wait=1000)
    yield passwords
    passwords.close()


@pytest.mark.parametrize(
    "password",
    ["correct horse", "", " ", "\0", "a\0b", "\U0001f511", "пароль", "x" * 72, LONG, "\r\n"],
)
async def test_a_password_may_hold_any_character_and_have_any_length(passwords, password):
    kept = await passwords.hash(password)
    assert await passwords.verify(password, kept)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LONG + "a", LONG + "b"),
        ("a\0b", "a\0c"),
        ("a\0", "a"),
        ("\0", ""),
        ("\U0001f511", "\U0001f512"),
        ("password", "Password"),
        ("password", "password "),
    ],
)
async def test_passwords_differ_in_every_character(passwords, one, other):
    """Behind bcrypt's 72 bytes, behind a NUL, in case and in form."""
    assert not await passwords.verify(other, await passwords.hash(one))


async def test_half_a_character_is_no_password(passwords):
    for attempt in (passwords.hash("\ud83d"), passwords.verify("\ud83d", None)):
        with pytest.raises(Unstorable) as raised:
            await attempt
        assert raised.value.field == "password"


async def test_what_is_kept_is_djangos_bcrypt_sha256(passwords):
    """A prefix, and plain bcrypt of the hex SHA-256, at the cost that was asked for."""
    prefix, plain = (await passwords.hash("pässword")).split("$", 1)
    assert prefix == "bcrypt_sha256"
    assert plain.startswith(f"$2b${ROUNDS:02}$")
    digest = hashlib.sha256("pässword".encode()).hexdigest().encode()
    assert bcrypt.checkpw(digest, plain.encode())


async def test_an_account_from_django_keeps_its_password(passwords):
    digest = hashlib.sha256(b"correct horse").hexdigest().encode()
    kept = "bcrypt_sha256$" + bcrypt.hashpw(digest, bcrypt.gensalt(5)).decode()
    assert await passwords.verify("correct horse", kept)
    assert not await passwords.verify("wrong horse", kept)


async def test_one_password_is_kept_differently_each_time(passwords):
    assert await passwords.hash("same") != await passwords.hash("same")


async def test_a_missing_hash_costs_one_bcrypt_and_never_matches(passwords, monkeypatch):
    """At the same cost as any hash: the time must not disclose that there is no account."""
    asked = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda _, kept: asked.append(kept) or True)
    assert await passwords.verify("anything", None) is Match.NO
    [kept] = asked
    assert kept.startswith(b"$2b$%02d$" % ROUNDS)
    assert len(kept) == 60


async def test_the_dummy_hash_is_one_that_bcrypt_takes(passwords):
    assert await passwords.verify("", None) is Match.NO


async def test_a_call_that_would_wait_too_long_is_busy_at_once(monkeypatch):
    """Before any work is done for it."""
    hashed = []
    monkeypatch.setattr(bcrypt, "hashpw", lambda digest, salt: hashed.append(digest) or b"hash")
    passwords = Passwords(ROUNDS, threads=1, max_wait=0.0)
    attempts = (passwords.hash(each) for each in "abc")
    kept, *refused = await asyncio.gather(*attempts, return_exceptions=True)
    assert kept == "bcrypt_sha256$hash"
    assert [type(each) for each in refused] == [Busy, Busy]
    assert len(hashed) == 1
    passwords.close()


NFC, NFD = "Jos\u00e9 correct", "Jose\u0301 correct"


async def test_a_password_is_the_same_in_every_form_of_unicode(passwords):
    """Another keyboard sends the same letters as other characters."""
    for made in (NFC, NFD):
        kept = await passwords.hash(made)
        for typed in (NFC, NFD):
            assert await passwords.verify(typed, kept) is Match.YES
        assert await passwords.verify("Jose correct", kept) is Match.NO


async def test_an_older_hash_of_the_form_that_was_typed_still_counts(passwords):
    """It is outdated: made again, it is right for both."""
    digest = hashlib.sha256(NFD.encode()).hexdigest().encode()
    older = "bcrypt_sha256$" + bcrypt.hashpw(digest, bcrypt.gensalt(ROUNDS)).decode()
    foreign = bcrypt.hashpw(NFD.encode(), bcrypt.gensalt(ROUNDS)).decode()
    for kept in (older, foreign):
        assert await passwords.verify(NFD, kept) is Match.OUTDATED
        assert await passwords.verify(NFC, kept) is Match.NO


@pytest.mark.parametrize(("typed", "checks"), [(NFC, 1), (NFD, 2), ("plain", 1)])
async def test_a_refusal_costs_the_same_with_an_account_and_without(
    passwords, monkeypatch, typed, checks
):
    """One bcrypt; two for a password that is not in NFC."""
    kept = [await passwords.hash("another"), None]
    asked = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda *given: asked.append(given))
    for each in kept:
        asked.clear()
        assert not await passwords.verify(typed, each)
        assert len(asked) == checks


async def test_bringing_a_password_into_nfc_takes_no_time(passwords):
    """A longer one is not normalized: NFC takes time that is quadratic in combining marks."""
    worst = "a" + "\u0315\u0300" * ((MAX_COMPOSED - 1) // 2)
    begun = time.thread_time()
    kept = await passwords.hash(worst)
    endless = "a" + "\u0315\u0300" * 200_000
    kept_endless = await passwords.hash(endless)
    assert time.thread_time() - begun < 0.025
    assert await passwords.verify(worst, kept)
    assert await passwords.verify(endless, kept_endless)


async def test_changes_of_one_password_wait_for_each_other_only_so_long():
    passwords = Passwords(ROUNDS, threads=1, max_wait=0.05)
    try:
        async with passwords.one_at_a_time(1), passwords.one_at_a_time(2):
            with pytest.raises(Busy):
                async with passwords.one_at_a_time(1):
                    pytest.fail("two at once")
        async with passwords.one_at_a_time(1):
            pass
    finally:
        passwords.close()
