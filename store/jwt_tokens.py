"""JWTs whose sessions can be ended: signed statements (RFC 7519) that name a session.

    access token    {"token_type": "access", "exp", "iat", "jti": <sid>, "user_id", …}
    refresh token   {"token_type": "refresh", "exp", "iat", "jti": <sid>.<generation>, "user_id", …}

The signature is HS256 (RFC 7518, 3.2), the only algorithm that is accepted. It is checked first,
then `exp`, both without I/O. Whether the session is live is decided as for any other token
(store/authentication.py). This module signs and verifies itself, because a library takes six times
as long, a fifth of a read; tests compare it with PyJWT.

A refresh token of the back end that was replaced has another `jti`. Its session id is derived from
that, so it names one session for all time.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from store.errors import BadToken, TokenProblem
from store.recent import Recent
from store.session_record import JWT

OWN = "own"
"""In JWT_SIGNING_KEYS: the keys that are derived from SECRET_KEYS."""
SID_BYTES = 16
OLD_SID_BYTES = 20
"""Of session ids that are derived from an old back end's tokens: their length tells them apart."""
_JTI = re.compile(r"([0-9a-f]{32}|[0-9a-f]{40})(?:\.([0-9]{1,9}))?")
_LONGEST = 8000
"""Names of 254 Chinese letters as claims take 7200 characters, and a header may have 8190."""
_LONGEST_JTI = 255
REMEMBERED = 10_000
"""At most twice this many access tokens are remembered, which take 10 MB if they have 250
characters: an app sends the same one with each request until it expires. What the stores say of its
session is never remembered."""
_LONGEST_REMEMBERED = 1000
"""Longer tokens are not remembered: a user with long names could fill 150 MB."""
_CONTEXT = b"latchkey: JSON Web Tokens"
_MAX_ID = 2**63
_MAX_TIME = 2**53


class Claims(NamedTuple):
    """The claims of a token whose signature is right. Times are in seconds since 1970."""

    sid: str
    is_refresh: bool
    generation: int
    account_id: int
    """As the token states it. Only the session's record decides whose it is."""
    issued: float
    expires: float
    is_old: bool
    """Whether the back end that was replaced has issued it."""


def is_taken_over(name: str) -> bool:
    """Return whether a session's name has an id that is derived from an old back end's token."""
    _, kind, sid = name.split(":")
    return kind == JWT and len(sid) == 2 * OLD_SID_BYTES


class JwtTokens:
    """Signs and verifies JWTs: the first key signs, all verify."""

    def __init__(self, keys: Sequence[str], secret_keys: Sequence[bytes]) -> None:
        """Take the keys, in which OWN stands for those derived from `secret_keys`."""
        derived = [hmac.digest(key, _CONTEXT, "sha256") for key in secret_keys]
        listed = [each for key in keys for each in (derived if key == OWN else [key.encode()])]
        # Copying a keyed HMAC saves 1.3 of the 6.9 µs of a token that is not remembered.
        self._macs = [hmac.new(key, digestmod="sha256") for key in listed]
        self._right: Recent[str, tuple[str, float]] = Recent(REMEMBERED)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return the token of these claims."""
        payload = json.dumps(claims, separators=(",", ":"))
        signed = f"{_HEADER}.{_encode(payload.encode())}"
        return f"{signed}.{_signature(self._macs[0], signed)}"

    def sid_of(self, token: str) -> str | None:
        """Return the session id of an access token, None if it is none of these tokens.

        Raises BadToken when it has expired, or is a refresh token.
        """
        if "." not in token:
            return None
        known = self._right.get(token)
        if known is None:
            claims = self.read(token)
            if claims.is_refresh:
                raise BadToken(TokenProblem.REFRESH)
            if claims.is_old:
                return None
            known = claims.sid, claims.expires
            if len(token) <= _LONGEST_REMEMBERED:
                self._right.add(token, known)
        sid, expires = known
        if not expires > time.time():
            raise BadToken(TokenProblem.EXPIRED)
        return sid

    def read(self, token: str) -> Claims:
        """Return the claims of a token. Raises BadToken: FORGED or EXPIRED."""
        claims = self._parse(token)
        if claims is None:
            raise BadToken(TokenProblem.FORGED)
        if not claims.expires > time.time():
            raise BadToken(TokenProblem.EXPIRED)
        return claims

    def account_id_of(self, token: str) -> int | None:
        """Return the account's id that a token states, None unless a listed key signed it."""
        claims = self._parse(token)
        return claims.account_id if claims else None

    def _parse(self, token: str) -> Claims | None:
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        if not token.isascii() or len(token) > _LONGEST:
            return None
        made = False
        for keyed in self._macs:  # always all keys, so that time does not depend on which
            made |= hmac.compare_digest(_signature(keyed, signed), signature)
        if not made or not (header == _HEADER or _is_hs256(header)):
            return None
        return _claims(_decode(payload))


def sid_of_old(jti: str) -> str:
    """Return the session id of a refresh token that the replaced back end has issued."""
    return hashlib.sha256(jti.encode(errors="surrogatepass")).hexdigest()[: 2 * OLD_SID_BYTES]


def _claims(found: Any) -> Claims | None:
    """Return the claims, None if one is missing or of another type."""
    if not isinstance(found, dict):
        return None
    kind, jti, account_id = found.get("token_type"), found.get("jti"), _account_id(found)
    expires, issued = _time(found.get("exp")), _time(found.get("iat", 0))
    if kind not in ("access", "refresh") or account_id is None or expires is None or issued is None:
        return None
    if not (isinstance(jti, str) and 0 < len(jti) <= _LONGEST_JTI):
        return None
    is_refresh = kind == "refresh"
    named = _JTI.fullmatch(jti)
    if named and is_refresh == (named[2] is not None):
        sid, generation = named[1], int(named[2] or 0)
        return Claims(sid, is_refresh, generation, account_id, issued, expires, is_old=False)
    sid = sid_of_old(jti)
    return Claims(sid, is_refresh, 0, account_id, issued, expires, is_old=True)


def _account_id(claims: Mapping[str, Any]) -> int | None:
    """Return the account's id, which back ends write as a number or as its digits."""
    user_id = claims.get("user_id")
    if isinstance(user_id, str) and re.fullmatch(r"[0-9]{1,19}", user_id, re.ASCII):
        user_id = int(user_id)
    if isinstance(user_id, int) and not isinstance(user_id, bool) and 0 < user_id < _MAX_ID:
        return user_id
    return None


def _time(value: object) -> float | None:
    """Return a time in seconds since 1970; None for NaN and infinity, too, which JSON may have."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MAX_TIME:
        return value
    return None


def _is_hs256(header: str) -> bool:
    found = _decode(header)
    return isinstance(found, dict) and found.get("alg") == "HS256" and "crit" not in found


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(part: str) -> Any:
    """Return the JSON value of a part of a token, None if it is none."""
    try:
        return orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error):
        return None


def _signature(keyed: hmac.HMAC, signed: str) -> str:
    mac = keyed.copy()
    mac.update(signed.encode())
    return _encode(mac.digest())


_HEADER = _encode(b'{"alg":"HS256","typ":"JWT"}')
