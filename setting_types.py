"""Kinds of settings: a field of Settings with its default, its parser and what is allowed."""

import datetime
import re
from collections.abc import Callable
from dataclasses import field
from ipaddress import ip_address
from typing import Any

from store.addresses import Network, parse_network
from store.errors import BadValue
from store.jwt_tokens import OWN
from store.tokens import MIN_KEY_BYTES, MIN_KEY_CHARACTERS


def setting(
    default: Any, parse: Callable[[str], Any], allowed: str, *, is_secret: bool = False
) -> Any:
    """Return a field with this default; `parse` raises ValueError for what is not allowed."""
    metadata = {"parse": parse, "allowed": allowed}
    return field(default_factory=lambda: default, metadata=metadata, repr=not is_secret)


def whole(default: int, low: int, high: int) -> Any:
    """Return a field for a whole number."""

    def parse(text: str) -> int:
        # Python's int takes other scripts' digits and underscores, too.
        if not re.fullmatch("[0-9]{1,20}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return setting(default, parse, f"a whole number from {low} to {high}")


def seconds(default: float, low: float, high: float) -> Any:
    """Return a field for a number of seconds."""

    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]*\.?[0-9]+", text) or not low <= float(text) <= high:
            raise ValueError
        return float(text)

    return setting(default, parse, f"a number of seconds from {low:g} to {high:g}")


def one_of(default: str, *choices: str) -> Any:
    """Return a field for one of these words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return setting(default, parse, " or ".join(choices))


def own_host(default: str) -> Any:
    """Return a field for an address or a name of this machine."""

    def parse(text: str) -> str:
        host = text[1:-1] if re.fullmatch(r"\[.+\]", text) else text
        if ":" in host:
            return str(ip_address(host))
        labels = host.encode("idna").decode().removesuffix(".").split(".")
        valid = "[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?"
        if not all(re.fullmatch(valid, each) for each in labels):
            raise ValueError
        return ".".join(labels)

    return setting(default, parse, "an address of this machine, or a name of it")


def parse_directory(text: str) -> str:
    """Return the name of a directory. Raises ValueError."""
    if any(ord(character) < 32 for character in text):
        raise ValueError
    return text


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def parse_keys(text: str) -> tuple[str, ...]:
    """Return secret keys. Raises ValueError, and BadValue with the reason."""
    found = _split(text)
    if not found or any(len(key.encode()) < MIN_KEY_BYTES for key in found):
        raise ValueError
    if any(len(set(key)) < MIN_KEY_CHARACTERS for key in found):
        raise BadValue(f"a key has fewer than {MIN_KEY_CHARACTERS} different characters")
    return found


def parse_jwt_keys(text: str) -> tuple[str, ...]:
    """Return the signing keys of JWTs. Raises ValueError, and BadValue with the reason."""
    found = tuple(text.split())
    for key in found:
        if key != OWN and len(key.encode()) < MIN_KEY_BYTES:
            raise BadValue("a key is shorter: it can be found out from a token (RFC 7518, 3.2)")
    return found


def parse_time(text: str) -> float:
    """Return a time with its offset from UTC, in seconds since 1970. Raises ValueError."""
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise BadValue("it has no offset from UTC, such as Z")
    return moment.timestamp()


def parse_networks(text: str) -> tuple[Network, ...]:
    """Return addresses and networks. Raises ValueError."""
    return tuple(map(parse_network, _split(text)))


def parse_proxies(text: str) -> tuple[Network, ...]:
    """Return the networks of proxies. Raises ValueError, and BadValue with the reason."""
    networks = parse_networks(text)
    if any(network.prefixlen == 0 for network in networks):
        raise BadValue("that is every address: any client could name another one as its own")
    return networks
