"""Too many logins and registrations: 429 in each dialect's shape, and nobody else is touched."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from server import create_app
from store.limits import parse_limit

NAME, PASSWORD = "mika", "correct-Horse-9"
EMAIL = "mika@example.com"

Body = dict[str, str]

LOGINS: dict[str, tuple[str, str]] = {
    "wicare": ("/wicare/api/auth/login/", "username"),
    "lumotist": ("/lumotist/account/login", "username"),
    "kust": ("/kust/auth/token/login/", "username"),
    "cellars": ("/cellars/api/login/", "username"),
    "fardel": ("/fardel/api/auth/login/", "email"),
}
REGISTERS = {
    "wicare": "/wicare/api/auth/register/",
    "lumotist": "/lumotist/account/register",
    "kust": "/kust/auth/users/",
    "cellars": "/cellars/api/register/",
    "fardel": "/fardel/api/auth/register/",
}
SHAPES: dict[str, Any] = {
    "wicare": {"detail": "Too many attempts, try again later."},
    "lumotist": {"detail": "Too many attempts, try again later."},
    "kust": {"detail": "Too many attempts, try again later."},
    "cellars": {"error": "Too Many Requests"},
    "fardel": {"message": "Too Many Requests"},
}

Limited = Callable[..., Any]


@pytest.fixture
def limited(aiohttp_client, settings, clean) -> Limited:
    """Make clients of a server with limits, behind a proxy on this machine."""

    async def make(login: str = "3/hour", address: str = "100/hour", register: str = "100/hour"):
        limits = {
            "login_limit": parse_limit(login),
            "address_limit": parse_limit(address),
            "register_limit": parse_limit(register),
        }
        proxies = (ip_network("127.0.0.1"),)
        own = replace(settings, rate_limits="on", trusted_proxies=proxies, **limits)
        return await aiohttp_client(create_app(own))

    return make


async def register(client: TestClient, name: str = NAME, address: str = "192.0.2.1") -> None:
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    path = REGISTERS["lumotist"]
    async with client.post(path, json=body, headers={"X-Forwarded-For": address}) as answer:
        assert answer.status == 200


async def log_in(
    client: TestClient,
    dialect: str,
    password: str = PASSWORD,
    address: str = "192.0.2.1",
    name=NAME,
) -> Any:
    path, field = LOGINS[dialect]
    body = {field: name if field == "username" else f"{name}@example.com", "password": password}
    answer = await client.post(path, json=body, headers={"X-Forwarded-For": address})
    await answer.read()
    return answer


@pytest.mark.parametrize("dialect", LOGINS)
async def test_too_many_logins_are_a_429(limited, dialect):
    client = await limited()
    await register(client)
    for _ in range(3):
        assert (await log_in(client, dialect, "wrong")).status in (400, 401)
    refused = await log_in(client, dialect)
    assert (refused.status, await refused.json()) == (429, SHAPES[dialect])
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert refused.headers["Access-Control-Allow-Origin"] == "*"
    elsewhere = await log_in(client, dialect, address="192.0.2.2")
    assert elsewhere.status == 200


@pytest.mark.parametrize("dialect", REGISTERS)
async def test_too_many_registrations_are_a_429(limited, dialect):
    client = await limited(register="2/hour")
    statuses = []
    for number in range(3):
        body = {
            "username": f"{NAME}{number}",
            "email": f"{NAME}{number}@example.com",
            "password": PASSWORD,
        }
        async with client.post(REGISTERS[dialect], json=body) as answer:
            statuses.append(answer.status)
            said = await answer.json()
    assert statuses in ([200, 200, 429], [201, 201, 429])
    assert said == SHAPES[dialect]
    headers = {"X-Forwarded-For": "192.0.2.2"}
    async with client.post(REGISTERS[dialect], json=body, headers=headers) as answer:
        assert answer.status in (200, 201)


async def test_an_address_has_a_limit_of_its_own(limited):
    """Whoever tries one password on many accounts is stopped, too."""
    client = await limited(address="5/hour")
    await register(client)
    for number in range(5):
        assert (await log_in(client, "lumotist", name=f"nobody{number}")).status == 400
    assert (await log_in(client, "lumotist")).status == 429
    assert (await log_in(client, "lumotist", address="192.0.2.2")).status == 200


async def test_the_limit_is_the_same_for_every_spelling_and_dialect(limited):
    client = await limited()
    await register(client)
    for dialect, name in (("wicare", "MIKA"), ("kust", "Mika"), ("lumotist", "mika")):
        await log_in(client, dialect, "wrong", name=name)
    assert (await log_in(client, "cellars")).status == 429


async def test_an_unknown_name_is_counted_like_a_known_one(limited):
    """A limit must not tell who has an account."""
    client = await limited()
    await register(client)
    statuses = {
        name: [(await log_in(client, "lumotist", "wrong", name=name)).status for _ in range(5)]
        for name in (NAME, "nobody")
    }
    assert statuses[NAME] == statuses["nobody"] == [400, 400, 400, 429, 429]


async def test_two_servers_count_together(limited):
    one, other = await limited(), await limited()
    await register(one)
    for client in (one, other, one):
        await log_in(client, "lumotist", "wrong")
    assert (await log_in(other, "lumotist")).status == 429


@pytest.mark.parametrize(
    ("addresses", "status"),
    [
        (["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:0:ffff::4"], 429),
        (["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"], 200),
        (["192.0.2.7", "::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"], 429),
    ],
    ids=["one IPv6 network", "four IPv6 networks", "IPv4 in IPv6"],
)
async def test_what_counts_as_one_address(limited, addresses, status):
    client = await limited()
    await register(client)
    for address in addresses[:-1]:
        assert (await log_in(client, "lumotist", "wrong", address)).status == 400
    assert (await log_in(client, "lumotist", address=addresses[-1])).status == status


async def test_a_forged_address_changes_nothing(limited):
    """What a client puts before the proxy's own word is not believed."""
    client = await limited()
    await register(client)
    for number in range(3):
        await log_in(client, "lumotist", "wrong", f"198.51.100.{number}, 192.0.2.1")
    assert (await log_in(client, "lumotist", address="198.51.100.9, 192.0.2.1")).status == 429


async def test_without_trusted_proxies_the_connection_counts(aiohttp_client, settings, clean):
    own = replace(settings, rate_limits="on", login_limit=parse_limit("3/hour"))
    client = await aiohttp_client(create_app(own))
    await register(client)
    for number in range(3):
        await log_in(client, "lumotist", "wrong", f"198.51.100.{number}")
    assert (await log_in(client, "lumotist", address="198.51.100.9")).status == 429


async def test_a_limit_ends(limited):
    client = await limited(login="1/second")
    await register(client)
    statuses = {(await log_in(client, "lumotist")).status for _ in range(20)}
    assert 429 in statuses

    for _ in range(200):
        if (await log_in(client, "lumotist")).status == 200:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the limit did not end")


@pytest.mark.parametrize("dialect", LOGINS)
async def test_without_redis_a_login_is_a_503_and_no_free_pass(
    aiohttp_client, outages, clean, dialect
):
    client = await aiohttp_client(create_app(replace(outages.settings, rate_limits="on")))
    await register(client)
    outages.take_away("redis")
    refused = await log_in(client, dialect, "wrong")
    assert refused.status == 503
    assert refused.headers["Retry-After"]
