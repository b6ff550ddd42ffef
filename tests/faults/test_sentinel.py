"""A primary that is killed, replaced or frozen behind Sentinels, under load."""

import time
from collections.abc import Callable, Iterator

import pytest

from store.session_record import REVOKED, record_key
from tests.faults.ledger import Entry, Load, check_log, logs_in, reads
from tests.program import KEY, Program, Response
from tests.redis_servers import SERVICE, Server, Watched, wait_for, watched

pytestmark = pytest.mark.slow

REPLICAS, SENTINELS = 2, 3
DOWN_AFTER = 1.5
WARM_UP, COOL_DOWN = 1.0, 3.0
IN_TIME = 1.5
"""Seconds for a 503: 1 is promised, the rest is the machine's."""
WELL_AFTER = 2.0
"""Seconds from the Sentinels' agreement to the last 503, at most."""
STALE = 2.0
"""Seconds in which a server may not know yet what the Sentinels know: it asks each second."""


@pytest.fixture
def place() -> Iterator[Watched]:
    with watched(REPLICAS, SENTINELS, DOWN_AFTER) as servers:
        yield servers


@pytest.fixture
def server(place: Watched, stores: tuple[str, str]) -> Iterator[Program]:
    with program(place.url, stores[0]) as server:
        yield server.serve()


def program(redis_url: str, database_url: str) -> Program:
    return Program(
        REDIS_URL=redis_url,
        DATABASE_URL=database_url,
        SECRET_KEYS=KEY,
        STORE_TIMEOUT="0.8",
        DATABASE_POOL="8",
    )


def register_some(server: Program, number: int = 4) -> dict[str, str]:
    """Return tokens by the names of their accounts."""
    names = [f"s{time.time_ns()}" for _ in range(number)]
    return {name: server.register(name) for name in names}


def replicate(place: Watched) -> Server:
    """Wait until every replica has what the primary has; return the primary."""
    primary = wait_for(place.primary, "a primary")
    assert primary.ask("WAIT", REPLICAS, 10_000) == REPLICAS
    return primary


def roles(tokens: dict[str, str]) -> list[Callable]:
    return [*(reads(token) for token in tokens.values()), *(logs_in(name) for name in tokens)]


def kill(primary: Server, place: Watched) -> None:
    primary.kill()


def replace(primary: Server, place: Watched) -> None:
    """As an operator does: the old primary goes on running, and becomes a replica."""
    place.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)


def freeze(primary: Server, place: Watched) -> None:
    primary.freeze()


@pytest.mark.parametrize("fail", [kill, replace, freeze])
def test_a_new_primary_is_found_without_a_restart(place: Watched, server: Program, fail):
    """Nothing but 200 and 503 meanwhile, each in time; then the old primary comes back."""
    tokens = register_some(server)
    old = replicate(place)
    with Load(server, roles(tokens)) as load:
        time.sleep(WARM_UP)
        failed = time.monotonic()
        fail(old, place)
        new = wait_for(lambda: other_than(old, place), "a new primary")
        agreed = time.monotonic()
        time.sleep(COOL_DOWN)
        returned = time.monotonic()
        old.bring_back()
        wait_for(lambda: len(place.replicas()) == REPLICAS, "the old primary as a replica")
        time.sleep(COOL_DOWN)
    ledger = load.ledger
    refused = [each for each in ledger.entries if each.status == 503]
    slowest = max((each.seconds for each in refused), default=0.0)
    well = max((each.answered - agreed for each in refused if each.asked < returned), default=0.0)
    late = [each for each in refused if each.asked > returned]
    print(
        f"agreed after {agreed - failed:.2f} s; {len(refused)} of {len(ledger.entries)} were 503,"
        f" within {slowest:.2f} s; well {well:.2f} s after the agreement; {len(late)} 503 later"
    )
    assert {each.status for each in ledger.entries} <= {200, 503}, wrong(ledger.entries)
    assert slowest < IN_TIME
    assert well < WELL_AFTER
    assert not late
    assert len(ledger.during(agreed + WELL_AFTER, returned, "login")) > 20
    assert place.primary() is new
    for name, token in tokens.items():
        assert server.ask("GET", "/account/profile", None, token).status == 200
        assert server.log_in(name) == token
    if refused:
        check_log(server.err, "unavailable: redis: ")


def other_than(old: Server, place: Watched) -> Server | None:
    """Return the primary that took another's place, once all Sentinels name it."""
    found = place.primary()
    return found if found is not old else None


def wrong(entries: list[Entry]) -> list[tuple[str, int, Response]]:
    return [(e.what, e.status, e.answer) for e in entries if e.status not in (200, 503)][:5]


def test_a_primary_that_wakes_up_too_late_is_not_believed(place: Watched, server: Program):
    """It was frozen while another took its place, and knows nothing of a logout since then."""
    ended, other = register_some(server, 2).values()
    key = record_key(ended[: len(ended) // 2])
    old = replicate(place)
    for token in (ended, other) * 10:
        assert server.ask("GET", "/account/profile", None, token).status == 200
    old.freeze()  # while nobody asks: the connections to it are kept, and are good afterwards
    new = wait_for(lambda: other_than(old, place), "a new primary")
    assert new.ask("SET", key, REVOKED, "XX", "KEEPTTL")  # as another server's logout does
    time.sleep(STALE)
    old.bring_back()
    rounds = 0
    while old.ask("ROLE")[0] == b"master":
        rounds += 1
        assert old.ask("GET", key) != REVOKED
        assert server.ask("GET", "/account/profile", None, ended).status == 401
        assert server.ask("GET", "/account/profile", None, other).status == 200
        time.sleep(0.02)
    print(f"asked {rounds} times while the old primary took itself for one")
    assert rounds > 5
