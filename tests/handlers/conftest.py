"""Fixtures of the tests of the handlers: stores that become unavailable, and raw requests."""

import asyncio
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from aiohttp.test_utils import TestClient

from settings import Settings

Raw = Callable[[TestClient, bytes], Awaitable[bytes]]


class Outages:
    """Makes the stores of a server that runs on `settings` unavailable, and available again.

    The server reaches each store's socket through a symbolic link. Without the link no
    connection can be opened, and open ones are closed.
    """

    def __init__(self, settings: Settings, links: Path, database, redis_client) -> None:
        self._database = database
        self._redis = redis_client
        directory = parse_qs(urlsplit(settings.database_url).query)["host"][0]
        socket = unquote(urlsplit(settings.redis_url).path)
        self._targets = {links / "p": directory, links / "r": socket}
        self._links = {"postgresql": links / "p", "redis": links / "r"}
        self.settings = replace(
            settings,
            database_url=f"postgresql:///postgres?host={quote(str(links / 'p'))}&user=postgres",
            redis_url=f"unix://{links / 'r'}",
            store_timeout=0.3,
        )
        for name in self._links:
            self.bring_back(name)

    def bring_back(self, name: str) -> None:
        link = self._links[name]
        link.symlink_to(self._targets[link])

    def take_away(self, name: str) -> None:
        self._links[name].unlink()
        if name == "redis":
            self._redis.client_kill_filter(_type="normal", skipme=True)
            return
        with self._database.cursor() as cursor:
            cursor.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'latchkey'"
            )


@pytest.fixture
def outages(settings: Settings, database, redis_client) -> Iterator[Outages]:
    """Settings of a server whose stores can be made unavailable, and what does that."""
    with tempfile.TemporaryDirectory(prefix="lk-") as directory:
        yield Outages(settings, Path(directory), database, redis_client)


@pytest.fixture
def raw() -> Raw:
    """Send bytes that no HTTP client sends, and return the response."""

    async def send(client: TestClient, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        try:
            writer.write(request)
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"\r\nContent-Length: (\d+)", head)
                return head + await (
                    reader.readexactly(int(length[1])) if length else reader.read()
                )
        finally:
            writer.close()
            await writer.wait_closed()

    return send
