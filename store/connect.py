"""Connecting at the start: try until a store answers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from store.errors import Unavailable

T = TypeVar("T")


async def keep_trying(
    connect: Callable[[], Awaitable[T]], patience: float, say: Callable[[str], None]
) -> T:
    """Call `connect` until it succeeds, for `patience` seconds; then raise its Unavailable."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience
    pause, said = 0.1, ""
    while True:
        try:
            return await connect()
        except Unavailable as refusal:
            if loop.time() + pause > give_up:
                raise
            if str(refusal) != said:
                said = str(refusal)
                say(f"waiting for {said}")
        await asyncio.sleep(pause)
        pause = min(2 * pause, 1.0)
