"""Client addresses: the one module that parses addresses and networks.

Servers and proxies write one address in many forms: IPv4 inside IPv6 (`::ffff:198.51.100.7`, as a
socket that listens on `::` names its IPv4 clients), with a port (`198.51.100.7:5001`,
`[2001:db8::1]:5001`, as Azure and IIS forward it), with a zone (`fe80::1%eth0`), or quoted (RFC
7239). To be compared and counted they need one form.
"""

import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FORM = re.compile(
    r"""\[ (?P<bracketed> [0-9A-Fa-f:.]+ ) (?:%[^\]]*)? \] (?: :\d{1,5} )?
      | (?P<version_4> [0-9.]+ ) (?: :\d{1,5} )?
      | (?P<version_6> [0-9A-Fa-f:.]+ ) (?: %\S* )?""",
    re.VERBOSE | re.ASCII,
)
_MAX_LENGTH = 128
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def parse_address(text: str) -> Address | None:
    """Return the address in a text, without its port or zone; None when there is none."""
    if len(text) > _MAX_LENGTH:
        return None
    form = _FORM.fullmatch(text.strip().strip('"'))
    if form is None:
        return None
    try:
        parsed = ipaddress.ip_address(form["bracketed"] or form["version_4"] or form["version_6"])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def parse_network(text: str) -> Network:
    """Return the network in a text, as IPv4 if it is a network of mapped addresses.

    Raises ValueError.
    """
    network = ipaddress.ip_network(text, strict=False)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        inside = int(network.network_address) & 0xFFFF_FFFF
        return ipaddress.IPv4Network((inside, network.prefixlen - 96))
    return network
