"""Accounts at OpenID providers, as values: what is configured, proved and linked."""

import datetime
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID provider whose ID tokens log in."""

    name: str
    """What this server calls it."""
    issuer: str
    """The claim `iss` of its tokens, below which its discovery document is."""
    client_ids: tuple[str, ...]
    """The apps for which it makes tokens: one of them must be the claim `aud`."""


class Identity(NamedTuple):
    """An account at a provider. `subject` is the claim `sub`, which never changes."""

    provider: str
    subject: str


@dataclass(frozen=True, slots=True)
class ProvenIdentity:
    """What a valid ID token proves."""

    identity: Identity
    email: str | None
    """The address that the provider has verified; None if there is none."""
    first_name: str | None
    last_name: str | None
    nonce: str
    """The claim `nonce`."""
    expires: float
    """When the token is not accepted any more, in seconds since 1970."""


class LinkedIdentity(NamedTuple):
    """A provider that is linked to an account. An account has one identity of each, at most."""

    provider: str
    created: datetime.datetime
