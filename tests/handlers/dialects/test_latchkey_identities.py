"""ID tokens in latchkey (docs/contracts/latchkey.md#id-tokens), of a provider on this machine."""

import asyncio
import gzip
import hashlib
import hmac
import logging
import time
import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import jwt
import pyotp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app import CORE, create_app
from handlers import provider_keys
from store.errors import BadToken
from store.event_writer import CREATED, FACTOR_ADDED, FACTOR_REMOVED
from store.limits import parse_limit
from store.one_time_tokens import Purpose
from tests.conftest import Server
from tests.handlers.contract import Row, play
from tests.handlers.dialects.latchkey_rows import (
    ADA,
    PASSWORD,
    account,
    bearer,
    problem,
    register,
    session,
)
from tests.openid_provider import (
    CLIENT_ID,
    NONCE,
    OTHER_CLIENT_ID,
    OpenIdProvider,
    encode,
    jwk_of,
    make_key,
)
from tests.soft_authenticator import SoftAuthenticator

OIDC, IDENTITIES = "POST /v1/sessions/oidc", "POST /v1/account/identities"
ORIGIN = "https://accounts.example"
ADDRESS = {"email": ADA["email"], "email_verified": True}
LINKED = {"id": "example", "provider": "example", "created": "<seconds>"}


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[OpenIdProvider]:
    async with OpenIdProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
async def another() -> AsyncIterator[OpenIdProvider]:
    async with OpenIdProvider("another") as provider:
        yield provider


@pytest.fixture(scope="module")
def with_providers(settings, provider, another):
    return replace(
        settings,
        events="on",
        mail_url="smtp://127.0.0.1:1",  # so messages stay in the queue
        mail_from="no-reply@accounts.example",
        public_url=ORIGIN,
        passkey_origins=(ORIGIN,),
        oidc_providers=(provider.setting, another.setting),
    )


@pytest.fixture(scope="module")
async def server(with_providers) -> AsyncIterator[Server]:
    async with Server(create_app(with_providers)) as server:
        yield server


@pytest.fixture
def core(client):
    return client.server.app[CORE]


def logged_in(created: bool = False, issued: str = "<other = 64 hex>", **changed: Any) -> Any:
    """Return the response of a login: to Ada's account, unless changed."""
    return {
        "account": account(**changed),
        "session": session("Tablet"),
        "token": issued,
        "created": created,
    }


def log_in(fields: dict[str, str], created: bool = False, **changed: Any) -> Row:
    returned = {"Location": "/v1/account" if created else None}
    content = logged_in(created, **changed)
    return Row(OIDC, {**fields, "device": "Tablet"}, 201, content, returned=returned)


NEW = {"username": None, "email": None}
"""What an account has that an identity without an address has made."""


async def verify_address(core) -> None:
    """Have Ada's address count as verified."""
    await core.accounts.change(1, {"email_verified_at": (await core.accounts.get(1)).created})


async def ada(client, *, verified: bool = True) -> dict[str, str]:
    """Register Ada; return the names of her responses."""
    names = await play(client, [register()])
    if verified:
        await verify_address(client.server.app[CORE])
    return names


async def turn_factor_on(core, token: str) -> list[str]:
    """Turn the second factor of an account on; return its recovery codes."""
    caller = await core.access.authenticate(token)
    return await core.factors.confirm(caller, pyotp.TOTP(await core.factors.begin(caller)).now())


async def count(database, sql: str) -> int:
    with database.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


async def types(core) -> list[str]:
    events, _ = await core.events.latest(100)
    return [event.type for event in events]


async def test_an_unknown_identity_gets_an_account(client, core, provider):
    claims = {**ADDRESS, "given_name": "Ada", "family_name": "Lovelace"}
    about = {"username": None, "email_verified": True}
    about |= {"first_name": "Ada", "last_name": "Lovelace"}
    names = await play(client, [log_in(provider.request(**claims), created=True, **about)])
    await play(
        client,
        [
            Row("GET /v1/account", None, 200, account(**about), bearer("<other>")),
            Row(
                "GET /v1/account/identities", None, 200, {"identities": [LINKED]}, bearer("<other>")
            ),
            Row(
                OIDC,
                {**provider.request(**{**claims, "given_name": "Augusta"}), "device": "Tablet"},
                201,
                logged_in(issued="<third = 64 hex>", **about),
            ),
            problem(
                "POST /v1/sessions", {"login": ADA["email"], "password": "!"}, "invalid_credentials"
            ),
        ],
        names,
    )
    assert await types(core) == [CREATED]


async def test_names_that_cannot_be_shown_are_left_out(client, provider):
    names = {"given_name": "A\u202eda", "family_name": "x" * 151}
    await play(client, [log_in(provider.request(**names), created=True, **NEW)])


@pytest.mark.parametrize("told", [None, False, "false", "yes", 1, []])
async def test_an_address_that_the_provider_has_not_verified_is_not_used(client, provider, told):
    """Not even to find out whether an account has it: Ada's is neither linked nor named."""
    await ada(client)
    fields = provider.request(**{**ADDRESS, "email_verified": told})
    await play(client, [log_in(fields, created=True, id=2, **NEW)])


async def test_an_address_of_another_form_is_not_used(client, provider):
    fields = provider.request(email="ada", email_verified=True)
    await play(client, [log_in(fields, created=True, **NEW)])


@pytest.mark.parametrize("told", [True, "true"])
async def test_a_verified_address_links_the_account_that_has_it(client, core, provider, told):
    """Apple sends the text. The owner is told by e-mail, and by an event."""
    await ada(client)
    fields = provider.request(email="Ada@Example.org", email_verified=told)
    await play(client, [log_in(fields, email_verified=True)])
    assert [mail.kind for mail in await core.mail.newest(10)] == ["identity", "verify"]
    events, _ = await core.events.latest(100, type=FACTOR_ADDED)
    assert [each.data for each in events] == [{"factor": "identity", "provider": "example"}]
    await play(client, [log_in(provider.request(), email_verified=True)])


async def login_token(client, provider, **claims: Any) -> str:
    response = await client.post("/v1/sessions/oidc", json=provider.request(**claims))
    assert response.status == 201, await response.text()
    return (await response.json())["token"]


@pytest.mark.parametrize(
    ("own", "theirs"),
    [(ADA["email"], ADA["email"]), ("ada@stra\u00dfe.de", "ada@strasse.de")],
    ids=["not verified", "another mailbox"],
)
async def test_an_address_that_may_be_anothers_links_nothing(client, core, provider, own, theirs):
    """The app logs in with the password, and links with the same token."""
    names = await play(client, [register({**ADA, "email": own}, account={"email": own})])
    if own != theirs:
        await verify_address(core)
    fields = provider.request(email=theirs, email_verified=True)
    await play(
        client,
        [
            problem(OIDC, fields, "account_exists"),
            problem(OIDC, fields, "account_exists"),
            Row(IDENTITIES, fields, 201, LINKED, bearer()),
            problem(IDENTITIES, fields, "invalid_id_token", headers=bearer()),
        ],
        names,
    )
    about = {"email": own, "email_verified": own != theirs}
    await play(client, [log_in(provider.request(), **about)], names)


async def test_another_identity_of_the_same_provider_is_not_linked_by_address(client, provider):
    """An address may get another owner. A token of the old one had linked the account."""
    await ada(client)
    await login_token(client, provider, **ADDRESS)
    await play(client, [problem(OIDC, provider.request(sub="2", **ADDRESS), "account_exists")])


async def test_two_providers_are_linked_by_one_address(client, provider, another):
    await ada(client)
    await login_token(client, provider, **ADDRESS)
    token = await login_token(client, another, **ADDRESS)
    both = [LINKED, {**LINKED, "id": "another", "provider": "another"}]
    await play(
        client,
        [Row("GET /v1/account/identities", None, 200, {"identities": both}, bearer(token))],
    )


async def test_a_disabled_account_is_refused_and_gets_no_link(client, core, provider, database):
    await ada(client)
    await core.accounts.change(1, {"is_active": False})
    await play(client, [problem(OIDC, provider.request(**ADDRESS), "account_disabled")])
    assert await count(database, "select count(*) from identity") == 0
    await core.accounts.change(1, {"is_active": True})
    await login_token(client, provider, **ADDRESS)
    await core.accounts.change(1, {"is_active": False})
    await play(client, [problem(OIDC, provider.request(), "account_disabled")])


async def test_taking_an_account_over_removes_its_identities(client, core, provider):
    """Another person had registered the address: the reset of its owner ends their sign-in."""
    names = await ada(client, verified=False)
    await play(client, [Row(IDENTITIES, provider.request(), 201, LINKED, bearer())], names)
    found = await core.accounts.get(1)
    link = core.one_time_tokens.make(Purpose.RESET, found, time.time() + 60)
    reset = {"token": link, "new": "Difference-Engine-1822"}
    assert (await client.post("/v1/password-resets/confirm", json=reset)).status == 200
    assert FACTOR_REMOVED in await types(core)
    fields = provider.request()
    await play(client, [log_in(fields, created=True, id=2, **NEW)])


async def test_a_second_factor_is_asked_for(client, core, provider, database):
    """The challenge links the identity as well; it does not by itself."""
    names = await ada(client)
    first, second, *_ = await turn_factor_on(core, names["token"])
    fields = provider.request(**ADDRESS)
    response = await client.post("/v1/sessions/oidc", json=fields)
    told = await response.json()
    assert (response.status, told["code"]) == (401, "second_factor_required")
    assert told["methods"] == ["totp", "recovery"]
    assert await count(database, "select count(*) from identity") == 0
    sent = {"challenge": told["challenge"], "device": "Tablet"}
    with_challenge = logged_in(email_verified=True)
    del with_challenge["created"]
    new = provider.request()
    await play(
        client,
        [
            problem(OIDC, {**fields, "code": first}, "invalid_id_token"),
            problem("POST /v1/sessions/challenge", {**sent, "code": "000000"}, "wrong_code"),
            Row("POST /v1/sessions/challenge", {**sent, "code": first}, 201, with_challenge),
            problem(OIDC, {**new, "code": "000000"}, "wrong_code"),
            log_in({**new, "code": second}, email_verified=True),
        ],
    )
    assert await count(database, "select count(*) from identity") == 1


async def test_an_account_with_a_second_factor_is_linked_with_its_code(client, core, provider):
    names = await ada(client)
    [code, *_] = await turn_factor_on(core, names["token"])
    fields = {**provider.request(**ADDRESS), "code": code}
    await play(client, [log_in(fields, email_verified=True)])
    linked = {"identities": [LINKED]}
    await play(client, [Row("GET /v1/account/identities", None, 200, linked, bearer())], names)


async def test_an_identity_is_linked_and_unlinked_by_its_owner(client, core, provider):
    names = await ada(client, verified=False)
    unlinking = "DELETE /v1/account/identities/example"
    await play(
        client,
        [
            Row(IDENTITIES, provider.request(), 201, LINKED, bearer()),
            Row(IDENTITIES, provider.request(), 201, LINKED, bearer()),
            problem(IDENTITIES, provider.request(sub="2"), "identity_taken", headers=bearer()),
            log_in(provider.request()),
            Row(unlinking, None, 204, None, bearer()),
            problem(unlinking, None, "not_found", headers=bearer()),
            Row("GET /v1/account/identities", None, 200, {"identities": []}, bearer()),
        ],
        names,
    )
    events, _ = await core.events.latest(100)
    data = {"factor": "identity", "provider": "example"}
    assert [(each.type, each.data) for each in events[1:]] == [
        (FACTOR_ADDED, data),
        (FACTOR_REMOVED, data),
    ]
    assert [mail.kind for mail in await core.mail.newest(9)] == ["identity", "verify"]
    await play(client, [log_in(provider.request(), created=True, id=2, **NEW)])


async def test_an_identity_of_another_account_is_not_linked(client, provider):
    await login_token(client, provider)
    names = await play(client, [register(account={"id": 2})])
    await play(
        client, [problem(IDENTITIES, provider.request(), "identity_taken", headers=bearer())], names
    )


async def test_the_last_way_in_is_not_removed(client, core, provider, another):
    token = await login_token(client, provider)
    header = bearer(token)
    last = problem("DELETE /v1/account/identities/example", None, "last_way_in", headers=header)
    await play(client, [last])
    other = {**LINKED, "id": "another", "provider": "another"}
    await play(
        client,
        [
            Row(IDENTITIES, another.request(), 201, other, header),
            Row("DELETE /v1/account/identities/another", None, 204, None, header),
            last,
        ],
    )
    caller = await core.access.authenticate(token)
    authenticator = SoftAuthenticator(ORIGIN)
    made = authenticator.create(await core.passkeys.registration_options(caller))
    await core.passkeys.register(caller, "phone", made)
    await play(client, [Row("DELETE /v1/account/identities/example", None, 204, None, header)])


async def test_of_two_ways_in_that_are_removed_at_once_one_stays(client, provider, another):
    for attempt in range(5):
        subject = f"both {attempt}"
        token = await login_token(client, provider, sub=subject)
        header = {"Authorization": f"Bearer {token}"}
        linked = await client.post(
            "/v1/account/identities", json=another.request(sub=subject), headers=header
        )
        assert linked.status == 201
        removed = await asyncio.gather(
            *(
                client.delete(f"/v1/account/identities/{name}", headers=header)
                for name in ("example", "another")
            )
        )
        assert sorted(each.status for each in removed) == [204, 409]


async def test_links_need_a_fresh_session(client, core, provider, redis_client, monkeypatch):
    names = await ada(client)
    monkeypatch.setattr("store.fresh_sessions.SECONDS", 0)
    await play(
        client,
        [
            problem(IDENTITIES, provider.request(), "fresh_login_required", headers=bearer()),
            problem(
                "DELETE /v1/account/identities/x", None, "fresh_login_required", headers=bearer()
            ),
        ],
        names,
    )


async def test_a_session_that_was_ended_links_nothing(client, core, provider, database):
    """The link is refused by the statement: the session ends after it was looked up."""
    names = await ada(client)
    caller = await core.access.authenticate(names["token"])
    await core.access.end_all(caller)
    fields = provider.request()
    with pytest.raises(BadToken):
        await core.identities.link(
            caller, (fields["provider"], fields["id_token"], fields["nonce"])
        )
    with pytest.raises(BadToken):
        await core.identities.unlink(caller, "example")
    assert await count(database, "select count(*) from identity") == 0


async def test_fields(client, provider):
    fields = provider.request()
    names = await ada(client)
    missing = [("provider", "required"), ("id_token", "required"), ("nonce", "required")]
    long = {**fields, "id_token": "x" * 16_385, "nonce": "x" * 256}
    too_long = [("id_token", "too_long"), ("nonce", "too_long")]
    rows = []
    for request, header in ((OIDC, {}), (IDENTITIES, bearer())):
        rows += [
            problem(request, {}, "invalid_fields", *missing, headers=header),
            problem(request, long, "invalid_fields", *too_long, headers=header),
            problem(
                request,
                {**fields, "provider": "none"},
                "invalid_fields",
                ("provider", "invalid"),
                headers=header,
            ),
            problem(
                request,
                {**fields, "more": 1},
                "invalid_fields",
                ("more", "unknown"),
                headers=header,
            ),
        ]
    await play(client, rows, names)


def changed(**claims: Any):
    """Return what makes a request with other claims."""
    return lambda provider: provider.request(**claims)


def at(**seconds: int):
    """Return what makes a request with other times, in seconds from the request on."""
    return lambda provider: provider.request(
        **{name: int(time.time()) + each for name, each in seconds.items()}
    )


def signed(key: Any, algorithm: str, key_id: str = "key 1", **header: Any):
    """Return what makes a request whose token is signed by another key."""

    def make(provider: OpenIdProvider) -> dict[str, str]:
        claims = provider.claims()
        token = jwt.encode(claims, key, algorithm, {"kid": key_id, **header})
        return {"provider": provider.name, "id_token": token, "nonce": claims["nonce"]}

    return make


def raw(header: dict[str, Any], signature: bytes = b"x"):
    """Return what makes a request whose token has this header."""

    def make(provider: OpenIdProvider) -> dict[str, str]:
        claims = provider.claims()
        token = ".".join(map(encode, (header, claims, signature)))
        return {"provider": provider.name, "id_token": token, "nonce": claims["nonce"]}

    return make


def with_public_key_as_secret(provider: OpenIdProvider) -> dict[str, str]:
    """The confusion of algorithms: all know the public key, so all could sign with it."""
    [key, _] = provider.keys["key 1"]
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = provider.claims()
    head = f"{encode({'alg': 'HS256', 'kid': 'key 1'})}.{encode(claims)}"
    token = f"{head}.{encode(hmac.digest(public, head.encode(), 'sha256'))}"
    return {"provider": provider.name, "id_token": token, "nonce": claims["nonce"]}


def with_another_nonce(provider: OpenIdProvider) -> dict[str, str]:
    return {**provider.request(), "nonce": "another"}


def with_another_signature(provider: OpenIdProvider) -> dict[str, str]:
    fields = provider.request()
    head, _, _ = fields["id_token"].rpartition(".")
    _, _, signature = provider.request()["id_token"].rpartition(".")
    return {**fields, "id_token": f"{head}.{signature}"}


FOREIGN = make_key()
HEADER = {"alg": "RS256", "kid": "key 1"}
BAD = {
    "another audience": changed(aud="com.example.other"),
    "no audience": changed(aud=None),
    "an empty audience": changed(aud=[]),
    "several audiences without azp": changed(aud=[CLIENT_ID, "com.example.other"]),
    "several audiences, azp another": changed(
        aud=[CLIENT_ID, "com.example.other"], azp="com.example.other"
    ),
    "another issuer": changed(iss="https://accounts.example.org"),
    "no issuer": changed(iss=None),
    "expired": at(exp=-120, iat=-720),
    "no expiry": changed(exp=None),
    "expiry is no number": changed(exp="tomorrow"),
    "valid for a month": at(exp=30 * 86_400),
    "valid forever": changed(exp=10**400),
    "issued in the future": at(iat=600),
    "no time of issue": changed(iat=None),
    "not valid yet": at(nbf=600),
    "no subject": changed(sub=None),
    "an empty subject": changed(sub=""),
    "a long subject": changed(sub="x" * 256),
    "a subject that is not a string": changed(sub=7),
    "a subject that is not ASCII": changed(sub="\u00e9"),
    "a subject with a line break": changed(sub="a\nb"),
    "no nonce": changed(nonce=None),
    "a nonce that is not a string": changed(nonce=[NONCE]),
    "an empty nonce": lambda provider: {**provider.request(nonce=""), "nonce": NONCE},
    "another nonce": with_another_nonce,
    "another signature": with_another_signature,
    "another key of the same id": signed(FOREIGN, "RS256"),
    "an unknown key": signed(FOREIGN, "RS256", "unknown"),
    "a key in its header": signed(FOREIGN, "RS256", jwk=jwk_of(FOREIGN, "key 1", "RS256")),
    "the address of a key": signed(FOREIGN, "RS256", jku="https://127.0.0.1:1/jwks"),
    "a certificate's address": signed(FOREIGN, "RS256", x5u="https://127.0.0.1:1/pem"),
    "alg none": raw({**HEADER, "alg": "none"}, b""),
    "alg None": raw({**HEADER, "alg": "None"}, b""),
    "no alg": raw({"kid": "key 1"}, b""),
    "alg is not a string": raw({**HEADER, "alg": ["RS256"]}),
    "HS256 with the public key": with_public_key_as_secret,
    "ES256 with the id of an RSA key": signed(make_key("ES256"), "ES256"),
    "EdDSA with the id of an RSA key": signed(make_key("EdDSA"), "EdDSA"),
    "PS256 with a key for RS256": lambda provider: signed(provider.keys["key 1"][0], "PS256")(
        provider
    ),
    "RS512": lambda provider: signed(provider.keys["key 1"][0], "RS512")(provider),
    "a critical header": lambda provider: signed(provider.keys["key 1"][0], "RS256", crit=["exp"])(
        provider
    ),
    "no key id": raw({"alg": "RS256"}),
    "a key id that is not a string": raw({**HEADER, "kid": 1}),
    "not a token": lambda provider: {**provider.request(), "id_token": "x.y.z"},
    "one part": lambda provider: {**provider.request(), "id_token": "x"},
    "claims that are no object": lambda provider: {
        **provider.request(),
        "id_token": ".".join((encode(HEADER), encode([1]), encode(b"x"))),
    },
    "a header nested deeply": lambda provider: {
        **provider.request(),
        "id_token": f"{encode(b'[' * 9000)}.e30.x",
    },
    "the largest token": lambda provider: {**provider.request(), "id_token": "A" * 16_384},
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
async def test_a_token_that_is_not_accepted(client, provider, database, make):
    """Neither for a login nor for a link, and with one error: no response tells more."""
    names = await ada(client)
    await play(
        client,
        [
            problem(OIDC, make(provider), "invalid_id_token"),
            problem(IDENTITIES, make(provider), "invalid_id_token", headers=bearer()),
        ],
        names,
    )
    assert await count(database, "select count(*) from account") == 1
    assert await count(database, "select count(*) from identity") == 0


GOOD = {
    "another app": changed(aud=OTHER_CLIENT_ID),
    "a list of one audience": changed(aud=[CLIENT_ID]),
    "several audiences with azp": changed(aud=[CLIENT_ID, "other"], azp=CLIENT_ID),
    "one audience, azp another": changed(azp="the web app's"),
    "a clock behind by 30 seconds": at(exp=-30, iat=-600),
    "a clock ahead by 30 seconds": at(iat=30),
    "valid for a day": at(exp=86_400),
    "the longest subject": changed(sub="x" * 255),
    "headers that are not used": lambda provider: {
        **provider.request(nonce="with headers"),
        "id_token": provider.sign(
            provider.claims(nonce="with headers"), header={"jku": "x", "x5u": "x", "typ": "JWT"}
        ),
    },
    "the digest of the nonce": lambda provider: {
        **provider.request(nonce=hashlib.sha256(b"native").hexdigest()),
        "nonce": "native",
    },
}


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
async def test_a_token_that_is_accepted(client, provider, monkeypatch, make):
    await play(client, [log_in(make(provider), created=True, **NEW)])


@pytest.fixture
async def start(with_providers, aiohttp_client, clean):
    """Start another server, with these settings and its own copy of the keys."""

    async def start(*providers: OpenIdProvider, **changed: Any) -> TestClient:
        listed = tuple(each.setting for each in providers)
        settings = replace(with_providers, **{"oidc_providers": listed, **changed})
        return await aiohttp_client(create_app(settings))

    return start


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA"])
async def test_algorithms(start, algorithm):
    async with OpenIdProvider() as provider:
        provider.rotate("key 2", algorithm)
        client = await start(provider)
        await play(client, [log_in(provider.request(), created=True, **NEW)])


@pytest.mark.parametrize("key", [make_key(bits=1024), ec.generate_private_key(ec.SECP384R1())])
async def test_keys_that_are_too_weak_or_of_another_curve(start, key):
    async with OpenIdProvider() as provider:
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES384"
        jwk = {
            **jwk_of(key, "weak", algorithm),
            "alg": "RS256" if algorithm == "RS256" else "ES256",
        }
        provider.jwks = responding(web.json_response, {"keys": [jwk]})
        client = await start(provider)
        with warnings.catch_warnings(action="ignore"):
            fields = signed(key, algorithm, "weak")(provider)
        if algorithm == "ES384":
            _, claims, signature = fields["id_token"].split(".")
            head = encode({"alg": "ES256", "kid": "weak"})
            fields["id_token"] = f"{head}.{claims}.{signature}"
        await play(client, [problem(OIDC, fields, "invalid_id_token")])


async def test_a_nonce_is_accepted_once(client, provider):
    """Also of another token, and in its other form."""
    hashed = hashlib.sha256(b"once").hexdigest()
    fields = provider.request(nonce=hashed)
    again = problem(OIDC, fields, "invalid_id_token")
    other = {**provider.request(nonce=hashed), "nonce": "once"}
    await play(
        client,
        [
            log_in({**fields, "nonce": "once"}, created=True, **NEW),
            again,
            problem(OIDC, {**fields, "nonce": "once"}, "invalid_id_token"),
            problem(OIDC, other, "invalid_id_token"),
        ],
    )


async def test_a_nonce_is_accepted_once_by_two_servers(client, start, provider):
    other = await start(provider)
    for attempt in range(5):
        fields = provider.request(sub=f"racing {attempt}")
        responses = await asyncio.gather(
            *(each.post("/v1/sessions/oidc", json=fields) for each in (client, other) * 4)
        )
        assert sorted(each.status for each in responses) == [201, *[422] * 7]


async def test_the_record_of_a_nonce_ends_with_the_token(client, provider, redis_client):
    await play(client, [log_in(provider.request(), created=True, **NEW)])
    [key] = redis_client.keys("nonce:*")
    assert 600 < redis_client.ttl(key) <= 662


async def test_concurrent_first_logins_make_one_account(client, start, provider, database):
    """On two servers, with an address and without one: the others log in to that account."""
    other = await start(provider)
    for attempt, claims in enumerate(({}, ADDRESS, {}, {**ADDRESS, "email": "b@example.org"})):
        requests = [provider.request(sub=f"first {attempt}", **claims) for _ in range(8)]
        responses = await asyncio.gather(
            *(
                each.post("/v1/sessions/oidc", json=fields)
                for each, fields in zip((client, other) * 4, requests, strict=True)
            )
        )
        shown = [await each.json() for each in responses]
        assert {each.status for each in responses} == {201}
        assert len({each["account"]["id"] for each in shown}) == 1
        assert [each["created"] for each in shown].count(True) == 1
        assert await count(database, "select count(*) from account") == attempt + 1


@pytest.mark.parametrize("claims", [{}, ADDRESS])
async def test_a_login_between_two_look_ups(client, core, provider, monkeypatch, claims):
    """The other one has found no identity, and finds the account of this one, or makes another."""
    links = core.identities._links
    account_of, shown = links.account_of, []

    async def late(identity):
        monkeypatch.setattr(links, "account_of", account_of)
        response = await client.post("/v1/sessions/oidc", json=provider.request(**claims))
        shown.append(await response.json())

    monkeypatch.setattr(links, "account_of", late)
    response = await client.post("/v1/sessions/oidc", json=provider.request(**claims))
    shown.append(await response.json())
    assert [(each["account"]["id"], each["created"]) for each in shown] == [
        (shown[0]["account"]["id"], True),
        (shown[0]["account"]["id"], False),
    ]


async def test_concurrent_logins_of_two_providers_make_one_account(client, provider, another):
    requests = [each.request(**ADDRESS) for each in (provider, another)]
    responses = await asyncio.gather(
        *(client.post("/v1/sessions/oidc", json=fields) for fields in requests)
    )
    shown = [await each.json() for each in responses]
    assert {each["account"]["id"] for each in shown} == {shown[0]["account"]["id"]}


async def test_without_providers_there_is_no_login_and_links_can_be_removed(
    client, start, provider
):
    token = await login_token(client, provider, **ADDRESS)
    names = {"token": token}
    without = await start()
    rows = [
        problem(OIDC, provider.request(), "unavailable"),
        problem(IDENTITIES, provider.request(), "unavailable", headers=bearer()),
        Row("GET /v1/account/identities", None, 200, {"identities": [LINKED]}, bearer()),
        problem("DELETE /v1/account/identities/example", None, "last_way_in", headers=bearer()),
    ]
    await play(without, rows, names)


async def test_where_an_address_must_be_verified(start, provider, database):
    client = await start(provider, require_verified_email="on")
    about = {"username": None, "email_verified": True}
    await play(
        client,
        [
            problem(OIDC, provider.request(), "email_not_verified"),
            log_in(provider.request(**ADDRESS), created=True, **about),
        ],
    )
    assert await count(database, "select count(*) from account") == 1


async def test_limits(start, provider):
    """Every login counts; a new account counts as a registration."""
    limits = {"rate_limits": "on", "register_limit": parse_limit("1 per hour")}
    client = await start(provider, **limits, address_limit=parse_limit("4 per hour"))
    await play(
        client,
        [
            log_in(provider.request(), created=True, **NEW),
            problem(OIDC, provider.request(sub="2"), "rate_limited"),
            log_in(provider.request(), **NEW),
            problem(OIDC, {**provider.request(), "nonce": "x"}, "invalid_id_token"),
            problem(OIDC, provider.request(), "rate_limited"),
        ],
    )


def responding(make: Any, *args: Any, **options: Any) -> Any:
    """Return what responds to every request with a new response."""

    async def respond(_: web.Request) -> web.StreamResponse:
        return make(*args, **options)

    return respond


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError


async def trickle(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(600):
        await response.write(b" ")
        await asyncio.sleep(0.1)
    return response


async def redirecting(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/elsewhere")


UNREADABLE = {
    "hangs": hang,
    "trickles": trickle,
    "redirects": redirecting,
    "500": responding(web.Response, status=500),
    "404": responding(web.Response, status=404),
    "html": responding(web.Response, text="<html>"),
    "a list": responding(web.json_response, []),
    "no keys": responding(web.json_response, {"keys": []}),
    "keys that are none": responding(web.json_response, {"keys": [1, {}, {"kid": "key 1"}]}),
    "a secret key": responding(
        web.json_response, {"keys": [{"kid": "key 1", "kty": "oct", "k": "AAAA"}]}
    ),
    "a key for encryption": responding(
        web.json_response, {"keys": [{**jwk_of(FOREIGN, "key 1", "RS256"), "use": "enc"}]}
    ),
    "compressed": responding(
        web.Response, body=gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"}
    ),
}


@pytest.mark.parametrize("respond", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("document", ["discovery", "jwks"])
async def test_a_provider_that_is_down_stops_only_its_logins(start, monkeypatch, document, respond):
    """Its time is bounded, and until the next attempt the response comes at once."""
    monkeypatch.setattr(provider_keys, "TIMEOUT", 0.3)
    async with OpenIdProvider() as provider:
        client = await start(provider)
        setattr(provider, document, respond)
        login = asyncio.create_task(
            play(client, [problem(OIDC, provider.request(), "unavailable")])
        )
        await ada(client)
        await play(client, [Row("POST /v1/sessions", LOGIN, 201, PASSWORD_LOGIN)])
        await asyncio.wait_for(login, 10)
        asked = len(provider.requests)
        await play(client, [problem(OIDC, provider.request(), "unavailable")])
        assert len(provider.requests) == asked
        setattr(provider, document, None)
        monkeypatch.setattr(provider_keys, "PAUSE_AFTER_FAILURE", 0.0)
        await play(client, [log_in(provider.request(), created=True, id=2, **NEW)])


LOGIN = {"login": "ada", "password": PASSWORD, "device": "Tablet"}
PASSWORD_LOGIN = {
    "account": account(email_verified=True),
    "session": session("Tablet"),
    "token": "<64 hex>",
}


@pytest.mark.parametrize("document", ["discovery", "jwks"])
async def test_documents_of_a_provider_have_a_limit(start, monkeypatch, document):
    """What is in them is genuine, behind white space."""
    monkeypatch.setattr(provider_keys, "PAUSE_AFTER_FAILURE", 0.0)
    async with OpenIdProvider() as provider:
        client = await start(provider)
        provider.padding = {document: 10 * 1024 * 1024}
        await play(client, [problem(OIDC, provider.request(), "unavailable")])
        provider.padding = {document: provider_keys.MAX_BYTES - 10_000}
        await play(client, [log_in(provider.request(), created=True, **NEW)])


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://accounts.example.org"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://192.0.2.1/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "//"},
        {"jwks_uri": "http://[::g]/"},
    ],
)
async def test_a_discovery_document_that_is_not_the_issuers(start, changed):
    async with OpenIdProvider() as provider:
        document = {"issuer": provider.issuer, "jwks_uri": f"{provider.issuer}/jwks", **changed}
        provider.discovery = responding(web.json_response, document)
        client = await start(provider)
        await play(client, [problem(OIDC, provider.request(), "unavailable")])
        assert provider.requests == ["discovery"]


async def test_a_provider_that_cannot_be_connected_to(start):
    async with OpenIdProvider() as provider:
        client = await start(provider)
        fields = provider.request()
    await play(client, [problem(OIDC, fields, "unavailable", **{"Retry-After": "1"})])


async def test_keys_are_rotated(start, monkeypatch):
    """An unknown key has them fetched again; a withdrawn one is not accepted any more then."""
    async with OpenIdProvider() as provider:
        client = await start(provider)
        await play(client, [log_in(provider.request(), created=True, **NEW)])
        old = provider.request()
        provider.rotate("key 2")
        monkeypatch.setattr(provider_keys, "PAUSE", 0.0)
        rows = [log_in(provider.request(), **NEW), problem(OIDC, old, "invalid_id_token")]
        await play(client, rows)


async def test_unknown_keys_have_the_keys_fetched_once_a_minute(start):
    async with OpenIdProvider() as provider:
        client = await start(provider)
        await play(client, [log_in(provider.request(), created=True, **NEW)])
        assert provider.requests == ["discovery", "jwks"]
        fields = [signed(FOREIGN, "RS256", f"unknown {each}")(provider) for each in range(50)]
        responses = await asyncio.gather(
            *(client.post("/v1/sessions/oidc", json=each) for each in fields)
        )
        assert {each.status for each in responses} == {422}
        assert provider.requests == ["discovery", "jwks"]
        await play(client, [log_in(provider.request(), **NEW)])


async def test_concurrent_logins_fetch_the_keys_once(start):
    async with OpenIdProvider() as provider:
        client = await start(provider)
        requests = [provider.request(sub=str(each)) for each in range(20)]
        responses = await asyncio.gather(
            *(client.post("/v1/sessions/oidc", json=each) for each in requests)
        )
        assert {each.status for each in responses} == {201}
        assert provider.requests == ["discovery", "jwks"]


async def test_known_keys_outlast_a_provider_that_is_down_for_a_day(start, monkeypatch):
    async with OpenIdProvider() as provider:
        client = await start(provider)
        await play(client, [log_in(provider.request(), created=True, **NEW)])
        provider.jwks = responding(web.Response, status=500)
        for name in ("PAUSE", "PAUSE_AFTER_FAILURE", "FRESH"):
            monkeypatch.setattr(provider_keys, name, 0.0)
        await play(client, [log_in(provider.request(), **NEW)])
        assert provider.requests == ["discovery", "jwks"] * 2
        monkeypatch.setattr(provider_keys, "LONGEST", 0.0)
        await play(client, [problem(OIDC, provider.request(), "unavailable")])


async def test_a_withdrawn_key_is_forgotten_after_an_hour(start, monkeypatch):
    async with OpenIdProvider() as provider:
        client = await start(provider)
        await play(client, [log_in(provider.request(), created=True, **NEW)])
        old = provider.request()
        provider.rotate("key 2")
        for name in ("PAUSE", "FRESH"):
            monkeypatch.setattr(provider_keys, name, 0.0)
        await play(client, [problem(OIDC, old, "invalid_id_token")])


async def test_no_part_of_a_token_is_logged(start, caplog):
    caplog.set_level(logging.DEBUG)
    async with OpenIdProvider() as provider:
        client = await start(provider)
        fields = provider.request(**ADDRESS)
        wrong = {**provider.request(sub="hidden subject"), "nonce": "hidden nonce"}
        about = {"username": None, "email_verified": True}
        rows = [log_in(fields, created=True, **about), problem(OIDC, wrong, "invalid_id_token")]
        await play(client, rows)
    for secret in (*fields["id_token"].split("."), "hidden", fields["nonce"]):
        assert secret not in caplog.text
    assert "an ID token of example was not accepted: its nonce is another one" in caplog.text
