"""`server.py` in a process of its own, as a terminal or a supervisor starts it, for the tests."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psycopg2

from settings import setting_fields
from tests.secrecy import WATCH

ROOT = Path(__file__).parent.parent
KEY = secrets.token_hex(32)
PASSWORD = "correct horse"
PATIENCE = 30.0
"""Seconds that a test waits for what must come; none of them is a promise."""

_SERVING = r"serving on http://127\.0\.0\.1:(\d+)(?:\n|\"})"
_SETTINGS = {each.name.upper() for each in setting_fields()}


def wait_for(what: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Return what `what` returns, once that is true; or whatever it returns in the end."""
    give_up = time.monotonic() + patience
    while not (found := what()) and time.monotonic() < give_up:
        time.sleep(0.02)
    return found


async def wait_for_async(what: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Do as `wait_for`, while the event loop goes on."""
    give_up = time.monotonic() + patience
    while not (found := what()) and time.monotonic() < give_up:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return found


@dataclass(frozen=True)
class Response:
    """What a client got."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def send(
        self, method: str, path: str, data: object = None, token: str = "", **headers: str
    ) -> None:
        """Send a request; its answer is read by `receive`."""
        head = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            head["Authorization"] = f"Token {token}"
            WATCH.tokens.add(token)
        if isinstance(data, dict):
            WATCH.note_password(data.get("password"))
        body = None if data is None else json.dumps(data)
        if body is not None:
            head["Content-Type"] = "application/json"
        self._http.request(method, path, body, head)

    def receive(self) -> Response:
        response = self._http.getresponse()
        body = response.read()
        return Response(response.status, response.headers, body)

    def is_waiting(self) -> bool:
        """Tell whether nothing of the answer has come."""
        return not select.select([self._http.sock], [], [], 0)[0]

    def close(self) -> None:
        self._http.close()


class Program:
    """A run of the program. Leaving its `with` ends it."""

    def __init__(self, *arguments: str, output: int | None = None, **environment: str) -> None:
        """Start it; `output` is what it has for stdout, if `out` is not to be read."""
        inherited = {name: value for name, value in os.environ.items() if name not in _SETTINGS}
        defaults = {
            "PORT": "0",
            "BCRYPT_ROUNDS": "4",
            "DATABASE_POOL": "2",
            "STORE_TIMEOUT": "5",
            "RATE_LIMITS": "off",
            "DRAIN_SECONDS": "0.2",
        }
        self._out, self._err = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115  # __exit__
        self.process = subprocess.Popen(
            [sys.executable, "server.py", *arguments],
            cwd=ROOT,
            env={**inherited, **defaults, **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._out if output is None else output,
            stderr=self._err,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        WATCH.lines.append(self.err)
        self._out.close()
        self._err.close()

    @property
    def out(self) -> str:
        """What it has printed on stdout."""
        return _content(self._out)

    @property
    def err(self) -> str:
        """What it has printed on stderr."""
        return _content(self._err)

    def serve(self) -> Self:
        """Wait until it serves."""
        self.say(_SERVING)
        return self

    def say(self, what: str) -> re.Match[str]:
        """Wait until it says what a regular expression matches; return the match."""
        said = re.compile(what)
        wait_for(lambda: said.search(self.out + self.err) or self.process.poll() is not None)
        found = said.search(self.out + self.err)
        assert found, self.out + self.err
        return found

    def lines_to_try(self) -> list[str]:
        """Wait until it has printed three curl lines, and return them."""
        lines = re.compile(r"^ *(curl .*)\n", re.MULTILINE)
        return wait_for(lambda: len(found := lines.findall(self.out)) >= 3 and found)

    @property
    def port(self) -> int:
        return int(self.say(_SERVING)[1])

    def wait(self) -> int:
        """Wait for its end; return the exit status."""
        return self.process.wait(PATIENCE)

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        client = Client(self.port)
        try:
            yield client
        finally:
            client.close()

    def ask(self, *request: Any, **headers: str) -> Response:
        """Make one request on a connection of its own."""
        with self.client() as client:
            client.send(*request, **headers)
            return client.receive()

    def register(self, name: str, password: str = PASSWORD) -> str:
        """Register an account; return its token."""
        answer = self.ask("POST", "/account/register", registration(name, password))
        assert answer.status == 200, answer
        return answer.json["token"]

    def log_in(self, name: str, password: str = PASSWORD) -> str:
        """Log in; return the token."""
        login = {"username": name, "password": password}
        answer = self.ask("POST", "/account/login", login)
        assert answer.status == 200, answer
        return answer.json["token"]

    def connect(self) -> socket.socket:
        """Open a bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)


def registration(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"username": name, "email": f"{name}@example.com", "password": password}


def read_to_end(connection: socket.socket, patience: float = PATIENCE) -> bytes | None:
    """Return all that comes until the server closes; None when it does not close in time."""
    give_up = time.monotonic() + patience
    received = b""
    while (left := give_up - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            some = connection.recv(65536)
        except TimeoutError:
            return None
        except ConnectionResetError:
            return received
        if not some:
            return received
        received += some
    return None


class Relay:
    """A TCP port in front of a unix socket or another port, for as long as it is not closed."""

    def __init__(self, target: str | tuple[str, int], port: int = 0) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", port))
        self._ends = [self._listener]
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                family = socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET
                near, far = self._listener.accept()[0], socket.socket(family)
                self._ends += [near, far]
                far.connect(self._target)
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=_forward, args=ends, daemon=True).start()

    def close(self) -> None:
        """Break every connection, and refuse new ones."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while some := source.recv(65536):
            target.sendall(some)
        target.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Data:
    """A data directory, and the embedded stores that run in it."""

    path: Path

    def pids(self) -> dict[str, int]:
        """Return the pid that each store has left in its pid file."""
        found = {name: file for name, file in self._pid_files.items() if file.exists()}
        return {name: int(file.read_text().split()[0]) for name, file in found.items()}

    @property
    def _pid_files(self) -> dict[str, Path]:
        return {"redis": self.path / "redis/pid", "postgresql": self.postmaster_pid}

    @property
    def postmaster_pid(self) -> Path:
        return self.path / "postgresql/postmaster.pid"

    def name_in_lock_files(self, pid: int) -> None:
        """Have both of PostgreSQL's lock files name this process."""
        for file in (self.postmaster_pid, *(self.path / "run").rglob(".s.PGSQL.*.lock")):
            lines = file.read_text().splitlines(keepends=True)
            file.write_text("".join([f"{pid}\n", *lines[1:]]))

    def sockets(self) -> list[Path]:
        return [path for path in (self.path / "run").rglob("*") if path.is_socket()]

    def processes(self, store: str) -> list[int]:
        """Return the processes that answer for a store: of PostgreSQL, its backends too."""
        pids = [self.pids()[store]]
        if store == "postgresql":
            pids += self._backends()
        return pids

    def _backends(self) -> list[int]:
        sockets = self.path / "run/p"
        looking = psycopg2.connect(host=str(sockets), user="postgres", dbname="postgres")
        try:
            with looking.cursor() as cursor:
                cursor.execute(
                    "select pid from pg_stat_activity where application_name = 'latchkey'"
                )
                return [pid for (pid,) in cursor]
        finally:
            looking.close()

    def kill_stores(self) -> None:
        """Kill what a run has left behind, as a power cut does."""
        for pid in self.pids().values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            assert wait_for(lambda pid=pid: not is_running(pid))

    def clear(self) -> None:
        """Leave to the next test what a clean end leaves."""
        self.kill_stores()
        for file in (*self._pid_files.values(), *(self.path / "run").rglob(".s.PGSQL.*.lock")):
            file.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Tell whether there is such a process, and not just what is left of one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def _content(file: IO[bytes]) -> str:
    # The child writes at an offset that it shares with this file: it must not be moved.
    return os.pread(file.fileno(), 1 << 24, 0).decode()
