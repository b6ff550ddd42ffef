"""Service keys: how the other services of an application authenticate at /internal.

`SERVICE_KEYS` lists them. Contract: docs/contracts/service.md#service-keys.
"""

import base64
import enum
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from aiohttp import hdrs, web

from handlers.errors import MissingToken
from store.errors import BadToken, BadValue, TokenProblem
from store.event_writer import Actor
from store.tokens import MIN_KEY_BYTES, MIN_KEY_CHARACTERS

SCOPES = "introspect, read or write"
FORM = (
    f"entries of the form name:scope:key, separated by spaces; the scope is {SCOPES}, and the key "
    f"has {MIN_KEY_BYTES} bytes or more"
)

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What may follow `Bearer` in a header (RFC 6750, 2.1)."""


class Scope(enum.IntEnum):
    """What a key may do. Each scope includes those before it."""

    INTROSPECT = 1
    READ = 2
    WRITE = 3


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """A service's name and scope. Of its key only the SHA-256 is kept."""

    name: str
    scope: Scope
    digest: bytes = field(repr=False)

    @property
    def actor(self) -> Actor:
        """The actor of its events."""
        return Actor("service", self.name)


SERVICE_KEYS: web.AppKey[Sequence[ServiceKey]] = web.AppKey("service_keys")


def parse_service_keys(text: str) -> tuple[ServiceKey, ...]:
    """Return the keys that a text lists. Raises ValueError, and BadValue with the reason.

    No reason contains any of the text, because a part in the wrong place may be a key.
    """
    keys = [_parse(place, word) for place, word in enumerate(text.split(), start=1)]
    if len({key.name for key in keys}) < len(keys):
        raise BadValue("two entries have the same name")
    if len({key.digest for key in keys}) < len(keys):
        raise BadValue("two entries have the same key")
    return tuple(keys)


def _parse(place: int, word: str) -> ServiceKey:
    name, _, rest = word.partition(":")
    scope, _, key = rest.partition(":")
    if not _NAME.fullmatch(name):
        raise BadValue(f"entry {place} has no name of letters, digits and . _ - before a colon")
    if scope not in {each.name.lower() for each in Scope}:
        raise BadValue(f"entry {place} has a scope that is not {SCOPES}")
    if not _KEY.fullmatch(key):
        raise BadValue(f"entry {place} has a key with other characters than A-Z a-z 0-9 ._~+/-")
    if len(key) < MIN_KEY_BYTES:
        raise BadValue(f"entry {place} has a key of {len(key)} bytes")
    if len(set(key)) < MIN_KEY_CHARACTERS:
        few = f"fewer than {MIN_KEY_CHARACTERS} different characters"
        raise BadValue(f"entry {place} has a key with {few}")
    return ServiceKey(name, Scope[scope.upper()], _digest(key))


def authenticate(request: web.Request) -> ServiceKey:
    """Return the service key of a request. Raises MissingToken, and BadToken for an unknown one."""
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    given, name = given.strip(), None
    if scheme.lower() == "basic":
        name, given = _client_credentials(given)
    elif scheme.lower() != "bearer":
        given = ""
    if not given:
        raise MissingToken
    key = find_key(request.app[SERVICE_KEYS], given)
    if key is None or name not in (None, key.name):
        raise BadToken(TokenProblem.FORGED)
    return key


def _client_credentials(given: str) -> tuple[str, str]:
    """Return the name and the key of Basic credentials, both "" if they are malformed.

    Clients of OAuth 2.0 encode both as in a form (RFC 6749, 2.3.1); others send them as they are.
    """
    try:
        name, _, key = base64.b64decode(given, validate=True).decode().partition(":")
    except ValueError:  # a decoding error is one
        return "", ""
    return unquote(name), unquote(key)


def find_key(keys: Sequence[ServiceKey], given: str) -> ServiceKey | None:
    """Return the key that was given. The time it takes does not depend on which one, if any."""
    digest, found = _digest(given), None
    for key in keys:  # always all keys
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
