"""Who asks, and under which URL: from the connection, or from a proxy that is trusted to say."""

import ipaddress
import re
from collections.abc import Sequence

from aiohttp import web

from handlers.answers import sayable

_SCHEME = re.compile("https?")
_HOST = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])(:\d+)?", re.ASCII)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """The proxies whose `X-Forwarded-*` headers count; anybody else's change nothing."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted

    def address(self, request: web.Request) -> str:
        """Return the client's address: the last one that no trusted proxy has."""
        address = request.remote or ""
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", []))
        for hop in reversed([hop.strip() for hop in forwarded.split(",") if hop.strip()]):
            if not self._trusts(address) or not _is_address(hop):
                break
            address = hop
        return address

    def scheme(self, request: web.Request) -> str:
        """Return the scheme that the client used."""
        if self._trusts(request.remote or ""):
            return _first(request, "X-Forwarded-Proto", _SCHEME) or request.scheme
        return request.scheme

    def base_url(self, request: web.Request) -> str:
        """Return what URLs of this server begin with, as the client sees it."""
        host = request.host
        if self._trusts(request.remote or ""):
            host = _first(request, "X-Forwarded-Host", _HOST) or host
        return f"{self.scheme(request)}://{sayable(host)}"

    def _trusts(self, address: str) -> bool:
        return is_within(address, self._trusted)


PROXIES = web.AppKey("proxies", Proxies)


def address_of(request: web.Request) -> str:
    """Return the address of the client that a request comes from."""
    return request.app[PROXIES].address(request)


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Tell whether an address is of one of the networks; what is no address is of none."""
    if not networks or not _is_address(address):
        return False
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in networks)


def _first(request: web.Request, header: str, form: re.Pattern[str]) -> str | None:
    """Return what the proxy nearest to the client said, if it has this form."""
    said = request.headers.get(header, "").partition(",")[0].strip()
    return said if form.fullmatch(said) else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
