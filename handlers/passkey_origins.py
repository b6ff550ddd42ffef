"""Parses the origins that may use passkeys, and the domain of the relying party.

An Android app's origin is the digest of its signing certificate. An iOS app has the origin of the
domain that it is associated with.
"""

import re
from collections.abc import Sequence

from yarl import URL

from handlers.origins import parse_origin

PASSKEY_FORM = (
    "origins like https://app.example (http:// for localhost only) "
    "or android:apk-key-hash:<SHA-256 in base64url>"
)
_ANDROID = re.compile(r"android:apk-key-hash:[A-Za-z0-9_-]{43}")


def parse_passkey_origins(text: str) -> tuple[str, ...]:
    """Return the origins of web pages and apps that may use passkeys. Raises ValueError."""
    return tuple(map(_passkey_origin, text.replace(",", " ").split()))


def parse_domain(text: str) -> str:
    """Return a domain in lower case, in ASCII. Raises ValueError."""
    host = "" if re.search(r"[\s/:@]", text) else URL(f"http://{text}").raw_host or ""
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", host) or host[-1].isdigit():
        raise ValueError
    return host


def first_host(origins: Sequence[str]) -> str:
    """Return the host of the first origin of a web page, "" if there is none."""
    return next(iter(_hosts(origins)), "")


def web_origins(origins: Sequence[str]) -> tuple[str, ...]:
    """Return the origins of web pages."""
    return tuple(each for each in origins if "://" in each)


def check_passkey_domain(domain: str, origins: Sequence[str]) -> bool:
    """Return whether a domain, or else the first host, is that of all origins of web pages.

    Web Authentication allows a domain for the pages of its subdomains as well.
    """
    domain = domain or first_host(origins)
    return all(f".{host}".endswith(f".{domain}") for host in _hosts(origins)) and bool(
        domain or not origins
    )


def _passkey_origin(text: str) -> str:
    if _ANDROID.fullmatch(text):
        return text
    origin = parse_origin(text)
    url = URL(origin)
    if url.scheme != "https" and (url.scheme, url.host) != ("http", "localhost"):
        raise ValueError
    return origin


def _hosts(origins: Sequence[str]) -> list[str]:
    return [URL(each).raw_host or "" for each in web_origins(origins)]
