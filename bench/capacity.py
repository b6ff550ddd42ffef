"""What accounts, sessions and pictures take: memory, disk, logs, and the time of a restart.

    python bench/capacity.py

Fills stores of its own, by the hundred thousand and by the million, and prints the table that
docs/scaling.md holds. Takes two minutes or so. Sizes hardly depend on the machine; times do.
"""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

# The project's root in the place of this directory: the benchmark reads the server's own modules.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import keys, shares, stores, tables, writes  # noqa: E402
from bench.machine import CantRun  # noqa: E402
from bench.progress import Progress  # noqa: E402
from bench.servers import ROOT  # noqa: E402
from store.postgresql.database import connect_database  # noqa: E402
from store.schema import prepare  # noqa: E402

CACHE = ROOT / ".bench_cache"
NAME = "large"
"""The database, one of those that the benchmark's stores have."""

Rows = list[tuple[str, str]]


def main() -> int:
    """Measure everything and print the table."""
    CACHE.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="capacity-", dir=CACHE) as directory,
        contextlib.ExitStack() as later,
        stores.running(Path(directory) / "data") as both,
    ):
        found = measure(both, Path(directory), later)
        versions = ", ".join(f"{name} {number}" for name, number in both.versions().items())
    print(f"\n| what ({versions}) | measured |\n| --- | --- |")
    print(*(f"| {what} | {figure} |" for what, figure in found), sep="\n")
    return 0


def measure(both: stores.Stores, directory: Path, later: contextlib.ExitStack) -> Rows:
    """Measure one thing after the other; what can't be measured says why."""
    asyncio.run(make_tables(both))
    steps: list[tuple[str, Callable[[], Rows]]] = [
        ("accounts and their logins", lambda: tables.measure_accounts(both, NAME)),
        ("pictures", lambda: tables.measure_pictures(both, NAME)),
        ("sessions in memory", lambda: keys.measure_memory(both, NAME)),
        ("what logins write", lambda: writes.measure(both, NAME)),
        ("what a read costs", lambda: shares.measure(both, NAME, directory)),
        ("sessions on disk", lambda: keys.measure_files(both, NAME, later)),
    ]
    progress, found = Progress(len(steps)), []
    for title, step in steps:
        progress.begin(title)
        try:
            rows = step()
        except CantRun as problem:
            rows = [(title, f"not measured: {problem}")]
        progress.end("; ".join(f"{what}: {figure}" for what, figure in rows))
        found += rows
    return found


async def make_tables(both: stores.Stores) -> None:
    """Have the server's own code make the tables."""
    database = await connect_database(both.urls(NAME)["DATABASE_URL"], 1, 5)
    await prepare(database)
    await database.close()


if __name__ == "__main__":
    sys.exit(main())
