"""A store that answers and can't write: its disk is full, or it was told to write no more.

Writes are 503 in time, reads go on, the log says why, and nothing needs to be started again; only
a PostgreSQL without room for its WAL gives up itself, and must be. The server never.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from tests.faults.breakage import Site, ask_postgresql, kill, redis_of, site
from tests.faults.ledger import (
    Ledger,
    Load,
    check_log,
    check_what_was_promised,
    logs_in,
    looks_at,
    new_name,
    path_of_picture,
    reads,
    registers_and_sets_a_picture,
    registers_without_a_session,
    sets_a_picture,
)
from tests.program import Program, wait_for

pytestmark = pytest.mark.slow

WARM_UP = 1.0
BEGINS = 1.5
"""Seconds until everybody has met a fault: there may be room for a little more."""
OUTAGE = 3.5
COOL_DOWN = 2.0
SIZES = {"redis": "4m", "postgresql": "200m"}
"""Of the disks that are filled."""


@dataclass(frozen=True)
class Fault:
    """What keeps a store from writing while a `with` lasts, and what it does to requests.

    `refused` are 503, all of them after a while; of `some`, some are; everything else goes on.
    """

    happens: Callable[[Site], AbstractContextManager[None]]
    why: str
    refused: frozenset[str] = frozenset()
    some: frozenset[str] = frozenset()


@contextlib.contextmanager
def no_memory_left(place: Site) -> Iterator[None]:
    with redis_of(place) as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@contextlib.contextmanager
def snapshots_that_fail(place: Site) -> Iterator[None]:
    """Have Redis save to what is a directory: it takes no writes when it can't save."""
    taken = place.path / "redis/dump.rdb"
    taken.mkdir()
    with redis_of(place) as client:
        client.config_set("save", "3600 1")
        client.bgsave()
        yield
        taken.rmdir()
        client.bgsave()


@contextlib.contextmanager
def told_to_be_read_only(place: Site) -> Iterator[None]:
    """Do what a failover does to the former primary, as far as its clients can see."""
    ask_postgresql(place, "alter system set default_transaction_read_only = on")
    ask_postgresql(place, "select pg_reload_conf()")
    yield
    ask_postgresql(place, "alter system reset default_transaction_read_only")
    ask_postgresql(place, "select pg_reload_conf()")


@contextlib.contextmanager
def full_disk_of_redis(place: Site) -> Iterator[None]:
    with full(place.path / "redis"):
        yield


@contextlib.contextmanager
def full_disk_of_postgresql(place: Site) -> Iterator[None]:
    """Fill the disk when there is a new segment of WAL: without one PostgreSQL gives up itself."""
    ask_postgresql(place, "checkpoint")
    ask_postgresql(place, "select pg_switch_wal()")
    ask_postgresql(place, "create table waste (n int)")
    with full(place.path / "postgresql"):
        yield


@contextlib.contextmanager
def no_room_for_wal(place: Site) -> Iterator[None]:
    """Fill the disk, and then the segment of WAL: PostgreSQL gives up, and must be started."""
    with full(place.path / "postgresql"):
        with pytest.raises(psycopg2.OperationalError):
            write_for_ever(place)
        yield
    place.start("postgresql")


def write_for_ever(place: Site) -> None:
    while True:
        ask_postgresql(place, "select pg_logical_emit_message(false, '', repeat('x', 1000000))")


@contextlib.contextmanager
def full(directory: Path) -> Iterator[None]:
    """Write a file until nothing more can be written; remove it in the end."""
    file = directory / "filling"
    with open(file, "wb", buffering=0) as filling, contextlib.suppress(OSError):
        while filling.write(bytes(4096)):
            pass
    yield
    file.unlink()


SESSIONS = frozenset({"register", "login"})
WRITES = SESSIONS | {"register in kust", "set picture"}
ALL = WRITES | {"read", "picture"}
FAULTS = {
    "redis-out-of-memory": Fault(
        no_memory_left, "unavailable: redis: .*used memory > 'maxmemory'", SESSIONS
    ),
    "redis-can't-save": Fault(snapshots_that_fail, "unavailable: redis: .*MISCONF", SESSIONS),
    "postgresql-read-only": Fault(
        told_to_be_read_only, "unavailable: postgresql: .*read-only", WRITES
    ),
}
FULL = {
    "redis": Fault(
        full_disk_of_redis, "unavailable: redis: .*MISCONF.*No space left on device", SESSIONS
    ),
    "postgresql": Fault(  # as long as there is room in a page, something can be written
        full_disk_of_postgresql, "unavailable: postgresql: .*No space left on device", some=WRITES
    ),
    "postgresql-wal": Fault(no_room_for_wal, "unavailable: postgresql: .*PANIC|No such file", ALL),
}


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    with site() as place:
        yield place


@pytest.fixture(scope="module")
def server(place: Site) -> Iterator[Program]:
    with place.run() as server:
        yield server.serve()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_store_that_takes_no_writes(place: Site, server: Program, fault: Fault):
    check_what_was_promised(server, break_under_load(place, server, fault))
    check_log(server.err, fault.why)


@pytest.mark.parametrize("what", FULL)
def test_a_full_disk(what: str):
    """What was said to be done, though the disk was full, is done: the store is even killed."""
    store = what.partition("-")[0]
    with site() as place, disk(place, store), place.run() as server:
        ledger = break_under_load(place, server.serve(), FULL[what])
        kill(place, store, 0)
        assert wait_for(lambda: server.ask("GET", "/readyz").status == 200)
        check_what_was_promised(server, ledger)
        check_log(server.err, FULL[what].why)


@contextlib.contextmanager
def disk(place: Site, store: str) -> Iterator[None]:
    """Put a store's files on a small disk of their own; skip where none can be mounted."""
    with place.run() as server:
        server.serve()
    home = place.path / store
    files = home.rename(place.path / "files")
    home.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={SIZES[store]}", "latchkey-test"]
    if os.geteuid() != 0 or subprocess.run(["mount", *options, home], check=False).returncode:
        pytest.skip("a tmpfs can't be mounted here")
    try:
        subprocess.run(["cp", "-a", f"{files}/.", home], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", home], check=True)


def break_under_load(place: Site, server: Program, fault: Fault) -> Ledger:
    """Check that writes are refused in time, that the rest goes on, and that all is well again."""
    name = new_name()
    token = server.register(name)
    picture = path_of_picture(server, token, "/account/get_pictures")
    roles = [
        *[reads(token)] * 2,
        logs_in(name),
        *[registers_and_sets_a_picture] * 2,
        sets_a_picture(name, token),
        registers_without_a_session,
        looks_at("picture", picture),
        looks_at("health", "/healthz"),
    ]
    with Load(server, roles) as load:
        time.sleep(WARM_UP)
        broken = time.monotonic()
        with fault.happens(place):
            time.sleep(OUTAGE)
            mended = time.monotonic()
        back = time.monotonic()
        time.sleep(COOL_DOWN)
    ledger = load.ledger
    refused = [entry for entry in ledger.entries if entry.status == 503]
    away = ledger.during(broken + BEGINS, mended, *fault.refused)
    assert {entry.status for entry in ledger.entries} == {200, 503}
    assert "register" in {entry.what for entry in refused} <= fault.refused | fault.some
    assert {(entry.what, entry.status) for entry in away} == {(each, 503) for each in fault.refused}
    assert {entry.answer.headers["Retry-After"] for entry in refused} == {"1"}
    slowest = max(entry.seconds for entry in refused)
    well = max(entry.answered for entry in refused) - back
    print(f"503 within {slowest:.2f} s ({len(refused)}), well again after {max(0, well):.2f} s")
    assert slowest < 1.5
    assert well < 1.5
    return ledger
