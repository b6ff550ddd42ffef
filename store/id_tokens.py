"""Verifies ID tokens (OpenID Connect Core, 3.1.3.7). The library `jwt` checks what is signed.

Only a process that gets ID tokens imports this module.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any

import jwt

from store.errors import BadIdToken
from store.identity import Identity, ProvenIdentity, Provider
from store.names import MAX_NAME, is_email, is_seen, is_valid_name

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Those with a public key: nobody can sign with what a provider publishes."""
LEEWAY = 60
"""Seconds that the provider's clock may differ."""
LONGEST = 7 * 86_400
"""Seconds that a token may be valid for. Its nonce is kept in Redis as long."""

_REQUIRED = ["iss", "aud", "exp", "iat", "sub", "nonce"]
_MAX_SUBJECT = 255
_MAX_PERSON_NAME = 150
_ALIASES = {"https://accounts.google.com": ("accounts.google.com",)}
"""What else an issuer calls itself in tokens: Google documents both forms."""
_JWT = jwt.PyJWT(options={"enforce_minimum_key_length": True})


def key_id_of(token: str) -> str:
    """Return the id of the key that a token says it is signed with. Raises BadIdToken.

    Nothing else of the header is used: neither a key nor the address of one (`jwk`, `jku`, `x5u`).
    """
    key_id = _header(token).get("kid")
    if not isinstance(key_id, str):
        raise BadIdToken("it names no key")
    return key_id


def verify_id_token(
    provider: Provider, token: str, nonce: str, key: Mapping[str, Any]
) -> ProvenIdentity:
    """Return what a token of this provider proves.

    `nonce` is what the app gave the provider, or what it gave the SHA-256 of. `key` is the JWK of
    `key_id_of`. Raises BadIdToken.
    """
    algorithm = _header(token).get("alg")
    if algorithm not in ALGORITHMS or key.get("alg", algorithm) != algorithm:
        raise BadIdToken("its algorithm is not allowed")
    try:
        claims = _JWT.decode(
            token,
            jwt.PyJWK(dict(key), algorithm),
            [algorithm],
            audience=provider.client_ids,
            issuer=[provider.issuer, *_ALIASES.get(provider.issuer, ())],
            leeway=LEEWAY,
            options={"require": _REQUIRED},
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
        raise BadIdToken(type(error).__name__) from None
    return ProvenIdentity(
        Identity(provider.name, _subject(claims)),
        _verified_email(claims),
        _person_name(claims.get("given_name")),
        _person_name(claims.get("family_name")),
        _nonce(claims, nonce),
        _expiry(claims, provider),
    )


def _header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise BadIdToken("it is not a signed token") from None


def _subject(claims: Mapping[str, Any]) -> str:
    subject: str = claims["sub"]
    if not (0 < len(subject) <= _MAX_SUBJECT and subject.isascii() and subject.isprintable()):
        raise BadIdToken("its subject is not 1 to 255 characters of ASCII")
    return subject


def _nonce(claims: Mapping[str, Any], nonce: str) -> str:
    given = claims["nonce"]
    raw = nonce.encode(errors="surrogatepass")
    expected = raw, hashlib.sha256(raw).hexdigest().encode()
    if (
        not isinstance(given, str)
        or not given
        or not any(
            hmac.compare_digest(given.encode(errors="surrogatepass"), each) for each in expected
        )
    ):
        raise BadIdToken("its nonce is another one")
    return given


def _expiry(claims: Mapping[str, Any], provider: Provider) -> float:
    audiences = claims["aud"]
    if (
        isinstance(audiences, list)
        and len(audiences) > 1
        and claims.get("azp") not in provider.client_ids
    ):
        raise BadIdToken("it is for several apps, and was given to another one")
    expires = int(claims["exp"]) + LEEWAY
    if expires > time.time() + LONGEST:
        raise BadIdToken("it is valid for too long")
    return expires


def _verified_email(claims: Mapping[str, Any]) -> str | None:
    """Return the address if the provider says that it has verified it. Apple says so in a text."""
    email, is_verified = claims.get("email"), claims.get("email_verified")
    if not isinstance(email, str) or not (is_verified is True or is_verified == "true"):
        return None
    return email if is_email(email) and is_valid_name(email) else None


def _person_name(name: object) -> str | None:
    if not isinstance(name, str) or not 0 < len(name) <= min(_MAX_PERSON_NAME, MAX_NAME):
        return None
    return name if is_valid_name(name) and is_seen(name) else None
