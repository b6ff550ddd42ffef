"""The receivers of events, as WEBHOOKS lists them."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from store.errors import BadValue

PREFIX = "whsec_"
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
"""The length of a secret (Standard Webhooks)."""
FORM = (
    "a name, a URL and a secret for each receiver, separated by spaces or line breaks; "
    f"a secret is {PREFIX} and {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64"
)

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SEEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver of events. `name` is what logs, metrics and the database call it."""

    name: str
    url: str = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)
    """Each message is signed with all of them, so that a receiver can change its secret."""

    @property
    def is_encrypted(self) -> bool:
        """Whether nobody else can read what is sent: over TLS, or on this machine."""
        url = urlsplit(self.url)
        return url.scheme == "https" or url.hostname in ("127.0.0.1", "::1", "localhost")


def parse_webhooks(text: str) -> tuple[Webhook, ...]:
    """Return the receivers that a text lists. Raises ValueError, and BadValue with the reason.

    No reason contains any of the text, because URLs and secrets must not be shown.
    """
    words = text.split()
    if not words or len(words) % 3:
        raise ValueError
    webhooks = tuple(
        _parse(place, words[first : first + 3])
        for place, first in enumerate(range(0, len(words), 3), start=1)
    )
    if len({webhook.name for webhook in webhooks}) < len(webhooks):
        raise BadValue("two receivers have the same name")
    return webhooks


def _parse(place: int, words: Sequence[str]) -> Webhook:
    name, url, secrets = words
    if not _NAME.fullmatch(name):
        raise BadValue(f"receiver {place} has no name of letters, digits and . _ -")
    if not _is_url(url):
        raise BadValue(f"receiver {place} has no URL that begins with http:// or https://")
    return Webhook(name, url, tuple(_secret(place, each) for each in secrets.split(",")))


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        has_port = url.port != 0  # raises for a port that is not a number
    except ValueError:
        return False
    return bool(
        _SEEN.fullmatch(text)
        and url.scheme in ("http", "https")
        and url.hostname
        and url.username is None
        and not url.fragment
        and has_port
    )


def _secret(place: int, text: str) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not (text.startswith(PREFIX) and MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES):
        raise BadValue(
            f"receiver {place} has no secret of {PREFIX} and {MIN_SECRET_BYTES} to "
            f"{MAX_SECRET_BYTES} bytes in base64"
        )
    return secret
