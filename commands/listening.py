"""The sockets that a server listens on: the same ones for one process, for several, and `check`."""

import errno
import os
import socket
from ipaddress import IPv6Address

from commands.serving import BACKLOG
from settings import Settings


class CannotListen(Exception):
    """The address can't be listened on; the text is one line that says why."""

    def __init__(self, reason: str, *, in_use: bool) -> None:
        super().__init__(reason)
        self.in_use = in_use


def place(settings: Settings) -> str:
    """Return where the settings say to listen, as it is written in a URL."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.port}"


def open_sockets(settings: Settings) -> list[socket.socket]:
    """Listen at every address of HOST. Raises CannotListen."""
    sockets = bind_sockets(settings)
    for each in sockets:
        each.listen(BACKLOG)
    return sockets


def bind_sockets(settings: Settings) -> list[socket.socket]:
    """Return a socket for every address of HOST, which nobody can reach yet.

    Raises CannotListen.
    """
    sockets: list[socket.socket] = []
    port = settings.port
    try:
        for family, address in _addresses(settings.host):
            sockets.append(_bind(family, address, port))
            port = sockets[-1].getsockname()[1]  # PORT=0 is one port, for all of them
    except OSError as error:
        for each in sockets:
            each.close()
        in_use = error.errno == errno.EADDRINUSE
        raise CannotListen(_reason(error, settings), in_use=in_use) from None
    return sockets


def _addresses(host: str) -> list[tuple[int, str]]:
    """Return the family and the address of all that a host is here, IPv4 first."""
    found = {
        (int(family), str(address[0]))
        for family, *_, address in socket.getaddrinfo(
            host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        if family in (socket.AF_INET, socket.AF_INET6)
    }
    return sorted(found, key=lambda each: (each[0] != socket.AF_INET, each[1]))


def _bind(family: int, address: str, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` means every address of this machine, the IPv4 ones too.
            parsed = IPv6Address(address)
            with_ipv4 = parsed.is_unspecified or parsed.ipv4_mapped is not None
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not with_ipv4)
        bound.setblocking(False)
        bound.bind((address, port))
    except BaseException:
        bound.close()
        raise
    return bound


def _reason(error: OSError, settings: Settings) -> str:
    if isinstance(error, socket.gaierror):
        return f"HOST is a name without an address ({error.strerror})"
    reason = os.strerror(error.errno or 0)
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{reason}: HOST is not an address of this machine"
    if error.errno == errno.EACCES and settings.port < 1024:
        return f"{reason}: PORT is below 1024, which takes a privilege"
    return reason
