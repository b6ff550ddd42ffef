"""Redis behind Sentinels and as a cluster: the sessions' protocol, and what may move."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.crc import key_slot
from redis.exceptions import ResponseError

from store.authentication import Caller
from store.errors import Unavailable
from store.introspection import Introspection
from store.redis.client import Redis, connect_redis
from store.redis.topology import Single
from store.session_record import SessionSpec, record_key
from store.sessions import Sessions
from store.tokens import Tokens
from tests.redis_servers import HOST, Nodes, Watched, clustered, watched

LONG_TIMEOUT = 20.0
"""A deadline that no busy machine reaches."""
ACCOUNT, EPOCH = 7, 1_700_000_000_000_000
SPECS = [
    SessionSpec("kust"),
    SessionSpec("wicare", sid_bytes=16),
    SessionSpec("lumotist"),
    SessionSpec("fardel", "fresh"),
]
LIFETIMES = {"token": 1000, "fresh": 1000, "access": 1000, "refresh": 1000}
DAY = 86_400


# Common to all topologies


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with clustered(3) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def sentinel() -> Iterator[Watched]:
    with watched(replicas=1, sentinels=1, down_after=LONG_TIMEOUT) as servers:
        yield servers


@contextlib.asynccontextmanager
async def connected(
    url: str, size: int = 4, command_timeout: float = LONG_TIMEOUT, **options: float
) -> AsyncIterator[Redis]:
    client = await connect_redis(url, size, command_timeout, **options)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
def alone(sentinel: Watched) -> Single:
    """The primary itself, over TCP: redis-py treats a socket of Unix otherwise."""
    return Single(f"redis://{HOST}:{sentinel.primary().port}")


@pytest.fixture(params=["cluster", "sentinel", "alone"])
async def anywhere(request) -> AsyncIterator[Redis]:
    async with connected(request.getfixturevalue(request.param).url) as client:
        yield client


def sessions_in(client: Redis) -> Sessions:
    return Sessions(client, Tokens([b"x" * 32]), LIFETIMES, 10)


def soon() -> float:
    return asyncio.get_running_loop().time() + LONG_TIMEOUT


async def live(sessions: Sessions, token: str) -> bool:
    sid = sessions.sid_of(token)
    return (await sessions.read([sid], soon())).get(sid) is not None


async def test_sessions_are_opened_read_and_closed(anywhere):
    sessions = sessions_in(anywhere)
    for account in range(ACCOUNT, ACCOUNT + 5):  # on different nodes
        issued = [await sessions.open(account, EPOCH, spec) for spec in SPECS]
        again = [await sessions.open(account, EPOCH, spec) for spec in SPECS]
        assert [each.token for each in again] == [each.token for each in issued]
        first = sessions.sid_of(issued[0].token)
        [session] = (await sessions.read([first], soon())).values()
        await sessions.end(session)
        tokens = [each.token for each in issued]
        assert [await live(sessions, token) for token in tokens] == [False, True, True, True]
        await sessions.end_older(account, EPOCH + 1)
        assert not any([await live(sessions, token) for token in tokens])


async def test_the_sessions_that_are_too_many_end(anywhere):
    """A pipeline over several nodes, and a script's reply."""
    sessions = sessions_in(anywhere)
    issued = [
        await sessions.open(50, EPOCH, SessionSpec("fardel", "access", reuse=False))
        for _ in range(12)
    ]
    states = [await live(sessions, each.token) for each in issued]
    assert sum(states) == 10
    assert states[-1]


async def test_sessions_are_extended_by_use(anywhere):
    sessions = sessions_in(anywhere)
    issued = await sessions.open(60, EPOCH, SessionSpec("kust"))
    key = record_key(sessions.sid_of(issued.token))
    [session] = (await sessions.read([sessions.sid_of(issued.token)], soon())).values()
    await anywhere.execute(anywhere.client.expire(key, 100))
    sessions.renew(session._replace(opened=int(time.time()) - DAY))
    await sessions.close()
    assert await anywhere.execute(anywhere.client.ttl(key)) > 100


async def test_the_ends_of_sessions_are_read_together(anywhere):
    """For introspection: one pipeline, over several nodes."""
    sessions = sessions_in(anywhere)
    issued = [await sessions.open(70 + n, EPOCH, SessionSpec("kust")) for n in range(5)]

    async def authenticate(token: str) -> Caller:
        [session] = (await sessions.read([sessions.sid_of(token)], soon())).values()
        return Caller(None, session)

    introspection = Introspection(authenticate, anywhere)
    try:
        found = await asyncio.gather(*(introspection.introspect(each.token) for each in issued))
        assert [each.ends for each in found] == pytest.approx([each.ends for each in issued], abs=2)
    finally:
        introspection.close()


async def test_many_keys_are_answered_in_their_order(anywhere):
    keys = [f"many:{number}" for number in range(300)]
    for key in keys[::2]:
        await anywhere.execute(anywhere.client.set(key, key))
    values = await anywhere.get_many(keys, soon())
    assert values == [key.encode() if n % 2 == 0 else None for n, key in enumerate(keys)]


async def test_a_value_that_comes_in_many_parts_is_read_whole(anywhere):
    value = b"x" * 1_000_000
    await anywhere.execute(anywhere.client.set("long", value))
    assert await anywhere.get_many(["long", "none"], soon()) == [value, None]
    await anywhere.execute(anywhere.client.delete("long"))


async def test_more_at_once_than_connections_wait_for_their_turn(anywhere):
    asked = (anywhere.execute(anywhere.client.echo(str(n), **first(anywhere))) for n in range(60))
    assert await asyncio.gather(*asked) == [b"%d" % n for n in range(60)]


def first(anywhere: Redis) -> dict[str, object]:
    """Return which node is to be asked, where there are several."""
    if hasattr(anywhere.client, "get_primaries"):
        return {"target_nodes": anywhere.client.get_primaries()[0]}
    return {}


async def test_idle_connections_that_have_ended_are_not_used(anywhere, cluster, sentinel):
    for _ in range(2):
        sets = (anywhere.execute(anywhere.client.set(f"idle:{n}", n)) for n in range(40))
        gets = (anywhere.get_many([f"idle:{n}"], soon()) for n in range(4))
        await asyncio.gather(*sets, *gets)
        for server in (*cluster.servers, *sentinel.servers):
            server.ask("CLIENT", "KILL", "TYPE", "normal")
        await asyncio.sleep(0.05)
    assert await anywhere.ping() is None


# Sentinels


async def test_a_sentinel_that_does_not_answer_leaves_time_for_the_next(sentinel):
    with socket.create_server((HOST, 0)) as mute:
        places = f"{HOST}:{mute.getsockname()[1]},{HOST}:{sentinel.sentinels[0].port}"
        async with connected(f"redis+sentinel://{places}/accounts", command_timeout=2.0) as client:
            assert await client.ping() is None


async def test_sentinels_that_are_unavailable_stop_no_command(sentinel, monkeypatch):
    """Connections to the primary stay open; only new ones need a Sentinel."""
    monkeypatch.setattr("store.redis.client.WATCH", 0.02)
    async with connected(sentinel.url, command_timeout=0.4) as client:
        await client.execute(client.client.set("alone", "1"))
        sentinel.sentinels[0].freeze()
        try:
            give_up = time.monotonic() + 1.0  # some queries of the watch fail during this time
            while time.monotonic() < give_up:
                assert await client.execute(client.client.get("alone"), soon()) == b"1"
                assert await client.get_many(["alone"], soon()) == [b"1"]
                await asyncio.sleep(0.01)
        finally:
            sentinel.sentinels[0].bring_back()
        assert not client._watching.done()


async def test_a_service_that_no_sentinel_knows_is_unavailable(sentinel):
    with pytest.raises(Unavailable, match="no Sentinel"):
        await connect_redis(f"{sentinel.url}x", 4, LONG_TIMEOUT)


async def test_a_primary_that_became_a_replica_is_not_read_from(sentinel):
    """Its connections are open, it serves old data, and the Sentinel has not noticed yet."""
    old, new = sentinel.servers
    async with connected(sentinel.url) as client:
        await client.execute(client.client.set("stale", "yes"))
        assert await client.get_many(["stale"], soon()) == [b"yes"]
        old.ask("REPLICAOF", HOST, new.port)
        try:
            assert old.ask("GET", "stale") == b"yes"
            for _ in range(4):  # kept connections, then new ones
                with pytest.raises(Unavailable, match="replica"):
                    await client.get_many(["stale"], soon())
            for command in (client.client.set("stale", "no"), client.client.getex("stale", ex=9)):
                with pytest.raises(Unavailable):
                    await client.execute(command)
            with pytest.raises(Unavailable, match="replica"):
                await connect_redis(sentinel.url, 4, LONG_TIMEOUT)
        finally:
            old.ask("REPLICAOF", "NO", "ONE")
        assert await client.get_many(["stale"], soon()) == [b"yes"]


async def test_readers_leave_a_primary_when_the_sentinels_name_another(sentinel):
    """Though it is a primary in its own eyes, as one that was cut off or frozen is."""
    async with connected(sentinel.url) as client:
        await client.get_many(["left"], soon())
        client.client.connection_pool.master_address = (HOST, 1)  # what a Sentinel said
        kept = client._readers[:]
        await client.get_many(["left"], soon())
        assert not any(reader.is_open and reader in kept for reader in client._readers)


async def test_a_missing_privilege_behind_sentinels_is_reported(sentinel):
    """Sentinels have another user. The URL's user may not use ROLE, or may not read."""
    primary = sentinel.primary()
    try:
        for lacking, reason in (("role", "must be allowed ROLE"), ("mget", "MGET|mget")):
            primary.ask("ACL", "SETUSER", "few", "reset", "on", ">x", "~*", "+@all", f"-{lacking}")
            with pytest.raises(Unavailable, match=reason):
                async with connected(sentinel.url.replace("://", "://few:x@")) as client:
                    await client.get_many(["right"], soon())
    finally:
        primary.ask("ACL", "DELUSER", "few")


# Cluster


def slot_of(nodes: Nodes, name: str) -> int:
    """Return the slot that keys in braces like this share."""
    return key_slot(f"{{{name}}}".encode())


async def fill_slot(client: Redis, name: str) -> list[str]:
    keys = [f"{{{name}}}:{number}" for number in range(20)]
    for key in keys:
        await client.execute(client.client.set(key, key))
    return keys


async def is_all_well(client: Redis, keys: list[str]) -> None:
    """Read, write and run a script, with several connections to each node."""
    values = [key.encode() for key in keys]
    for _ in range(5):
        assert await client.get_many(keys, soon()) == values
    script = "return redis.call('GET', KEYS[1])"
    asked = [client.execute(client.client.eval(script, 1, key)) for key in keys]
    asked += [client.execute(client.client.getex(key, ex=900)) for key in keys]
    assert await asyncio.gather(*asked) == values * 2
    pipeline = client.client.pipeline(transaction=False)
    for key in keys:
        pipeline.set(key, key, xx=True, keepttl=True)
        pipeline.eval(script, 1, key)
    assert (await client.execute(pipeline.execute()))[1::2] == values


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(False, id="to another node"),
        pytest.param(True, id="to a node without slots", marks=pytest.mark.slow),
    ],
)
async def test_keys_of_a_slot_that_moves_are_found(cluster, new):
    """Before it, half-way, when all keys have moved, and when all nodes know."""
    name = f"moving-{new}"
    slot = slot_of(cluster, name)
    async with connected(cluster.url, size=8) as client:
        keys = await fill_slot(client, name)
        await is_all_well(client, keys)
        others = [each for each in cluster.servers if each is not cluster.owner(slot)]
        target = cluster.join() if new else others[0]
        cluster.begin_to_move(slot, target)
        await is_all_well(client, keys)
        cluster.move_keys(slot, target, len(keys) // 2)
        await is_all_well(client, keys)
        cluster.move_keys(slot, target, len(keys))
        await is_all_well(client, keys)
        cluster.end_move(slot, target)
        await is_all_well(client, keys)


async def test_a_slot_that_two_nodes_send_away_is_unavailable(cluster):
    """Half of a move: one node names the other, which names the first one."""
    slot = slot_of(cluster, "astray")
    async with connected(cluster.url) as client:
        source = cluster.owner(slot)
        target = next(each for each in cluster.servers if each is not source)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.ask("CLUSTER", "MYID").decode())
        try:
            with pytest.raises(Unavailable, match="redirected too often"):
                await client.execute(client.client.set("{astray}", "1"))
            with pytest.raises(Unavailable, match="redirected too often"):
                await client.get_many(["{astray}"], soon())
        finally:
            source.ask("CLUSTER", "SETSLOT", slot, "STABLE")
        await client.execute(client.client.set("{astray}", "1"))
        assert await client.get_many(["{astray}"], soon()) == [b"1"]


async def test_what_a_read_itself_did_wrong_is_no_outage(cluster):
    async with connected(cluster.url) as client:
        await client.execute(client.client.lpush("list", "1"))
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await client.get_many(["list"], soon())


async def test_an_idle_connection_to_a_node_is_probed_and_used_again(cluster):
    async with connected(cluster.url, idle_seconds=0.05) as client:
        for _ in range(3):
            assert await client.get_many(["idle:none"], soon()) == [None]
            [kept] = [reader for readers in client.client._readers.values() for reader in readers]
            await asyncio.sleep(0.1)
        before = kept.used_at
        assert await client.get_many(["idle:none"], soon()) == [None]
        [same] = [reader for readers in client.client._readers.values() for reader in readers]
        assert same is kept
        assert same.used_at > before


async def test_a_cluster_that_is_not_there_is_unavailable():
    with pytest.raises(Unavailable):
        await connect_redis("redis+cluster://127.0.0.1:1,127.0.0.1:2", 4, LONG_TIMEOUT)


async def test_a_redis_that_is_no_cluster_is_unavailable(sentinel):
    place = f"{HOST}:{sentinel.servers[0].port}"
    with pytest.raises(Unavailable, match="Cluster mode"):
        await connect_redis(f"redis+cluster://{place}", 4, LONG_TIMEOUT)
