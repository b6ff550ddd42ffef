"""Hashes that Django, werkzeug and bcrypt make are verified, and invalid ones are reported."""

import hashlib
import time

import bcrypt
import pytest
from argon2 import PasswordHasher
from django.contrib.auth import hashers
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.security import generate_password_hash

from store.errors import Unstorable
from store.foreign_hashes import NATIVE, digest, is_native, is_usable, reader_of
from store.passwords import Match, Passwords
from tests import django_settings  # noqa: F401  # configures Django

RIGHT = "pässword 🔑"
LONG = "x" * 72


def by_django(algorithm, **cost):
    """Let Django make one, cheaper than its defaults where it takes an argument for that."""
    hasher = hashers.get_hasher(algorithm)
    hasher.rounds = 4
    return hasher.encode(RIGHT, hasher.salt(), **cost)


def bare(version, password=RIGHT, rounds=4):
    made = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()
    return made.replace("$2b$", f"${version}$", 1)


MADE = {
    "Django's pbkdf2_sha256": lambda: by_django("pbkdf2_sha256", iterations=1000),
    "Django's pbkdf2_sha1": lambda: by_django("pbkdf2_sha1", iterations=1000),
    "Django's argon2": lambda: by_django("argon2"),
    "Django's bcrypt_sha256": lambda: by_django("bcrypt_sha256"),
    "Django's bcrypt": lambda: by_django("bcrypt"),
    "Django's scrypt": lambda: by_django("scrypt", n=1024),
    "werkzeug's scrypt": lambda: generate_password_hash(RIGHT),
    "werkzeug's scrypt, smaller": lambda: generate_password_hash(RIGHT, "scrypt:1024:16:2"),
    "werkzeug's pbkdf2": lambda: generate_password_hash(RIGHT, "pbkdf2:sha256:1000"),
    "werkzeug's pbkdf2, sha1": lambda: generate_password_hash(RIGHT, "pbkdf2:sha1:1000"),
    "werkzeug's pbkdf2, sha512": lambda: generate_password_hash(RIGHT, "pbkdf2:sha512:1000"),
    **{f"${version}$": lambda version=version: bare(version) for version in ("2a", "2b", "2y")},
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_what_others_made_is_verified(make):
    check = reader_of(make())
    assert check(RIGHT.encode())
    for wrong in (RIGHT + "x", RIGHT[:-1], ""):
        assert not check(wrong.encode())


def test_django_itself_takes_what_we_make():
    """For rolling back: the hashes made here are in a format of Django's."""
    assert is_native(by_django("bcrypt_sha256"), 4)
    own = NATIVE + bcrypt.hashpw(digest(RIGHT.encode()), bcrypt.gensalt(4)).decode()
    assert hashers.check_password(RIGHT, own)


@pytest.mark.parametrize("hash", ["bcrypt", "bare"])
def test_bcrypt_alone_reads_72_bytes_as_it_did(hash):
    """Who had a longer password logged in with its beginning, and must go on to."""
    kept = "bcrypt$" + bare("2b", LONG) if hash == "bcrypt" else bare("2b", LONG)
    check = reader_of(kept)
    assert check(LONG.encode())
    assert check((LONG + " and more").encode())
    assert not check(LONG[:-1].encode())


def test_no_password_matches_an_unusable_hash():
    for hash in (hashers.make_password(None), "!", "!!", "!" + bare("2b")):
        assert not is_usable(hash)
        assert not reader_of(hash)(b"")
        assert not reader_of(hash)(hash.encode())


GOOD = {
    "pbkdf2_sha256": "pbkdf2_sha256$1000$salt$" + "A" * 43 + "=",
    "werkzeug": "scrypt:32768:8:1$salt$" + "0" * 128,
    "argon2": "argon2" + PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x"),
    "bcrypt": bare("2b"),
}
BAD = {
    "nothing": "",
    "plain text": "hunter2",
    "a name and no more": "pbkdf2_sha256$",
    "md5": "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
    "sha1": "sha1$salt$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
    "crypt": "$6$rounds=5000$salt$hash",
    "phpass": "$P$BIRXVj/ZG0YRiBH8gnRy0x72p5RQn0",
    "cut off": GOOD["pbkdf2_sha256"][:-4],
    "no base64": GOOD["pbkdf2_sha256"].replace("A", "é"),
    "no number": GOOD["pbkdf2_sha256"].replace("1000", "many"),
    "no work": GOOD["pbkdf2_sha256"].replace("1000", "0"),
    "too much work": GOOD["pbkdf2_sha256"].replace("1000", "99999999999"),
    "another digest": "pbkdf2:md5:1000$salt$" + "0" * 32,
    "too much memory": GOOD["werkzeug"].replace("32768", str(2**30)),
    "no power of two": GOOD["werkzeug"].replace("32768", "32767"),
    "no hex": GOOD["werkzeug"].replace("0", "z"),
    "argon2 cut off": GOOD["argon2"][:30],
    "argon2 with too much memory": GOOD["argon2"].replace("m=8,", "m=99999999,"),
    "argon2 with too many passes": GOOD["argon2"].replace("t=1,", "t=4294967295,"),
    "argon2 with too many threads": GOOD["argon2"].replace("m=8,t=1,p=1", "m=800000,t=1,p=100000"),
    "argon2 with a negative cost": GOOD["argon2"].replace("t=1,", "t=-1,"),
    "argon2 that is not ASCII": GOOD["argon2"][:-1] + "é",
    "bcrypt cut off": GOOD["bcrypt"][:-1],
    "bcrypt that takes a year": GOOD["bcrypt"].replace("$04$", "$31$"),
    "bcrypt that takes minutes": GOOD["bcrypt"].replace("$04$", "$19$"),
    "bcrypt with a salt that is too long": "$2b$04$" + "A" * 53,
    "scrypt that OpenSSL does not compute": "scrypt:65536:1:1$salt$" + "0" * 128,
    "bcrypt of another version": GOOD["bcrypt"].replace("$2b$", "$2x$"),
    "ours, damaged": "bcrypt_sha256$$2b$12$short",
}


@pytest.mark.parametrize("hash", GOOD.values(), ids=GOOD)
def test_these_are_read(hash):
    reader_of(hash)


@pytest.mark.parametrize("cost", [(2, 1, 1), (2, 4096, 1), (2, 1, 4096), (2**15, 1, 1), (4, 8, 3)])
def test_a_scrypt_of_any_shape_is_computed(cost):
    """OpenSSL refuses to compute one with more memory than it is allowed."""
    n, r, p = cost
    salt, secret = "salt", RIGHT.encode()
    made = hashlib.scrypt(secret, salt=salt.encode(), n=n, r=r, p=p, maxmem=2**26).hex()
    check = reader_of(f"scrypt:{n}:{r}:{p}${salt}${made}")
    assert check(secret)
    assert not check(b"wrong")


PIECES = st.sampled_from([*"-+_$:,=.!AOeué\0٣", ""])
"""No digits, which would make it expensive."""
READ = [
    *GOOD.values(),
    "pbkdf2_sha256$10$salt$" + "A" * 43 + "=",
    "scrypt$16$salt$8$1$" + "A" * 86 + "==",
    "scrypt:16:8:1$salt$" + "0" * 128,
]


@given(st.data())
def test_a_hash_that_is_read_can_be_verified(data):
    """Whatever its damage: a login with it is refused, and never an error of the server."""
    hash = data.draw(st.sampled_from(READ))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(hash)))
        end = place + data.draw(st.integers(0, 2))
        hash = hash[:place] + data.draw(PIECES) + hash[end:]
    try:
        check = reader_of(hash)
    except ValueError:
        return
    assert check(b"wrong") is False


@pytest.mark.parametrize("hash", BAD.values(), ids=BAD)
def test_what_can_not_be_verified_is_told_and_not_shown(hash):
    with pytest.raises(ValueError, match="it") as caught:
        reader_of(hash)
    assert len(hash) < 4 or hash not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.fixture
def passwords():
    made = Passwords(4, 1, 1000)
    yield made
    made.close()


@pytest.mark.parametrize("hash", ["!", None], ids=["unusable", "nobody"])
async def test_a_hash_that_no_password_matches_costs_one_bcrypt(passwords, monkeypatch, hash):
    done = []
    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *args: done.append(1) or real(*args))
    assert not await passwords.verify(RIGHT, hash)
    assert done == [1]


async def test_half_a_character_matches_no_hash(passwords):
    with pytest.raises(Unstorable):
        await passwords.verify("\ud83d", GOOD["bcrypt"])


async def test_what_is_outdated(passwords):
    made = await passwords.hash(RIGHT)
    assert await passwords.verify(RIGHT, made) is Match.YES
    other = Passwords(5, 1, 1000)
    kept = [await other.hash(RIGHT), *(make() for make in MADE.values())]
    kept = [each for each in kept if not is_native(each, 4)]
    assert len(kept) >= len(MADE)
    assert {await passwords.verify(RIGHT, each) for each in kept} == {Match.OUTDATED}
    assert await passwords.verify(RIGHT + "x", kept[0]) is Match.NO
    other.close()


KEPT = {
    "nobody": None,
    "ours": NATIVE + bare("2b", rounds=6),
    "ours, of a lower cost": NATIVE + bare("2b", rounds=4),
    "Django's bcrypt": "bcrypt$" + bare("2b", rounds=6),
    "bcrypt of a lower cost": bare("2a", rounds=5),
    "unusable": "!" + "x" * 40,
    "damaged": "bcrypt$$2b$12$short",
}


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("password", [RIGHT + "x", "a\0", "", "\0", "x" * 99])
async def test_a_refusal_does_the_same_work_whatever_is_kept(monkeypatch, kept, password):
    """Counted in bcrypt's iterations, two to the power of each cost."""
    done, real = [], bcrypt.checkpw
    monkeypatch.setattr(
        bcrypt, "checkpw", lambda *given: done.append(given[1].split(b"$")[2]) or real(*given)
    )
    passwords = Passwords(6, 1, 1000)
    assert not await passwords.verify(password, kept)
    assert sum(2 ** int(cost) for cost in done) == 64
    passwords.close()


@pytest.mark.parametrize(
    ("spent", "made_up"),
    [(0.0, 2**10), (0.004, 2**10), (0.25, 768), (0.5, 512), (0.9, 96), (0.999, 0), (7.0, 0)],
)
async def test_a_cheaper_foreign_check_is_made_up_for(monkeypatch, spent, made_up):
    """In units of the cheapest bcrypt: `spent` is the part of a full one that it took."""
    done = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda _, kept: done.append(kept.split(b"$")[2]))
    passwords = Passwords(10, 1, 1000)
    passwords._seconds = 1.0
    clock = iter([0.0, spent])
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))
    assert not await passwords.verify("wrong", GOOD["pbkdf2_sha256"])
    assert sum(2 ** int(cost) for cost in done) == made_up
    passwords.close()
