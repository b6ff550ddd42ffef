"""Runs the calls of both clients in the same way."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from latchkey_client import AsyncLatchkeyClient, LatchkeyClient

Run = Callable[[Callable[[Any], Any]], Any]


@contextmanager
def runner(kind: type, url: str, **options: Any) -> Iterator[Run]:
    """Run calls of one client: of an asynchronous one in an event loop of its own."""
    if kind is LatchkeyClient:
        with LatchkeyClient(url, **options) as client:
            yield lambda call: call(client)
        return
    with asyncio.Runner() as loop:

        async def start() -> AsyncLatchkeyClient:
            return AsyncLatchkeyClient(url, **options)

        client = loop.run(start())
        try:
            yield lambda call: loop.run(_finish(call(client)))
        finally:
            loop.run(client.aclose())


async def _finish(result: Any) -> Any:
    return await result if isinstance(result, Awaitable) else [each async for each in result]


both = pytest.mark.parametrize("kind", [LatchkeyClient, AsyncLatchkeyClient])
