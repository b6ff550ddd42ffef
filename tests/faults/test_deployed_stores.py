"""The stores' configuration in deploy/: the very files are run, and a server serves from them."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from psycopg2.extensions import parse_dsn

from embedded import valkey_program
from tests.faults.crowd import HOST
from tests.faults.test_pgbouncer import PROGRAM, Bouncer, direct, free_port
from tests.program import KEY, PASSWORD, Program, Relay
from tests.redis_servers import Server, Watched, wait_for

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME, SECRET = "latchkey", "a secret of PgBouncer's"
REDIS_PASSWORD, SENTINEL_PASSWORD = "of-the-servers", "of-the-sentinels"
LOGIN = {"username": "mika", "password": PASSWORD}

pytestmark = pytest.mark.slow


def changed(file: Path, **values: str) -> str:
    """Return a configuration file's text with the values of some lines changed."""
    text = file.read_text()
    for name, value in values.items():
        text, times = re.subn(
            rf"(?m)^({name.replace('_', '[_ ]')}( = | )).*$", rf"\g<1>{value}", text
        )
        assert times == 1, name
    return text


@pytest.fixture
def bouncer(stores: tuple[str, str], tmp_path: Path) -> Iterator[Bouncer]:
    """Run PgBouncer by deploy/pgbouncer.ini, before a database and a role of its own."""
    if PROGRAM is None:
        pytest.skip("pgbouncer is not installed")
    for level in (tmp_path, *tmp_path.parents[:2]):
        level.chmod(0o755)  # it does not run as root
    found = Bouncer(tmp_path, free_port())
    # PostgreSQL lets in the tests' user alone, which a relay is.
    relay = Relay(f"{parse_dsn(stores[0])['host']}/.s.PGSQL.5432")
    (tmp_path / "users").write_text(f'"{NAME}" "{SECRET}"\n')
    (tmp_path / "ini").write_text(
        changed(
            DEPLOY / "pgbouncer.ini",
            latchkey=f"host={HOST} port={relay.port} dbname={NAME}",
            listen_addr=HOST,
            listen_port=str(found.port),
            auth_file=str(tmp_path / "users"),
        )
    )
    with closing(relay), direct(stores, "postgres") as cursor:
        cursor.execute(f"create role {NAME} login")
        cursor.execute(f"create database {NAME} owner {NAME}")
        found.start()
        yield found
        found.kill()
        cursor.execute(f"drop database {NAME} with (force)")
        cursor.execute(f"drop role {NAME}")


def url_of(bouncer: Bouncer, secret: str) -> str:
    """Return a DATABASE_URL with options, which PostgreSQL never gets to see."""
    options = "target_session_attrs=primary&options=-c%20work_mem%3D8MB"
    return f"postgresql://{NAME}:{quote(secret)}@{HOST}:{bouncer.port}/{NAME}?{options}"


def test_a_server_serves_through_pgbouncer_as_it_is_configured(
    clean: None, stores: tuple[str, str], bouncer: Bouncer
):
    more = {"REDIS_URL": stores[1], "SECRET_KEYS": KEY, "DATABASE_POOL": "8"}
    with Program(DATABASE_URL=url_of(bouncer, SECRET), **more) as server:
        server.serve().register("mika")
        server.log_in("mika")
        assert server.ask("GET", "/readyz").status == 200
    with direct(stores, NAME) as cursor:
        cursor.execute("select count(*) from account")
        assert cursor.fetchone() == (1,)
    with Program(DATABASE_URL=url_of(bouncer, "wrong"), START_TIMEOUT="0", **more) as stranger:
        assert stranger.wait() == 1
        assert "authentication failed" in stranger.err


@contextmanager
def started(*servers: Server) -> Iterator[None]:
    try:
        for each in servers:
            each.home.mkdir(exist_ok=True)
            each.start()
        yield
    finally:
        for each in servers:
            if hasattr(each, "process"):
                each.kill()


def with_password(file: Path, directory: Path, **values: str) -> str:
    """Return a configuration whose password file is in this directory, and write that file."""
    lines = (
        f"requirepass {REDIS_PASSWORD}\nmasterauth {REDIS_PASSWORD}\n"
        if file.stem == "redis"
        else f"requirepass {SENTINEL_PASSWORD}\nsentinel sentinel-pass {SENTINEL_PASSWORD}\n"
        f"sentinel auth-pass accounts {REDIS_PASSWORD}\n"
    )
    passwords = directory / f"{file.stem}-password.conf"
    passwords.write_text(lines)
    return changed(file, include=str(passwords), **values)


@pytest.mark.parametrize("name", ["redis.conf", "sentinel.conf"])
def test_redis_does_not_start_without_its_password_file(name: str, tmp_path: Path):
    """Else a Redis with this file would take anybody's commands."""
    file = tmp_path / name
    file.write_text((DEPLOY / "redis" / name).read_text())
    more = ["--sentinel"] if name == "sentinel.conf" else ["--dir", str(tmp_path)]
    done = subprocess.run(
        [valkey_program(), str(file), "--port", str(free_port()), *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode != 0
    assert "password.conf" in done.stdout + done.stderr


def test_one_redis_serves_as_it_is_configured(clean: None, stores: tuple[str, str], tmp_path: Path):
    """With redis.conf alone: writes need no replica, and every command needs the password."""
    text = with_password(DEPLOY / "redis/redis.conf", tmp_path)
    file = tmp_path / "single.conf"
    file.write_text(text)
    server = Server(tmp_path / "single", free_port(), (str(file),), REDIS_PASSWORD)
    with started(server):
        url = f"redis://:{REDIS_PASSWORD}@{HOST}:{server.port}/0"
        with Program(DATABASE_URL=stores[0], REDIS_URL=url, SECRET_KEYS=KEY) as program:
            program.serve().register("single")
            program.log_in("single")
        server.password = None
        with pytest.raises(redis.exceptions.AuthenticationError):
            server.ask("ping")
        server.password = REDIS_PASSWORD


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Run a primary, a replica and three Sentinels by the files in deploy/redis."""

    def make(name: str, text: str, password: str, *arguments: str) -> Server:
        file = tmp_path / f"{name}.conf"  # its own: they write into it
        file.write_text(text)
        return Server(tmp_path / name, free_port(), (str(file), *arguments), password)

    single = tmp_path / "redis.conf"
    single.write_text(with_password(DEPLOY / "redis/redis.conf", tmp_path))
    rules = changed(DEPLOY / "redis/replicated.conf", include=str(single))
    primary = make("primary", rules, REDIS_PASSWORD)
    replica = make("replica", rules, REDIS_PASSWORD, "--replicaof", HOST, str(primary.port))
    monitor = {"sentinel_monitor": f"accounts {HOST} {primary.port} 2"}
    rules = with_password(DEPLOY / "redis/sentinel.conf", tmp_path, **monitor)
    sentinels = [
        make(f"sentinel-{number}", rules, SENTINEL_PASSWORD, "--sentinel") for number in range(3)
    ]
    found = Watched([primary, replica], sentinels)
    with started(*found.servers, *sentinels):
        wait_for(
            lambda: found.replicas() == [replica] and found.primary(), "a primary and its copy"
        )
        yield found


def test_a_server_serves_from_redis_as_it_is_configured(
    clean: None, stores: tuple[str, str], watched: Watched
):
    """Without a replica that keeps up nothing is written that a failover would lose."""
    more = {"REDIS_URL": watched.url, "SECRET_KEYS": KEY}
    with Program(DATABASE_URL=stores[0], **more) as server:
        token = server.serve().register("mika")
        primary, replica = watched.servers
        for name, value in (("maxmemory-policy", b"noeviction"), ("appendonly", b"yes")):
            assert list(primary.ask("config", "get", name).values()) == [value]
        replica.kill()
        wait_for(lambda: not primary.ask("role")[2], "the replica's end")
        refused = server.ask("POST", "/account/login", LOGIN)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert server.ask("GET", "/account/profile", token=token).status == 200
        replica.start()
        wait_for(lambda: watched.replicas() == [replica], "the replica")
        assert wait_for(lambda: server.ask("POST", "/account/login", LOGIN).status == 200, "logins")


def test_a_replica_takes_over_as_it_is_configured(
    clean: None, stores: tuple[str, str], watched: Watched
):
    """Reads go on; with one server left nothing can be written, as said in the file."""
    with Program(DATABASE_URL=stores[0], REDIS_URL=watched.url, SECRET_KEYS=KEY) as server:
        token = server.serve().register("mika")
        primary, replica = watched.servers
        primary.kill()
        begun = time.monotonic()
        wait_for(lambda: server.ask("GET", "/account/profile", token=token).status == 200, "reads")
        print(f"reads went on after {time.monotonic() - begun:.1f} s")
        wait_for(lambda: watched.primary() is replica, "all Sentinels' agreement")
        assert server.ask("POST", "/account/login", LOGIN).status == 503
        primary.bring_back()
        wait_for(lambda: watched.replicas() == [primary], "the old primary as a replica")
        assert wait_for(lambda: server.ask("POST", "/account/login", LOGIN).status == 200, "logins")
