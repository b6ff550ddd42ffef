"""JWTs: signed as PyJWT, another implementation, signs and verifies; refused without I/O."""

import base64
import json
import time
from typing import Any

import jwt
import pytest

from store import jwt_tokens as module
from store.errors import BadToken, TokenProblem
from store.jwt_tokens import OWN, Claims, JwtTokens, is_taken_over

KEY, OTHER = "k" * 50, "o" * 50
SID = "0123456789abcdef" * 2


def claims_of(kind: str = "access", **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    jti = SID if kind == "access" else f"{SID}.3"
    claims = {"token_type": kind, "exp": now + 60, "iat": now, "jti": jti, "user_id": "7"}
    return {**claims, **changes}


def signed(claims: Any, key: str = KEY, algorithm: str = "HS256", **headers: Any) -> str:
    return jwt.encode(claims, key, algorithm, headers)


def problem(token: str, tokens: JwtTokens | None = None) -> TokenProblem | None:
    try:
        (tokens or JwtTokens([KEY], [])).read(token)
    except BadToken as error:
        return error.problem
    return None


def test_a_token_is_what_the_library_makes_of_the_same_claims():
    claims = claims_of(username="zoë", is_staff=True)
    token = JwtTokens([KEY], []).sign(claims)
    assert token == signed(claims)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    assert jwt.decode(token, KEY, ["HS256"]) == claims


def test_the_claims_of_both_kinds_are_read():
    tokens, access, refresh = JwtTokens([KEY], []), claims_of(), claims_of("refresh")
    now = access["iat"]
    assert tokens.read(signed(access)) == Claims(SID, False, 0, 7, now, now + 60, False)
    assert tokens.read(signed(refresh)) == Claims(SID, True, 3, 7, now, now + 60, False)
    assert tokens.sid_of(signed(access)) == SID
    with pytest.raises(BadToken) as refused:
        tokens.sid_of(signed(refresh))
    assert refused.value.problem is TokenProblem.REFRESH
    assert tokens.sid_of("0" * 40) is None


def test_the_first_key_signs_and_all_verify():
    tokens = JwtTokens([OTHER, OWN, KEY], [b"first secret", b"second secret"])
    assert tokens.sign(claims_of()) == signed(claims_of(), OTHER)
    for maker in (JwtTokens([KEY], []), JwtTokens([OWN], [b"second secret"])):
        assert problem(maker.sign(claims_of()), tokens) is None
    assert problem(JwtTokens([OWN], [b"third"]).sign(claims_of()), tokens) is TokenProblem.FORGED


def test_an_own_key_is_no_secret_key_itself():
    """So a token of 40 digits tells nothing about JWTs, and the other way round."""
    secret = b"s" * 50
    token = JwtTokens([OWN], [secret]).sign(claims_of())
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, secret, ["HS256"])


def test_a_header_in_another_order_or_with_more_in_it_is_accepted():
    for headers in ({"kid": "1"}, {"typ": None}):
        assert problem(signed(claims_of(), **headers)) is None


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_other_algorithms_are_forged():
    public = "-----BEGIN PUBLIC KEY-----"
    unsigned = jwt.encode(claims_of(), None, "none")
    assert problem(unsigned) is TokenProblem.FORGED
    assert problem(unsigned + "x") is TokenProblem.FORGED
    for algorithm in ("HS384", "HS512"):
        assert problem(signed(claims_of(), algorithm=algorithm)) is TokenProblem.FORGED
    assert public not in KEY  # there is no public key that HS256 could be confused with
    for name in ("none", "None", "RS256", "HS512", "hs256", 1, None):
        header = json.dumps({"alg": name, "typ": "JWT"}).encode()
        first = base64.urlsafe_b64encode(header).rstrip(b"=").decode()
        text = f"{first}.{signed(claims_of()).split('.')[1]}"
        signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
            text.encode(), KEY.encode()
        )
        last = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
        assert problem(f"{text}.{last}") is TokenProblem.FORGED, name


def test_a_critical_header_is_forged():
    assert problem(signed(claims_of(), crit=["b64"], b64=True)) is TokenProblem.FORGED


def test_any_changed_character_is_forged():
    token = signed(claims_of())
    for at in range(len(token)):
        other = "A" if token[at] != "A" else "B"
        changed = token[:at] + other + token[at + 1 :]
        assert problem(changed) is TokenProblem.FORGED, at


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b", "a.b.c", "é.é.é", "x" * 5000 + ".", "a." * 99, " ", "\0.."],
)
def test_junk_is_forged(token):
    assert problem(token) is TokenProblem.FORGED


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": 10**30},
        {"iat": "1"},
        {"jti": None},
        {"jti": ""},
        {"jti": 1},
        {"jti": "j" * 256},
        {"token_type": "sliding"},
        {"token_type": None},
        {"user_id": None},
        {"user_id": True},
        {"user_id": "-1"},
        {"user_id": "0"},
        {"user_id": "١"},
        {"user_id": 2**63},
        {"user_id": [7]},
    ],
)
def test_a_signed_token_without_usable_claims_is_forged(changes):
    # PyJWT checks some claims as it signs.
    body = json.dumps({**claims_of("refresh"), **changes})
    token = jwt.PyJWS().encode(body.encode(), KEY, "HS256")
    assert problem(token) is TokenProblem.FORGED


@pytest.mark.parametrize("body", ["[]", "7", '"text"', "{", "", "[" * 100_000])
def test_a_signed_text_that_is_no_object_is_forged(body):
    assert problem(jwt.PyJWS().encode(body.encode(), KEY, "HS256")) is TokenProblem.FORGED


def test_a_token_ends_with_exp():
    now = int(time.time())
    assert problem(signed(claims_of(exp=now - 1))) is TokenProblem.EXPIRED
    assert problem(signed(claims_of("refresh", exp=now - 1))) is TokenProblem.EXPIRED
    assert problem(signed(claims_of(exp=now + 30))) is None


def test_a_refresh_token_of_another_maker_has_one_session_for_all_time():
    tokens = JwtTokens([KEY], [])
    [first, second, other] = [
        tokens.read(signed(claims_of("refresh", jti=jti, user_id=7))) for jti in (SID, SID, "other")
    ]
    assert first == second
    assert first.is_old
    assert first.generation == 0
    assert len({first.sid, other.sid, SID}) == 3
    assert all(is_taken_over(f"djoser:jwt:{each.sid}") for each in (first, other))
    assert not is_taken_over(f"djoser:jwt:{SID}")
    assert not is_taken_over(f"djoser:imported:{first.sid}")
    for kind, jti in (("access", first.sid), ("refresh", f"{first.sid}.2")):
        named = tokens.read(signed(claims_of(kind, jti=jti)))
        assert (named.sid, named.is_old) == (first.sid, False)


def test_an_access_token_of_another_maker_names_no_session():
    assert JwtTokens([KEY], []).sid_of(signed(claims_of(jti="any"))) is None


def test_the_account_of_an_expired_token_is_stated_still():
    tokens = JwtTokens([KEY], [])
    assert tokens.account_id_of(signed(claims_of(exp=1))) == 7
    assert tokens.account_id_of(signed(claims_of(), OTHER)) is None


def test_a_token_that_is_remembered_ends_all_the_same(monkeypatch):
    tokens, now = JwtTokens([KEY], []), time.time()
    token = signed(claims_of())
    assert tokens.sid_of(token) == tokens.sid_of(token) == SID
    monkeypatch.setattr("store.jwt_tokens.time.time", lambda: now + 61)
    with pytest.raises(BadToken) as refused:
        tokens.sid_of(token)
    assert refused.value.problem is TokenProblem.EXPIRED


def test_only_access_tokens_that_are_right_are_remembered(monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 3)
    tokens = JwtTokens([KEY], [])
    for each in (signed(claims_of(), OTHER), signed(claims_of("refresh")), "a.b.c"):
        with pytest.raises(BadToken):
            tokens.sid_of(each)
    assert tokens.sid_of(signed(claims_of(jti="any"))) is None
    assert not len(tokens._right)
    assert tokens.sid_of(signed(claims_of(username="x" * 1000))) == SID
    assert not len(tokens._right)
    for number in range(20):
        tokens.sid_of(signed(claims_of(user_id=str(number + 1))))
    assert 3 <= len(tokens._right) <= 6
