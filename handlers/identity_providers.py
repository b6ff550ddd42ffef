"""The OpenID providers whose ID tokens log in, as OIDC_PROVIDERS lists them."""

import re
from urllib.parse import parse_qsl, urlsplit

from store.errors import BadValue
from store.identity import Provider

PROVIDERS_FORM = (
    "providers like google=https://accounts.google.com?client_id=<id>, separated by spaces; "
    "&client_id=<id> adds another app"
)

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_ISSUER = re.compile(r"https?://[!-~]+")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def parse_providers(text: str) -> tuple[Provider, ...]:
    """Return the providers that a text lists. Raises ValueError, and BadValue with the reason."""
    providers = tuple(map(_provider, text.split()))
    for what, values in (
        ("name", {each.name for each in providers}),
        ("issuer", {each.issuer for each in providers}),
    ):
        if len(values) < len(providers):
            raise BadValue(f"two providers have the same {what}")
    return providers


def is_secure(url: str, *, allow_loopback: bool) -> bool:
    """Return whether nobody on the way can change what is read at a URL."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and allow_loopback and parts.hostname in _LOOPBACK


def _provider(text: str) -> Provider:
    name, _, url = text.partition("=")
    issuer, _, query = url.partition("?")
    if not _NAME.fullmatch(name) or not issuer:
        raise ValueError
    if not _is_issuer(issuer):
        raise BadValue(f"the issuer of {name} is not an https:// URL")
    try:
        parameters = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        parameters = []
    if not parameters or any(key != "client_id" or not value for key, value in parameters):
        raise BadValue(f"after the ?, {name} must have client_id=<id>, and nothing else")
    client_ids = tuple(value for _, value in parameters)
    if len(set(client_ids)) < len(client_ids):
        raise BadValue(f"{name} has a client_id twice")
    return Provider(name, issuer, client_ids)


def _is_issuer(text: str) -> bool:
    try:
        url = urlsplit(text)
        has_port = url.port != 0  # raises for a port that is not a number
    except ValueError:
        return False
    return bool(
        _ISSUER.fullmatch(text)
        and has_port
        and url.username is None
        and not url.fragment
        and "#" not in text
        and is_secure(text, allow_loopback=True)
    )
