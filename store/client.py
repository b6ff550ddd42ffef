"""Whom a request is worked for: what limits and the queue for hashing need to know of it."""

import ipaddress
from collections.abc import Callable
from typing import NamedTuple

from store.addresses import parse_address

_IPV6_NETWORK = 64
"""Bits of an IPv6 address that count: a network is one customer's, and has addresses to waste."""


def _stays() -> bool:
    return False


class Client(NamedTuple):
    """A client's address, "" for this program itself, and whether it has disconnected."""

    address: str = ""
    is_gone: Callable[[], bool] = _stays

    @property
    def network(self) -> str:
        """What of the address counts: all of IPv4, the network of IPv6."""
        parsed = parse_address(self.address)
        if parsed is None:
            return self.address
        if parsed.version == 4:
            return str(parsed)
        return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False).network_address)


NOBODY = Client()
"""No client: a command, or a test."""
