"""Parses origins and the public URL into the form that browsers send."""

import re
from ipaddress import IPv6Address

from yarl import URL

from store.errors import BadValue


def parse_public_url(text: str) -> str:
    """Return a URL with its host in ASCII and without a trailing slash.

    Raises ValueError, and BadValue with the reason.
    """
    if not re.fullmatch(r"(?i:https?)://[^\s\x00-\x20\x7f\\]+", text):
        raise ValueError
    url = URL(text)
    if not url.host or url.port == 0:
        raise ValueError
    if url.raw_query_string or "?" in text or "#" in text:
        raise BadValue("it has a query or a fragment")
    if url.raw_user is not None or url.raw_password is not None:
        raise BadValue("it has a user name or a password, which every client would see")
    return str(url).rstrip("/")


_DEFAULT_PORTS = {"http": "80", "https": "443"}


def parse_origins(text: str) -> tuple[str, ...]:
    """Return `*` alone, or origins as browsers send them. Raises ValueError."""
    words = tuple(text.replace(",", " ").split())
    return words if words == ("*",) else tuple(map(parse_origin, words))


def parse_origin(text: str) -> str:
    """Return an origin in lower case, in ASCII, without a default port. Raises ValueError."""
    form = (
        r"([a-zA-Z][a-zA-Z0-9+.-]*)://([^\s/?#@*\\:\[\]]+|\[[0-9a-fA-F:.]+\])(?::([0-9]{1,5}))?/?"
    )
    found = re.fullmatch(form, text)
    if not found:
        raise ValueError
    scheme, host, port = found[1].lower(), found[2].lower(), found[3]
    if port and not 0 < int(port) < 65536:
        raise ValueError
    if host.startswith("["):
        host = f"[{IPv6Address(host[1:-1])}]"
    elif not host.isascii():
        host = URL(f"http://{host}").raw_host or ""
    port = "" if not port or port == _DEFAULT_PORTS.get(scheme) else f":{int(port)}"
    return f"{scheme}://{host}{port}"
