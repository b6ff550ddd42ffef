"""redis-py's clients, each command of which is reported to an observer."""

from typing import Any

import redis.asyncio

from telemetry.observer import UNOBSERVED, Observer


class Observed:
    """A client of redis-py whose `execute_command` reports. Pipelines do not pass through it."""

    observer: Observer = UNOBSERVED

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Execute a command. redis-py calls this for each."""
        with self.observer.redis_command(args[0]):
            return await super().execute_command(*args, **options)  # type: ignore[misc]


class ObservedRedis(Observed, redis.asyncio.Redis):  # type: ignore[misc]  # so are redis-py's bases
    """A client of one Redis, or of the primary behind Sentinels."""
