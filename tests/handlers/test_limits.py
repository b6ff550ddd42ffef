"""Too many logins and registrations: 429 in each dialect's format, and no effect on others."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from threading import Event
from typing import Any

import bcrypt
import pytest
from aiohttp.test_utils import TestClient

from app import create_app
from handlers.app_keys import ACCESS
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
    """Create clients of a server with limits, behind a proxy on this machine."""

    async def make(
        login: str = "3/hour",
        address: str = "100/hour",
        register: str = "100/hour",
        refresh: str = "100/hour",
    ):
        limits = {
            "login_limit": parse_limit(login),
            "address_limit": parse_limit(address),
            "register_limit": parse_limit(register),
            "refresh_limit": parse_limit(refresh),
        }
        proxies = (ip_network("127.0.0.1"),)
        own = replace(settings, rate_limits="on", trusted_proxies=proxies, **limits)
        return await aiohttp_client(create_app(own))

    return make


async def register(client: TestClient, name: str = NAME, address: str = "192.0.2.1") -> None:
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    path = REGISTERS["lumotist"]
    async with client.post(path, json=body, headers={"X-Forwarded-For": address}) as response:
        assert response.status == 200


async def log_in(
    client: TestClient,
    dialect: str,
    password: str = PASSWORD,
    address: str = "192.0.2.1",
    name=NAME,
) -> Any:
    path, field = LOGINS[dialect]
    body = {field: name if field == "username" else f"{name}@example.com", "password": password}
    response = await client.post(path, json=body, headers={"X-Forwarded-For": address})
    await response.read()
    return response


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
        async with client.post(REGISTERS[dialect], json=body) as response:
            statuses.append(response.status)
            data = await response.json()
    assert statuses in ([200, 200, 429], [201, 201, 429])
    assert data == SHAPES[dialect]
    headers = {"X-Forwarded-For": "192.0.2.2"}
    async with client.post(REGISTERS[dialect], json=body, headers=headers) as response:
        assert response.status in (200, 201)


async def test_an_address_has_a_limit_of_its_own(limited):
    """A client that tries one password on many accounts is limited, too."""
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
    """A limit must not reveal whether an account exists."""
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
    """Addresses that a client puts before the proxy's are not trusted."""
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


async def fardel(client: TestClient, number: int = 0) -> str:
    """Register an account; return its access token."""
    body = {"email": f"kim{number}@example.com", "password": PASSWORD}
    async with client.post(REGISTERS["fardel"], json=body) as response:
        return (await response.json())["access_token"]


async def update(client: TestClient, token: str, address: str, **fields: str) -> Any:
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": address}
    response = await client.put("/fardel/api/auth/profile", json=fields, headers=headers)
    await response.read()
    return response


async def test_new_passwords_are_counted_like_logins(limited):
    """By account, whatever its address, and by address, whatever the account."""
    client = await limited(login="3/hour", address="5/hour")
    token = await fardel(client)
    for number in range(3):
        response = await update(client, token, f"192.0.2.{number}", password=f"{PASSWORD}{number}")
        assert response.status == 200
        token = (await response.json())["access_token"]
    response = await update(client, token, "192.0.2.9", password=PASSWORD)
    assert (response.status, await response.json()) == (429, SHAPES["fardel"])
    assert int(response.headers["Retry-After"]) > 0
    assert (await update(client, token, "192.0.2.9", first_name="Kim")).status == 200
    for number in range(1, 6):
        own = await fardel(client, number)
        response = await update(client, own, "192.0.2.10", password=PASSWORD)
        assert response.status == 200
    response = await update(client, await fardel(client, 6), "192.0.2.10", password=PASSWORD)
    assert response.status == 429
    assert (await log_in(client, "fardel", address="192.0.2.10")).status == 429


async def test_new_emails_are_counted_like_registrations(limited):
    """By account and by address. The account's present e-mail does not count."""
    client = await limited(register="3/hour")
    token = await fardel(client)
    for number in range(3):
        fields = {"email": f"new{number}@example.com"}
        assert (await update(client, token, f"192.0.2.{number}", **fields)).status == 200
    response = await update(client, token, "192.0.2.9", email="new3@example.com")
    assert (response.status, await response.json()) == (429, SHAPES["fardel"])
    assert (await update(client, token, "192.0.2.9", email="NEW2@example.com")).status == 200
    for number in (1, 2):
        own = await fardel(client, number)
        for name in ("a", "b"):
            response = await update(client, own, "192.0.2.10", email=f"{name}{number}@example.com")
            assert response.status == (429 if (number, name) == (2, "b") else 200)
    assert (await log_in(client, "fardel", address="192.0.2.10")).status == 401


async def test_one_account_that_changes_its_password_all_the_time_stops_nobody(
    aiohttp_client, settings, clean, monkeypatch
):
    """Also without limits: one of fifty concurrent changes is hashed; the others' token ended."""
    client = await aiohttp_client(create_app(settings))
    token, hashed, really = await fardel(client), [], bcrypt.hashpw
    await fardel(client, 1)
    monkeypatch.setattr(bcrypt, "hashpw", lambda *given: hashed.append(given) or really(*given))
    hammering = [
        asyncio.create_task(update(client, token, "", password=f"{PASSWORD}{number}"))
        for number in range(50)
    ]
    assert (await log_in(client, "fardel", name="kim1")).status == 200
    statuses = [response.status for response in await asyncio.gather(*hammering)]
    assert sorted(statuses) == [200] + [401] * 49
    assert len(hashed) == 1


async def test_an_accounts_two_names_are_not_two_sets_of_attempts(limited):
    """Past the limit the other name's correct password gets the same error as a wrong one.

    From another address it is accepted. A name without an account has the same limit.
    """
    client = await limited(login="3/hour")
    await register(client)
    for _ in range(2):
        assert (await log_in(client, "lumotist", "wrong")).status == 400
    assert (await log_in(client, "fardel", "wrong")).status == 401
    refused = await log_in(client, "fardel")
    assert (refused.status, await refused.json()) == (
        401,
        {"message": "Username or password is not correct"},
    )
    assert (await log_in(client, "fardel", address="192.0.2.2")).status == 200
    assert (await log_in(client, "lumotist")).status == 400
    assert (await log_in(client, "lumotist")).status == 429
    for _ in range(3):
        assert (await log_in(client, "fardel", name="nobody")).status == 401
    assert (await log_in(client, "fardel", name="nobody")).status == 429


async def test_right_passwords_do_not_count_against_the_other_name(limited):
    client = await limited(login="3/hour")
    await register(client)
    for _ in range(3):
        assert (await log_in(client, "lumotist")).status == 200
    assert (await log_in(client, "fardel")).status == 200


async def test_refreshes_are_counted_by_account(limited):
    client = await limited(refresh="3/hour")
    body = {"email": "kim@example.com", "password": PASSWORD}
    async with client.post(REGISTERS["fardel"], json=body) as response:
        token = (await response.json())["refresh_token"]
    statuses = []
    for number in range(4):
        headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": f"192.0.2.{number}"}
        async with client.post("/fardel/api/auth/refresh-token", headers=headers) as response:
            statuses.append(response.status)
            body = await response.json()
    assert (statuses, body) == ([200] * 3 + [429], SHAPES["fardel"])


async def test_a_login_whose_client_disconnects_is_not_verified(
    aiohttp_client, settings, clean, monkeypatch
):
    """A waiting hash would delay others, so it is dropped. A hash in progress is finished."""
    client = await aiohttp_client(create_app(settings))
    workers, gate, begun, writers = client.app[ACCESS]._passwords._queue, Event(), [], []

    def check(*given: bytes) -> bool:
        begun.append(given)
        gate.wait(20)
        return False

    monkeypatch.setattr(bcrypt, "checkpw", check)
    holding = [asyncio.create_task(log_in(client, "lumotist")) for _ in range(workers._threads)]
    body = b'{"username": "mika", "password": "correct-Horse-9"}'
    head = f"POST {LOGINS['lumotist'][0]} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/json\r\n\r\n"
    async with asyncio.timeout(20):
        while len(begun) < workers._threads:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        for _ in range(20):
            _, writer = await asyncio.open_connection(client.host, client.port)
            writer.write(head.encode() + body)
            await writer.drain()
            writers.append(writer)
        while sum(map(len, workers._queues.values())) < 20:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        for writer in writers:
            writer.close()
        for place in workers._queues["127.0.0.1"]:
            while not place.client.is_gone():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    gate.set()
    await asyncio.gather(*holding)
    assert (await log_in(client, "lumotist")).status == 400
    assert len(begun) == workers._threads + 1
