"""Idempotency-Key (docs/contracts/service.md#repeated-requests): a request has its effect once."""

import asyncio
import contextlib
import http.client
import random
import threading
import time
from dataclasses import replace
from functools import partial

import pytest

from app import CORE, create_app
from handlers.internal.service_keys import parse_service_keys
from store import idempotency
from store.account import NewAccount
from store.accounts import Accounts
from store.errors import Unavailable
from store.idempotency import Claim, IdempotencyKeys
from store.passwords import Passwords
from store.pruning import Pruner
from tests.handlers.internal.keys import KEYS, TEXT, Scope, bearer
from tests.handlers.internal.test_accounts import ADA, PASSWORD, call, refused
from tests.program import KEY, Client, Program, wait_for_async
from tests.store.test_schema import prepare_at

OTHER_KEY = "other-key-of-the-tests-0123456789abcdefgh"
IN_USE, REUSED = "idempotency_key_in_use", "idempotency_key_reused"


def rows(database, columns="status"):
    with database.cursor() as cursor:
        cursor.execute(f"select {columns} from idempotent_request order by created, key")
        return cursor.fetchall()


async def ids(client):
    _, page = await call(client, "GET", "")
    return [account["id"] for account in page["accounts"]]


async def test_a_repeated_request_returns_the_first_response(client, database):
    headers = {**bearer(KEYS[Scope.WRITE]), "Idempotency-Key": "first"}
    seen = []
    for _ in range(3):
        async with client.post("/internal/accounts", json=ADA, headers=headers) as response:
            seen.append((response.status, await response.read(), response.headers["Location"]))
            assert response.content_type == "application/json"
    assert seen == [seen[0]] * 3
    assert seen[0][0] == 201
    await call(client, "PATCH", "/1", {"username": "countess"})
    _, again = await call(client, "POST", "", ADA, Idempotency_Key="first")
    assert again["username"] == "Ada"  # the response of that time
    assert await ids(client) == [1]
    assert await refused(client, "POST", "", ADA, fields=[("email", "taken")]) == "taken"


async def test_the_same_key_for_another_request(client):
    await call(client, "POST", "", ADA, Idempotency_Key="first")
    other = {**ADA, "password": "Difference-Engine-1822"}
    assert await refused(client, "POST", "", other, Idempotency_Key="first") == REUSED
    path = "/1/password-reset"
    assert await refused(client, "POST", path, ADA, Idempotency_Key="first") == REUSED
    assert await ids(client) == [1]


async def test_keys_are_those_of_one_service(aiohttp_client, internal_settings, clean):
    services = parse_service_keys(f"{TEXT} other:write:{OTHER_KEY}")
    client = await aiohttp_client(create_app(replace(internal_settings, service_keys=services)))
    await call(client, "POST", "", ADA, Idempotency_Key="first")
    grace = {"username": "grace", "password": PASSWORD}
    status, made = await call(
        client, "POST", "", grace, Idempotency_Key="first", **bearer(OTHER_KEY)
    )
    assert (status, made["username"]) == (201, "grace")


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "\u00e9", "a b"])
async def test_a_key_that_is_not_valid(client, key):
    fields = [("Idempotency-Key", "invalid")]
    code = await refused(client, "POST", "", ADA, fields=fields, Idempotency_Key=key)
    assert code == "invalid_fields"
    assert await ids(client) == []


async def test_a_request_in_flight(client, database, monkeypatch):
    """Of many at a time, one creates the account."""
    begun, gate = asyncio.Event(), asyncio.Event()
    original = Passwords.hash

    async def hash(self, *given):
        begun.set()
        await gate.wait()
        return await original(self, *given)

    monkeypatch.setattr(Passwords, "hash", hash)
    first = asyncio.create_task(call(client, "POST", "", ADA, Idempotency_Key="first"))
    await begun.wait()
    for _ in range(3):
        headers = {**bearer(KEYS[Scope.WRITE]), "Idempotency-Key": "first"}
        async with client.post("/internal/accounts", json=ADA, headers=headers) as response:
            assert response.headers["Retry-After"] == "1"
            assert (await response.json(content_type=None))["code"] == IN_USE
    gate.set()
    status, made = await first
    assert status == 201
    assert await call(client, "POST", "", ADA, Idempotency_Key="first") == (201, made)
    assert rows(database) == [(201,)]


async def test_many_at_once(client, database):
    async def send():
        return await call(client, "POST", "", ADA, Idempotency_Key="first")

    seen = await asyncio.gather(*(send() for _ in range(20)))
    assert {status for status, _ in seen} <= {201, 409}
    assert {content["code"] for status, content in seen if status == 409} <= {IN_USE}
    created = [content for status, content in seen if status == 201]
    assert created
    assert created == [created[0]] * len(created)
    assert len(await ids(client)) == 1


async def test_errors_are_not_stored(client, database):
    body = {**ADA, "password": "short"}
    code = await refused(
        client, "POST", "", body, fields=[("password", "too_short")], Idempotency_Key="first"
    )
    assert code == "invalid_fields"
    await call(client, "POST", "", {"username": "ada", "password_hash": "!"})
    taken = [("username", "taken")]
    for _ in range(2):
        code = await refused(client, "POST", "", ADA, fields=taken, Idempotency_Key="second")
        assert code == "taken"
    [account] = await ids(client)
    await call(client, "DELETE", f"/{account}")
    status, _ = await call(client, "POST", "", ADA, Idempotency_Key="second")
    assert status == 201


@pytest.mark.parametrize("place", ["insert", "complete"])
async def test_an_outage_after_the_account_was_created(client, database, monkeypatch, place):
    """The reply of PostgreSQL is lost. The account is there, and is not its own clash."""
    owner = {"insert": Accounts, "complete": IdempotencyKeys}[place]
    original = getattr(owner, place)

    async def lose(self, *given, **named):
        await original(self, *given, **named) if place == "insert" else None
        raise Unavailable("postgresql", "no reply in time")

    monkeypatch.setattr(owner, place, lose)
    code = await refused(client, "POST", "", ADA, Idempotency_Key="first")
    assert code == "unavailable"
    assert rows(database) == [(None,)]
    monkeypatch.undo()
    status, made = await call(client, "POST", "", ADA, Idempotency_Key="first")
    assert status == 201
    assert await ids(client) == [made["id"]]
    assert await call(client, "POST", "", ADA, Idempotency_Key="first") == (201, made)


async def test_a_server_that_was_killed(client, database, monkeypatch):
    """Its claim ends by itself. Before that, the key is in use."""

    async def die(self, claim, response):
        raise asyncio.CancelledError

    monkeypatch.setattr(IdempotencyKeys, "complete", die)
    with pytest.raises(Exception, match="disconnected"):
        await call(client, "POST", "", ADA, Idempotency_Key="first")
    monkeypatch.undo()
    assert await refused(client, "POST", "", ADA, Idempotency_Key="first") == IN_USE
    with database.cursor() as cursor:
        cursor.execute("update idempotent_request set leased_until = now()")
    status, made = await call(client, "POST", "", ADA, Idempotency_Key="first")
    assert (status, await ids(client)) == (201, [made["id"]])


async def test_an_id_that_an_import_has_used(client, database):
    """The account with the reserved id is not the one of this request."""
    admin = client.server.app[CORE].admin
    keys = client.server.app[CORE].idempotency_keys
    claim = await keys.claim("billing", "first", b"x")
    assert isinstance(claim, Claim)
    imported = await admin.insert(NewAccount("imported"), "!", (claim.identity[0], 1))
    made = await admin.insert(NewAccount("ada"), "!", claim.identity)
    assert made.username == "ada"
    assert made.id != imported.id


async def test_keys_are_kept_for_a_day(client, database):
    await call(client, "POST", "", ADA, Idempotency_Key="first")
    for age, code in (("23 hours 59 minutes", REUSED), ("24 hours 1 minute", None)):
        with database.cursor() as cursor:
            cursor.execute("update idempotent_request set created = now() - %s::interval", (age,))
        grace = {"username": "grace", "password": PASSWORD}
        if code:
            assert await refused(client, "POST", "", grace, Idempotency_Key="first") == code
        else:
            status, _ = await call(client, "POST", "", grace, Idempotency_Key="first")
            assert status == 201


async def test_expired_keys_are_deleted(client, database, monkeypatch):
    monkeypatch.setattr(idempotency, "PRUNED_AT_ONCE", 4)
    with database.cursor() as cursor:
        cursor.execute(
            """insert into idempotent_request
               select 'billing', 'old' || n, '', n, n, now() - interval '25 hours', now(), 201,
                      '', ''
                 from generate_series(1, 10) n"""
        )
    left = []
    for number in range(4):
        body = {"username": f"user{number}", "password_hash": "!"}
        await call(client, "POST", "", body, Idempotency_Key=f"new{number}")
        left.append(len([key for (key,) in rows(database, "key") if key.startswith("old")]))
    assert left == [6, 2, 0, 0]


async def test_expired_keys_are_deleted_without_requests(
    aiohttp_client, internal_settings, database, clean, monkeypatch
):
    """A response has names in it, and must not stay because no other request comes."""
    monkeypatch.setattr("app.Pruner", partial(Pruner, first=0.05, every=0.05))
    client = await aiohttp_client(create_app(internal_settings))
    await call(client, "POST", "", ADA, Idempotency_Key="first")
    with database.cursor() as cursor:
        cursor.execute("update idempotent_request set created = now() - interval '25 hours'")
    assert await wait_for_async(lambda: rows(database) == [])


async def test_what_is_stored_has_no_password(client, database):
    await call(client, "POST", "", ADA, Idempotency_Key="first")
    [row] = rows(database, "idempotent_request::text, convert_from(body, 'UTF8')")
    assert not any(PASSWORD in text or "bcrypt" in text for text in row)


async def test_another_secret_key_knows_the_request(aiohttp_client, internal_settings, clean):
    """A new first key in SECRET_KEYS does not make a repeated request another one."""
    client = await aiohttp_client(create_app(internal_settings))
    _, made = await call(client, "POST", "", ADA, Idempotency_Key="first")
    keys = ("another key, which is long enough as well", *internal_settings.secret_keys)
    client = await aiohttp_client(create_app(replace(internal_settings, secret_keys=keys)))
    assert await call(client, "POST", "", ADA, Idempotency_Key="first") == (201, made)


def create_many(port, keys):
    """Create accounts, each with its key, until the server is gone; return the ids by key."""
    created = {}
    client = Client(port)
    authorization = f"Bearer {KEYS[Scope.WRITE]}"
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(client):
        for key in keys:
            body = {"username": key, "password_hash": "!"}
            headers = {"Authorization": authorization, "Idempotency-Key": key}
            while True:
                client.send("POST", "/internal/accounts", body, **headers)
                response = client.receive()
                if response.status != 409:
                    break
                assert response.json["code"] == IN_USE
                time.sleep(0.05)
            assert response.status == 201, response.json
            created[key] = response.json["id"]
    return created


@pytest.mark.parametrize(
    "kills", [3, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_a_server_that_is_killed_creates_each_account_once(stores, database, clean, kills):
    """Whatever the moment: before the account, after it, or before its response is stored."""
    deployment = {
        "DATABASE_URL": stores[0],
        "REDIS_URL": stores[1],
        "SECRET_KEYS": KEY,
        "SERVICE_KEYS": TEXT,
    }
    asyncio.run(prepare_at(stores[0]))
    chance, created, keys = random.Random(kills), {}, []  # noqa: S311
    for number in range(kills):
        keys += [f"user-{number}-{each}" for each in range(1000)]
        with Program(**deployment) as server, database.cursor() as cursor:
            cursor.execute("update idempotent_request set leased_until = now()")  # a minute later
            port = server.port
            killing = threading.Timer(chance.uniform(0.05, 0.3), server.process.kill)
            killing.start()
            todo = [key for key in keys if key not in created]
            created |= create_many(port, todo)
            killing.join()
    with Program(**deployment) as server, database.cursor() as cursor:
        cursor.execute("update idempotent_request set leased_until = now()")
        cursor.execute("select username from account")
        begun = [name for (name,) in cursor.fetchall()]
        created |= create_many(server.port, begun)
        cursor.execute("select username, id from account")
        assert dict(cursor.fetchall()) == created
