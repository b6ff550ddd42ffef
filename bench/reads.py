"""Reads: `GET /account/profile` with random tokens, against others and against more accounts."""

import sys
from functools import partial

from bench import peers
from bench.figures import MILLISECONDS, REQUESTS, Figure, Result, at, compare
from bench.stage import Stage

PROFILE = "profile reads, 64 connections, against"
NAMES = {
    "bare": "bare aiohttp",
    "djoser": "djoser",
    "knox": "django-rest-knox",
    "fastapi_users": "fastapi-users",
    "flask_jwt": "Flask-JWT-Extended",
    "better_auth": "better-auth",
    "fastify": "fastify + ioredis",
}
PRODUCTS = ("djoser", "knox", "fastapi_users", "flask_jwt", "better_auth")

# More is asked of Python 3.13 and later.
_NEW = sys.version_info >= (3, 13)
_BOUNDS_64 = (0.85, 1) if _NEW else (0.75, 0.9)
_BOUNDS_256 = (0.90, 1) if _NEW else (0.80, 0.9)

BARE_64 = Figure("reads-64", f"{PROFILE} bare aiohttp", "bare aiohttp, 64", *_BOUNDS_64)
BARE_256 = Figure("reads-256", "the same at 256 connections", "bare aiohttp, 256", *_BOUNDS_256)
FASTIFY = Figure("reads-fastify", f"{PROFILE} fastify + ioredis", "fastify + ioredis", 0.65, 1)
MILLION = Figure(
    "reads-million",
    "the same reads, 1 000 000 accounts and live sessions, against 10 000",
    "a million accounts",
    0.95,
    0.98,
)
LATENCY = Figure(
    "latency",
    "one connection, latency p50, against fastify + ioredis",
    "latency, fastify",
    1.5,
    1.2,
    lower_is_better=True,
)
AGAINST = {
    name: Figure(f"reads-{name}", f"{PROFILE} {NAMES[name]}", NAMES[name], 15, 25)
    for name in PRODUCTS
}

assert set(NAMES) == set(peers.PEERS)


def against(
    figure: Figure, peer: str, stage: Stage, *, connections: int = 64, seconds: int = 0
) -> list[Result]:
    """Compare reads a second with a peer's."""
    with stage.latchkey() as ours, stage.peer(peer) as theirs:
        pairs = stage.reads_in_turn(ours, theirs, connections, seconds)
    return [compare(figure, ("Latchkey", NAMES[peer]), REQUESTS, pairs)]


def million(stage: Stage) -> list[Result]:
    """Compare reads a second over a million accounts with those over ten thousand.

    The bound leaves 5 %, single pairs differ by 10 %: so there are many, and short ones. Before,
    the stores get the time to read a million rows into their memory, and the servers to see most
    of the 100 000 tokens that wrk has, as in service.
    """
    with stage.latchkey("large") as large, stage.latchkey() as small:
        pairs = stage.reads_in_turn(large, small, 64, 1, warm_up=12, times=4)
    names = stage.size("large"), stage.size("small")
    return [compare(MILLION, names, REQUESTS, pairs)]


def latency(stage: Stage) -> list[Result]:
    """Compare the median latency of a single client with fastify's.

    Before, the servers get the time to see most of the 10 000 tokens: a client has one.
    """
    with stage.latchkey() as ours, stage.peer("fastify") as theirs:
        pairs = stage.reads_in_turn(ours, theirs, 1, 1, warm_up=8)
    return [compare(LATENCY, ("Latchkey", NAMES["fastify"]), MILLISECONDS, at(pairs, "p50"))]


bare_64 = partial(against, BARE_64, "bare")
bare_256 = partial(against, BARE_256, "bare", connections=256)
fastify = partial(against, FASTIFY, "fastify", seconds=1)
products = {name: partial(against, AGAINST[name], name, seconds=1) for name in PRODUCTS}
