"""redis-py's clients, with an observer that is called for each command."""

from typing import Any

import redis.asyncio

from telemetry.observer import UNOBSERVED, Observer


class Observed:
    """A client of redis-py that observes `execute_command`, which pipelines do not use."""

    observer: Observer = UNOBSERVED

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Execute a command. redis-py calls this for each command."""
        with self.observer.redis_command(args[0]):
            return await super().execute_command(*args, **options)  # type: ignore[misc]


class ObservedRedis(Observed, redis.asyncio.Redis):  # type: ignore[misc]  # so are redis-py's bases
    """A client of one Redis, or of the primary behind Sentinels."""
