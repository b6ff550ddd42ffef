"""Two real servers behind the balancer, and the load that comes and goes through it."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

from deploy.tests.balancer import Balancer, Names, free_port
from tests.faults.crowd import Line, Readers, milliseconds, on, post
from tests.program import Client, Program, Response, registration, wait_for

FIRST, SECOND = "127.0.0.2", "127.0.0.3"
PROFILE = "/account/profile"


@dataclass
class Site:
    """Two servers, each at its own address and one port, and the balancer before them."""

    names: Names
    balancer: Balancer
    servers: dict[str, Program]
    start: Callable[[str], Program]

    @property
    def port(self) -> int:
        return self.balancer.port

    def ask(self, *request: object, **headers: str) -> Response:
        """Make one request on a connection of its own."""
        with closing(Client(self.port)) as client:
            client.send(*request, **headers)  # type: ignore[arg-type]
            return client.receive()

    def register(self, name: str) -> str:
        answer = self.ask("POST", "/account/register", registration(name))
        assert answer.status == 200, answer
        return str(answer.json["token"])

    def reads(self, address: str) -> int:
        """Count the profiles that a server has read since it started."""
        return self.servers[address].err.count(f"GET {PROFILE}")

    def restart(self, address: str) -> None:
        """Replace a server: SIGTERM, wait for its end, start it, wait until it serves."""
        self.servers[address].process.send_signal(signal.SIGTERM)
        assert self.servers[address].wait() == 0
        self.servers[address] = self.start(address)
        assert wait_for(lambda: self.reads(address))


@contextmanager
def running(
    stores: tuple[str, str], *known: str, outer_proxy: str = "127.0.0.9", **environment: str
) -> Iterator[Site]:
    """Run the site; at first the name server knows the addresses given, or both."""
    port, internal = (free_port("127.0.0.1", FIRST, SECOND) for _ in range(2))
    with ExitStack() as stack:

        def start(address: str) -> Program:
            settings = on(stores, HOST=address, PORT=str(port), TRUSTED_PROXIES="127.0.0.1")
            inside = {"INTERNAL_HOST": address, "INTERNAL_PORT": str(internal)}
            drains = {"DRAIN_SECONDS": "3", **inside}
            program = stack.enter_context(Program(**{**settings, **drains, **environment}))
            program.say(rf"serving on http://{address}:{port}")
            return program

        names = stack.enter_context(closing(Names(*(known or (FIRST, SECOND)))))
        names.start()
        servers = {address: start(address) for address in (FIRST, SECOND)}
        balancer = stack.enter_context(Balancer(names, port, internal, OUTER_PROXY=outer_proxy))
        site = Site(names, balancer, servers, start)
        assert wait_for(lambda: balancer.changes("UP") >= len(names.addresses)), balancer.log
        yield site


@dataclass
class Writers:
    """Clients that register accounts, each under a name that nobody has had."""

    port: int
    answers: int = 0
    failures: list[object] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def writing(self, clients: int) -> AsyncIterator[None]:
        self._enough = False
        tasks = [asyncio.create_task(self._write(number)) for number in range(clients)]
        try:
            yield
        finally:
            self._enough = True
            await asyncio.gather(*tasks)

    async def _write(self, number: int) -> None:
        line, count = None, 0
        while not self._enough:
            count += 1
            body = json.dumps(registration(f"writer{number}x{count}")).encode()
            try:
                line = line or await Line.open(self.port)
                reply = await line.ask(post("/account/register", body))
            except (OSError, EOFError) as error:
                self.failures.append(error)
                if line:
                    await line.close()
                line = None
                continue
            self.answers += reply.status == 200
            if reply.status != 200:
                self.failures.append(reply)
            if reply.closes:
                await line.close()
                line = None
            await asyncio.sleep(0.02)
        if line:
            await line.close()


@dataclass
class Load:
    """Readers on kept and on new connections, and writers."""

    kept: Readers
    new: Readers
    writers: Writers

    def __init__(self, site: Site) -> None:
        names = {site.register(f"reader{number}"): f"reader{number}" for number in range(8)}
        self.kept = Readers(site.port, names, pause=0.01)
        self.new = Readers(site.port, names, pause=0.01, keep_alive=False)
        self.writers = Writers(site.port)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.kept.reading(16), self.new.reading(8), self.writers.writing(4):
            await asyncio.sleep(0.5)
            yield
        print(f"kept connections: {milliseconds(self.kept.seconds)}")
        print(f"new connections: {milliseconds(self.new.seconds)}")
        print(f"registrations: {self.writers.answers}, {len(self.writers.failures)} failed")
