"""A client of Redis Cluster: redis-py's, extended to serve while slots and nodes move.

redis-py 8 sends ASKING on one connection of a node and the command on another, does not know a node
that has no slot yet, closes every connection when it reads the table of slots again, and uses idle
connections that have ended. This client follows a redirection at once, and `refresh` reads the
table again in the background. Look-ups have separate connections, as on one Redis: redis-py's
pipeline takes 20 µs of CPU for each key. docs/redis-cluster.md lists the issues of redis-py.
"""

import asyncio
import contextlib
from typing import Any

from hiredis import ReplyError
from redis.asyncio.cluster import ClusterNode, PipelineCommand, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterError,
    ConnectionError,
    MovedError,
    RedisClusterException,
    RedisError,
)

from store.redis.connection import LiveConnection, LiveTLSConnection, Trust
from store.redis.observed import Observed
from store.redis.reader import NodeReader, Reader, take_open, take_trusted
from store.redis.topology import PLAIN, Nodes
from telemetry.observer import UNOBSERVED, Observer

REDIRECTIONS = 8
PAUSE = 0.25
"""Seconds between two readings of the table of slots, at least: one takes 10 ms of CPU."""
SPARE = 4
"""Connections to a node in addition to the pool's: for redirected commands and the table."""


class Cluster(Observed, RedisCluster):  # type: ignore[misc]  # so are redis-py's bases
    """All nodes of a cluster. Commands of one key each, alone or in pipelines."""

    def __init__(
        self,
        at: Nodes,
        pool_size: int,
        timeout: float,
        trust: Trust,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self.observer = observer
        options = {
            "max_connections": pool_size + SPARE,
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
            "client_name": "latchkey",
            **PLAIN,
            **at.options,
        }
        places = [ClusterNode(host, port) for host, port in at.places]
        super().__init__(startup_nodes=places, **options)
        live = LiveTLSConnection if options.get("ssl") else LiveConnection
        # For nodes that will be found. The first ones exist already.
        self.connection_kwargs |= {"connection_class": live, "trust": trust}
        for node in self.startup_nodes:
            node.connection_class = live
            node.connection_kwargs["trust"] = trust
        self._trust = trust
        self._refreshing: asyncio.Task[None] | None = None
        self._readers: dict[str, list[Reader]] = {}

    async def initialize(self, *args: Any, **kwargs: Any) -> "Cluster":
        """Connect to a node and learn the others, unless that is done."""
        try:
            await super().initialize(*args, **kwargs)
        except RedisClusterException as error:  # not a RedisError
            raise ConnectionError(str(error)) from error
        return self

    async def get_many(self, keys: list[str], deadline: float) -> list[bytes | None]:
        """Return the values of keys, with one round trip to each node that has some.

        The nodes must reply by the event loop's time `deadline`.
        """
        shares: dict[ClusterNode, list[str]] = {}
        for key in keys:
            node = self.nodes_manager.get_node_from_slot(key_slot(key.encode()))
            shares.setdefault(node, []).append(key)
        reading = (self._read(node, share, deadline) for node, share in shares.items())
        found: dict[str, Any] = {}
        for share, values in zip(shares.values(), await asyncio.gather(*reading), strict=True):
            found |= zip(share, values, strict=True)
        for key, value in found.items():
            if isinstance(value, ReplyError):  # its slot is elsewhere, or it raises here
                found[key] = await self.get(key)
        return [found[key] for key in keys]

    async def _read(self, node: ClusterNode, keys: list[str], deadline: float) -> list[Any]:
        kept = self._readers.setdefault(node.name, [])
        reader = take_open(kept)
        if reader and self._trust.needs_probe(reader.used_at, reader.now):
            reader = await take_trusted(reader, kept, self._trust, keys)
        if reader is None:
            connection = node.connection_class(**node.connection_kwargs)
            await connection.connect()  # type: ignore[no-untyped-call]
            reader = NodeReader(connection)
        values = await reader.mget(keys, deadline)
        kept.append(reader)
        return values

    def refresh(self) -> None:
        """Read the table of slots again soon: a node failed, or slots have moved."""
        known = self.nodes_manager.default_node is not None
        if known and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        # The next command that fails calls `refresh` again.
        with contextlib.suppress(RedisError, RedisClusterException, OSError):
            await self.nodes_manager.initialize()
        await asyncio.sleep(PAUSE)

    async def _execute_command(self, target_node: ClusterNode, *args: Any, **kwargs: Any) -> Any:
        """Execute a command on a node, or on the one it redirects to. redis-py calls this."""
        node, asking = target_node, False
        for _ in range(REDIRECTIONS):
            try:
                if asking:
                    return await _execute_asking(node, args, kwargs)
                return await node.execute_command(*args, **kwargs)
            except MovedError as moved:
                await self.nodes_manager.move_slot(moved)
                self.refresh()
                node, asking = self._node_of(moved), False
            except AskError as redirection:
                node, asking = self._node_of(redirection), True
        raise ClusterError("redirected too often")

    def _node_of(self, redirection: AskError) -> ClusterNode:
        """Return the node that a redirection names, which is new when it has no slot yet."""
        node = self.get_node(redirection.host, redirection.port)
        if node is None:
            node = ClusterNode(
                redirection.host, redirection.port, "primary", **self.connection_kwargs
            )
            self.nodes_manager.set_nodes(self.nodes_manager.nodes_cache, {node.name: node})
        return node

    async def aclose(self) -> None:
        """Close every connection."""
        if self._refreshing:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])
        for readers in self._readers.values():
            for reader in readers:
                reader.close()
        await super().aclose()


async def _execute_asking(node: ClusterNode, args: Any, kwargs: Any) -> Any:
    """Send ASKING and a command to the node that a slot moves to, on one connection."""
    command = PipelineCommand(1, *args, **kwargs)
    await node.execute_pipeline([PipelineCommand(0, "ASKING"), command])
    if isinstance(command.result, Exception):
        raise command.result
    return command.result
