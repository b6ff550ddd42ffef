"""Clients that send nothing, or slowly, or hang up: whom it harms, and what is left of them."""

import asyncio
import contextlib
import gc
import selectors
import socket
import threading
import time
from collections.abc import Iterable, Iterator

import pytest
from aiohttp import web

from app import create_app
from commands.serving import LINGERING_SECONDS
from settings import read_settings
from tests.faults.crowd import (
    HOST,
    Line,
    MakeClient,
    Readers,
    accounts,
    descriptors,
    get,
    megabytes,
    milliseconds,
    on,
    open_descriptors,
    percentile,
    post,
)
from tests.program import Program, registration, wait_for

HEAD_SECONDS = 6.0
BODY_SECONDS = 4.0
HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: "
BODY = post("/account/login", b" " * 1000)[:-999]
SLOW: dict[str, tuple[bytes, bytes, float]] = {
    "nothing": (b"", b"", HEAD_SECONDS),
    "half a head": (HEAD, b"", HEAD_SECONDS),
    "a head, a byte a second": (HEAD, b"x", HEAD_SECONDS),
    "half a body": (BODY, b"", BODY_SECONDS + LINGERING_SECONDS),
    "a body, a byte a second": (BODY, b" ", BODY_SECONDS + LINGERING_SECONDS),
}
"""What is sent at once, what every second, and after how long the server must have closed."""


class Slow(threading.Thread):
    """Connections that never send a whole request, and what becomes of them."""

    def __init__(self, port: int, connections: int) -> None:
        super().__init__()
        self._port, self._connections = port, connections
        self._selector = selectors.DefaultSelector()
        self._open: dict[socket.socket, tuple[str, float]] = {}
        self._enough = threading.Event()
        self.lasted: dict[str, list[float]] = {manner: [] for manner in SLOW}
        self.all_open = threading.Event()

    @property
    def still_open(self) -> int:
        return len(self._open)

    def run(self) -> None:
        manners = list(SLOW)
        for number in range(self._connections):
            self._connect(manners[number % len(manners)])
            if number % 50 == 0:
                self._look(0)
        self.all_open.set()
        while self._open and not self._enough.is_set():
            self._trickle()
        for plug in list(self._open):
            self._drop(plug)
        self._selector.close()

    def stop(self) -> None:
        self._enough.set()
        self.join()

    def _connect(self, manner: str) -> None:
        plug = socket.create_connection((HOST, self._port), timeout=10)
        plug.setblocking(False)
        plug.send(SLOW[manner][0])
        self._open[plug] = manner, time.monotonic()
        self._selector.register(plug, selectors.EVENT_READ)

    def _trickle(self) -> None:
        """Send a byte on each connection that sends any, spread over a second."""
        begun = time.monotonic()
        for number, (plug, (manner, _)) in enumerate(list(self._open.items())):
            with contextlib.suppress(OSError):  # cut off: that is seen when it is read
                plug.send(SLOW[manner][1])
            if number % 100 == 0:
                due = begun + number / max(self._connections, 1)
                self._look(max(due - time.monotonic(), 0))
        self._look(max(begun + 1 - time.monotonic(), 0))

    def _look(self, seconds: float) -> None:
        """Note which connections the server has closed, for so long."""
        until = time.monotonic() + seconds
        while True:
            for key, _ in self._selector.select(max(until - time.monotonic(), 0)):
                assert isinstance(key.fileobj, socket.socket)
                self._read(key.fileobj)
            if time.monotonic() >= until:
                return

    def _read(self, plug: socket.socket) -> None:
        try:
            if plug.recv(4096):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        manner, since = self._open[plug]
        self.lasted[manner].append(time.monotonic() - since)
        self._drop(plug)

    def _drop(self, plug: socket.socket) -> None:
        del self._open[plug]
        self._selector.unregister(plug)
        plug.close()


@contextlib.contextmanager
def slow_clients(port: int, connections: int) -> Iterator[Slow]:
    slow = Slow(port, connections)
    slow.start()
    try:
        yield slow
    finally:
        slow.stop()


@pytest.fixture
def settings_of_slow(stores: tuple[str, str]) -> dict[str, str]:
    return on(stores, KEEPALIVE_TIMEOUT=f"{HEAD_SECONDS}", BODY_TIMEOUT=f"{BODY_SECONDS}")


@pytest.mark.slow
async def test_ten_thousand_slow_clients_are_cut_off_and_disturb_nobody(
    settings_of_slow: dict[str, str], clean: None
):
    """Each is closed within its time; meanwhile the p99 of others is at most three times its own.

    Afterwards descriptors and memory are about back: a second crowd takes no more than the first.
    """
    with descriptors(11_000), Program(**settings_of_slow) as server:
        pid, port = server.serve().process.pid, server.port
        names = accounts(server, [f"reader{number}" for number in range(16)])
        fewest, held, ratios = open_descriptors(pid), [megabytes(pid)], []
        while len(ratios) < 2 or (len(ratios) < 4 and min(ratios) > 3):
            before = await p99_of_readers(port, names, "alone")
            with slow_clients(port, 10_000) as slow:
                await asyncio.to_thread(slow.all_open.wait)
                print(f"{slow.still_open} slow clients, {open_descriptors(pid)} descriptors")
                assert slow.still_open == 10_000
                ratios.append(await p99_of_readers(port, names, "beside them") / before)
                await asyncio.to_thread(slow.join, 20)
                check_lasted(slow)
            assert wait_for(lambda: open_descriptors(pid) <= fewest + 8), open_descriptors(pid)
            held.append(megabytes(pid))
            print(f"{held[-2]:.0f} MB before, {held[-1]:.0f} MB after")
        assert min(ratios) <= 3
        assert held[-1] < 1.1 * held[1]


async def p99_of_readers(port: int, names: dict[str, str], where: str) -> float:
    readers = Readers(port, names, pause=0.02)
    async with readers.reading(16):
        await asyncio.sleep(2.5)
    print(f"readers {where}: {milliseconds(readers.seconds)}")
    assert readers.failures == []
    return percentile(readers.seconds, 0.99)


def check_lasted(slow: Slow) -> None:
    """Look at how long each kind of slow client was kept."""
    assert slow.still_open == 0
    for manner, (_, _, limit) in SLOW.items():
        lasted = slow.lasted[manner]
        print(f"{manner}: {len(lasted)} cut off after {min(lasted):.1f} to {max(lasted):.1f} s")
        assert max(lasted) < limit + 2
        assert min(lasted) > limit - 2


@pytest.mark.slow
async def test_a_slow_body_leaves_nothing_for_the_collector(
    aiohttp_client: MakeClient, stores: tuple[str, str]
):
    """Its request is freed with its connection: the collector comes late, so it would pile up."""
    impatient = read_settings(on(stores, BODY_TIMEOUT="0.1"))
    port = (await aiohttp_client(create_app(impatient))).port

    async def send_half() -> None:
        line = await Line.open(port)
        assert (await line.ask(BODY)).status == 408
        line.writer.write(b" " * 999)  # else the server waits it out
        assert await line.reader.read() == b""
        await line.close()

    await send_half()
    gc.collect()
    gc.disable()
    try:
        await asyncio.gather(*(send_half() for _ in range(20)))
        await asyncio.sleep(0.1)
        left = sum(isinstance(each, web.Request) for each in gc.get_objects())
    finally:
        gc.enable()
    assert left == 0


# Clients that hang up


def ways_to_hang_up(token: str) -> list[bytes]:
    """Return what is sent before: half a head, a head, half a body, a whole request."""
    whole, body = get("/account/profile", token), post("/account/login", b"{}", token=token)
    return [whole[:-2], body[:-2], body[:-1], whole]


async def hang_up(port: int, sent: bytes, reset: bool, pause: float) -> None:
    line = await Line.open(port)
    line.writer.write(sent)
    await asyncio.sleep(pause)
    if reset:
        line.reset()
    else:
        await line.close()


async def hang_up_in_every_way(port: int, tokens: Iterable[str]) -> int:
    """Hang up with these tokens, at once and while the answer is made; return how often."""
    ways = [
        (sent, reset, pause)
        for token in tokens
        for sent in ways_to_hang_up(token)
        for reset in (False, True)
        for pause in (0.0, 0.001)
    ]
    await asyncio.gather(*(hang_up(port, *way) for way in ways))
    return len(ways)


async def test_who_hangs_up_takes_nobody_with_it(
    aiohttp_client: MakeClient,
    stores: tuple[str, str],
    clean: None,
    caplog: pytest.LogCaptureFixture,
):
    """Readers whose look-ups are shared with theirs get their own answers; no task is left."""
    client = await aiohttp_client(create_app(read_settings(on(stores, BCRYPT_ROUNDS="4"))))
    names = {}
    for number in range(4):
        new = registration(f"caller{number}")
        made = await client.post("/account/register", json=new)
        names[(await made.json())["token"]] = new["username"]
    await client.session.close()
    tasks, readers, times = len(asyncio.all_tasks()), Readers(client.port, names), 0
    async with readers.reading(16):
        for _ in range(16):
            times += await hang_up_in_every_way(client.port, names)
    print(f"{times} hung up beside {milliseconds(readers.seconds)}")
    assert readers.failures == []
    assert len(readers.seconds) > 100
    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(wait_for, lambda: len(asyncio.all_tasks(loop)) <= tasks, 5)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


@pytest.mark.slow
async def test_thousands_who_hang_up_take_nobody_with_them(stores: tuple[str, str], clean: None):
    """The same of a server in a process of its own, where the event loop is another."""
    with Program(**on(stores)) as server:
        names = accounts(server.serve(), [f"caller{number}" for number in range(4)])
        pid, readers, times = server.process.pid, Readers(server.port, names), 0
        fewest = open_descriptors(pid)
        give_up = time.monotonic() + 8
        async with readers.reading(16):
            while time.monotonic() < give_up:
                times += await hang_up_in_every_way(server.port, names)
        print(f"{times} hung up beside {milliseconds(readers.seconds)}")
        assert readers.failures == []
        assert wait_for(lambda: open_descriptors(pid) <= fewest + 8), open_descriptors(pid)
        assert "Traceback" not in server.err
        assert " 500 " not in server.err


@pytest.mark.slow
async def test_an_early_refusal_reaches_a_client_that_sends_for_four_seconds(
    stores: tuple[str, str], clean: None
):
    """4 MB at 1 MB/s without a token, read only at the end: a 401, on a connection that goes on."""
    with Program(**on(stores)) as server:
        line = await Line.open(server.serve().port)
        head = post("/account/set_picture", bytes(4_000_000), "image/png")[:-4_000_000]
        line.writer.write(head)
        for _ in range(40):
            line.writer.write(bytes(100_000))
            await line.writer.drain()
            await asyncio.sleep(0.1)
        assert (await line.read()).status == 401
        assert (await line.ask(get("/healthz"))).status == 200
        await line.close()
