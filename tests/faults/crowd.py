"""Clients in numbers: bare connections on the event loop, and what they are measured by."""

import asyncio
import contextlib
import json
import os
import resource
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from tests.program import KEY, Program

MakeClient = Callable[[web.Application], Awaitable[TestClient]]
"""What the fixture `aiohttp_client` is."""

HOST = "127.0.0.1"
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of a connection that ends in a reset."""


@dataclass(frozen=True)
class Reply:
    """What a client got."""

    status: int
    head: bytes
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def closes(self) -> bool:
        return b"\r\nconnection: close\r\n" in self.head.lower()


def get(path: str, token: str = "") -> bytes:
    authorization = f"Authorization: Token {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{authorization}\r\n".encode()


def post(path: str, body: bytes, kind: str = "application/json", token: str = "") -> bytes:
    authorization = f"Authorization: Token {token}\r\n" if token else ""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{authorization}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Line:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection(HOST, port))

    async def ask(self, request: bytes) -> Reply:
        self.writer.write(request)
        return await self.read()

    async def read(self) -> Reply:
        head = await self.reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        length = int(lower.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0] or 0)
        return Reply(int(head[9:12]), head, await self.reader.readexactly(length))

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Break the connection: the other end meets a reset."""
        plug = self.writer.get_extra_info("socket")
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.writer.transport.abort()


async def ask(port: int, request: bytes) -> Reply:
    """Make one request on a connection of its own."""
    line = await Line.open(port)
    try:
        return await line.ask(request)
    finally:
        await line.close()


@dataclass
class Readers:
    """Clients that read profiles, each its own, until they are told that it is enough.

    `names` has the account by its token; an answer for anybody else is a failure.
    """

    port: int
    names: dict[str, str]
    pause: float = 0.0
    keep_alive: bool = True
    seconds: list[float] = field(default_factory=list)
    failures: list[object] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def reading(self, clients: int) -> AsyncIterator[None]:
        """Read with so many clients meanwhile."""
        self._enough = False
        tokens = list(self.names)
        tasks = [
            asyncio.create_task(self._read(tokens[number % len(tokens)], number / clients))
            for number in range(clients)
        ]
        try:
            yield
        finally:
            self._enough = True
            await asyncio.gather(*tasks)

    async def _read(self, token: str, phase: float) -> None:
        await asyncio.sleep(self.pause * phase)  # not all of them at once
        line = None
        while not self._enough:
            begun = time.perf_counter()
            try:
                line = line or await Line.open(self.port)
                reply = await line.ask(get("/account/profile", token))
            except (OSError, EOFError) as error:
                self.failures.append(error)
                line = None
                continue
            self.seconds.append(time.perf_counter() - begun)
            if reply.status != 200 or reply.json["data"]["username"] != self.names[token]:
                self.failures.append(reply)
            if reply.closes or not self.keep_alive:
                await line.close()
                line = None
            await asyncio.sleep(self.pause)
        if line:
            await line.close()


def percentile(seconds: list[float], part: float) -> float:
    return sorted(seconds)[int(len(seconds) * part)]


def milliseconds(seconds: list[float]) -> str:
    """Say what matters of how long answers took."""
    p50, p99 = (1000 * percentile(seconds, part) for part in (0.5, 0.99))
    return f"{len(seconds)} answers, p50 {p50:.1f} ms, p99 {p99:.1f} ms"


def on(stores: tuple[str, str], **more: str) -> dict[str, str]:
    """Return the settings of a server on these stores, for load."""
    urls = {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS": KEY}
    return {**urls, "RATE_LIMITS": "off", **more}


def accounts(server: Program, names: list[str]) -> dict[str, str]:
    """Register accounts; return the names by their tokens."""
    return {server.register(name): name for name in names}


@contextlib.contextmanager
def descriptors(wanted: int) -> Iterator[None]:
    """Make room for descriptors, in this process and in those it starts; skip if it can't be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"RLIMIT_NOFILE can't be raised to {wanted}")
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def megabytes(pid: int) -> float:
    """Return the memory that a process has to itself or shares, in MB."""
    return psutil.Process(pid).memory_info().rss / 1e6


def family(server: Program) -> list[psutil.Process]:
    """Return the processes of a server: itself and what it has started, without its stores."""
    own = psutil.Process(server.process.pid)
    return [own, *own.children(recursive=True)]
