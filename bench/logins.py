"""Logins: as many at once as keep every core busy, against bcrypt alone, and with more accounts."""

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import machine
from bench.accounts import COST, name_of
from bench.client import Connection
from bench.figures import LOGINS, Figure, Result, Sample, compare
from bench.servers import Server
from bench.stage import Stage

BARE = Figure(
    "logins",
    "logins, all cores, cost 12, against bare bcrypt.checkpw",
    "logins, bcrypt",
    0.95,
    0.98,
)
MILLION = Figure(
    "logins-million",
    "the same with 1 000 000 accounts, against 10 000",
    "logins, a million accounts",
    0.95,
    0.98,
)
EACH = 5
"""Logins for each core and each second of a short run, in one burst: as many for each core, so that
none stands idle at the end."""
SETTINGS = {"BCRYPT_ROUNDS": str(COST), "PASSWORD_WAIT": "3600", "RATE_LIMITS": "off"}
ALONE = Path(__file__).with_name("bare_bcrypt.py")


def logins(stage: Stage) -> list[Result]:
    """Compare logins a second: small with bare bcrypt, large with small, in one turn of three."""
    count = EACH * stage.seconds * len(stage.cores)
    names = map(name_of, itertools.count())
    with (
        stage.latchkey(cores=stage.cores, **SETTINGS) as small,
        stage.latchkey("large", stage.cores, **SETTINGS) as large,
    ):
        for server in (small, large):
            _burst(server, names, len(stage.cores))
        rounds = stage.in_turn(
            lambda: _burst(small, names, count),
            lambda: _alone(stage.cores, count),
            lambda: _burst(large, names, count),
        )
    with_bare = [(small, bare) for small, bare, _ in rounds]
    with_large = [(large, small) for small, _, large in rounds]
    sizes = stage.size("large"), stage.size("small")
    note = f"bursts of {count} on {len(stage.cores)} cores"
    return [
        compare(BARE, ("Latchkey", "bcrypt.checkpw"), LOGINS, with_bare, note),
        compare(MILLION, sizes, LOGINS, with_large, note),
    ]


def _burst(server: Server, names: Iterator[str], count: int) -> Sample:
    return asyncio.run(_log_in(server, list(itertools.islice(names, count))))


async def _log_in(server: Server, names: list[str]) -> Sample:
    """Log everybody in at once, each on a connection of its own."""
    connections = [await Connection.open(server.port) for _ in names]
    began, used = time.perf_counter(), server.cpu()
    answers = await asyncio.gather(
        *(each.log_in(name) for each, name in zip(connections, names, strict=True))
    )
    took, used = time.perf_counter() - began, server.cpu() - used
    for connection in connections:
        connection.close()
    wrong = [answer for answer in answers if answer.status != 200]
    assert not wrong, wrong[0]
    return Sample(len(names) / took, used / len(names) * 1e6, used / took)


def _alone(cores: list[int], count: int) -> Sample:
    with machine.on(cores):
        command = [sys.executable, ALONE, str(count), str(COST)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    said = json.loads(done.stdout)
    return Sample(count / said["seconds"], said["cpu"] / count * 1e6, said["cpu"] / said["seconds"])
