"""The stores of a run: one PostgreSQL and one Redis, as the server itself runs them."""

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import redis

import embedded
from bench import machine

DATABASES = ("small", "large", "mixed", "peers", "new")
"""Databases of PostgreSQL; the places in this list are the numbers of Redis's."""


@dataclass(frozen=True)
class Stores:
    """Both stores, running in the directory `data`."""

    data: Path

    def urls(self, name: str) -> dict[str, str]:
        """Return the settings that name one of the databases, and its Redis."""
        return {
            "DATABASE_URL": embedded.postgresql_url(self.data).replace("postgres?", f"{name}?"),
            "REDIS_URL": f"{embedded.redis_url(self.data)}?db={DATABASES.index(name)}",
        }

    def pin(self, cores: Iterable[int]) -> None:
        """Have both run on these cores only."""
        for file in ("redis/pid", "postgresql/postmaster.pid"):
            machine.pin(int((self.data / file).read_text().split()[0]), cores)

    def empty(self) -> None:
        """Leave nothing of an earlier run."""
        self.redis().flushall()
        with self.postgresql() as cursor:
            for name in DATABASES:
                cursor.execute(f"drop database if exists {name} with (force)")
                cursor.execute(f"create database {name}")

    def settle(self) -> None:
        """Have both write down what is new, so that they don't while something is measured."""
        with self.postgresql() as cursor:
            cursor.execute("checkpoint")
        client = self.redis()
        client.config_set("appendonly", "yes")
        while client.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.1)

    def versions(self) -> dict[str, str]:
        """Return the versions of both."""
        with self.postgresql() as cursor:
            cursor.execute("show server_version")
            [version] = cursor.fetchone()
        return {"PostgreSQL": version, "Redis": self.redis().info("server")["redis_version"]}

    def redis(self) -> redis.Redis:
        """Return a client of the first database of Redis."""
        return redis.Redis.from_url(embedded.redis_url(self.data))

    @contextlib.contextmanager
    def postgresql(self, name: str = "postgres") -> Iterator[psycopg2.extensions.cursor]:
        """Give a cursor that commits each statement."""
        url = embedded.postgresql_url(self.data).replace("postgres?", f"{name}?")
        with contextlib.closing(psycopg2.connect(url)) as connection:
            connection.autocommit = True
            yield connection.cursor()


@contextlib.contextmanager
def running(path: Path) -> Iterator[Stores]:
    """Run both stores in a directory that is removed in the end.

    Raises embedded.EmbeddedStoreError.
    """
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(embedded.open_data_directory(path))
        # Only from here on: another benchmark may be using the directory.
        stack.callback(shutil.rmtree, path, ignore_errors=True)
        stack.enter_context(embedded.run_postgresql(data, lambda _: None))
        stack.enter_context(embedded.run_redis(data, lambda _: None))
        stores = Stores(data)
        stores.empty()
        # Until `settle`: a million sessions needn't pass through the log twice.
        stores.redis().config_set("appendonly", "no")
        yield stores
