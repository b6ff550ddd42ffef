"""The client of a request, as rate limits and the queue for hashing need it."""

import ipaddress
from collections.abc import Callable
from typing import NamedTuple

from store.addresses import parse_address

_IPV6_NETWORK = 64
"""Bits of an IPv6 address that are compared. One customer has the whole network behind them."""


def _stays() -> bool:
    return False


class Client(NamedTuple):
    """A client's address, "" for this program itself, and whether it has disconnected.

    `is_gone` may be called from any thread.
    """

    address: str = ""
    is_gone: Callable[[], bool] = _stays

    @property
    def network(self) -> str:
        """The part of the address that is compared: all of IPv4, the /64 network of IPv6."""
        parsed = parse_address(self.address)
        if parsed is None:
            return self.address
        if parsed.version == 4:
            return str(parsed)
        return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False).network_address)


NOBODY = Client()
"""No client: a command, or a test."""
