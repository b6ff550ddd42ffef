"""Requests to reset a password: for addresses with an account, against addresses without one.

The response says nothing of an account, and its time must not either. Both kinds are requested in
pairs, of random order, on one connection, and no address twice. Limits are counted and messages
are written to files, as in a deployment.
"""

import asyncio
import itertools
import random
import statistics
import time
from collections.abc import Iterator

from bench.accounts import name_of
from bench.client import Connection
from bench.figures import MILLISECONDS, Figure, Result, Sample, compare
from bench.servers import Server
from bench.stage import Stage

RESETS = Figure(
    "resets",
    "a reset request for a known address, against an unknown one",
    "reset, known address",
    1.03,
    1.03,
    lower_is_better=True,
)
PATH = "/v1/password-resets"
EACH = 200
"""Requests of each kind in one round, whose medians are compared."""
LIMITS = {"ADDRESS_LIMIT": "1000000 per hour", "MAIL_LIMIT": "1000 per hour"}
"""All requests come from one address of this machine."""


def resets(stage: Stage) -> list[Result]:
    """Compare the median response times, in one round for each pair of the other figures."""
    directory = stage.cache / "mail"
    mail = {"MAIL_URL": f"file:{directory}", "PUBLIC_URL": "https://accounts.example"}
    numbers = itertools.count()
    with stage.latchkey(**mail, **LIMITS) as server:
        asyncio.run(_round(server, numbers))  # warms up
        pairs = []
        for number in range(1, stage.pairs + 1):
            pair = asyncio.run(_round(server, numbers))
            pairs.append(pair)
            stage.progress.tick(
                f"round {number} of {stage.pairs}: known {pair[0].value:.3f} ms, "
                f"unknown {pair[1].value:.3f} ms, {pair[0].value / pair[1].value:.3f}"
            )
    note = f"medians of {EACH} requests of each kind, in pairs of random order"
    return [compare(RESETS, ("known", "unknown"), MILLISECONDS, pairs, note)]


async def _round(server: Server, numbers: Iterator[int]) -> tuple[Sample, Sample]:
    """Return the median times for known and for unknown addresses, in milliseconds."""
    connection = await Connection.open(server.port)
    known: list[float] = []
    unknown: list[float] = []
    for number in itertools.islice(numbers, EACH):
        name = name_of(number)
        pair = [(known, name), (unknown, f"none{name.removeprefix('user')}")]
        random.shuffle(pair)
        for times, each in pair:
            began = time.perf_counter()
            answer = await connection.ask("POST", PATH, data={"email": f"{each}@example.com"})
            times.append((time.perf_counter() - began) * 1000)
            assert answer.status == 202, answer
    connection.close()
    return Sample(statistics.median(known)), Sample(statistics.median(unknown))
