"""Attacks on passkeys, by an authenticator in software (docs/contracts/latchkey.md#passkeys)."""

import base64
import secrets
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from aiohttp.test_utils import TestClient

from app import create_app
from store import passkey_ceremonies
from store.passkeys import LONGEST
from tests.conftest import Server
from tests.handlers.dialects.latchkey_rows import ADA
from tests.soft_authenticator import PRESENT, SoftAuthenticator, encode

ORIGIN = "https://app.example"
REGULAR_EXPRESSION = cbor2.CBORTag(35, "a?" * 100_000)


class Person:
    """An account, its session and its authenticator."""

    def __init__(self, client: TestClient, token: str) -> None:
        self.client = client
        self.token = token
        self.authenticator = SoftAuthenticator(ORIGIN)

    async def post(self, path: str, **fields: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        response = await self.client.post(path, json=fields, headers=headers)
        return response.status, await response.json() if response.status != 204 else None

    async def make(self) -> dict[str, Any]:
        status, options = await self.post("/v1/account/passkeys/options")
        assert status == 200, options
        return self.authenticator.create(options)

    async def add(self, credential: Any = None) -> tuple[int, Any]:
        credential = credential or await self.make()
        return await self.post("/v1/account/passkeys", name="Laptop", credential=credential)

    async def sign(self) -> dict[str, Any]:
        _, options = await self.post("/v1/sessions/passkey/options")
        return self.authenticator.get(options)

    async def log_in(self, credential: Any = None) -> tuple[int, Any]:
        credential = credential or await self.sign()
        return await self.post("/v1/sessions/passkey", credential=credential)


@pytest.fixture
async def client(settings, clean) -> AsyncIterator[TestClient]:
    app = create_app(replace(settings, passkey_origins=(ORIGIN,)))
    async with TestClient(Server(app)) as client:
        yield client


async def person(client: TestClient, **changes: Any) -> Person:
    registered = await client.post("/v1/accounts", json={**ADA, **changes})
    return Person(client, (await registered.json())["token"])


@pytest.fixture
async def ada(client) -> Person:
    return await person(client)


def attested(credential: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a new credential with another attestation."""
    response = credential["response"]
    made = cbor2.loads(base64.urlsafe_b64decode(response["attestationObject"] + "=="))
    changed = encode(cbor2.dumps({**made, **changes}))
    return {**credential, "response": {**response, "attestationObject": changed}}


def refused(result: tuple[int, Any]) -> bool:
    status, told = result
    return (status, [each["field"] for each in told["errors"]]) == (422, ["credential"])


@pytest.mark.parametrize(
    ("fmt", "statement"),
    [
        ("android-safetynet", {"ver": 1, "response": 5}),
        ("packed", {"alg": [], "sig": {}, "x5c": [1]}),
        ("tpm", {"ver": "2.0", "certInfo": b"x", "pubArea": b"", "x5c": [b""]}),
        ("apple", {"x5c": [None]}),
        ([1], {}),
    ],
)
async def test_an_odd_attestation_is_refused(ada, fmt, statement):
    assert refused(await ada.add(attested(await ada.make(), fmt=fmt, attStmt=statement)))
    assert (await ada.add())[0] == 201


async def test_a_regular_expression_is_not_compiled(ada, monkeypatch):
    """One of a megabyte took the library eight seconds."""
    monkeypatch.delattr(passkey_ceremonies, "verify_creation")
    assert refused(await ada.add(attested(await ada.make(), more=REGULAR_EXPRESSION)))


@pytest.mark.parametrize("part", ["clientDataJSON", "attestationObject", "publicKey"])
async def test_a_part_that_is_too_long_is_refused(ada, part):
    made = await ada.make()
    made["response"][part] = "A" * (LONGEST + 1)
    assert refused(await ada.add(made))


async def test_an_id_has_at_most_1023_bytes(ada):
    """PostgreSQL has no index of longer ones."""
    ada.authenticator.id = secrets.token_bytes(3000)
    assert refused(await ada.add())
    ada.authenticator.id = secrets.token_bytes(1023)
    assert (await ada.add())[0] == 201
    assert (await ada.log_in())[0] == 201


async def test_the_library_works_in_threads(ada, monkeypatch):
    """It takes half a second to load."""
    main, used = threading.current_thread(), set()

    def watch(name: str) -> None:
        function = getattr(passkey_ceremonies, name)

        def watched(*arguments: Any) -> Any:
            assert threading.current_thread() is not main
            used.add(name)
            return function(*arguments)

        monkeypatch.setattr(passkey_ceremonies, name, watched)

    functions = {"creation_options", "verify_creation", "request_options", "verify_assertion"}
    for each in functions:
        watch(each)
    assert (await ada.add())[0] == 201
    assert (await ada.log_in())[0] == 201
    assert used == functions


async def test_what_was_signed_is_accepted_once(ada):
    made = await ada.make()
    assert (await ada.add(made))[0] == 201
    assert refused(await ada.add(made))
    signed = await ada.sign()
    assert (await ada.log_in(signed))[0] == 201
    assert (await ada.log_in(signed))[1]["code"] == "challenge_invalid"


async def test_a_challenge_serves_neither_another_account_nor_another_purpose(client, ada):
    grace = await person(client, username="grace", email="grace@example.org")
    assert refused(await grace.add(await ada.make()))
    _, options = await ada.post("/v1/sessions/passkey/options")
    made = await ada.make()
    for_login = SoftAuthenticator(ORIGIN).create({"rp": {"id": "app.example"}, **options})
    assert refused(await ada.add(for_login))
    assert (await ada.add(made))[0] == 201
    _, creation = await ada.post("/v1/account/passkeys/options")
    signed = ada.authenticator.get({**creation, "rpId": "app.example"})
    assert (await ada.log_in(signed))[1]["code"] == "challenge_invalid"


async def test_the_id_of_another_account_s_credential_is_not_taken_over(client, ada):
    assert (await ada.add())[0] == 201
    grace = await person(client, username="grace", email="grace@example.org")
    grace.authenticator.id = ada.authenticator.id
    assert refused(await grace.add())
    assert (await grace.log_in())[1]["code"] == "invalid_credentials"
    status, told = await ada.log_in()
    assert (status, told["account"]["username"]) == (201, "ada")
    headers = {"Authorization": f"Bearer {grace.token}"}
    path = f"/v1/account/passkeys/{encode(ada.authenticator.id)}"
    assert (await client.delete(path, headers=headers)).status == 404


@pytest.mark.parametrize("origin", ["https://app.example.evil", "http://app.example", "null"])
async def test_another_origin_is_refused(ada, origin):
    assert (await ada.add())[0] == 201
    ada.authenticator.origin = origin
    assert (await ada.log_in())[1]["code"] == "invalid_credentials"
    assert refused(await ada.add())


async def test_a_user_who_was_not_verified_is_refused(ada):
    assert (await ada.add())[0] == 201
    ada.authenticator.flags = PRESENT
    assert (await ada.log_in())[1]["code"] == "invalid_credentials"


async def test_a_counter_that_does_not_rise_is_refused(ada):
    assert (await ada.add())[0] == 201
    ada.authenticator.count = 2**32 - 2
    assert (await ada.log_in())[0] == 201
    for count in (2**32 - 2, 5, -1):
        ada.authenticator.count = count
        assert (await ada.log_in())[1]["code"] == "invalid_credentials"


async def test_attempts_to_add_a_passkey_are_limited(settings, clean):
    """Reading a credential takes up to 0.2 s, and a challenge costs its client nothing."""
    app = create_app(replace(settings, passkey_origins=(ORIGIN,), rate_limits="on"))
    async with TestClient(Server(app)) as client:
        response = await client.post("/v1/accounts", json=ADA)
        ada = Person(client, (await response.json())["token"])
        bad = {**await ada.make(), "type": "password"}
        statuses = [(await ada.add(bad))[0] for _ in range(12)]
    assert statuses == [422] * 10 + [429] * 2
