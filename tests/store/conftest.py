"""Fixtures of tests of the store: a core on empty stores, without HTTP."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from options import core_options
from settings import Settings
from store.core import Core, open_core
from tests.store.tap import Tap

Connect = Callable[..., AbstractAsyncContextManager[Core]]


@pytest.fixture
def connect(settings: Settings, clean: None) -> Connect:
    """Return a function that opens another core; its arguments replace settings."""

    def connect(**changes: Any) -> AbstractAsyncContextManager[Core]:
        own = replace(settings, start_timeout=0, **changes)
        return open_core(replace(core_options(own), cores=2))

    return connect


@pytest.fixture
async def core(connect: Connect) -> AsyncIterator[Core]:
    """A server without HTTP, on empty stores."""
    async with connect() as core:
        yield core


@pytest.fixture
async def tap(settings) -> AsyncIterator[tuple[Tap, str]]:
    """A tap on the way to PostgreSQL, and the URL that leads through it."""
    directory = parse_qs(urlsplit(settings.database_url).query)["host"][0]
    tap = Tap(f"{directory}/.s.PGSQL.5432")
    with tempfile.TemporaryDirectory(prefix="lk-") as own:
        server = await asyncio.start_unix_server(tap.relay, Path(own) / ".s.PGSQL.5432")
        async with server:
            yield tap, f"postgresql:///postgres?host={quote(own, safe='')}&user=postgres"
    await server.wait_closed()
