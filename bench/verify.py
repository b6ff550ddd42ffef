"""Forward authentication: `/verify` against `GET /account/profile`, both of one server."""

from dataclasses import replace
from functools import partial

from bench.figures import REQUESTS, Figure, Result, compare
from bench.stage import Stage

VERIFY_64 = Figure(
    "verify-64", "/verify, 64 connections, against profile reads", "/verify, 64", 0.95, 1
)
VERIFY_256 = Figure("verify-256", "the same at 256 connections", "/verify, 256", 0.95, 1)


def against(figure: Figure, connections: int, stage: Stage) -> list[Result]:
    """Compare requests a second, in twice as many pairs as usual: the bound leaves 5 %."""
    with stage.latchkey() as server:
        verify = replace(server, path="/verify")
        pairs = stage.reads_in_turn(verify, server, connections, 1, times=2)
    return [compare(figure, ("/verify", "/account/profile"), REQUESTS, pairs)]


verify_64 = partial(against, VERIFY_64, 64)
verify_256 = partial(against, VERIFY_256, 256)
