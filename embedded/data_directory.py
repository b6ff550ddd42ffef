"""The data directory: private, locked by one process, with the files and sockets of the stores.

<data>/lock        held by the process that runs the stores
<data>/secret_key  the key that tokens are signed with, if SECRET_KEYS gives none
<data>/postgresql  PostgreSQL's files      <data>/run/p  its socket
<data>/redis       Valkey's files          <data>/run/r  its socket
<data>/outside     a link to a directory that was made outside, for sockets whose path would be too
                   long, and for copies of programs; it goes at the end of a run
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from embedded.programs import DataDirectoryInUse, EmbeddedStoreError
from store.tokens import MIN_KEY_BYTES

_UNTAKEN = frozenset('"$`\\\n')
_LONGEST_SOCKET = 100
"""Bytes of a socket's path, at most: the systems' limits are 104 and 108 with the final NUL."""
_SOCKET_NAME = ".s.PGSQL.5432"


@contextlib.contextmanager
def open_data_directory(path: Path) -> Iterator[Path]:
    """Create the data directory if necessary, and lock it. Raises EmbeddedStoreError."""
    if _UNTAKEN & set(str(path.absolute())):
        raise EmbeddedStoreError(
            f"the data directory {path} has a character that pg_ctl's shell would read"
        )
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(path)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EmbeddedStoreError(f"the data directory cannot be used: {error}") from None
    try:
        # A lock, not a pid file: it is gone with the process, however that ends.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise DataDirectoryInUse(f"another server is using the data directory {path}") from None
    try:
        data = path.resolve()
        yield data
        _remove_outside(data)
    finally:
        os.close(lock)


def _make_private(path: Path) -> None:
    """Make a data directory private. A directory with other contents is left as it is."""
    now = path.stat()
    if now.st_uid != os.geteuid():
        raise EmbeddedStoreError(
            f"the data directory {path} belongs to another user (number {now.st_uid})"
        )
    if stat.S_IMODE(now.st_mode) & 0o077:
        if (path / "lock").exists() or not any(path.iterdir()):
            path.chmod(0o700)
        elif now.st_mode & 0o022:
            raise EmbeddedStoreError(f"the data directory {path} can be written to by other users")


def secret_key(data: Path) -> str:
    """Return the key of the data directory, created at the first call, for its owner only."""
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
    """Return the URL of the PostgreSQL of a data directory."""
    sockets = quote(str(socket_directory(data, "p")), safe="")
    return f"postgresql:///postgres?host={sockets}&user=postgres"


def redis_url(data: Path) -> str:
    """Return the URL of the Redis of a data directory."""
    return f"unix://{quote(str(socket_directory(data, 'r') / 's'))}"


def socket_directory(data: Path, name: str) -> Path:
    """Return the directory of a store's socket, with a path that is short enough."""
    directory = data / "run" / name
    if _is_short(directory):
        return directory
    with contextlib.suppress(OSError):
        return (data / "outside").readlink() / name
    return directory  # nothing runs there


def make_socket_directory(data: Path, name: str) -> Path:
    """Return the directory of a store's socket, created if necessary, for this user only."""
    if not _is_short(data / "run" / name):
        outside(data)
    directory = socket_directory(data, name)
    if not _is_short(directory):
        raise EmbeddedStoreError(
            f"{directory} is too long a path for a socket; set a shorter DATA_DIR"
        )
    for level in (directory.parent, directory):
        level.mkdir(mode=0o700, exist_ok=True)
    return directory


def _is_short(directory: Path) -> bool:
    return len(os.fsencode(directory / _SOCKET_NAME)) <= _LONGEST_SOCKET


def outside(data: Path) -> Path:
    """Return a private directory among the system's temporary files, the same one each time.

    Other users write there, too: its name cannot be guessed, and it is used only if it is ours.
    """
    link = data / "outside"
    with contextlib.suppress(OSError):
        directory = link.readlink()
        if _is_ours(directory):
            return directory
    link.unlink(missing_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="latchkey-"))
    link.symlink_to(directory)
    return directory


def _is_ours(directory: Path) -> bool:
    """Return whether this is a directory, not a link to one, of this user, who alone writes it."""
    now = directory.lstat()
    ours = now.st_uid == os.geteuid() and not now.st_mode & 0o066
    return stat.S_ISDIR(now.st_mode) and ours


def _remove_outside(data: Path) -> None:
    with contextlib.suppress(OSError):
        directory = (data / "outside").readlink()
        if _is_ours(directory):
            shutil.rmtree(directory)
        (data / "outside").unlink()
