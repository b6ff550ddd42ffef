"""What is measured: a server in a process of its own, on cores of its own."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from bench import machine, peers
from bench.accounts import Accounts, name_of
from bench.machine import CantRun
from settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PROFILE = "/account/profile"
REGISTRATION = peers.Registration("/account/register", peers.NAMED)
START_SECONDS = 30.0
STOP_SECONDS = 15.0
QUIET_SECONDS = 5.0


@dataclass(frozen=True)
class Server:
    """A server that answers on 127.0.0.1. `headers` is a file of Authorization headers."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    path: str
    headers: Path
    registration: peers.Registration | None = None

    def cpu(self) -> float:
        """Return the CPU seconds that it has used so far."""
        return machine.cpu_seconds(self.process.pid)

    def memory(self) -> int:
        """Return the bytes it takes."""
        return machine.memory(self.process.pid)

    def settle(self) -> None:
        """Wait until it has nothing more to do, so that the next one has the core to itself."""
        give_up = time.monotonic() + QUIET_SECONDS
        before = self.cpu()
        while time.monotonic() < give_up:
            time.sleep(0.03)
            now = self.cpu()
            if now - before < 0.002:
                return
            before = now

    def pause(self) -> None:
        """Have it stand still."""
        for process in machine.family(self.process.pid):
            process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on after a pause."""
        for process in machine.family(self.process.pid):
            process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, and everything below it."""
        processes = machine.family(self.process.pid)
        self.process.terminate()
        self.resume()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()


@contextlib.contextmanager
def latchkey(
    cores: Iterable[int],
    stores: Mapping[str, str],
    accounts: Accounts,
    log: Path,
    tree: Path = ROOT,
    **settings: str,
) -> Iterator[Server]:
    """Run the server of a checkout with every default, its log going to a file."""
    port = free_port()
    known = {each.name.upper() for each in fields(Settings)}
    inherited = {name: value for name, value in os.environ.items() if name not in known}
    ours = {"PORT": str(port), "SECRET_KEYS": accounts.key, "DRAIN_SECONDS": "0"}
    with machine.on(cores), log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "server.py"],
            cwd=tree,
            env={**inherited, **stores, **ours, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    server = Server("Latchkey", process, port, PROFILE, accounts.headers, REGISTRATION)
    try:
        if not _starts(server):
            said = log.read_text(errors="replace").strip().splitlines() or [""]
            raise CantRun(f"the server did not start: {said[-1]}")
        _check_accounts(server, accounts)
        yield server
    finally:
        server.stop()
        log.unlink()


@contextlib.contextmanager
def peer(
    which: peers.Peer,
    cores: Iterable[int],
    stores: Mapping[str, str],
    headers: Path,
    **settings: str,
) -> Iterator[Server]:
    """Run an installed and seeded peer. Raises CantRun."""
    port = free_port()
    try:
        with machine.on(cores):
            process = peers.start(which, {**stores, **settings}, port)
    except peers.PeerFailed as error:
        raise CantRun(str(error).splitlines()[0]) from error
    server = Server(which.name, process, port, which.path, headers, which.registration)
    try:
        _check_peer(server)
        yield server
    finally:
        server.stop()


def ask(server: Server, header: str) -> tuple[int, bytes]:
    """Make one request; return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", server.path, headers={"Authorization": header})
        answer = connection.getresponse()
        return answer.status, answer.read()


def free_port() -> int:
    """Return a port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _starts(server: Server) -> bool:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and server.process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(server, "")
            return True
        time.sleep(0.01)
    return False


def _check_accounts(server: Server, accounts: Accounts) -> None:
    """Ask with the first token and the last: what was seeded must be what the server keeps."""
    for number in {0, len(accounts.tokens) - 1} if accounts.tokens else ():
        status, body = ask(server, f"Token {accounts.tokens[number]}")
        if status != 200 or json.loads(body)["data"]["username"] != name_of(number):
            raise RuntimeError(f"a seeded token was answered with {status} {body!r}")


def _check_peer(server: Server) -> None:
    with server.headers.open() as file:
        status, body = ask(server, file.readline().strip())
    expected = b"user1" if server.name == "bare" else b"user0"  # bare has one constant body
    if status != 200 or expected not in body:
        raise CantRun(f"{server.name} answered a seeded token with {status}")
