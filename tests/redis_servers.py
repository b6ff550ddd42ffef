"""Redis servers on loopback ports, watched by Sentinels or as a cluster, for the tests."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from embedded import valkey_program

HOST = "127.0.0.1"
SERVER = os.environ.get("TEST_REDIS_SERVER")
"""Another Redis than the embedded one, which tests/store/test_redis_versions.py names."""
SERVICE = "accounts"
PATIENCE = 30.0
SLOTS = 16_384

Make = Callable[..., "Server"]

_AT_ONCE = ("--repl-diskless-sync-delay", "0", "--save", "")
_NODE = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--save", "")


@dataclass(eq=False)
class Server:
    """A redis-server in a directory of its own."""

    home: Path
    port: int
    arguments: tuple[str, ...]
    password: str | None = None
    process: "subprocess.Popen[bytes]" = field(init=False)
    is_frozen: bool = False

    def start(self) -> None:
        """Start it, or start it again."""
        ends = ("--port", str(self.port), "--dir", str(self.home), "--bind", HOST)
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [SERVER or valkey_program(), *self.arguments, *ends], stdout=log, stderr=log
            )
        wait_for(self._answers, "a server's first answer")

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.home / "log").read_text()
        with contextlib.suppress(redis.exceptions.ConnectionError):
            return bool(self.ask("ping"))
        return False

    def ask(self, *command: Any) -> Any:
        """Have it execute one command."""
        # Sentinels end every connection to a server whose role they change: then once more.
        again = Retry(NoBackoff(), 2)
        with redis.Redis(
            HOST, self.port, socket_timeout=5, retry=again, password=self.password
        ) as client:
            return client.execute_command(*command)

    @property
    def is_up(self) -> bool:
        return self.process.poll() is None and not self.is_frozen

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Stop it without ending it: it keeps its connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)
        self.is_frozen = True

    def bring_back(self) -> None:
        """Have it go on, frozen or killed."""
        if self.is_frozen:
            self.process.send_signal(signal.SIGCONT)
            self.is_frozen = False
        elif not self.is_up:
            self.start()


@dataclass
class Watched:
    """A primary and its replicas, and the Sentinels that watch them."""

    servers: list[Server]
    sentinels: list[Server]

    @property
    def url(self) -> str:
        password, asking = self.servers[0].password, self.sentinels[0].password
        userinfo = f":{password}@" if password else ""
        options = f"?sentinel_password={asking}" if asking else ""
        return f"redis+sentinel://{userinfo}{_places(self.sentinels)}/{SERVICE}{options}"

    def primary(self) -> Server | None:
        """Return the primary; None while the Sentinels don't agree on one."""
        who = ("sentinel", "get-master-addr-by-name", SERVICE)
        named = {int(each.ask(*who)[1]) for each in self.sentinels}
        for server in self.servers:
            if {server.port} == named and server.is_up:
                return server if server.ask("role")[0] == b"master" else None
        return None

    def replicas(self) -> list[Server]:
        """Return the replicas that follow a primary."""
        roles = [(each, each.ask("role")) for each in self.servers if each.is_up]
        return [each for each, role in roles if role[0] == b"slave" and role[3] == b"connected"]


@contextlib.contextmanager
def watched(replicas: int, sentinels: int, down_after: float = 1.0) -> Iterator[Watched]:
    """Run a primary that is down for its Sentinels after so many seconds without a word."""
    with _servers() as make:
        primary = make(*_AT_ONCE)
        following = ("--replicaof", HOST, str(primary.port))
        servers = [primary, *(make(*_AT_ONCE, *following) for _ in range(replicas))]
        rules = (
            f"sentinel monitor {SERVICE} {HOST} {primary.port} {sentinels // 2 + 1}\n"
            f"sentinel down-after-milliseconds {SERVICE} {down_after * 1000:.0f}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )
        found = Watched(servers, [make("--sentinel", rules=rules) for _ in range(sentinels)])
        wait_for(lambda: len(found.replicas()) == replicas, "replicas")
        for each in found.sentinels:
            wait_for(lambda at=each: _knows(at) == (replicas, sentinels - 1), "Sentinels")
        yield found


def _knows(sentinel: Server) -> tuple[int, int]:
    """Return how many replicas and other Sentinels it has found."""
    with redis.Redis(HOST, sentinel.port) as client:
        state = client.sentinel_master(SERVICE)
    return state["num-slaves"], state["num-other-sentinels"]


@dataclass
class Nodes:
    """The nodes of a cluster."""

    servers: list[Server]
    make: Make

    @property
    def url(self) -> str:
        return f"redis+cluster://{_places(self.servers)}"

    def owner(self, slot: int) -> Server:
        """Return the primary that has a slot."""
        running = next(each for each in self.servers if each.is_up)
        for first, last, (_, port, *_), *_ in running.ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(each for each in self.servers if each.port == port)
        raise LookupError(slot)

    def join(self) -> Server:
        """Start one more node, without a slot."""
        node = self.make(*_NODE)
        node.ask("CLUSTER", "MEET", HOST, self.servers[0].port)
        self.servers.append(node)
        self.settle()
        return node

    def settle(self) -> None:
        """Wait until every node knows every other, and that all is well."""
        nodes = f"cluster_known_nodes:{len(self.servers)}".encode()
        for each in [each for each in self.servers if each.is_up]:
            wait_for(
                lambda at=each: (
                    {b"cluster_state:ok", nodes} <= set(at.ask("CLUSTER", "INFO").split())
                ),
                "a cluster",
            )

    def begin_to_move(self, slot: int, target: Server) -> None:
        """Open a slot of one node to another."""
        source = self.owner(slot)
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(target))

    def move_keys(self, slot: int, target: Server, most: int) -> int:
        """Move so many keys of an open slot at most; return how many there were."""
        source = self.owner(slot)
        keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, most)
        for key in keys:
            source.ask("MIGRATE", HOST, target.port, key, 0, 5000)
        return len(keys)

    def end_move(self, slot: int, target: Server) -> None:
        """Tell everybody whose the slot is: first its new node, so that it is never nobody's."""
        for each in (target, self.owner(slot), *self.servers):
            each.ask("CLUSTER", "SETSLOT", slot, "NODE", _id(target))


@contextlib.contextmanager
def alone(*arguments: str) -> Iterator[str]:
    """Run a server on a unix socket, as the embedded one is; give its URL."""
    with _servers() as make:
        server = make("--save", "", "--appendonly", "yes", "--unixsocket", "s", *arguments)
        yield f"unix://{server.home}/s"


@contextlib.contextmanager
def clustered(primaries: int, *, replicas: bool = False) -> Iterator[Nodes]:
    """Run a cluster, with a replica of each primary or with none."""
    with _servers() as make:
        servers = [make(*_NODE) for _ in range(primaries)]
        share = -(-SLOTS // primaries)
        for number, server in enumerate(servers):
            first = number * share
            slots = range(first, min(first + share, SLOTS))
            server.ask("CLUSTER", "ADDSLOTS", *slots)
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            server.ask("CLUSTER", "MEET", HOST, servers[0].port)
        nodes = Nodes(servers, make)
        nodes.settle()
        if replicas:
            for primary in servers[:]:
                nodes.join().ask("CLUSTER", "REPLICATE", _id(primary))
            wait_for(lambda: all(_copies(each) == 1 for each in servers[:primaries]), "replicas")
        yield nodes


def _copies(server: Server) -> int:
    """Return how many replicas follow a primary."""
    return len(server.ask("ROLE")[2])


def _id(node: Server) -> str:
    return str(node.ask("CLUSTER", "MYID"), "ascii")


def _places(servers: list[Server]) -> str:
    return ",".join(f"{HOST}:{each.port}" for each in servers)


@contextlib.contextmanager
def _servers() -> Iterator[Make]:
    """Give a function that starts a server; all of them are ended in the end."""
    made: list[Server] = []
    with tempfile.TemporaryDirectory(prefix="lk-redis-") as directory:

        def make(*arguments: str, rules: str = "") -> Server:
            home = Path(directory) / str(len(made))
            home.mkdir()
            if rules:
                (home / "conf").write_text(rules)
                arguments = (str(home / "conf"), *arguments)
            server = Server(home, _free_port(), arguments)
            made.append(server)
            server.start()
            return server

        try:
            yield make
        finally:
            for server in made:
                if hasattr(server, "process"):
                    server.kill()


def _free_port() -> int:
    """Return a port that is free, as is the one that a cluster's bus takes with it."""
    for _ in range(100):
        port = random.randrange(10_000, 20_000)  # noqa: S311
        with contextlib.suppress(OSError):
            for each in (port, port + 10_000):
                socket.create_server((HOST, each)).close()
            return port
    raise AssertionError("no free port")


def wait_for(what: Callable[[], Any], name: str, patience: float = PATIENCE) -> Any:
    """Return what `what` returns, once that is true."""
    give_up = time.monotonic() + patience
    while not (found := what()):
        assert time.monotonic() < give_up, f"waited in vain for {name}"
        time.sleep(0.02)
    return found
