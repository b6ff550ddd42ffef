"""Pages of accounts and events among a million, each against one lookup by the primary key.

    python bench/pages.py [--accounts N] [--explain]

Fills a separate database and measures the methods of store/directory.py, and the pages of events
of store/event_log.py that the admin page shows, one call after the other, interleaved. `--explain`
also prints each page's plan. Takes a minute or so.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

# The project's root in the place of this directory: the benchmark reads the server's own modules.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import stores  # noqa: E402
from bench.accounts import fill_postgresql, rows  # noqa: E402
from bench.servers import ROOT  # noqa: E402
from store.directory import Directory  # noqa: E402
from store.event_log import Cursor, EventLog  # noqa: E402
from store.foreign_hashes import NATIVE  # noqa: E402
from store.postgresql.database import Database, connect_database  # noqa: E402
from store.schema import prepare  # noqa: E402

NAME = "large"
LIMIT = 100
ROUNDS = 300
INACTIVE = 10_000
"""Every so many accounts one is disabled."""

Act = Callable[[], Awaitable[Any]]


def acts_of(directory: Directory, count: int) -> dict[str, Act]:
    """Return what is measured: first the lookup that the others are compared with."""
    middle, last = count // 2, count - LIMIT

    def page(after: int, is_active: bool | None = None) -> Act:
        return lambda: directory.page(after, LIMIT, is_active=is_active)

    def search(text: str, after: int = 0, is_active: bool | None = None) -> Act:
        return lambda: directory.search(text, after, LIMIT, is_active=is_active)

    return {
        "one account by its id": lambda: directory.get(middle),
        "100 accounts by their ids": lambda: directory.get_many(range(middle, middle + LIMIT)),
        "first page": page(0),
        "page in the middle": page(middle),
        "last page": page(last),
        "first page of active accounts": page(0, True),
        "last page of active accounts": page(last, True),
        "first page of disabled accounts": page(0, False),
        "last page of disabled accounts": page(count - INACTIVE * LIMIT, False),
        "search that all match, first page": search("user"),
        "search that all match, middle": search("user", middle),
        "search that all match, last page": search("user", min(999_990, count - 1)),
        "search that a tenth match": search("user9"),
        "search that ten match": search(f"user{middle // 10}"),
        "search that none match": search("nobody"),
        "search by e-mail": search(f"user{middle}@ex"),
        "search for disabled ones": search("user", 0, False),
    }


def events_of(log: EventLog, count: int) -> dict[str, Act]:
    """Return what is measured of as many events, of which only the oldest is a deletion."""

    def page(before: Cursor | None = None, **only: Any) -> Act:
        return lambda: log.page(before, 50, **only)

    return {
        "newest events": page(),
        "events in the middle": page(Cursor(3, count // 2)),
        "events of one account": page(account_id=count // 2),
        "events of one account and a type": page(account_id=count // 2, type="account.changed"),
        "events of a common type": page(type="account.changed"),
        "events of a type that none of the page has": page(type="account.deleted"),
    }


async def measure(database: Database, count: int, *, explain: bool) -> None:
    """Print the median time of each act, and its ratio to the first."""
    directory = Directory(database)
    acts = acts_of(directory, count) | events_of(EventLog(database), count)
    times: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(ROUNDS):
        for name, act in acts.items():
            begun = time.perf_counter()
            await act()
            times[name].append(time.perf_counter() - begun)
    directory.close()
    base = statistics.median(next(iter(times.values())))
    print("\n| what | median | of one lookup |\n| --- | --- | --- |")
    for name, each in times.items():
        median = statistics.median(each)
        print(f"| {name} | {median * 1000:.2f} ms | {median / base:.1f} |")
    if explain:
        explained = Directory(Explained(database))  # type: ignore[arg-type]
        log = EventLog(Explained(database))  # type: ignore[arg-type]
        shown = list(acts_of(explained, count).items())[2:] + list(events_of(log, count).items())
        for name, act in shown:
            print(f"\n{name}")
            await act()
        explained.close()


class Explained:
    """A database that prints the plan of each statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.timeout = database.timeout
        self.row = database.row

    async def rows(
        self, sql: str, parameters: Any = (), deadline: float | None = None
    ) -> list[Any]:
        """Print a statement's plan, and return its rows."""
        plan = await self._database.rows(f"explain (analyze, costs off) {sql}", parameters)
        print(*(f"    {line}" for (line,) in plan), sep="\n")
        return await self._database.rows(sql, parameters, deadline)


async def run(both: stores.Stores, count: int, *, explain: bool) -> None:
    """Fill the database, and measure."""
    database = await connect_database(both.urls(NAME)["DATABASE_URL"], 2, 60)
    try:
        await prepare(database)
        hash = f"{NATIVE}$2b$12${'x' * 53}"
        fill_postgresql(both, NAME, rows(count, hash, time.time_ns() // 1000), count)
        with both.postgresql(NAME) as cursor:
            cursor.execute("update account set is_active = false where id %% %s = 0", (INACTIVE,))
            cursor.execute("vacuum analyze account")
            cursor.execute(
                """insert into event (transaction, type, account_id, username, actor_type)
                   select '3', case when n = 1 then 'account.deleted' else 'account.changed' end,
                          n, 'user' || n, 'account' from generate_series(1, %s) as n""",
                (count,),
            )
            cursor.execute("vacuum analyze event")
        await measure(database, count, explain=explain)
    finally:
        await database.close()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--accounts", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--explain", action="store_true", help="print the plans, too")
    chosen = parser.parse_args()
    cache = ROOT / ".bench_cache"
    cache.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="pages-", dir=cache) as directory,
        stores.running(Path(directory) / "data") as both,
    ):
        asyncio.run(run(both, chosen.accounts, explain=chosen.explain))
    return 0


if __name__ == "__main__":
    sys.exit(main())
