"""What stands while figures are measured: stores, accounts, peers, and who runs where."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import load, servers
from bench.accounts import Accounts
from bench.figures import Sample
from bench.machine import CantRun
from bench.peers import Peer
from bench.progress import Progress
from bench.servers import Server
from bench.stores import Stores


@dataclass
class Stage:
    """Everything a measurement needs. `pairs` and `seconds` say how many short runs, how short."""

    pairs: int
    seconds: int
    cores: list[int]
    cache: Path
    stores: Stores
    progress: Progress
    against: Path | None = None
    """Another checkout of this project."""
    accounts: dict[str, Accounts] = field(default_factory=dict)
    peers: dict[str, Peer | CantRun] = field(default_factory=dict)

    @property
    def server_core(self) -> list[int]:
        """The core of the server that is measured."""
        return self.cores[:1]

    @property
    def load_core(self) -> list[int]:
        """The core of the load generator and of both stores."""
        return self.cores[1:2]

    def headers(self, peer: str) -> Path:
        """Return where a peer's Authorization headers are kept."""
        return self.cache / f"{peer}.headers"

    def size(self, database: str) -> str:
        """Say how many accounts a database has."""
        return f"{len(self.accounts[database].tokens):,} accounts".replace(",", " ")

    @contextlib.contextmanager
    def latchkey(
        self,
        database: str = "small",
        cores: Sequence[int] = (),
        *,
        other: bool = False,
        **settings: str,
    ) -> Iterator[Server]:
        """Run this project's server over one of the databases, on the server's core.

        `other` takes the other checkout's.
        """
        with servers.latchkey(
            cores or self.server_core,
            self.stores.urls(database),
            self.accounts[database],
            self.cache / f"latchkey-{servers.free_port()}.log",
            self.against.resolve() if other and self.against else servers.ROOT,
            **settings,
        ) as server:
            yield server

    @contextlib.contextmanager
    def peer(self, name: str, **settings: str) -> Iterator[Server]:
        """Run a peer on the server's core. Raises CantRun."""
        found = self.peers[name]
        if isinstance(found, CantRun):
            raise found
        urls = self.stores.urls("peers")
        with servers.peer(found, self.server_core, urls, self.headers(name), **settings) as server:
            yield server

    def in_turn(self, *sides: Callable[[], Sample], times: int = 1) -> list[tuple[Sample, ...]]:
        """Run the sides one after the other, again and again: A B, A B, and so on.

        There are `times` as many pairs as usual.
        """
        rounds: list[tuple[Sample, ...]] = []
        pairs = self.pairs * times
        for number in range(1, pairs + 1):
            samples = tuple(side() for side in sides)
            rounds.append(samples)
            ratio = samples[0].value / samples[1].value
            self.progress.tick(f"pair {number} of {pairs}: {ratio:.2f}")
        return rounds

    def load_in_turn(
        self,
        run_wrk: load.Load,
        one: Server,
        other: Server,
        connections: int,
        seconds: int = 0,
        *,
        warm_up: int = 1,
        times: int = 1,
    ) -> list[tuple[Sample, ...]]:
        """Warm both up for some seconds, then run wrk on them in turn."""

        def run(server: Server) -> Callable[[], Sample]:
            def side() -> Sample:
                sample = run_wrk(server, connections, seconds or self.seconds)
                server.settle()
                return sample

            run_wrk(server, connections, warm_up)
            server.settle()
            return side

        return self.in_turn(run(one), run(other), times=times)

    reads_in_turn = functools.partialmethod(load_in_turn, load.reads)
