"""Breaking the stores of a running server, and bringing them back as the program starts them."""

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg2
import redis

import embedded
from tests.program import Data, Program, is_running, wait_for

DEFAULTS = {
    "STORE_TIMEOUT": "0.8",
    "DATABASE_POOL": "8",
    "RATE_LIMITS": "off",
}
RUN = {"postgresql": embedded.run_postgresql, "redis": embedded.run_redis}


@dataclass(frozen=True)
class Site(Data):
    """A data directory, and the stores that a test has started in it."""

    started: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def run(self, *arguments: str) -> Program:
        """Run the program on it, with the defaults of a deployment; no arguments serve."""
        return Program(*arguments, DATA_DIR=str(self.path), **DEFAULTS)

    def start(self, store: str) -> None:
        """Start a store as the program does; it runs until the server or the test stops it."""
        self.started.enter_context(RUN[store](self.path.resolve(), print))


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """Give a data directory. What is left running in it in the end is ended."""
    with tempfile.TemporaryDirectory(prefix="latchkey-", ignore_cleanup_errors=True) as directory:
        site = Site(Path(directory) / "data")
        try:
            yield site
        finally:
            site.started.close()
            site.clear()


def kill(site: Site, store: str, seconds: float) -> float:
    """Kill a store, wait, start it again; return the moment at which it answered."""
    end(site.pids()[store], signal.SIGQUIT if store == "postgresql" else signal.SIGKILL)
    time.sleep(seconds)
    site.start(store)
    return time.monotonic()


def end(pid: int, number: signal.Signals) -> None:
    """End a process. A postmaster that gets SIGQUIT ends all of its own (stop -m immediate)."""
    os.kill(pid, number)
    assert wait_for(lambda: not is_running(pid))


def freeze(site: Site, store: str, seconds: float) -> float:
    """Stop every process of a store, wait, let them go on; return the moment of that."""
    first = psutil.Process(site.pids()[store])
    first.suspend()  # it makes no more
    processes = [first, *first.children(recursive=True)]
    try:
        for process in processes[1:]:
            process.suspend()
        time.sleep(seconds)
    finally:
        for process in reversed(processes):
            process.resume()
    return time.monotonic()


@contextlib.contextmanager
def redis_of(site: Site) -> Iterator["redis.Redis"]:
    """Connect to the Redis of a data directory."""
    client = redis.Redis.from_url(embedded.redis_url(site.path.resolve()))
    try:
        yield client
    finally:
        client.close()


def ask_postgresql(site: Site, sql: str) -> list[tuple]:
    """Run one statement in the PostgreSQL of a data directory."""
    connection = psycopg2.connect(embedded.postgresql_url(site.path.resolve()))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def open_connections(site: Site, server: Program) -> dict[str, int]:
    """Count what could leak: the server's descriptors, and its connections as each store sees."""
    with redis_of(site) as client:
        in_redis = [each for each in client.client_list() if each["name"] == "latchkey"]
    backends = "select count(*) from pg_stat_activity where application_name = 'latchkey'"
    [(in_postgresql,)] = ask_postgresql(site, backends)
    descriptors = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    return {"descriptors": descriptors, "redis": len(in_redis), "postgresql": in_postgresql}
