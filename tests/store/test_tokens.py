import hashlib
import hmac

import pytest

from store import tokens as module
from store.tokens import Tokens

OLD, NEW, OTHERS = b"old " * 8, b"new " * 8, b"else" * 8
SIZES = pytest.mark.parametrize("size", [10, 16])


def mint(tokens: Tokens, size: int = 10) -> str:
    return tokens.derive(tokens.new_sid(size), tokens.signing_key)


@SIZES
def test_a_token_is_its_session_id_and_as_long_a_mac(size):
    tokens = Tokens([OLD])
    sid = tokens.new_sid(size)
    mac = hmac.new(OLD, bytes.fromhex(sid), hashlib.sha256).hexdigest()
    token = tokens.derive(sid, tokens.signing_key)
    assert token == sid + mac[: 2 * size]
    assert len(token) == 4 * size
    assert tokens.sid_of(token) == sid


@SIZES
def test_a_token_with_one_digit_changed_is_forged(size):
    """Wherever the digit is: in the session id or in the mac."""
    tokens = Tokens([OLD])
    token = mint(tokens, size)
    for at, digit in enumerate(token):
        other = "0" if digit != "0" else "1"
        assert tokens.sid_of(token[:at] + other + token[at + 1 :]) is None


def test_a_token_of_another_servers_key_is_forged():
    assert Tokens([OLD]).sid_of(mint(Tokens([OTHERS]))) is None


def test_half_a_long_token_is_no_short_one():
    """The MAC of a short session id is not a prefix of the MAC of a long one."""
    tokens = Tokens([OLD])
    long = mint(tokens, 16)
    assert tokens.sid_of(long[:40]) is None
    assert tokens.sid_of(long[:20] + long[32:52]) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda token: "",
        lambda token: token[:-1],
        lambda token: token[:-2],
        lambda token: token + "0",
        lambda token: token + "\n",
        lambda token: " " + token,
        lambda token: token + token,
        lambda token: token + token[:20],
        str.upper,
        lambda token: "0x" + token[2:],
        lambda token: "g" + token[1:],
        lambda token: "é" + token[1:],
        lambda token: "\N{ARABIC-INDIC DIGIT ONE}" + token[1:],
        lambda token: "\N{FULLWIDTH DIGIT ONE}" + token[1:],
        lambda token: "\0" + token[1:],
        lambda token: "\ud800" + token[1:],
        lambda token: token.encode().hex(),
        lambda token: token * 26_215,
    ],
)
def test_what_does_not_look_like_a_token_gets_no_further(change, monkeypatch):
    """Its form is looked at before anything else: no key is tried on it."""
    tokens = Tokens([OLD])
    token = "abcdef" + mint(tokens)[6:]

    def fail(keyed, raw):
        pytest.fail("a key was tried")

    monkeypatch.setattr(module, "_mac", fail)
    assert tokens.sid_of(change(token)) is None


def test_the_first_key_signs_and_all_verify():
    before, after = Tokens([OLD]), Tokens([NEW, OLD])
    token = mint(before)
    assert after.sid_of(token) == before.sid_of(token)
    assert after.signing_key == Tokens([NEW]).signing_key
    assert Tokens([NEW]).sid_of(mint(after)) is not None
    assert before.sid_of(mint(after)) is None


def test_a_listed_key_derives_the_same_token_for_ever():
    """Wherever the key is in the list, so that a login returns the existing token."""
    before, after = Tokens([OLD]), Tokens([NEW, OLD])
    sid = before.new_sid(10)
    assert after.derive(sid, before.signing_key) == before.derive(sid, before.signing_key)
    assert after.derive(sid, after.signing_key) != before.derive(sid, before.signing_key)


def test_a_key_that_is_listed_no_more_verifies_nothing():
    before, after = Tokens([OLD]), Tokens([NEW])
    assert after.sid_of(mint(before)) is None
    assert not after.knows(before.signing_key)
    assert Tokens([NEW, OLD]).knows(before.signing_key)


def test_every_key_is_tried_in_constant_time(monkeypatch):
    """The time discloses neither how much of a MAC was right nor which key made it."""
    compared = []
    really = hmac.compare_digest

    def compare(one, other):
        compared.append(one)
        return really(one, other)

    tokens = Tokens([NEW, OLD, OTHERS])
    token = mint(tokens)
    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    tokens.sid_of(token)
    assert len(compared) == 3


@pytest.mark.parametrize("keys", [[], [b"x" * 31], [OLD, b"short"]])
def test_a_key_has_32_bytes_and_there_is_one(keys):
    with pytest.raises(ValueError, match="32 bytes"):
        Tokens(keys)


def test_session_ids_are_not_made_twice():
    tokens = Tokens([OLD])
    assert len({tokens.new_sid(10) for _ in range(1000)}) == 1000
