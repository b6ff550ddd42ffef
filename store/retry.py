"""Retries while a store is unavailable at the start."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from store.errors import Unavailable

T = TypeVar("T")


async def retry(
    connect: Callable[[], Awaitable[T]], seconds: float, report: Callable[[str], None]
) -> T:
    """Call `connect` until it succeeds, and return its result.

    `report` is called with each new reason for waiting. After `seconds` seconds, `connect`'s
    Unavailable is raised; with 0 there is one attempt.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    pause, reported = 0.1, ""
    while True:
        try:
            return await connect()
        except Unavailable as error:
            if loop.time() + pause > deadline:
                raise
            if str(error) != reported:
                reported = str(error)
                report(f"waiting for {reported}")
        await asyncio.sleep(pause)
        pause = min(2 * pause, 1.0)
