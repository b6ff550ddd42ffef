"""The sockets that a server listens on: the same ones for one process, for several, and `check`."""

import contextlib
import errno
import os
import socket
from ipaddress import IPv6Address
from typing import NamedTuple

from commands.serving import BACKLOG
from settings import Settings


class Listener(NamedTuple):
    """A host and a port to listen on, and the beginning of the names of their settings."""

    host: str
    port: int
    prefix: str = ""


class CannotListen(Exception):
    """A listener cannot be opened; the text is one line that says why. `place` is its place."""

    def __init__(self, listener: Listener, reason: str, *, in_use: bool) -> None:
        super().__init__(reason)
        self.place = place(listener)
        self.in_use = in_use


def listeners(settings: Settings) -> list[Listener]:
    """Return the public listener, and the internal one if INTERNAL_PORT is set."""
    public = Listener(settings.host, settings.port)
    if not settings.internal_port:
        return [public]
    return [public, Listener(settings.internal_host, settings.internal_port, "INTERNAL_")]


def place(listener: Listener) -> str:
    """Return where to listen, as it is written in a URL."""
    host = f"[{listener.host}]" if ":" in listener.host else listener.host
    return f"{host}:{listener.port}"


def open_sockets(settings: Settings) -> list[socket.socket]:
    """Listen at every address of each listener, the public one first. Raises CannotListen."""
    with contextlib.ExitStack() as opened:
        sockets = []
        for each in listeners(settings):
            sockets += [opened.enter_context(bound) for bound in bind_sockets(each)]
        for bound in sockets:
            bound.listen(BACKLOG)
        opened.pop_all()
    return sockets


def bind_sockets(listener: Listener) -> list[socket.socket]:
    """Return a socket for every address of a listener's host, which nobody can reach yet.

    Raises CannotListen.
    """
    sockets: list[socket.socket] = []
    port = listener.port
    try:
        for family, address in _addresses(listener.host):
            sockets.append(_bind(family, address, port))
            port = sockets[-1].getsockname()[1]  # PORT=0 is one port, for all of them
    except OSError as error:
        for each in sockets:
            each.close()
        in_use = error.errno == errno.EADDRINUSE
        raise CannotListen(listener, _reason(error, listener), in_use=in_use) from None
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


def _reason(error: OSError, listener: Listener) -> str:
    name = listener.prefix
    if isinstance(error, socket.gaierror):
        return f"{name}HOST is a name without an address ({error.strerror})"
    reason = os.strerror(error.errno or 0)
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{reason}: {name}HOST is not an address of this machine"
    if error.errno == errno.EACCES and listener.port < 1024:
        return f"{reason}: {name}PORT is below 1024, which takes a privilege"
    return reason
