"""How often the stores are asked, as the stores themselves see it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from store.access import Access
from store.account import Login, NewAccount
from store.core import Core
from store.errors import BadCredentials, BadToken
from store.session_record import SessionSpec

KUST = SessionSpec("kust")

IN_SCRIPTS = {"zrange", "zrevrange", "zadd", "zcard", "expire"}
"""Commands that only scripts run here; they cost no trip."""
OURS = {"info", "config"}

# Commands to Redis and statements to PostgreSQL of one call. None of these may grow unnoticed.
AUTHENTICATE = Counter(mget=1), 1
INTROSPECT = Counter(mget=1, pttl=1), 1
REGISTER = Counter(eval=2, set=1), 2  # look, write, enter; an id, the row
REGISTER_ALONE = Counter(), 2
LOG_IN = Counter(eval=1, getex=1, mget=1), 2  # look, extend, keys; the row, last_login
LOG_IN_AFRESH = Counter(eval=2, set=1, mget=1), 2
LOG_IN_WRONG = Counter(), 1
LOG_OUT = Counter(set=1, zrem=1), 0
END_ALL = Counter(zrange=1, eval=1, zrem=1, get=1, set=1), 1  # the last two in the script


@pytest.fixture
async def core(connect, tap) -> AsyncIterator[Core]:
    async with connect(database_url=tap[1]) as core:
        yield core


@pytest.fixture
def access(core) -> Access:
    return core.access


@pytest.fixture
def spent(tap, redis_client) -> Callable[[], tuple[Counter[str], int]]:
    """Return what was sent to both stores since the last call."""
    before: Counter[str] = Counter()

    def commands() -> Counter[str]:
        stats = redis_client.info("commandstats").items()
        return Counter({name.removeprefix("cmdstat_"): each["calls"] for name, each in stats})

    def spent() -> tuple[Counter[str], int]:
        asked, statements = commands() - before, tap[0].statements
        before.update(asked)
        tap[0].statements = 0
        return Counter({name: asked[name] for name in asked.keys() - OURS}), statements

    spent()
    return spent


def trips(asked: tuple[Counter[str], int]) -> tuple[Counter[str], int]:
    commands, statements = asked
    return Counter({name: commands[name] for name in commands.keys() - IN_SCRIPTS}), statements


async def register(access: Access, name: str = "kim") -> str:
    _, [opened] = await access.register(NewAccount(name), "pw", [KUST])
    return opened.token


async def test_authenticating_costs_one_trip_to_each_store(access, spent):
    token = await register(access)
    spent()
    await access.authenticate(token)
    assert spent() == AUTHENTICATE
    await access.authenticate(token)  # now both at once
    assert spent() == AUTHENTICATE


async def test_only_introspecting_reads_the_end_of_a_session(core, spent):
    token = await register(core.access)
    spent()
    await core.introspection.introspect(token)
    assert spent() == INTROSPECT
    await core.introspection.introspect("0" * 40)
    assert spent() == (Counter(), 0)


async def test_authentications_in_flight_share_their_trips(access, spent):
    """640 by 64 clients, each with its own token."""
    tokens = await asyncio.gather(*(register(access, f"kim{n}") for n in range(64)))
    spent()

    async def client(token: str) -> None:
        for _ in range(10):
            await access.authenticate(token)

    await asyncio.gather(*map(client, tokens))
    commands, statements = spent()
    assert set(commands) == {"mget"}
    assert commands["mget"] <= 80
    assert statements <= 80


async def test_a_flood_of_forged_tokens_reaches_neither_store(access, spent):
    token = await register(access)
    spent()
    forged = [f"{number:040x}" for number in range(500)] + [f"{n:064x}" for n in range(500)]
    replies = await asyncio.gather(
        *map(access.authenticate, [*forged, token.upper(), "", "x" * 2**20]),
        return_exceptions=True,
    )
    assert {type(answer) for answer in replies} == {BadToken}
    assert spent() == (Counter(), 0)


async def test_a_revoked_or_expired_token_does_not_reach_postgresql(access, spent, redis_client):
    revoked = await register(access)
    await access.log_out(await access.authenticate(revoked))
    expired = await register(access, "lee")
    redis_client.delete(f"session:{expired[:20]}")
    spent()
    for statements in (1, 0):  # one, because the revoked token has been verified before
        for token in (revoked, expired):
            with pytest.raises(BadToken):
                await access.authenticate(token)
        assert spent() == (Counter(mget=2), statements)


async def test_what_a_register_costs(access, spent):
    await register(access, "first")  # opens the connections
    spent()
    await register(access)
    assert trips(spent()) == REGISTER
    await access.register(NewAccount("alone"), "pw")
    assert trips(spent()) == REGISTER_ALONE


async def test_what_a_login_costs(access, spent):
    token = await register(access)
    spent()
    await access.log_in(Login("kim"), "pw", [KUST])
    assert trips(spent()) == LOG_IN
    await access.log_out(await access.authenticate(token))
    spent()
    await access.log_in(Login("kim"), "pw", [KUST])
    assert trips(spent()) == LOG_IN_AFRESH
    for name, password in (("kim", "wrong"), ("nobody", "pw")):
        with pytest.raises(BadCredentials):
            await access.log_in(Login(name), password, [KUST])
        assert trips(spent()) == LOG_IN_WRONG


async def test_what_ending_costs(access, spent):
    caller = await access.authenticate(await register(access))
    await access.log_in(Login("kim"), "pw", [KUST])  # the look-ups keep their connection
    spent()
    await access.log_out(caller)
    assert trips(spent()) == LOG_OUT
    await access.log_in(Login("kim"), "pw", [KUST])
    spent()
    await access.end_all(caller)
    assert spent() == END_ALL
