"""What a read costs each part: the CPU time of the server, of PostgreSQL and of Redis."""

from pathlib import Path

from bench import accounts, load, machine, servers
from bench.accounts import LOW_COST, Accounts
from bench.stores import Stores

COUNT = 100_000
SECONDS = 5
CONNECTIONS = (16, 64, 256)


def measure(stores: Stores, name: str, directory: Path) -> list[tuple[str, str]]:
    """Have wrk read profiles, the server on one core, everything else on another."""
    server_core, *others = machine.cores()
    headers, log = directory / "headers", directory / "log"
    seeded = accounts.seed(stores, name, COUNT, LOW_COST, headers)
    stores.settle()
    stores.pin(others[:1])
    with machine.on(others[:1]):
        return [_shares(stores, name, seeded, log, server_core, n) for n in CONNECTIONS]


def _shares(
    stores: Stores, name: str, seeded: Accounts, log: Path, core: int, connections: int
) -> tuple[str, str]:
    files = ("postgresql/postmaster.pid", "redis/pid")
    pids = [int((stores.data / file).read_text().split()[0]) for file in files]
    with servers.latchkey([core], stores.urls(name), seeded, log) as server:
        load.reads(server, connections, 1)
        before = [machine.cpu_seconds(pid) for pid in pids]
        sample = load.reads(server, connections, SECONDS)
        used = [machine.cpu_seconds(pid) - start for pid, start in zip(pids, before, strict=True)]
    reads = sample.value * SECONDS
    postgresql, redis = (seconds / reads * 1e6 for seconds in used)
    what = f"CPU of a read, {connections} connections: the server / PostgreSQL / Redis"
    return what, f"{sample.cpu:.0f} / {postgresql:.0f} / {redis:.0f} µs"
