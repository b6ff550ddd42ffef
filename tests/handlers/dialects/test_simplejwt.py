"""simplejwt at the wire: each endpoint with each of its errors, and the tokens themselves."""

import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import jwt
import pytest
from aiohttp.test_utils import TestClient

import handlers
from app import CORE, create_app
from handlers.mounts import Mount, parse_mounts
from settings import BadSetting, Settings, read_settings
from store.account import NewAccount
from store.limits import parse_limit
from tests.conftest import Server, empty_stores
from tests.handlers.contract import (
    ALLOW_METHODS,
    FORM,
    JSON,
    MULTIPART,
    Row,
    multipart,
    play,
    urlencoded,
)
from tests.handlers.dialects.drf_messages import (
    INVALID_TOKEN,
    NOT_FOUND,
    REQUIRED,
    not_allowed,
    wrong_media_type,
)
from tests.handlers.dialects.simplejwt_rows import (
    BEARER,
    BLACKLIST,
    BLACKLISTED,
    CREATE,
    CREDENTIALS,
    EXPIRED,
    FIELDS,
    INVALID,
    IS_BLACKLISTED,
    ISSUED,
    KEY,
    NO_ACCOUNT,
    NO_CHALLENGE,
    PASSWORD,
    REFRESH,
    VERIFY,
    WRONG,
    WRONG_TYPE,
    bearer,
    changed,
    claims_of,
    expired,
    field_rows,
    log_in,
    no_access,
    not_valid,
    refused,
    send,
    signed,
)

ADA = NewAccount("ada", "ada@example.org", "Ada", None)
ROTATING = {"rotate_refresh_tokens": True}
ROTATED = {"access": "<jwt>", "refresh": "<refresh 2 = jwt>"}
PROFILE = {"id": 1, "username": "ada", "email": "ada@example.org"}
LATCHKEY = "GET /v1/account"
ENDPOINTS = [CREATE, *FIELDS]


def mounted(settings: Settings, **options) -> Settings:
    """Settings of a server with simplejwt, and with kust and latchkey, which know the caller."""
    dialect = Mount("/", replace(handlers.DIALECTS["simplejwt"].options, **options))
    return replace(
        settings,
        jwt_signing_keys=(KEY,),
        dialects={"simplejwt": dialect, "kust": Mount("/"), "latchkey": Mount("/")},
    )


@pytest.fixture(scope="module")
async def module_server(settings) -> AsyncIterator[Server]:
    async with Server(create_app(mounted(settings))) as server:
        yield server


@pytest.fixture
async def client(module_server, database, redis_client) -> AsyncIterator[TestClient]:
    """A client of a server with the default options and Ada's account."""
    empty_stores(database, redis_client)
    client = TestClient(module_server)
    await client.app[CORE].access.register(ADA, PASSWORD)
    yield client
    await client.session.close()


@pytest.fixture
def serve(settings, aiohttp_client, clean):
    """Run a server with options and Ada's account."""

    async def serve(**options) -> TestClient:
        client = await aiohttp_client(create_app(mounted(settings, **options)))
        await client.app[CORE].access.register(ADA, PASSWORD)
        return client

    return serve


@pytest.fixture
async def names(client):
    """The tokens of a login."""
    return await play(client, [log_in()])


def me(name: str = "<access>", scheme: str = "Bearer") -> Row:
    shown = {"email": "ada@example.org", "id": 1, "username": "ada"}
    return Row("GET /kust/auth/users/me", None, 200, shown, bearer(name, scheme))


def no_caller(name: str = "<access>") -> Row:
    return Row("GET /kust/auth/users/me", None, 401, INVALID_TOKEN, bearer(name))


@pytest.mark.parametrize("at", ["{path}", "{path}/", "/simplejwt{path}", "/simplejwt{path}/"])
async def test_a_session_from_login_to_logout(client, at):
    names = await play(client, [log_in()], at=at)
    rows = [
        send(VERIFY, "<access>"),
        send(VERIFY, "<refresh>"),
        send(REFRESH, "<refresh>", response={"access": "<jwt>"}),
        send(BLACKLIST, "<refresh>"),
        refused(BLACKLIST, "<refresh>", BLACKLISTED),
        refused(REFRESH, "<refresh>", BLACKLISTED),
        send(VERIFY, "<refresh>", 400, IS_BLACKLISTED),
    ]
    await play(client, [me()], names)
    await play(client, rows, names, at)
    await play(client, [no_caller()], names)


async def test_logins(client):
    for number, (body, headers) in enumerate(
        [
            ({"username": " ADA\n", "password": f" {PASSWORD} "}, {}),
            (urlencoded(**CREDENTIALS), FORM),
            (multipart(**CREDENTIALS), MULTIPART),
        ]
    ):
        issued = {"refresh": f"<r{number} = jwt>", "access": f"<a{number} = jwt>"}
        await play(client, [Row(CREATE, body, 200, issued, headers, NO_CHALLENGE)])


NO_LOGIN = [
    {"username": "ada", "password": "x"},
    {"username": "ada", "password": PASSWORD.lower()},
    {"username": "nobody", "password": PASSWORD},
    {"username": "ada@example.org", "password": PASSWORD},
    {"username": 1, "password": 2.5},
    {"username": "a\tb", "password": PASSWORD},
    {"username": "a" * 10_000, "password": "a" * 10_000},
]


@pytest.mark.parametrize("body", NO_LOGIN)
async def test_wrong_credentials(client, body):
    await play(client, [Row(CREATE, body, 401, WRONG, {}, BEARER)])


@pytest.mark.parametrize("change", [{"is_active": False}, {"activated": False}])
async def test_an_account_that_cannot_log_in(client, change):
    await client.app[CORE].accounts.change(1, change)
    await play(client, [Row(CREATE, CREDENTIALS, 401, WRONG, {}, BEARER)])


async def test_fields_of_a_login(client):
    rows = field_rows(CREATE, "username", "password")
    rows.append(Row(CREATE, {"username": "ada"}, 400, {"password": REQUIRED}))
    rows.append(Row(CREATE, {"password": "x"}, 400, {"username": REQUIRED}))
    await play(client, rows)


@pytest.mark.parametrize(("request_line", "field"), FIELDS.items())
async def test_fields_of_a_token(client, request_line, field):
    await play(client, field_rows(request_line, field))


@pytest.mark.parametrize("request_line", ENDPOINTS)
async def test_bodies_methods_and_headers(client, request_line):
    path = request_line.split()[1]
    text, allow = {"Content-Type": "text/plain"}, {"Allow": "POST, OPTIONS"}
    malformed = {"detail": "JSON parse error - <text>"}
    rows = [
        Row(request_line, b"{", 400, malformed, JSON, NO_CHALLENGE),
        Row(request_line, b"x", 415, wrong_media_type("text/plain"), text),
        Row(f"OPTIONS {path}", None, 200, {}, {}, ALLOW_METHODS),
    ]
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        for header in ({}, bearer("x"), bearer("x", "Token")):
            rows.append(
                Row(f"{method} {path}", b"{", 405, not_allowed(method), JSON | header, allow)
            )
    await play(client, rows)
    assert (await client.head(path)).status == 405


@pytest.mark.parametrize("header", ["Bearer", "Bearer x", "Bearer a b", "Token x", "Basic x", ""])
async def test_no_endpoint_looks_at_the_authorization_header(client, names, header):
    headers = {"Authorization": header}
    rows = [
        Row(CREATE, CREDENTIALS, 200, {"refresh": "<r = jwt>", "access": "<jwt>"}, headers),
        replace(send(VERIFY, "<access>"), headers=headers),
        replace(send(REFRESH, "<refresh>", response={"access": "<jwt>"}), headers=headers),
        replace(send(BLACKLIST, "<refresh>"), headers=headers),
    ]
    await play(client, rows, names)


async def test_tokens_are_trimmed_and_taken_from_forms(client, names):
    rows = [
        send(VERIFY, " <access>\n"),
        Row(REFRESH, urlencoded(refresh=names["refresh"]), 200, {"access": "<jwt>"}, FORM),
        Row(BLACKLIST, multipart(refresh=names["refresh"]), 200, {}, MULTIPART),
    ]
    await play(client, rows, names)


async def test_payloads(client, names):
    """The header and the claims in the library's order, as another library reads them."""
    access, refresh = claims_of(names["access"]), claims_of(names["refresh"])
    for claims, kind, lifetime in ((access, "access", 300), (refresh, "refresh", 86_400)):
        assert list(claims) == ["token_type", "exp", "iat", "jti", "user_id"]
        assert (claims["token_type"], claims["user_id"]) == (kind, "1")
        assert claims["exp"] - claims["iat"] == lifetime
        assert abs(claims["iat"] - time.time()) < 60
    assert refresh["jti"].partition(".")[0] == access["jti"]
    assert base64.urlsafe_b64decode(names["access"].split(".")[0]) == b'{"alg":"HS256","typ":"JWT"}'


async def test_claims_are_those_of_the_account_as_it_is(serve):
    """The library copies the claims of the refresh token, which are those of the login."""
    fields = ("username", "email", "first_name", "last_name", "is_staff", "is_superuser")
    client = await serve(claims=fields)
    names = await play(client, [log_in()])
    expected = {
        "username": "ada",
        "email": "ada@example.org",
        "first_name": "Ada",
        "last_name": "",
        "is_staff": False,
        "is_superuser": False,
    }
    for token in ("access", "refresh"):
        claims = claims_of(names[token])
        assert list(claims)[5:] == list(fields)
        assert {name: claims[name] for name in fields} == expected
    await client.app[CORE].accounts.change(1, {"last_name": "Läcelove 😀", "is_staff": True})
    await play(client, [send(REFRESH, "<refresh>", response={"access": "<new = jwt>"})], names)
    claims = claims_of(names["new"])
    assert (claims["last_name"], claims["is_staff"]) == ("Läcelove 😀", True)


async def test_the_longest_claims_make_a_token_that_is_accepted(serve):
    client = await serve(claims=("username", "email", "first_name", "last_name"))
    longest = dict.fromkeys(("username", "first_name", "last_name"), "漢" * 254)
    await client.app[CORE].accounts.change(1, {**longest, "email": f"{'a' * 242}@example.org"})
    names = await play(client, [log_in(username="漢" * 254)])
    assert len(names["refresh"]) > 6000
    rows = [send(VERIFY, "<access>"), send(VERIFY, "<refresh>")]
    await play(client, rows, names)
    assert (await client.get("/v1/account", headers=bearer(names["access"]))).status == 200


async def test_lifetimes(serve):
    client = await serve(access_token_lifetime=60, refresh_token_lifetime=3600)
    names = await play(client, [log_in()])
    for token, lifetime in (("access", 60), ("refresh", 3600)):
        claims = claims_of(names[token])
        assert claims["exp"] - claims["iat"] == lifetime
    [(_, ends)] = await client.app[CORE].sessions.list_by_account(1)
    assert abs(ends - claims["exp"]) < 2


def of_other_form(good: str) -> dict[str, str]:
    """Return tokens made of a good one that no request may get anything for."""
    header, payload, signature = good.split(".")
    claims = claims_of(good)
    text = json.dumps(claims)

    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return {
        "junk": "x",
        "two dots": "..",
        "an opaque token": "0" * 40,
        "alg none": jwt.encode(claims, None, "none"),
        "alg none with the signature": f"{part({'alg': 'none'})}.{payload}.{signature}",
        "RS256": f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{payload}.{signature}",
        "HS512": jwt.encode(claims, KEY, "HS512"),
        "another payload": f"{header}.{part({**claims, 'user_id': '2'})}.{signature}",
        "another key": jwt.encode(claims, KEY[::-1], "HS256"),
        "no signature": f"{header}.{payload}.",
        "cut off": good[:-1],
        "too long": good + "A",
        "four parts": f"{good}.x",
        "huge": signed({**claims, "more": "x" * 500_000}),
        "huge junk": "x" * 500_000,
        "many dots": "." * 500_000,
        "not JSON": signed("{"),
        "a list": signed([claims]),
        "deep": signed("[" * 2000),
        "exp as text": signed({**claims, "exp": str(claims["exp"])}),
        "exp NaN": signed(text.replace(str(claims["exp"]), "NaN")),
        "exp Infinity": signed(text.replace(str(claims["exp"]), "Infinity")),
        "exp true": signed({**claims, "exp": True}),
        "no exp": changed(good, exp=None),
        "no jti": changed(good, jti=None),
        "no type": changed(good, token_type=None),
        "no user": changed(good, user_id=None),
        "another type": changed(good, token_type="sliding"),
    }


@pytest.fixture
def store_calls(client, monkeypatch):
    """Count the statements and commands that requests send to the stores."""
    core, calls = client.app[CORE], []
    pool = core.redis.client.connection_pool

    def count(owner, name):
        original = getattr(owner, name)

        def counted(*args, **named):
            calls.append(name)
            return original(*args, **named)

        monkeypatch.setattr(owner, name, counted)

    count(pool, "get_connection")
    count(core.database, "rows")
    count(type(core.access._authentication._callers), "get")
    return calls


async def test_tokens_of_another_form_are_refused_without_the_stores(client, names, store_calls):
    for kind in ("access", "refresh"):
        for form, token in of_other_form(names[kind]).items():
            store_calls.clear()
            rows = [refused(each, token, INVALID) for each in FIELDS]
            if len(token) < 8000:  # what a header can have
                rows.append(no_caller(token))
            for row in rows:
                try:
                    await play(client, [row])
                except AssertionError as error:
                    raise AssertionError(f"{kind}, {form}: {error}") from None
            assert store_calls == [], (kind, form)
    await play(client, [send(VERIFY, "<access>")], names)
    assert store_calls  # they are counted


async def test_expired_tokens_and_those_of_another_kind_need_no_store(client, names, store_calls):
    old = {kind: expired(names[kind]) for kind in ("access", "refresh")}
    twice = signed(json.dumps(claims_of(names["access"]))[:-1] + ', "exp": 1}')  # the last counts
    store_calls.clear()
    rows = [
        *[refused(VERIFY, token, EXPIRED) for token in old.values()],
        *[refused(line, old["refresh"], EXPIRED) for line in (REFRESH, BLACKLIST)],
        refused(VERIFY, twice, EXPIRED),
        *[refused(line, "<access>", WRONG_TYPE) for line in (REFRESH, BLACKLIST)],
        no_caller("<refresh>"),
        no_caller(old["access"]),
    ]
    await play(client, rows, names)
    assert store_calls == []


async def test_rotation(serve):
    client = await serve(**ROTATING)
    names = await play(client, [log_in()])
    rows = [
        send(REFRESH, "<refresh>", response=ROTATED),
        me(),
        send(REFRESH, "<refresh 2>", response={"access": "<jwt>", "refresh": "<refresh 3 = jwt>"}),
        send(VERIFY, "<refresh 3>"),
        send(VERIFY, "<refresh 2>", 400, IS_BLACKLISTED),
        send(VERIFY, "<refresh>", 400, IS_BLACKLISTED),
    ]
    await play(client, rows, names)
    first, second = claims_of(names["refresh"]), claims_of(names["refresh 2"])
    assert second["jti"] != first["jti"]
    assert second["exp"] - second["iat"] == 86_400


async def test_a_client_that_lost_the_response_gets_the_same_successor(serve):
    """Lesson 19: two requests in flight log nobody out."""
    client = await serve(**ROTATING)
    names = await play(client, [log_in(), send(REFRESH, "<refresh>", response=ROTATED)])
    again = {"access": "<jwt>", "refresh": "<refresh 2>"}
    await play(client, [send(REFRESH, "<refresh>", response=again)] * 3, names)
    more = {"access": "<jwt>", "refresh": "<refresh 3 = jwt>"}
    await play(client, [send(REFRESH, "<refresh 2>", response=more)], names)


async def test_a_refresh_token_that_is_used_again_ends_the_session(serve):
    """Lesson 18: in the library, a copied refresh token and its successor both go on."""
    client = await serve(**ROTATING, rotation_grace=-1)
    names = await play(client, [log_in(), send(REFRESH, "<refresh>", response=ROTATED)])
    rows = [
        me(),
        refused(REFRESH, "<refresh>", BLACKLISTED),
        refused(REFRESH, "<refresh 2>", BLACKLISTED),
        no_caller(),
        send(VERIFY, "<access>", 400, IS_BLACKLISTED),
        log_in({"refresh": "<refresh 3 = jwt>", "access": "<access 3 = jwt>"}),
        me("<access 3>"),
    ]
    await play(client, rows, names)


async def test_rotation_without_blacklisting(serve):
    client = await serve(**ROTATING, rotation_grace=-1, blacklist_after_rotation=False)
    names = await play(client, [log_in(), send(REFRESH, "<refresh>", response=ROTATED)])
    more = {"access": "<jwt>", "refresh": "<refresh 3 = jwt>"}
    rows = [
        send(VERIFY, "<refresh>"),
        send(REFRESH, "<refresh>", response=more),
        send(VERIFY, "<refresh 2>"),
        send(BLACKLIST, "<refresh>"),
        refused(REFRESH, "<refresh 3>", BLACKLISTED),
    ]
    await play(client, rows, names)


async def test_a_rotated_token_is_on_record(serve):
    """Lesson 16: the library had no record of rotated tokens. Here one record has them all."""
    client = await serve(**ROTATING)
    names = await play(client, [log_in(), send(REFRESH, "<refresh>", response=ROTATED)])
    assert len(await client.app[CORE].sessions.list_by_account(1)) == 1
    rows = [send(BLACKLIST, "<refresh 2>"), refused(REFRESH, "<refresh 2>", BLACKLISTED)]
    await play(client, [*rows, no_caller()], names)


async def test_a_new_password_ends_the_tokens(client, names):
    """Lesson 15: in the library both tokens live on."""
    await client.app[CORE].admin.set_password(1, "Bernoulli-Numbers-1842")
    rows = [
        no_caller(),
        refused(REFRESH, "<refresh>", BLACKLISTED),
        refused(BLACKLIST, "<refresh>", BLACKLISTED),
        send(VERIFY, "<access>", 400, IS_BLACKLISTED),
        send(VERIFY, "<refresh>", 400, IS_BLACKLISTED),
    ]
    await play(client, rows, names)


async def test_blacklisting_ends_one_session(client, names):
    """Lessons 17 and 18: it is in effect whatever the options, for access tokens as well."""
    rows = [
        log_in({"refresh": "<other refresh = jwt>", "access": "<other access = jwt>"}),
        send(BLACKLIST, "<refresh>"),
        send(VERIFY, "<access>", 400, IS_BLACKLISTED),
        no_caller(),
        me("<other access>"),
        send(REFRESH, "<other refresh>", response={"access": "<jwt>"}),
    ]
    await play(client, rows, names)


async def test_a_logout_elsewhere_ends_the_tokens(client, names):
    rows = [
        Row("POST /kust/auth/token/logout", None, 204, None, bearer(), {"Content-Type": None}),
        refused(REFRESH, "<refresh>", BLACKLISTED),
    ]
    await play(client, rows, names)


async def test_a_disabled_account(client, names, database):
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false")
    rows = [
        *[send(line, "<refresh>", 401, NO_ACCOUNT) for line in (REFRESH, VERIFY, BLACKLIST)],
        send(VERIFY, "<access>", 401, NO_ACCOUNT),
    ]
    await play(client, rows, names)


async def test_a_deleted_account(client, names):
    """A refresh is a 500 in the released library, and this 401 in its next version."""
    await client.app[CORE].admin.remove(1)
    rows = [
        send(REFRESH, "<refresh>", 401, NO_ACCOUNT),
        refused(BLACKLIST, "<refresh>", BLACKLISTED),
        send(VERIFY, "<access>", 400, IS_BLACKLISTED),
        Row(CREATE, CREDENTIALS, 401, WRONG, {}, BEARER),
    ]
    await play(client, rows, names)


async def test_a_session_whose_record_is_gone(client, names, redis_client):
    redis_client.flushdb()
    rows = [refused(line, "<refresh>", EXPIRED) for line in FIELDS]
    await play(client, [*rows, refused(VERIFY, "<access>", EXPIRED)], names)


async def test_every_login_opens_a_session(client, names):
    more = {"refresh": "<refresh 2 = jwt>", "access": "<access 2 = jwt>"}
    await play(client, [log_in(more), me(), me("<access 2>")], names)
    assert len(await client.app[CORE].sessions.list_by_account(1)) == 2


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token"])
async def test_the_rest_of_the_server_accepts_access_tokens(client, names, scheme):
    response = await client.get("/v1/account", headers=bearer(names["access"], scheme))
    assert (response.status, (await response.json())["username"]) == (200, "ada")
    response = await client.get("/verify", headers=bearer(names["access"], scheme))
    assert response.headers["X-Session-Dialect"] == "simplejwt"
    assert response.headers["X-Session-Kind"] == "jwt"
    refresh = bearer(names["refresh"], scheme)
    assert (await client.get("/v1/account", headers=refresh)).status == 401
    assert (await client.get("/verify", headers=refresh)).status == 401


VERIFIED = [
    ({}, {"detail": "Authentication credentials were not provided."}),
    (bearer("x"), no_access(INVALID)),
    (bearer("<refresh>"), no_access(WRONG_TYPE)),
]


@pytest.mark.parametrize(("headers", "body"), VERIFIED)
async def test_forward_authentication_in_the_librarys_words(client, names, headers, body):
    """Apps tell by `code` that they must refresh, also behind a proxy that asks /verify."""
    headers = {
        name: value.replace("<refresh>", names["refresh"]) for name, value in headers.items()
    }
    response = await client.get("/simplejwt/verify", headers=headers)
    assert (response.status, await response.json()) == (401, body)
    assert response.headers["WWW-Authenticate"] == BEARER["WWW-Authenticate"]


async def test_paths(settings, aiohttp_client, clean):
    """Each path moves at the mount, and stays under the dialect's name."""
    text = (
        "simplejwt=/v1?token-path=/login/&refresh-path=/login/again"
        "&verify-path=/login/check&blacklist-path=/logout"
    )
    dialects = parse_mounts(text, handlers.DIALECTS)
    client = await aiohttp_client(
        create_app(replace(settings, jwt_signing_keys=(KEY,), dialects=dialects))
    )
    await client.app[CORE].access.register(ADA, PASSWORD)
    rows = [
        Row("POST /v1/login", CREDENTIALS, 200, ISSUED),
        Row("POST /v1/login/again/", {"refresh": "<refresh>"}, 200, {"access": "<jwt>"}),
        Row("POST /v1/login/check/", {"token": "<access>"}, 200, {}),
        Row("POST /simplejwt/api/token/verify/", {"token": "<access>"}, 200, {}),
        Row("POST /v1/logout/", {"refresh": "<refresh>"}, 200, {}),
        Row("POST /v1/api/token/", CREDENTIALS, 404, NOT_FOUND),
        Row("POST /simplejwt/login/", CREDENTIALS, 404, NOT_FOUND),
    ]
    await play(client, rows)


async def test_login_by_email(serve):
    client = await serve(login="email")
    by_email = {"email": " ADA@example.org ", "password": PASSWORD}
    rows = [
        Row(CREATE, by_email, 200, ISSUED),
        Row(CREATE, {"email": "ada", "password": PASSWORD}, 401, WRONG, {}, BEARER),
        Row(CREATE, CREDENTIALS, 400, {"email": REQUIRED}),
        *field_rows(CREATE, "email", "password"),
    ]
    await play(client, rows)


async def test_login_by_either(serve):
    client = await serve(login="either")
    for number, fields in enumerate(
        [
            {"username": "ada"},
            {"username": "ada@example.org"},
            {"email": "ada@example.org"},
            {"username": "ada", "email": "nobody@example.org"},
        ]
    ):
        issued = {"refresh": f"<r{number} = jwt>", "access": "<jwt>"}
        await play(client, [Row(CREATE, {**fields, "password": PASSWORD}, 200, issued)])
    await play(client, field_rows(CREATE, "username", "password"))


async def test_other_header_types(serve):
    client = await serve(auth_header_types=("JWT", "Bearer"))
    challenge = {"WWW-Authenticate": 'JWT realm="api"'}
    rows = [
        Row(CREATE, {**CREDENTIALS, "password": "x"}, 401, WRONG, {}, challenge),
        Row(REFRESH, {"refresh": "x"}, 401, not_valid(INVALID), {}, challenge),
    ]
    await play(client, rows)


async def test_forward_authentication_takes_the_header_types(serve):
    """As apps send a token to their other endpoints, they send it to a proxy's."""
    client = await serve(auth_header_types=("JWT",))
    names = await play(client, [log_in()])
    for path, status in (("/simplejwt/verify", 200), ("/kust/verify", 401), ("/verify", 401)):
        response = await client.get(path, headers=bearer(names["access"], "JWT"))
        assert response.status == status, path
    response = await client.get("/simplejwt/verify", headers=bearer(names["access"]))
    assert response.status == 200


async def test_limits(settings, aiohttp_client, clean):
    limits = {
        name: parse_limit("2/hour")
        for name in ("login_limit", "address_limit", "register_limit", "refresh_limit")
    }
    own = replace(mounted(settings), rate_limits="on", **limits)
    client = await aiohttp_client(create_app(own))
    await client.app[CORE].access.register(ADA, PASSWORD)
    too_many = {"detail": "Too many attempts, try again later."}
    again = send(REFRESH, "<refresh>", response={"access": "<jwt>"})
    rows = [
        log_in(),
        Row(CREATE, {**CREDENTIALS, "password": "x"}, 401, WRONG),
        Row(CREATE, CREDENTIALS, 429, too_many),
        again,
        again,
        send(REFRESH, "<refresh>", 429, too_many),
    ]
    await play(client, rows)


@pytest.mark.parametrize("store", ["postgresql", "redis"])
async def test_a_store_that_is_unavailable_logs_nobody_out(aiohttp_client, outages, clean, store):
    client = await aiohttp_client(create_app(mounted(outages.settings, **ROTATING)))
    await client.app[CORE].access.register(ADA, PASSWORD)
    names = await play(client, [log_in()])
    outages.take_away(store)
    later = {"detail": "Service temporarily unavailable, try again later."}
    requests = [
        (CREATE, CREDENTIALS),
        (REFRESH, {"refresh": "<refresh>"}),
        (VERIFY, {"token": "<access>"}),
        (VERIFY, {"token": "<refresh>"}),
        (BLACKLIST, {"refresh": "<refresh>"}),
    ]
    rows = [Row(line, body, 503, later, {}, {"Retry-After": "1"}) for line, body in requests]
    await play(client, [*rows, refused(REFRESH, "x", INVALID)], names)
    outages.bring_back(store)
    await play(client, [me(), send(REFRESH, "<refresh>", response=ROTATED)], names)


BAD_OPTIONS = {
    "login=phone": "login must be username or email or either",
    "claims=username,password": "claims must be a list of these, each once: username, email",
    "claims=email,email": "claims must be a list of these",
    "auth-header-types=Be arer": "",
    "auth-header-types=a-b": "auth-header-types must be words of letters and digits",
    "access-token-lifetime=0": "access-token-lifetime must be from 1 to refresh-token-lifetime",
    "access-token-lifetime=86401": "access-token-lifetime must be from 1 to",
    "refresh-token-lifetime=0": "refresh-token-lifetime must be from 1 to",
    "refresh-token-lifetime=999999999": "refresh-token-lifetime must be from 1 to",
    "rotation-grace=301": "rotation-grace must be at most 300 seconds",
    "rotation-grace=-1": "rotation-grace must be a whole number",
    "rotate-refresh-tokens=yes": "rotate-refresh-tokens must be on or off",
    "verify-path=verify": "verify-path must be a path",
}


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_options_that_are_refused_at_the_start(option):
    with pytest.raises(BadSetting) as caught:
        read_settings({"DIALECTS": f"simplejwt=/?{option}"})
    assert BAD_OPTIONS[option] in str(caught.value)


def test_two_endpoints_cannot_have_one_path(settings):
    with pytest.raises(handlers.Conflict, match="two endpoints of simplejwt"):
        create_app(mounted(settings, verify_path="/api/token"))


def test_it_is_mounted_only_where_it_is_named():
    assert "simplejwt" not in Settings().dialects
