"""The address of the client and the URL it used, from the connection or a trusted proxy."""

import logging
import re
from collections.abc import Sequence

from aiohttp import web

from handlers.http.response import safe_header_value
from store.addresses import Network, parse_address
from store.client import Client

FORWARDED_FOR = "X-Forwarded-For"

_SCHEME = re.compile("https?")
_HOST = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])(:\d+)?", re.ASCII)

_log = logging.getLogger("latchkey.proxies")


class Proxies:
    """The proxies whose `X-Forwarded-*` headers are used. Other clients' are ignored."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted
        self._has_warned = False

    def address(self, request: web.Request) -> str:
        """Return the client's address: the last one that is not a trusted proxy's."""
        address = peer_of(request)
        forwarded = ",".join(request.headers.getall(FORWARDED_FOR, []))
        for hop in reversed([hop.strip() for hop in forwarded.split(",") if hop.strip()]):
            if not self._trusts(address):
                break
            parsed = parse_address(hop)
            if parsed is None:
                self._warn_once(address)
                break
            address = str(parsed)
        return address

    def is_trusted(self, request: web.Request) -> bool:
        """Return whether the connection comes from a trusted proxy."""
        return self._trusts(peer_of(request))

    def scheme(self, request: web.Request) -> str:
        """Return the scheme that the client used."""
        if self.is_trusted(request):
            return _first(request, "X-Forwarded-Proto", _SCHEME) or request.scheme
        return request.scheme

    def base_url(self, request: web.Request) -> str:
        """Return the scheme and host of this server as the client sees them."""
        host = request.host
        if self.is_trusted(request):
            host = _first(request, "X-Forwarded-Host", _HOST) or host
        return f"{self.scheme(request)}://{safe_header_value(host)}"

    def _trusts(self, address: str) -> bool:
        return is_within(address, self._trusted)

    def _warn_once(self, proxy: str) -> None:
        """Log an invalid header of a proxy, without its content, which may be a secret."""
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "the trusted proxy %s sent an %s that is not a list of addresses:"
                " its clients count as one address",
                proxy,
                FORWARDED_FOR,
            )


PROXIES = web.AppKey("proxies", Proxies)


def address_of(request: web.Request) -> str:
    """Return the address of the client that a request comes from."""
    return request.app[PROXIES].address(request)


def peer_of(request: web.Request) -> str:
    """Return the address of the connection's peer, "" for a Unix socket."""
    parsed = parse_address(request.remote or "")
    return str(parsed) if parsed else ""


def client_of(request: web.Request) -> Client:
    """Return the client that a request comes from."""

    def is_gone() -> bool:
        return request.transport is None or request.transport.is_closing()

    return Client(address_of(request), is_gone)


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Return whether an address belongs to one of the networks; other text belongs to none."""
    parsed = parse_address(address) if networks else None
    return parsed is not None and any(parsed in network for network in networks)


def _first(request: web.Request, header: str, form: re.Pattern[str]) -> str | None:
    """Return the value of the proxy nearest to the client, None unless it matches `form`."""
    value = request.headers.get(header, "").partition(",")[0].strip()
    return value if form.fullmatch(value) else None
