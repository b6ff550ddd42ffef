"""Fixed windows in Redis, and the texts that name limits. tests/handlers has what clients see."""

import asyncio

import pytest

from store.client import Client
from store.errors import BadValue, RateLimited
from store.limits import Limit, Limits, parse_limit

CLIENT = Client("192.0.2.1")
KEY = "limit:LIMITER/register/192.0.2.1/2/5/minute"
LIMIT = Limit(2, 5, "minute")


@pytest.fixture
def limits(core) -> Limits:
    return Limits(core.redis, *[LIMIT] * 6)


@pytest.fixture
def ask(core):
    """Run one command of Redis."""
    return lambda *command: core.redis.execute(core.redis.client.execute_command(*command))


async def test_a_window_begins_with_its_first_attempt_and_is_not_extended(limits, ask):
    """The key is that of versions that counted by a library: both count in the same windows."""
    await limits.register(CLIENT)
    assert await ask("TTL", KEY) in (299, 300)
    await ask("EXPIRE", KEY, 100)
    await limits.register(CLIENT)
    assert await ask("TTL", KEY) in (99, 100)
    with pytest.raises(RateLimited) as caught:
        await limits.register(CLIENT)
    assert caught.value.retry_after in (99, 100)
    assert int(await ask("GET", KEY)) == 3
    await ask("PEXPIRE", KEY, 1)
    await asyncio.sleep(0.05)
    await limits.register(CLIENT)
    assert int(await ask("GET", KEY)) == 1


async def test_a_client_waits_for_a_second_at_least(limits, ask):
    for _ in range(2):
        await limits.register(CLIENT)
    await ask("PEXPIRE", KEY, 400)
    with pytest.raises(RateLimited) as caught:
        await limits.register(CLIENT)
    assert caught.value.retry_after == 1


async def test_attempts_at_the_same_time_are_each_counted(limits):
    found = await asyncio.gather(
        *(limits.register(CLIENT) for _ in range(9)), return_exceptions=True
    )
    assert [type(each) for each in found if each] == [RateLimited] * 7


async def test_messages_are_counted_for_the_address_and_the_account(limits):
    assert [await limits.may_mail(f"{name}@example.com", 1) for name in "abc"] == [
        True,
        True,
        False,
    ]
    assert [await limits.may_mail("a@example.com") for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("text", "limit", "seconds"),
    [
        ("20 per 5 minutes", Limit(20, 5, "minute"), 300),
        ("60/hour", Limit(60, 1, "hour"), 3600),
        ("1/second", Limit(1, 1, "second"), 1),
        ("5 Per 2 Days", Limit(5, 2, "day"), 172_800),
        ("7per3month", Limit(7, 3, "month"), 7_776_000),
        ("999999999 per year", Limit(999_999_999, 1, "year"), 31_104_000),
        ("1 per 366 days", Limit(1, 366, "day"), 31_622_400),
    ],
)
def test_limits_are_parsed(text, limit, seconds):
    assert parse_limit(text) == limit
    assert limit.seconds == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "5 per",
        "0/hour",
        "-1/hour",
        "5 per 0 hours",
        "5 per hours 2",
        "5/fortnight",
        "5/hour; 6/day",
        "5/hourss",
        "1000000000/hour",
        "٥/hour",
        " 5/hour",
    ],
)
def test_what_is_not_a_limit(text):
    with pytest.raises(ValueError, match=f"^{text}$"):
        parse_limit(text)


@pytest.mark.parametrize("text", ["1 per 367 days", "1 per 2 years", "1 per 999999999 seconds"])
def test_a_window_is_a_year_at_most(text):
    with pytest.raises(BadValue, match="a year"):
        parse_limit(text)
