"""The machine: its cores, who runs on which, what a process has used, and what all this is."""

import contextlib
import importlib.metadata
import os
import platform
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

LIBRARIES = ("aiohttp", "uvloop", "redis", "aiopg", "psycopg2-binary", "bcrypt", "orjson")
_CPU_CLOCK = 2
"""CPUCLOCK_SCHED of Linux: the CPU time of a process, all of its threads, in nanoseconds."""


class CantRun(Exception):
    """Something that a figure needs is not there; the text says what."""


def cores() -> list[int]:
    """Return the cores that there are for this process. Raises CantRun when they are too few."""
    if not hasattr(os, "sched_getaffinity"):
        raise CantRun("processes can't be pinned to cores on this system")
    found = sorted(os.sched_getaffinity(0))
    if len(found) < 2:
        raise CantRun("two cores are needed: one for the server, one for load and stores")
    return found


@contextlib.contextmanager
def on(chosen: Iterable[int]) -> Iterator[None]:
    """Have what is started in this block run on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(chosen))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all below it; nothing when it is gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def pin(pid: int, chosen: Iterable[int]) -> None:
    """Move a running process, all below it and all their threads to these cores."""
    for process in family(pid):
        for thread in process.threads():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread.id, set(chosen))


def cpu_seconds(pid: int) -> float:
    """Return the user and system time that a process and all below it have used."""
    used = 0.0
    for process in family(pid):
        # Not from /proc/<pid>/stat: that counts in hundredths of a second.
        with contextlib.suppress(OSError):
            used += time.clock_gettime((~process.pid << 3) | _CPU_CLOCK)
    return used


def memory(pid: int) -> int:
    """Return the bytes of memory in which a process and all below it reside."""
    return sum(process.memory_info().rss for process in family(pid))


class Busyness:
    """How much of some cores is used, by whomever, from when this is made on."""

    def __init__(self, chosen: Iterable[int]) -> None:
        self._names = {f"cpu{core}" for core in chosen}
        self._idle, self._all = self._ticks()

    def so_far(self) -> float:
        """Return the part of the cores' time that was used."""
        idle, total = self._ticks()
        return 1 - (idle - self._idle) / max(1, total - self._all)

    def _ticks(self) -> tuple[int, int]:
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        ticks = [[int(tick) for tick in words] for name, *words in lines if name in self._names]
        return sum(each[3] + each[4] for each in ticks), sum(sum(each[:8]) for each in ticks)


def raise_open_files() -> int:
    """Allow as many open files as this user may have; return how many that is."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def need(tool: str) -> str:
    """Return where a program is. Raises CantRun."""
    found = shutil.which(tool)
    if found is None:
        raise CantRun(f"{tool} is not installed")
    return found


def describe() -> dict[str, str]:
    """Return what the machine is."""
    memory_gib = psutil.virtual_memory().total / 2**30
    return {
        "CPU": _cpu_model(),
        "cores": f"{len(cores())} usable of {os.cpu_count()}",
        "memory": f"{memory_gib:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "system": _system(),
        "in use by others before": f"{_others():.0%} of the cores",
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, of the server's libraries and of the tools."""
    found = {"Python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in LIBRARIES}
    for tool, argument in (("wrk", "-v"), ("node", "--version")):
        found[tool] = _version(tool, argument)
    return found


def _system() -> str:
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    return "unknown"


def _others() -> float:
    used = Busyness(cores())
    time.sleep(1)
    return used.so_far()


def _version(tool: str, argument: str) -> str:
    if shutil.which(tool) is None:
        return "not installed"
    said = subprocess.run([tool, argument], capture_output=True, text=True, check=False)
    number = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return number[0] if number else "unknown"


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        if model:
            return model[1]
    return platform.processor() or "unknown"
