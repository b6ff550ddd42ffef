"""Two worker processes on two cores, against one on one."""

from dataclasses import fields

from bench.figures import REQUESTS, Figure, Result, compare
from bench.machine import CantRun, on
from bench.stage import Stage
from settings import Settings

WORKERS = Figure("workers", "two workers on two cores, against one on one", "two workers")


def workers(stage: Stage) -> list[Result]:
    """Compare reads a second; stores and load share both cores, in both runs."""
    if all(each.name != "workers" for each in fields(Settings)):
        raise CantRun("the server has no setting WORKERS")
    both = stage.cores[:2]
    stage.stores.pin(both)
    try:
        with (
            on(both),
            stage.latchkey(cores=both, WORKERS="2") as two,
            stage.latchkey(WORKERS="1") as one,
        ):
            pairs = stage.reads_in_turn(two, one, 64, 1)
    finally:
        stage.stores.pin(stage.load_core)
    return [compare(WORKERS, ("two workers", "one worker"), REQUESTS, pairs)]
