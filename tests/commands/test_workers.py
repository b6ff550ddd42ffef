"""`WORKERS=2`: two processes on one socket over one pair of stores, and none of it seen outside."""

import contextlib
import http.client
import re
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.program import KEY, PASSWORD, Client, Data, Program, Response, is_running, wait_for

READERS = 4


@pytest.fixture(scope="module")
def data() -> Iterator[Data]:
    with tempfile.TemporaryDirectory(prefix="latchkey-", ignore_cleanup_errors=True) as directory:
        yield Data(Path(directory) / "data")


@pytest.fixture(scope="module")
def server(data: Data) -> Iterator[Program]:
    """A server that the tests share, until the last of them stops it."""
    with Program(DATA_DIR=str(data.path), WORKERS="2", DRAIN_SECONDS="2") as program:
        yield program.serve()


def workers_of(server: Program) -> set[int]:
    """Return the processes that serve; the stores are children of init."""
    found = set()
    for child in psutil.Process(server.process.pid).children():
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "server.py" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def both_serve(server: Program, besides: frozenset[int] = frozenset()) -> set[int]:
    """Wait until two workers are there, none of those given, and return them."""
    found: set[int] = wait_for(
        lambda: len(pids := workers_of(server)) == 2 and not pids & besides and pids
    )
    assert found
    return found


class Reader(threading.Thread):
    """A client that reads its profile again and again, on one connection for as long as it may."""

    def __init__(self, port: int, token: str) -> None:
        super().__init__()
        self._port, self._token = port, token
        self._enough = threading.Event()
        self.answers = 0
        self.closed = 0
        self.failures: list[Response | Exception] = []

    def run(self) -> None:
        client = Client(self._port)
        while not self._enough.is_set():
            try:
                client.send("GET", "/account/profile", token=self._token)
                answer = client.receive()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(error)
                return
            self.answers += 1
            self.closed += answer.headers["Connection"] == "close"
            if answer.status != 200:
                self.failures.append(answer)
        client.close()

    def stop(self) -> None:
        self._enough.set()
        self.join()


def test_the_first_administrator_is_offered_once(server: Program):
    assert server.out.count("no account is an administrator; create one with `") == 1
    assert server.out.count(f"administer accounts at http://127.0.0.1:{server.port}/ui/admin") == 1


def test_workers_are_replaced_under_load_and_no_request_is_lost(server: Program):
    """SIGHUP: every connection ends behind an answer, and the next one meets a new worker."""
    old = both_serve(server)
    token = server.register("reload")
    readers = [Reader(server.port, token) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        assert wait_for(lambda: all(reader.answers > 20 for reader in readers))
        server.process.send_signal(signal.SIGHUP)
        both_serve(server, frozenset(old))
        assert wait_for(lambda: not any(is_running(pid) for pid in old))
        enough = {reader: reader.answers + 20 for reader in readers}
        assert wait_for(lambda: all(reader.answers > n for reader, n in enough.items()))
    finally:
        for reader in readers:
            reader.stop()
    assert [failure for reader in readers for failure in reader.failures] == []
    assert all(reader.closed for reader in readers)


def counted(server: Program, sample: str) -> float:
    """Return a sample of /metrics, 0 when it is not there."""
    text = server.ask("GET", "/metrics").body.decode()
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_whichever_worker_is_asked_its_metrics_are_those_of_all(server: Program):
    """New workers go on counting where the old ones stopped; what is there now, they replace."""
    old = both_serve(server)
    token = server.register("counted")
    asked = (
        'latchkey_requests_total{dialect="kust",method="GET",route="/auth/users/me",status="200"}'
    )
    pool = 'latchkey_store_connections_limit{store="postgresql"}'
    assert counted(server, asked) == 0  # no other test asks for it: what they count comes late

    def read(times: int) -> None:
        for _ in range(times):  # a connection each: both workers come to serve
            assert server.ask("GET", "/auth/users/me", None, token).status == 200

    read(30)
    assert wait_for(lambda: counted(server, asked) == 30)
    assert wait_for(lambda: counted(server, pool) == 4)
    server.process.send_signal(signal.SIGHUP)
    both_serve(server, frozenset(old))
    assert wait_for(lambda: not any(is_running(pid) for pid in old))
    read(10)
    assert wait_for(lambda: counted(server, asked) == 40)
    assert wait_for(lambda: counted(server, pool) == 4)


def test_a_worker_that_dies_is_replaced(server: Program):
    server.register("survivor")
    one = min(both_serve(server))
    psutil.Process(one).kill()
    assert wait_for(lambda: one not in (now := workers_of(server)) and len(now) == 2)
    assert server.ask("GET", "/healthz").status == 200
    assert server.log_in("survivor", PASSWORD)


def test_two_processes_serve_one_base_of_accounts(server: Program, data: Data):
    """A token from one is good at the other, and no id of a request comes from both.

    The last test of this server: after SIGTERM it drains, and stops the stores.
    """
    both_serve(server)
    token = server.register("shared")
    prefixes = set()

    def ask() -> bool:
        answer = server.ask("GET", "/account/profile", None, token)
        assert answer.status == 200
        prefixes.add(answer.headers["X-Request-ID"].partition("-")[0])
        return len(prefixes) == 2

    assert wait_for(ask)
    stores = data.pids()
    server.process.send_signal(signal.SIGTERM)

    def drains() -> bool:
        """Ask ten times, on new connections, while no other is open."""
        answers = [server.ask("GET", "/account/profile", None, token) for _ in range(10)]
        assert {answer.status for answer in answers} == {200}
        return all(answer.headers["Connection"] == "close" for answer in answers)

    assert wait_for(drains)
    assert server.ask("GET", "/readyz").status == 503
    assert server.wait() == 0
    assert not any(is_running(pid) for pid in stores.values())
    assert "Traceback" not in server.err


@pytest.mark.slow
def test_a_store_that_is_not_there_ends_all_of_it():
    """No worker is started again and again for nothing, and one line says why."""
    stores = {"REDIS_URL": "redis://127.0.0.1:1/0", "DATABASE_URL": "host=127.0.0.1 port=1"}
    with Program(WORKERS="2", START_TIMEOUT="0", SECRET_KEYS=KEY, **stores) as server:
        assert server.wait() == 1
        [line] = server.err.splitlines()
        assert line.startswith("latchkey: postgresql")
