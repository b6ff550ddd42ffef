"""The program as a process: it starts, stops, survives being killed, and says what is wrong."""

import base64
import json
import os
import re
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from settings import Settings
from tests.program import (
    KEY,
    PASSWORD,
    ROOT,
    Data,
    Program,
    Relay,
    is_running,
    read_to_end,
    registration,
    wait_for,
)
from tests.store.test_images import PNG

Start = Callable[..., Program]
Stop = Callable[[Program], None]
NOWHERE = "127.0.0.1:1"
MARKER = "Zaubertrank"
"""Sent in requests; must be found in no answer and in no log."""


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers, wait until each serves, and end them."""
    with ExitStack() as stack:
        yield lambda **environment: stack.enter_context(Program(**environment)).serve()


@dataclass(frozen=True)
class ColdStart:
    """What the first start on a data directory printed, and the JSON that its lines got."""

    data: Data
    out: str
    err: str
    answers: list[dict]


@pytest.fixture(scope="module")
def cold_start() -> Iterator[ColdStart]:
    """Start on a data directory that is not there yet, try the curl lines, and stop."""
    with tempfile.TemporaryDirectory(prefix="latchkey-", ignore_cleanup_errors=True) as directory:
        data = Data(Path(directory) / "data")
        with Program(**on(data)) as server:
            answers = try_lines(server.serve().lines_to_try())
            out, err = server.out, server.err
        yield ColdStart(data, out, err, answers)


def try_lines(lines: list[str]) -> list[dict]:
    """Run the curl lines as they stand; the token comes from the answer to the first."""
    answers: list[dict] = []
    for line in lines if shutil.which("curl") else []:
        filled = line.replace("<the token>", answers[0]["token"]) if answers else line
        done = subprocess.run(["bash", "-c", filled], capture_output=True, text=True, check=True)
        answers.append(json.loads(done.stdout))
    return answers


@pytest.fixture
def data(cold_start: ColdStart) -> Iterator[Data]:
    """A data directory that has been used, with nothing running in it before a test and after."""
    yield cold_start.data
    cold_start.data.clear()


@pytest.fixture(scope="module")
def deployment(stores: tuple[str, str]) -> dict[str, str]:
    """The settings of a server on stores that it does not run itself: it starts faster."""
    return {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS": KEY}


@pytest.fixture(scope="module")
def server(deployment: dict[str, str]) -> Iterator[Program]:
    """A server that the tests share; it waits a second for a head and less for a body.

    The last test of the file stops it.
    """
    patience = {"KEEPALIVE_TIMEOUT": "1", "BODY_TIMEOUT": "0.3", "DRAIN_SECONDS": "600"}
    with Program(**deployment, **patience) as program:
        yield program.serve()


@pytest.fixture
def name() -> str:
    """The name of an account that is not there yet."""
    return f"{MARKER}-{secrets.token_hex(4)}"


def on(data: Data) -> dict[str, str]:
    return {"DATA_DIR": str(data.path)}


# Starting


def test_a_cold_start_says_what_it_does_and_what_to_try(cold_start: ColdStart):
    """It prints each step, the URL, the dialects and three curl lines, and these work."""
    said = re.findall(r"^latchkey: (.*)$", cold_start.out, re.MULTILINE)
    url = re.search(r"http://127\.0\.0\.1:[0-9]+", cold_start.out)[0]
    dialects = ", ".join(f"{name} at {each.prefix}" for name, each in Settings().dialects.items())
    assert [line.split(";")[0] for line in said] == [
        "creating a PostgreSQL database",
        "starting PostgreSQL",
        "starting Redis",
        f"serving on {url}",
        f"dialects: {dialects}",
        "in kust every account can read all accounts, as its contract requires",
        f"mail is written to {cold_start.data.path.resolve()}/mail: "
        "`python server.py mail show` prints the newest",
        f"try the API at {url}/docs",
        f"administer accounts at {url}/ui/admin",
        "no account is an administrator",
    ]
    python = sys.executable.removeprefix(f"{ROOT}/")
    command = f"{python} server.py account create --superuser username=admin"
    assert f"; create one with `{command}`\n" in cold_start.out
    assert cold_start.out.count("  curl ") == cold_start.out.count(f" {url}/") - 2 == 3
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    register, login, profile = cold_start.answers
    assert login == {"token": register["token"]}
    assert profile["data"]["username"] == "mika"
    assert cold_start.err.count("\n") == cold_start.err.count(" ms ")


def test_what_a_cold_start_makes_is_for_its_owner_alone(cold_start: ColdStart):
    """The secret key and the directory around it are nobody else's to read."""
    path = cold_start.data.path
    assert (path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mode & 0o066 == 0


@pytest.mark.slow
def test_a_warm_start_gets_ready(data: Data):
    """A second start on the same data directory gets ready, and makes nothing anew."""
    started = time.monotonic()
    with Program(**on(data)) as server:
        ready = server.serve().ask("GET", "/readyz")
        print(f"ready {time.monotonic() - started:.2f} s after a warm start")
        assert ready.status == 200
        assert "making" not in server.out


def test_a_prefix_moves_the_documented_paths(start: Start, deployment: dict[str, str], name: str):
    """With lumotist=/v1 its paths begin there and under its own name, and nowhere else."""
    server = start(**deployment, DIALECTS="lumotist=/v1")
    server.ask("POST", "/v1/account/register", registration(name))
    login = {"username": name, "password": PASSWORD}
    there = server.ask("POST", "/v1/account/login", login)
    own = server.ask("POST", "/lumotist/account/login", login)
    assert (there.status, own.status) == (200, 200)
    assert there.json == own.json
    assert server.ask("POST", "/account/login", login).status == 404
    assert "dialects: lumotist at /v1" in server.out
    assert "kust" not in server.out
    paths = [line.partition(f":{server.port}")[2] for line in server.lines_to_try()]
    assert [path for path in paths if server.ask("GET", path).status == 404] == []


# What is wrong with how it was started


def failure(*arguments: str, **environment: str) -> tuple[int, list[str]]:
    """Run the program to its end; return the exit status and the lines on stderr."""
    with Program(*arguments, **environment) as program:
        status = program.wait()
        return status, program.err.splitlines()


BAD_SETTINGS = [
    ({"DIALECTS": "nosuch=/"}, "nosuch=/", "lumotist"),
    ({"SECRET_KEYS": "Geheimnis"}, "not shown", "32 bytes"),
    ({"REDIS_URL": "nonsense", "SECRET_KEYS": KEY}, "", "redis://"),
    ({"DATABASE_URL": "nonsense"}, "", "connection string"),
]
"""The setting, what is shown of its value (a URL may hold a password), and of what is allowed."""


@pytest.mark.parametrize(
    ("setting", "shown", "allowed"), BAD_SETTINGS, ids=[next(iter(row[0])) for row in BAD_SETTINGS]
)
@pytest.mark.slow
def test_a_bad_setting_is_one_line(
    setting: dict[str, str], shown: str, allowed: str, tmp_path: Path
):
    """A value that can't be used: a line that names it and what is allowed, status 2."""
    patience = {"START_TIMEOUT": "0.3", "DATA_DIR": str(tmp_path / "data")}
    status, lines = failure(**patience, **setting)
    [line] = lines
    assert line.startswith(f"latchkey: {next(iter(setting))} must be ")
    assert shown in line
    assert allowed in line
    assert status == 2


@pytest.mark.slow
def test_redis_without_keys_is_one_line(deployment: dict[str, str]):
    """A Redis of one's own needs SECRET_KEYS: it may be shared with other servers."""
    status, [line] = failure(REDIS_URL=deployment["REDIS_URL"])
    assert "SECRET_KEYS" in line
    assert "REDIS_URL" in line
    assert status == 2


@pytest.mark.slow
def test_an_unknown_command_is_one_line():
    status, [line] = failure("nosuch")
    assert "nosuch" in line
    assert status == 2


@pytest.mark.slow
def test_a_second_run_on_one_data_directory_is_one_line(data: Data, start: Start):
    """The second says so and ends; the first notices nothing."""
    first = start(**on(data))
    status, [line] = failure(**on(data))
    assert line == f"latchkey: another server is using the data directory {data.path}"
    assert status == 1
    assert first.ask("GET", "/readyz").status == 200


@pytest.mark.slow
def test_a_taken_port_is_one_line_and_leaves_no_store(data: Data):
    """Whoever can't listen stops the stores that it has started."""
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        status, [line] = failure(**on(data), PORT=str(port))
    assert line.startswith(f"latchkey: cannot listen on 127.0.0.1:{port}: ")
    assert "address already in use" in line.lower()
    assert status == 1
    assert data.pids() == {}


@pytest.mark.parametrize(
    ("setting", "url", "store"),
    [
        ("DATABASE_URL", f"postgresql://me:{MARKER}@{NOWHERE}/x", "postgresql"),
        pytest.param(
            *("REDIS_URL", f"redis://:{MARKER}@{NOWHERE}/0", "redis"), marks=pytest.mark.slow
        ),
    ],
)
def test_an_unreachable_store_is_one_line(
    deployment: dict[str, str], setting: str, url: str, store: str
):
    """The program waits START_TIMEOUT, says which store it can't reach, and ends."""
    environment = {**deployment, setting: url, "START_TIMEOUT": "0.3"}
    status, lines = failure(**environment)
    [line] = [line for line in lines if "waiting for" not in line]
    assert lines[-1] == line
    assert line.startswith(f"latchkey: {store}: ")
    assert "Connection refused" in line or "Connect call failed" in line or "Error 111" in line
    assert not any(MARKER in line for line in lines)
    assert status == 1


# Whether it is ready


def test_healthz_says_that_the_process_is_up(server: Program):
    answer = server.ask("GET", "/healthz")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


def test_readyz_says_that_both_stores_answer(server: Program):
    answer = server.ask("GET", "/readyz")
    expected = {"status": "ok", "postgresql": "ok", "redis": "ok"}
    assert (answer.status, answer.json) == (200, expected)


@pytest.mark.parametrize(
    ("store", "other"),
    [("postgresql", "redis"), pytest.param("redis", "postgresql", marks=pytest.mark.slow)],
)
def test_readyz_names_the_store_that_is_away(
    data: Data, start: Start, name: str, store: str, other: str
):
    """A store that hangs is a 503 that names it, never a 401; all is well when it is back."""
    server = start(**on(data), STORE_TIMEOUT="0.5")
    token = server.register(name)
    with frozen(data.processes(store)):
        answer = server.ask("GET", "/readyz")
        assert answer.status == 503
        assert answer.json[other] == "ok"
        assert answer.json[store] != "ok"
        profile = server.ask("GET", "/account/profile", token=token)
        assert (profile.status, profile.headers["Retry-After"]) == (503, "1")
        assert server.ask("GET", "/healthz").status == 200
    assert wait_for(lambda: server.ask("GET", "/readyz").status == 200)
    assert server.ask("GET", "/account/profile", token=token).status == 200
    assert "Traceback" not in server.err


@pytest.mark.slow
def test_a_database_that_refuses_connections_is_a_503(
    start: Start, deployment: dict[str, str], name: str
):
    """A PostgreSQL reached over TCP goes away and comes back: 503 meanwhile, never a 500."""
    socket_path = parse_dsn(deployment["DATABASE_URL"])["host"] + "/.s.PGSQL.5432"
    relay = Relay(socket_path)
    url = f"postgresql://postgres@127.0.0.1:{relay.port}/postgres"
    try:
        server = start(**{**deployment, "DATABASE_URL": url})
        token = server.register(name)
        relay.close()
        for _ in range(4):
            ready = server.ask("GET", "/readyz")
            assert ready.status == 503, ready
            assert ready.json["redis"] == "ok"
            assert server.ask("GET", "/account/profile", token=token).status == 503
        relay = Relay(socket_path, relay.port)
        assert wait_for(lambda: server.ask("GET", "/readyz").status == 200)
        assert server.ask("GET", "/account/profile", token=token).status == 200
    finally:
        relay.close()


@contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


# Stopping


def terminate(server: Program) -> None:
    server.process.send_signal(signal.SIGTERM)


def interrupt(server: Program) -> None:
    server.process.send_signal(signal.SIGINT)


def interrupt_the_group(server: Program) -> None:
    """Do what a terminal does at Ctrl-C."""
    os.killpg(server.process.pid, signal.SIGINT)


@pytest.mark.parametrize("stop", [terminate, interrupt_the_group])
def test_a_signal_finishes_what_is_in_flight_and_stops_the_stores(
    data: Data, start: Start, name: str, stop: Stop
):
    """The register that is being hashed is still answered; then everything is gone."""
    server = start(**on(data), BCRYPT_ROUNDS="12")
    pids = data.pids()
    assert sorted(pids) == ["postgresql", "redis"]
    assert len(data.sockets()) == 2
    answer_to_a_register_during(server, name, stop)
    assert server.wait() == 0
    assert not any(is_running(pid) for pid in pids.values())
    assert (data.pids(), data.sockets()) == ({}, [])
    assert "POST /account/register 200" in server.err
    assert "Traceback" not in server.err


def answer_to_a_register_during(server: Program, name: str, stop: Stop) -> None:
    """Register, stop the server before that is answered, and see the answer come."""
    with server.client() as idle, server.client() as client:
        idle.send("GET", "/healthz")
        idle.receive()
        client.send("POST", "/account/register", registration(name))
        idle.send("GET", "/healthz")  # answered behind the register's arrival
        idle.receive()
        assert client.is_waiting(), "the register was over before the signal"
        stop(server)
        answer = client.receive()
    assert (answer.status, answer.json["success"]) == (200, True)


@pytest.mark.slow
def test_no_drain_finishes_what_is_in_flight(start: Start, deployment: dict[str, str], name: str):
    """SIGTERM with DRAIN_SECONDS=0 closes at once, but not on a request."""
    server = start(**deployment, BCRYPT_ROUNDS="12", DRAIN_SECONDS="0")
    answer_to_a_register_during(server, name, terminate)
    assert server.wait() == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the processes of a process")
def test_a_stop_does_not_wait_for_a_picture(start: Start, deployment: dict[str, str], name: str):
    """Its decoder answers nothing any more, and its client has left; both stop with the server."""
    server = start(**deployment, DRAIN_SECONDS="0")
    picture = {"picture": base64.b64encode(PNG).decode()}
    with server.client() as client, server.client() as leaving:
        client.send("POST", "/account/register", registration(name))
        token = client.receive().json["token"]
        client.send("POST", "/account/set_picture", picture, token)
        assert client.receive().status == 200
        found = Path(f"/proc/{server.process.pid}/task").glob("*/children")
        children = [int(pid) for file in found for pid in file.read_text().split()]
        [decoder] = [
            pid
            for pid in children
            if b"store.image_decoder" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(decoder, signal.SIGSTOP)
        leaving.send("POST", "/account/set_picture", picture, token)
        client.send("GET", "/healthz")
        client.receive()
    begun = time.monotonic()
    terminate(server)
    assert server.wait() == 0
    assert time.monotonic() - begun < 10
    assert not is_running(decoder)
    assert "Traceback" not in server.err


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_while_it_starts_leaves_no_store(data: Data, number: signal.Signals):
    """Ctrl-C and SIGTERM count before the server serves, too: no traceback, nothing left."""
    with Program(**on(data)) as server:
        server.say("starting Redis")
        os.killpg(server.process.pid, number)
        server.wait()
        assert "Traceback" not in server.err
    assert data.pids() == {}


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_ends_the_wait_for_a_store(deployment: dict[str, str], number: signal.Signals):
    """Nobody waits START_TIMEOUT out who has said stop."""
    environment = {**deployment, "REDIS_URL": f"redis://{NOWHERE}/0", "START_TIMEOUT": "3600"}
    with Program(**environment) as server:
        server.say("waiting for redis")
        server.process.send_signal(number)
        ended = wait_for(lambda: server.process.poll() is not None, 5)
        if not ended:
            server.process.kill()
        assert ended
        assert "Traceback" not in server.err


# After being killed


@pytest.mark.parametrize(
    "also_the_stores",
    [
        pytest.param(False, id="server", marks=pytest.mark.slow),
        pytest.param(True, id="everything"),
    ],
)
def test_nothing_is_lost_when_it_is_killed(data: Data, name: str, also_the_stores: bool):
    """After kill -9 the next start just works: every account is there, every token is good."""
    names = [f"{name}{number}" for number in range(5)]
    with Program(**on(data)) as killed:
        killed.serve()
        tokens = {name: killed.register(name) for name in names}
        killed.process.kill()
        killed.wait()
    assert sorted(data.pids()) == ["postgresql", "redis"]
    if also_the_stores:
        data.kill_stores()
        assert len(data.sockets()) == 2
    with Program(**on(data)) as server:
        server.serve()
        assert ("taking over" in server.out) is not also_the_stores
        assert {name: server.log_in(name) for name in names} == tokens
        for owner, token in tokens.items():
            profile = server.ask("GET", "/account/profile", token=token)
            assert profile.json["data"]["username"] == owner
        assert server.err.count("\n") == server.err.count(" ms ")
    assert data.pids() == {}


@pytest.mark.slow
def test_a_stale_pid_of_somebody_else_is_no_obstacle(data: Data):
    """A pid file may name a process that has nothing to do with it: in a new container, say."""
    with Program(**on(data)) as killed:
        killed.serve()
        killed.process.kill()
        killed.wait()
    data.kill_stores()
    owner = data.postmaster_pid.stat()
    user = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "60"], cwd="/", **user) as stranger:
        try:
            data.name_in_lock_files(stranger.pid)
            with Program(**on(data), START_TIMEOUT="1") as server:
                assert server.serve().ask("GET", "/readyz").status == 200
            assert stranger.poll() is None, "it was taken for the database, and stopped"
        finally:
            data.postmaster_pid.unlink(missing_ok=True)  # it may name the stranger still
            stranger.kill()


# What is no HTTP, and what is slow


REFUSED = {
    "garbage": f"\x16\x03\x01{MARKER}\r\n\r\n",
    "no spaces": f"{MARKER}\r\n\r\n",
    "bad header": f"GET / HTTP/1.1\r\nHost: x\r\n{MARKER} {MARKER}\r\n\r\n",
    "bad header name": f"GET / HTTP/1.1\r\nHost: x\r\n{MARKER}\x01: x\r\n\r\n",
    "bad header value": f"GET / HTTP/1.1\r\nHost: x\r\nCookie: {MARKER}\x00\r\n\r\n",
    "bad length": f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {MARKER}\r\n\r\n",
    "two framings": f"POST / HTTP/1.1\r\nX: {MARKER}\r\nContent-Length: 1\r\n"
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown version": f"GET /{MARKER} HTTP/9.9\r\nHost: x\r\n\r\n",
    "bad URL": f"GET http://[{MARKER} HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_http_gets_a_bare_400(server: Program, sent: str):
    """No banner, nothing of what was sent, neither in the answer nor in the log; then a close."""
    before = len(server.err)
    with server.connect() as connection:
        connection.sendall(sent.encode("latin-1"))
        answer = read_to_end(connection)
    assert answer is not None, "the connection stays open"
    assert re.match(rb"HTTP/1\.[01] 400 Bad Request\r\n", answer), answer
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b""
    named = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
    assert named <= {b"content-length", b"date", b"connection"}
    for word in (MARKER, "9.9", "aiohttp", "Python", "Latchkey"):
        assert word.encode() not in answer
    assert wait_for(lambda: len(server.err) > before), "not a line in the log"
    assert MARKER not in server.err[before:]
    assert server.err[before:].count("\n") == 1


ODD = {
    "an unknown expectation": b"GET /nowhere HTTP/1.1\r\nHost: x\r\nExpect: Zaubertrank\r\n",
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n",
    "CONNECT": b"CONNECT Zaubertrank:80 HTTP/1.1\r\nHost: x\r\n",
    "an unknown method": b"ZAUBERTRANK /nowhere HTTP/1.1\r\nHost: x\r\n",
    "no host": b"GET /nowhere HTTP/1.1\r\n",
    "two slashes": b"GET //Zaubertrank HTTP/1.1\r\nHost: x\r\n",
    "no slash": b"GET Zaubertrank HTTP/1.1\r\nHost: x\r\n",
    "a path that is no UTF-8": b"GET /%ff%00 HTTP/1.1\r\nHost: x\r\n",
    "a whole URL": b"GET http://Zaubertrank/nowhere HTTP/1.1\r\nHost: x\r\n",
}


@pytest.mark.parametrize("sent", ODD.values(), ids=ODD.keys())
def test_odd_requests_are_answered_like_all_others(server: Program, sent: bytes):
    """HTTP that hardly anybody speaks: the CORS headers, no library's banner, no 500, no echo."""
    before = len(server.err)
    with server.connect() as connection:
        connection.sendall(sent + b"Connection: close\r\n\r\n")
        answer = read_to_end(connection)
    assert answer is not None, "the connection stays open"
    head = answer.partition(b"\r\n\r\n")[0]
    assert re.match(rb"HTTP/1\.[01] [24]\d\d ", head), answer
    assert b"aiohttp" not in answer
    assert b"Zaubertrank" not in answer
    if b" 400 Bad Request\r\n" not in head:
        assert b"\r\nAccess-Control-Allow-Origin: *" in head, head
    assert wait_for(lambda: len(server.err) > before), "not a line in the log"
    assert "Traceback" not in server.err[before:]
    assert "Zaubertrank" not in server.err[before:]


HALVES = {
    "nothing": b"",
    "half a request line": b"GET /heal",
    "half a head": b"GET /healthz HTTP/1.1\r\nHos",
    "half a second head": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHos",
    "a head but its last line": b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
}


@pytest.mark.slow
def test_half_a_head_is_cut(server: Program):
    """A head that is not whole within KEEPALIVE_TIMEOUT is not waited for; others are served."""
    with ExitStack() as stack:
        open = {what: stack.enter_context(server.connect()) for what in HALVES}
        for what, connection in open.items():
            connection.sendall(HALVES[what])
        assert server.ask("GET", "/healthz").status == 200
        answers = read_all_to_end(open, 6)
    assert [what for what, answer in answers.items() if answer is None] == []


def read_all_to_end(open: dict[str, socket.socket], patience: float) -> dict[str, bytes | None]:
    """Return what comes on each connection until it is closed; None for one that is not."""
    give_up = time.monotonic() + patience
    return {
        what: read_to_end(connection, max(give_up - time.monotonic(), 0.05))
        for what, connection in open.items()
    }


@pytest.mark.slow
def test_a_head_that_trickles_in_is_cut(server: Program):
    """A byte now and then buys no time: the limit is for the whole head."""
    with server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        connection.settimeout(0.25)
        give_up = time.monotonic() + 6
        while not (cut := is_cut(connection)) and time.monotonic() < give_up:
            pass
    assert cut


def is_cut(connection: socket.socket) -> bool:
    """Send one more byte of a head and tell whether the server has closed."""
    try:
        connection.sendall(b"X")
        return connection.recv(1024) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.mark.slow
def test_a_connection_in_use_is_not_cut(server: Program):
    """The limit is for what is idle or unfinished: regular requests keep a connection."""
    with server.client() as client:
        for pause in (0.3, 0.3, 0.3, 0.3, 0):
            client.send("GET", "/healthz")
            assert client.receive().status == 200
            time.sleep(pause)


POST = b"POST /account/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
MISSING = {
    "never begun": POST + b"Content-Length: 100\r\n\r\n",
    "begun": POST + b'Content-Length: 100\r\n\r\n{"us',
    "chunked": POST + b'Transfer-Encoding: chunked\r\n\r\n4\r\n{"us\r\n',
}


def test_a_body_that_does_not_arrive_is_a_408(server: Program):
    """After BODY_TIMEOUT comes a 408 and the connection is closed; others are served."""
    with ExitStack() as stack:
        open = {what: stack.enter_context(server.connect()) for what in MISSING}
        for what, connection in open.items():
            connection.sendall(MISSING[what])
        assert server.ask("GET", "/healthz").status == 200
        answers = read_all_to_end(open, 5)
    assert [what for what, answer in answers.items() if answer is None] == []
    for answer in answers.values():
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nConnection: close\r\n" in answer
        assert answer.count(b"HTTP/1.1") == 1


# The log


def test_the_log_has_a_line_for_each_request(server: Program):
    """Method, route, status, milliseconds and id of each; no token, no password, no body."""
    before = len(server.err)
    asked, secret_words = ask_for_a_log(server)
    ids = [each[-1] for each in asked]
    assert wait_for(lambda: all(f"[{each}]" in server.err for each in ids))
    logged = server.err[before:]
    lines = map(parse_text_line, logged.splitlines())
    assert [line for line in lines if line[-1] in ids] == asked  # others' may have come late
    assert [word for word in secret_words if word in logged] == []


def test_the_log_is_json_where_it_is_to_be(start: Start, deployment: dict[str, str]):
    """All of it: the requests, as in the text, and what is printed at the start and the end."""
    server = start(**deployment, DIALECTS="lumotist=/", LOG_FORMAT="json")
    asked, secret_words = ask_for_a_log(server)
    interrupt(server)
    assert server.wait() == 0
    assert [parse_json_line(line) for line in server.err.splitlines()] == asked
    messages = [json.loads(line)["message"] for line in server.out.splitlines()]
    assert messages[0] == f"serving on http://127.0.0.1:{server.port}"
    assert messages[-1] == "stopping"
    assert [word for word in secret_words if word in server.err] == []


def ask_for_a_log(server: Program) -> tuple[list[tuple[str, str, int, str]], list[str]]:
    """Make requests; return what the log must say of each, and what it must not."""
    name, password = f"{MARKER}-{secrets.token_hex(4)}", "Sesam, öffne dich"
    token = server.register(name, password)
    forged = secrets.token_hex(20)
    login = {"username": name, "password": password}
    requests = [
        ("POST", "/account/login", 200, {"data": login}),
        ("POST", "/account/login", 400, {"data": {**login, "password": f"{password}!"}}),
        ("GET", "/account/profile", 200, {"token": token}),
        ("GET", "/account/profile", 401, {"token": forged}),
        ("GET", f"/account/{MARKER}", 404, {"token": token}),
        ("GET", f"/healthz?token={token}", 200, {}),
    ]
    asked = []
    for number, (method, path, status, more) in enumerate(requests):
        answer = server.ask(method, path, **more, X_Request_ID=f"client.{number}")
        assert answer.headers["X-Request-ID"] == f"client.{number}"
        route = "*" if status == 404 else path.partition("?")[0]
        asked.append((method, route, answer.status, f"client.{number}"))
    assert [status for _, _, status, _ in asked] == [status for _, _, status, _ in requests]
    bad_id = server.ask("GET", "/healthz", X_Request_ID=f"{MARKER} two words")
    asked.append(("GET", "/healthz", 200, bad_id.headers["X-Request-ID"]))
    first = server_made_id(bad_id.headers["X-Request-ID"])
    asked.insert(0, ("POST", "/account/register", 200, first))
    return asked, [token, forged, password, MARKER, "@example.com"]


def server_made_id(later: str) -> str:
    """Return the id that the server made before this one."""
    prefix, number = re.fullmatch(r"([0-9a-f]{12})-([0-9a-f]+)", later).groups()
    return f"{prefix}-{int(number, 16) - 1:x}"


def parse_json_line(line: str) -> tuple[str, str, int, str]:
    entry = json.loads(line)
    assert isinstance(entry["ms"], float)
    return entry["method"], entry["route"], entry["status"], entry["request_id"]


def parse_text_line(line: str) -> tuple[str, str, int, str]:
    form = r"\S+Z (\w+) (\S+) (\d{3}) [\d.]+ ms \[(\S+)\](?: \w+)?"
    method, route, status, request_id = re.fullmatch(form, line).groups()
    return method, route, int(status), request_id


# Very many clients


CLIENTS = 1100


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Room for all the clients, in this process and in those it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CLIENTS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"RLIMIT_NOFILE can't be raised to {wanted}")
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        yield
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_a_taken_name_is_refused_beside_very_many_clients(
    descriptors: None, start: Start, deployment: dict[str, str], name: str
):
    """A database connection of a descriptor that select(2) can't see still learns of a clash."""
    server = start(**deployment)
    server.register(name)
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(server.connect())
        assert server.ask("GET", "/healthz").status == 200
        drop_database_connections(deployment["DATABASE_URL"])
        assert wait_for(lambda: server.ask("GET", "/readyz").status == 200)
        for _ in range(4):
            answer = server.ask("POST", "/account/register", registration(name))
            assert answer.status == 400, answer
            assert sorted(answer.json["errors"]) == ["email", "username"]


def drop_database_connections(url: str) -> None:
    """End every server's connections: those made next get descriptors above all clients'."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                "where application_name = 'latchkey'"
            )
            assert cursor.rowcount > 0
    finally:
        connection.close()


# A drain


def test_a_drain_closes_connections_behind_their_answers(server: Program, name: str):
    """After SIGTERM every answer says so, on new connections too, for the whole of DRAIN_SECONDS.

    That nobody is connected does not end it: a balancer asks only now and then. Ctrl-C does.
    The last test of this server.
    """
    token = server.register(name)
    with server.client() as known, server.client() as other:
        for client in (known, other):
            client.send("GET", "/healthz")
            assert client.receive().headers["Connection"] != "close"
        terminate(server)
        server.say("draining")
        assert server.ask("GET", "/nowhere").headers["Connection"] == "close"
        known.send("GET", "/account/profile", token=token)
        profile = known.receive()
        assert (profile.status, profile.headers["Connection"]) == (200, "close")
        other.send("GET", "/readyz")
        ready = other.receive()
        assert (ready.status, ready.json["status"]) == (503, "draining")
        assert ready.headers["Connection"] == "close"
    for _ in range(3):
        time.sleep(0.1)  # nobody is connected
        assert server.ask("GET", "/readyz").status == 503
    interrupt(server)
    assert server.wait() == 0
