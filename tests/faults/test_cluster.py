"""Redis Cluster under load: slots that move between nodes, and a primary that is killed."""

import time
from collections.abc import Iterator

import pytest
from redis.crc import key_slot

from store.session_record import record_key, set_key
from tests.faults.ledger import Entry, Load, check_log, logs_in, reads
from tests.program import KEY, Program
from tests.redis_servers import Nodes, Server, clustered, wait_for

pytestmark = pytest.mark.slow

WARM_UP, COOL_DOWN = 1.0, 3.0
STEP = 0.3
"""Seconds that a slot stays as it is between two steps of its move."""
IN_TIME = 1.5
"""Seconds for a 503: 1 is promised, the rest is the machine's."""
WELL_AFTER = 3.0
"""Seconds from a replica's promotion to the last 503, at most."""


def program(nodes: Nodes, database_url: str) -> Program:
    return Program(
        REDIS_URL=nodes.url,
        DATABASE_URL=database_url,
        SECRET_KEYS=KEY,
        STORE_TIMEOUT="0.8",
        DATABASE_POOL="8",
    )


def slot_of(key: str) -> int:
    return key_slot(key.encode())


def record_slot(token: str) -> int:
    """Return where a session's record is."""
    return slot_of(record_key(token[: len(token) // 2]))


def set_slot(server: Program, token: str) -> int:
    """Return where the set of an account is."""
    profile = server.ask("GET", "/auth/users/me", None, token)
    return slot_of(set_key(profile.json["id"]))


def register_some(server: Program, number: int = 6) -> dict[str, str]:
    names = [f"c{time.time_ns()}" for _ in range(number)]
    return {name: server.register(name) for name in names}


@pytest.fixture
def place() -> Iterator[Nodes]:
    with clustered(3) as nodes:
        yield nodes


@pytest.fixture
def place_with_replicas() -> Iterator[Nodes]:
    with clustered(3, replicas=True) as nodes:
        yield nodes


def test_slots_move_and_no_answer_is_wrong(place: Nodes, stores: tuple[str, str]):
    """To a node that has slots, and to one that joined without any. Records and sets move."""
    with program(place, stores[0]) as server:
        slots_move(place, server.serve())


def slots_move(place: Nodes, server: Program) -> None:
    tokens = register_some(server)
    first, second, *_ = tokens.values()
    slots = [record_slot(first), set_slot(server, first), record_slot(second)]
    roles = [*(reads(token) for token in tokens.values()), *(logs_in(name) for name in tokens)]
    with Load(server, roles) as load:
        time.sleep(WARM_UP)
        moved = sum(move(place, slot, other_than(place, slot)) for slot in slots)
        moved += move(place, slots[0], place.join())
        time.sleep(COOL_DOWN)
        settled = time.monotonic()
        time.sleep(COOL_DOWN)
    refused = report(load.ledger.entries)
    print(f"{moved} keys moved")
    assert moved > len(slots)
    assert {each.status for each in load.ledger.entries} <= {200, 503}
    assert not [each for each in refused if each.asked > settled]
    assert len(load.ledger.during(settled, time.monotonic(), "login")) > 20
    check(server, tokens)


def other_than(place: Nodes, slot: int) -> Server:
    """Return a node that does not have the slot."""
    return next(each for each in place.servers if each is not place.owner(slot))


def move(place: Nodes, slot: int, target: Server) -> int:
    """Move a slot as redis-cli does, slowly; return how many keys were in it."""
    place.begin_to_move(slot, target)
    time.sleep(STEP)
    moved = 0
    while place.move_keys(slot, target, 1):
        moved += 1
        time.sleep(STEP)
    place.end_move(slot, target)
    time.sleep(STEP)
    return moved


def test_a_replica_takes_the_place_of_a_killed_primary(
    place_with_replicas: Nodes, stores: tuple[str, str]
):
    """Nothing but 200 and 503 meanwhile, each in time, and all is well without a restart."""
    with program(place_with_replicas, stores[0]) as server:
        fails_over(place_with_replicas, server.serve())


def fails_over(place: Nodes, server: Program) -> None:
    tokens = register_some(server)
    slot = record_slot(next(iter(tokens.values())))
    primary = place.owner(slot)
    for each in {place.owner(record_slot(token)) for token in tokens.values()}:
        each.ask("WAIT", 1, 10_000)
    roles = [*(reads(token) for token in tokens.values()), *(logs_in(name) for name in tokens)]
    with Load(server, roles) as load:
        time.sleep(WARM_UP)
        killed = time.monotonic()
        primary.kill()
        wait_for(lambda: place.owner(slot) is not primary, "a new primary")
        place.settle()
        promoted = time.monotonic()
        wait_for(lambda: server.ask("GET", "/readyz").status == 200, "a server that is ready")
        time.sleep(COOL_DOWN)
        returned = time.monotonic()
        primary.bring_back()
        place.settle()
        time.sleep(COOL_DOWN)
    refused = report(load.ledger.entries)
    well = max((each.answered - promoted for each in refused if each.asked < returned), default=0.0)
    late = [each for each in refused if each.asked > returned]
    print(f"promoted after {promoted - killed:.2f} s, well {well:.2f} s later, {len(late)} late")
    assert {each.status for each in load.ledger.entries} <= {200, 503}
    assert max(each.seconds for each in refused) < IN_TIME
    assert well < WELL_AFTER
    assert not late
    check(server, tokens)
    check_log(server.err, "unavailable: redis: ")


def report(entries: list[Entry]) -> list[Entry]:
    """Return the refused, and say how many they are."""
    refused = [each for each in entries if each.status == 503]
    slowest = max((each.seconds for each in entries), default=0.0)
    print(f"{len(refused)} of {len(entries)} were 503, the slowest answer took {slowest:.2f} s")
    return refused


def check(server: Program, tokens: dict[str, str]) -> None:
    """Every token is good, and a login answers it."""
    for name, token in tokens.items():
        assert server.ask("GET", "/account/profile", None, token).status == 200
        assert server.log_in(name) == token
