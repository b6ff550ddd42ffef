"""What is measured, in which order, and what each part needs."""

from collections.abc import Callable
from dataclasses import dataclass

from bench import (
    churn,
    idle,
    jwts,
    logins,
    process,
    reads,
    registers,
    resets,
    verify,
    version,
    waiting,
    workers,
)
from bench.figures import Figure, Result
from bench.stage import Stage


@dataclass(frozen=True)
class Part:
    """Some figures that are measured together. `name` is what `--only` takes."""

    name: str
    figures: tuple[Figure, ...]
    run: Callable[[Stage], list[Result]]
    peer: str = ""
    databases: tuple[str, ...] = ("small",)

    @property
    def title(self) -> str:
        """What the progress line calls it."""
        return self.figures[0].title


PARTS = (
    Part("reads", (reads.BARE_64,), reads.bare_64, "bare"),
    Part("reads", (reads.BARE_256,), reads.bare_256, "bare"),
    *(
        Part("products", (reads.AGAINST[name],), reads.products[name], name)
        for name in reads.PRODUCTS
    ),
    *(
        Part("registers", (figure,), registers.products[name], name, databases=("new",))
        for name, figure in registers.AGAINST.items()
    ),
    Part("fastify", (reads.FASTIFY,), reads.fastify, "fastify"),
    Part("million", (reads.MILLION,), reads.million, databases=("small", "large")),
    Part("verify", (verify.VERIFY_64,), verify.verify_64),
    Part("verify", (verify.VERIFY_256,), verify.verify_256),
    Part("jwt", (jwts.JWT_64,), jwts.jwt_64),
    Part("jwt", (jwts.JWT_256,), jwts.jwt_256),
    Part("latency", (reads.LATENCY,), reads.latency, "fastify"),
    Part("logins", (logins.BARE, logins.MILLION), logins.logins, databases=("small", "large")),
    Part("waiting", (waiting.RATE, waiting.P99), waiting.waiting),
    Part("resets", (resets.RESETS,), resets.resets),
    Part("churn", (churn.CHURN,), churn.churn, databases=("mixed",)),
    Part("idle", (idle.IDLE,), idle.idle, "bare"),
    Part(
        "process",
        (process.MEMORY_START, process.MEMORY_READS, process.READY, process.READY_CPU),
        process.process,
        "bare",
    ),
    Part("workers", (workers.WORKERS,), workers.workers),
)
AGAINST = (
    Part("version", (version.READS_64,), version.reads_64),
    Part("version", (version.READS_256,), version.reads_256),
)
"""What `--against` measures, and nothing else."""

NAMES = tuple(dict.fromkeys(part.name for part in PARTS))
