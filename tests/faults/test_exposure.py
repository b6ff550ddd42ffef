"""What a running server lays open: one port, and nothing that anybody else may read."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.faults.crowd import family
from tests.program import Data, Program


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("1", id="one process"),
        pytest.param("2", id="two workers", marks=pytest.mark.slow),
    ],
)
def running(request: pytest.FixtureRequest) -> Iterator[tuple[Program, Data]]:
    """A server with its own stores, made by somebody whose umask hides nothing."""
    before = os.umask(0)
    try:
        with tempfile.TemporaryDirectory(
            prefix="latchkey-", ignore_cleanup_errors=True
        ) as directory:
            data = Data(Path(directory) / "data")
            with Program(DATA_DIR=str(data.path), WORKERS=request.param) as server:
                yield server.serve(), data
    finally:
        os.umask(before)


def everybody(server: Program, data: Data) -> list[psutil.Process]:
    """Return every process: the server's, and those of its stores."""
    stores = [psutil.Process(pid) for pid in data.pids().values()]
    return [*family(server), *stores, *(c for each in stores for c in each.children(True))]


@pytest.mark.slow
def test_nothing_listens_but_one_port_of_this_machine(running: tuple[Program, Data]):
    """The server's own, on 127.0.0.1; the stores have none, and a manager has no other."""
    server, data = running
    server.register("exposed")
    processes, found = everybody(server, data), set()
    assert len(processes) > 4
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            for each in process.net_connections("inet"):
                if each.status == psutil.CONN_LISTEN or each.type.name == "SOCK_DGRAM":
                    found.add(tuple(each.laddr))
    assert found == {("127.0.0.1", server.port)}


def test_sockets_are_where_only_their_owner_gets(running: tuple[Program, Data]):
    """The stores' two, and none besides: gunicorn would have one to be controlled by.

    Started by root, the stores bind them by directories that they were handed open.
    """
    server, data = running
    paths = set()
    for process in everybody(server, data):
        with suppress(psutil.NoSuchProcess):
            paths |= {each.laddr for each in process.net_connections("unix") if each.laddr}
    assert {Path(path).name for path in paths} == {"s", ".s.PGSQL.5432"}
    assert len(data.sockets()) == 2
    for path in data.sockets():
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0


def test_no_stranger_can_read_the_data(running: tuple[Program, Data]):
    """Nor write it: of what can be reached through open directories, nothing is readable."""
    _, data = running
    assert list(exposed(data.path)) == []
    assert (data.path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert (data.path / "redis").stat().st_mode & 0o777 == 0o700
    assert (data.path / "postgresql").stat().st_mode & 0o777 == 0o700


def exposed(path: Path) -> Iterator[str]:
    """Name what others can read or write, or list; a directory they can't enter hides the rest."""
    mode = path.lstat().st_mode
    if mode & 0o066:
        yield f"{path} {stat.filemode(mode)}"
    if stat.S_ISDIR(mode) and mode & 0o011:
        for each in path.iterdir():
            yield from exposed(each)
