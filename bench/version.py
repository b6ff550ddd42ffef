"""Reads of this version against another checkout of this project: what a change costs.

The other one runs on the same interpreter, over the same stores, as `--against` says.
"""

from functools import partial

from bench.figures import REQUESTS, Figure, Result, compare
from bench.stage import Stage

READS_64 = Figure(
    "version-64", "profile reads, 64 connections, against the other version", "other, 64", 0.97, 1
)
READS_256 = Figure("version-256", "the same at 256 connections", "other, 256", 0.97, 1)


def against(figure: Figure, connections: int, stage: Stage) -> list[Result]:
    """Compare reads a second, in three times as many pairs as usual: the bound leaves 3 %."""
    with stage.latchkey() as this, stage.latchkey(other=True) as other:
        pairs = stage.reads_in_turn(this, other, connections, 1, warm_up=3, times=3)
    return [compare(figure, ("this version", "the other version"), REQUESTS, pairs)]


reads_64 = partial(against, READS_64, 64)
reads_256 = partial(against, READS_256, 256)
