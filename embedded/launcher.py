"""Starts the programs of the stores: as which user, and with which directories."""

import contextlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embedded.data_directory import outside
from embedded.programs import ENVIRONMENT, Command, EmbeddedStoreError

_SPARE_USERS = range(61_184, 65_520)
"""The range of systemd's dynamic users: no account has one, and every container has all."""


class Launcher:
    """Runs programs as this user. `close` releases what they needed to start."""

    note = ""
    """What a start reports of the user."""

    def __init__(self) -> None:
        self._options: dict[str, Any] = {}

    def close(self) -> None:
        """Release what only a start needs."""

    def runnable(self, package: Path, _program: str) -> Path:
        """Return where the programs of a package can be run: where it is installed."""
        return package

    def share(self, directory: Path) -> str:
        """Let programs use a directory and its contents; return their path of it."""
        return str(directory)

    @contextlib.contextmanager
    def as_nobody(self, _directory: Path) -> Iterator[None]:
        """Run programs that need a user with a name."""
        yield

    def run(self, command: Command, log: Path | None = None) -> None:
        """Run a program to its end; Ctrl-C at this terminal does not reach it.

        Raises EmbeddedStoreError.
        """
        name = Path(command[0]).name
        with tempfile.TemporaryFile() as output:  # a pipe would be kept open by what it starts
            try:
                done = subprocess.run(
                    command,
                    check=False,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    cwd="/",
                    env=ENVIRONMENT,
                    **self._options,
                )
            except OSError as error:
                raise EmbeddedStoreError(f"{name} cannot be run: {error}") from None
            output.seek(0)
            if done.returncode:
                printed = " ".join(output.read().decode(errors="replace").split())
                where = f"; see {log}" if log else ""
                raise EmbeddedStoreError(f"{name} failed: {printed}{where}")


def launcher(data: Path) -> Launcher:
    """Return what runs the programs of a data directory. Raises EmbeddedStoreError."""
    return _RootLauncher(data) if os.geteuid() == 0 else Launcher()


class _RootLauncher(Launcher):
    """Runs programs as a user that no account and no other program has: PostgreSQL refuses root.

    That user has no access to the data directory and its parents, and is not given any: programs
    inherit open directories.
    """

    def __init__(self, data: Path) -> None:
        super().__init__()
        if not Path("/proc/self/fd").is_dir():
            raise EmbeddedStoreError(
                "the embedded stores cannot run as root here: start as another user"
            )
        self.user = _spare_user(data)
        self.note = f"; as user {self.user}, which no account has, since this is root"
        self._data, self._directories = data, contextlib.ExitStack()
        self._options = {"extra_groups": [], "pass_fds": [], "umask": 0o077}
        self._become(self.user, self.user)

    def _become(self, user: int, group: int) -> None:
        self._options |= {"user": user, "group": group}

    def close(self) -> None:
        """Close the directories: the programs that run have inherited them."""
        self._directories.close()

    def runnable(self, package: Path, program: str) -> Path:
        """Return where the programs of a package can be run: in a copy, if the user has no access.

        The shared libraries of a wheel are beside its package.
        """
        if self._can_run(package / program):
            return package
        copies = outside(self._data)
        copies.chmod(0o711)
        (copies / package.name).mkdir(exist_ok=True)
        (copies / package.name).chmod(0o711)
        part = Path(program).parts[0]
        for tree in (package / part, package.with_name(f"{package.name}.libs")):
            if tree.exists():
                _copy(tree, copies / tree.relative_to(package.parent))
        copy = copies / package.name
        if not self._can_run(copy / program):
            raise EmbeddedStoreError(
                "stores do not run as root, and other users can run programs neither in "
                f"{package} nor in {copies}; set TMPDIR to a directory where they can"
            )
        return copy

    def _can_run(self, program: Path) -> bool:
        with contextlib.suppress(EmbeddedStoreError):
            self.run([program, "--version"])
            return True
        return False

    def share(self, directory: Path) -> str:
        """Give a directory and its contents to the user; return the path for programs."""
        if directory.stat().st_uid != self.user:
            change_owner(directory, self.user)
        opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._directories.callback(os.close, opened)
        self._options["pass_fds"].append(opened)
        return f"/proc/self/fd/{opened}"

    @contextlib.contextmanager
    def as_nobody(self, directory: Path) -> Iterator[None]:
        """Run programs as `nobody` in one directory, and give it back to the user afterwards."""
        nobody = pwd.getpwnam("nobody")
        change_owner(directory, nobody.pw_uid)
        self._become(nobody.pw_uid, nobody.pw_gid)
        try:
            yield
        finally:
            self._become(self.user, self.user)
            change_owner(directory, self.user)


def _copy(tree: Path, copy: Path) -> None:
    """Copy a directory so that every user can read and run its contents."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(tree, copy, symlinks=True)
    for path in (copy, *copy.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def _spare_user(data: Path) -> int:
    """Return a user without an account, always the same one for a data directory."""
    first = zlib.crc32(os.fsencode(data)) % len(_SPARE_USERS)
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    in_turn: tuple[int, ...] = (*_SPARE_USERS[first:], *_SPARE_USERS[:first])
    return next(user for user in in_turn if user not in taken)


def change_owner(directory: Path, user: int) -> None:
    """Change the owner of a directory and its contents; its own last, so a failure is repaired."""
    try:
        for _, _, names, parent in os.fwalk(directory, topdown=False):
            for name in names:
                # A file with a second name may be a link that another user made to get the file.
                if os.lstat(name, dir_fd=parent).st_nlink == 1:
                    os.chown(name, user, user, dir_fd=parent, follow_symlinks=False)
            os.fchown(parent, user, user)
    except OSError as error:
        raise EmbeddedStoreError(
            f"stores do not run as root, and {directory} cannot be given to another user: {error}"
        ) from None
