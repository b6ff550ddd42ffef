"""A primary behind Redis Sentinel: redis-py's client, extended so that no replica is used.

The Sentinels are queried for each new connection, and once a second: a primary that was frozen or
cut off remains a primary in its own view until a Sentinel demotes it. Each new connection checks
the server's role too, since a Sentinel's data may be old.
"""

from typing import Any

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from store.errors import first_line
from store.redis.connection import LivePrimaryConnection, LivePrimaryTLSConnection, Trust
from store.redis.observed import ObservedRedis
from store.redis.topology import PLAIN, Place, Sentinels
from telemetry.observer import UNOBSERVED, Observer


class PrimaryPool(SentinelConnectionPool, redis.asyncio.BlockingConnectionPool):
    """Connections to the present primary. When all are in use, callers wait for one."""

    async def get_master_address(self) -> Place:
        """Query the Sentinels. Connections to a previous primary are replaced."""
        before: Place | None = self.master_address
        try:
            address: Place = await super().get_master_address()  # type: ignore[no-untyped-call]
        except MasterNotFoundError as error:  # its own text is three lines for each Sentinel
            raise redis.exceptions.ConnectionError(
                "no Sentinel names a primary that is up"
            ) from error
        except redis.exceptions.ResponseError as error:
            raise redis.exceptions.ConnectionError(
                f"a Sentinel does not name the primary: {first_line(error)}"
            ) from error
        if address != before:
            await self.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]
        return address


def watch_primary(
    at: Sentinels, pool_size: int, timeout: float, trust: Trust, observer: Observer = UNOBSERVED
) -> tuple[Sentinel, Any]:
    """Return a client of the Sentinels, and a client of the primary that they name.

    `timeout` is in seconds, for one command.
    """
    share = timeout / (len(at.places) + 1)  # a Sentinel that hangs must not use up all the time
    sentinel_options = {
        "socket_timeout": share,
        "socket_connect_timeout": share,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "latchkey",
        **PLAIN,
        **at.sentinel_options,
    }
    sentinel = Sentinel(at.places, sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call]
    options = {
        "max_connections": pool_size,
        "timeout": timeout,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": None,
        "retry_on_error": [],
        "client_name": "latchkey",
        "redis_connect_func": _log_in_to_primary,
        "trust": trust,
        **PLAIN,
        **at.options,
    }
    has_tls = options.pop("ssl", False)
    options["connection_class"] = LivePrimaryTLSConnection if has_tls else LivePrimaryConnection
    client = sentinel.master_for(at.service, ObservedRedis, PrimaryPool, **options)
    client.observer = observer
    return sentinel, client


async def _log_in_to_primary(connection: Any) -> None:
    """Log in as redis-py does, and raise ConnectionError when the server is not a primary."""
    await connection.on_connect()
    await connection.send_command("ROLE", check_health=False)
    try:
        role = await connection.read_response()
    except redis.exceptions.NoPermissionError:
        raise redis.exceptions.ConnectionError(
            "behind Sentinels the user of the URL must be allowed ROLE"
        ) from None
    if role[0] != b"master":
        raise redis.exceptions.ConnectionError(
            "the server that the Sentinels call the primary is a replica"
        )
