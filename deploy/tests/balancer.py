"""The balancer with its own configuration, on loopback, and the names that it asks for."""

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.program import PATIENCE, ROOT, wait_for

CONFIGURATION = tuple(ROOT / "deploy/haproxy" / name for name in ("haproxy.cfg", "containers.cfg"))
PROGRAM = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_ADDRESS, _INTERNET = 1, 1
_ANSWER, _NO_SUCH_NAME = 0x8180, 0x8183


class Names(threading.Thread):
    """A name server that knows one name, `server`, and the addresses it has at the moment."""

    def __init__(self, *addresses: str) -> None:
        super().__init__(daemon=True)
        self.addresses = list(addresses)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def run(self) -> None:
        while (received := self._socket.recvfrom(4096))[0]:
            self._socket.sendto(self._answer(received[0]), received[1])

    def _answer(self, query: bytes) -> bytes:
        end = query.index(b"\0", 12) + 5
        question = query[12:end]
        kind = struct.unpack("!H", question[-4:-2])[0]
        known = question[:-4] == b"\6server\0"
        found = list(self.addresses) if known and kind == _ADDRESS else []
        status = _ANSWER if known else _NO_SUCH_NAME
        head = query[:2] + struct.pack("!5H", status, 1, len(found), 0, 0)
        record = struct.pack("!HHHIH", 0xC00C, _ADDRESS, _INTERNET, 1, 4)
        return head + question + b"".join(record + socket.inet_aton(each) for each in found)

    def close(self) -> None:
        with contextlib.suppress(
            OSError
        ):  # it has no other end, and its reader is woken all the same
            self._socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self._socket.close()


class Balancer:
    """A run of the balancer. Leaving its `with` ends it."""

    def __init__(
        self, names: Names, server_port: int, internal_port: int, **environment: str
    ) -> None:
        assert PROGRAM
        self.port = free_port("127.0.0.1")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # __exit__
        where = {
            "LISTEN": f"127.0.0.1:{self.port}",
            "DNS": f"127.0.0.1:{names.port}",
            "SERVER_PORT": str(server_port),
            "INTERNAL_PORT": str(internal_port),
        }
        self._process = subprocess.Popen(
            [PROGRAM, "-db", *_files(CONFIGURATION)],
            env={**os.environ, **where, **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def __enter__(self) -> Self:
        assert wait_for(self._listens), self.log
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)
        self._log.close()

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    @property
    def log(self) -> str:
        """What it has printed."""
        return os.pread(self._log.fileno(), 1 << 24, 0).decode()

    def changes(self, what: str) -> int:
        """Count how often a server has become UP, or DOWN."""
        lines = [line for line in self.log.splitlines() if line.startswith("Server ready/")]
        return sum(f" is {what}" in line for line in lines)


def free_port(*hosts: str) -> int:
    """Return a port that is free at each of these addresses."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            first = stack.enter_context(socket.create_server((hosts[0], 0)))
            port = int(first.getsockname()[1])
            for host in hosts[1:]:
                stack.enter_context(socket.create_server((host, port)))
            return port


def check(*configuration: Path) -> "subprocess.CompletedProcess[str]":
    """Have the balancer look at a configuration."""
    assert PROGRAM
    return subprocess.run(
        [PROGRAM, "-c", *_files(configuration)], capture_output=True, text=True, check=False
    )


def _files(configuration: tuple[Path, ...]) -> list[str]:
    return [word for file in configuration for word in ("-f", str(file))]
