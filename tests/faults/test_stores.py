"""A store that is killed or frozen under load: 503 in time, never a 401, and then all is well."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.breakage import DEFAULTS, Site, freeze, kill, open_connections, site
from tests.faults.ledger import (
    Load,
    check_log,
    check_what_was_promised,
    logs_in,
    looks_at,
    path_of_picture,
    reads,
    registers_and_sets_a_picture,
    registers_without_a_session,
)
from tests.program import Program, registration

Break = Callable[[Site, str, float], float]

WARM_UP = 1.0
COOL_DOWN = 1.5
BEGINS = 1.0
"""Seconds until everybody has met a fault."""
POOL = int(DEFAULTS["DATABASE_POOL"])
NEEDS_BOTH = ("read", "login", "register", "set picture")
GROWN = 6
"""What may be open more than before: pools grow with the load, to a size that is bounded."""

CASES = [
    pytest.param(kill, "redis", 2, id="redis-kill-2s"),
    pytest.param(freeze, "postgresql", 2.5, id="postgresql-freeze-2.5s", marks=pytest.mark.slow),
    *(
        pytest.param(way, store, 10, id=f"{store}-{way.__name__}-10s", marks=pytest.mark.slow)
        for store in ("redis", "postgresql")
        for way in (kill, freeze)
    ),
]


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    with site() as place:
        yield place


@pytest.fixture(scope="module")
def server(place: Site) -> Iterator[Program]:
    with place.run() as server:
        yield server.serve()


@pytest.mark.parametrize(("way", "store", "seconds"), CASES)
def test_an_outage_is_told_in_time_and_nothing_is_lost(
    place: Site, server: Program, way: Break, store: str, seconds: float
):
    """Who needs it gets a 503, who doesn't goes on; and what was acknowledged is still there."""
    name = f"m{time.time_ns()}"
    token = server.register(name)
    picture = path_of_picture(server, token, "/account/get_pictures")
    roles = [
        *[reads(token)] * 4,
        logs_in(name),
        *[registers_and_sets_a_picture] * 2,
        registers_without_a_session,
        looks_at("picture", picture),
        looks_at("health", "/healthz"),
    ]
    with Load(server, roles) as load:
        time.sleep(WARM_UP)
        before = open_connections(place, server)
        broken = time.monotonic()
        back = way(place, store, seconds)
        time.sleep(COOL_DOWN)
        after = open_connections(place, server)
    ledger = load.ledger
    goes_on = {"health"} | ({"picture", "register in kust"} if store == "redis" else set())
    assert {entry.status for entry in ledger.entries} == {200, 503}
    assert {entry.status for entry in ledger.of(*goes_on)} == {200}
    assert goes_on == {entry.what for entry in ledger.during(broken, broken + seconds, *goes_on)}
    away = ledger.during(broken + BEGINS, broken + seconds, *NEEDS_BOTH)
    assert {(entry.what, entry.status) for entry in away} >= {("read", 503), ("login", 503)}
    assert {entry.status for entry in away} == {503}
    refused = [entry for entry in ledger.entries if entry.status == 503]
    assert {entry.answer.headers["Retry-After"] for entry in refused} == {"1"}
    slowest = max(entry.seconds for entry in refused)
    well = max(0.0, *(entry.answered - back for entry in refused))
    print(f"503 within {slowest:.2f} s ({len(refused)}), well again after {well:.2f} s,", end=" ")
    print(f"open before {before}, after {after}")
    assert {entry.what for entry in ledger.entries if entry.asked > back} >= set(NEEDS_BOTH)
    in_time = 1.5 if seconds > 5 else 10  # 1 is promised, the rest is the machine's
    assert slowest < in_time
    assert well < in_time
    assert after["descriptors"] - before["descriptors"] <= GROWN
    assert after["redis"] - before["redis"] <= GROWN
    assert after["postgresql"] <= POOL
    check_what_was_promised(server, ledger)
    check_log(server.err, f"unavailable: {store}: ")


def test_what_the_stores_log_names_nobody(place: Site, server: Program):
    """A name that is taken is an error of PostgreSQL's, whose log would hold the statement."""
    server.register("Zaubertrank")
    again = server.ask("POST", "/account/register", registration("Zaubertrank"))
    assert again.status == 400
    logs = {store: (place.path / store / "log").read_text() for store in ("postgresql", "redis")}
    assert "account_username_taken" in logs["postgresql"]
    for log in logs.values():
        assert "zaubertrank" not in log.lower()
        assert "bcrypt" not in log
