"""djoser's JWTs: three endpoints of simplejwt, and its access tokens at all other endpoints."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import pytest
from aiohttp.test_utils import TestClient

import handlers
from app import CORE, create_app
from handlers.mounts import Mount
from settings import BadSetting, Settings, read_settings
from tests.conftest import Server, empty_stores
from tests.handlers.contract import ALLOW_METHODS, JSON, Names, Row, play
from tests.handlers.dialects.drf_messages import (
    CHALLENGE,
    INVALID_TOKEN,
    MISSING_TOKEN,
    NO_CREDENTIALS,
    NOT_FOUND,
    REQUIRED,
    not_allowed,
    wrong_media_type,
)
from tests.handlers.dialects.simplejwt_rows import (
    BEARER,
    BLACKLISTED,
    CREATE,
    CREDENTIALS,
    EXPIRED,
    FIELDS,
    INVALID,
    IS_BLACKLISTED,
    KEY,
    NO_ACCOUNT,
    NO_CHALLENGE,
    PASSWORD,
    REFRESH,
    TWO_VALUES,
    USER_INACTIVE,
    USER_NOT_FOUND,
    VERIFY,
    WRONG,
    WRONG_TYPE,
    bearer,
    claims_of,
    expired,
    field_rows,
    log_in,
    no_access,
    refused,
    send,
)

USERS, ME = "/auth/users", "/auth/users/me"
ADA = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
NEW_PASSWORD = "Bernoulli-Numbers-1842"
REGISTER = Row(f"POST {USERS}", ADA, 201, {"email": ADA["email"], "username": "ada", "id": 1})
LOGIN = Row("POST /auth/token/login", CREDENTIALS, 200, {"auth_token": "<opaque = 40 hex>"})
EMPTY = {"Content-Type": None}
PATHS = {
    CREATE: "POST /auth/jwt/create",
    REFRESH: "POST /auth/jwt/refresh",
    VERIFY: "POST /auth/jwt/verify",
}
ACTIONS = (
    "activation",
    "resend_activation",
    "reset_password",
    "reset_password_confirm",
    "reset_username",
    "reset_username_confirm",
)


def mounted(settings: Settings, **options) -> Settings:
    """Settings of a server that has only djoser, with JWTs and these options."""
    options = {"jwt": True, **options}
    mount = Mount("/", replace(handlers.DIALECTS["djoser"].options, **options))
    return replace(settings, jwt_signing_keys=(KEY,), dialects={"djoser": mount})


async def play_here(client, rows: Iterable[Row], names: Names | None = None, at="{path}") -> Names:
    """Play rows of simplejwt at djoser's paths."""
    here = [replace(row, request=PATHS.get(row.request, row.request)) for row in rows]
    return await play(client, here, names, at)


@pytest.fixture(scope="module")
async def module_server(settings) -> AsyncIterator[Server]:
    async with Server(create_app(mounted(settings))) as server:
        yield server


@pytest.fixture
async def client(module_server, database, redis_client) -> AsyncIterator[TestClient]:
    """A client of a server with opaque tokens and JWTs, and with the other options as they are."""
    empty_stores(database, redis_client)
    client = TestClient(module_server)
    yield client
    await client.session.close()


@pytest.fixture
def serve(settings, aiohttp_client, clean):
    """Run a server with options."""

    async def serve(**options) -> TestClient:
        return await aiohttp_client(create_app(mounted(settings, **options)))

    return serve


@pytest.fixture
async def names(client):
    """The tokens of an account, by both kinds of login."""
    return await play_here(client, [REGISTER, log_in(), LOGIN])


def user(headers, path: str = ME, **changed) -> Row:
    shown = {"email": "ada@example.org", "id": 1, "username": "ada", **changed}
    return Row(f"GET {path}", None, 200, shown, headers)


def no_user(headers, body, returned=BEARER, path: str = ME) -> Row:
    return Row(f"GET {path}", None, 401, body, headers, returned)


@pytest.mark.parametrize("at", ["{path}", "{path}/", "/djoser{path}", "/djoser{path}/"])
async def test_a_session(client, at):
    rows = [
        REGISTER,
        log_in(),
        user(bearer()),
        send(VERIFY, "<access>"),
        send(VERIFY, "<refresh>"),
        send(REFRESH, "<refresh>", response={"access": "<jwt>"}),
    ]
    names = await play_here(client, rows, at=at)
    access, refresh = claims_of(names["access"]), claims_of(names["refresh"])
    assert access.items() >= {"token_type": "access", "user_id": "1"}.items()
    assert refresh["jti"].startswith(access["jti"])
    [(session, _)] = await client.app[CORE].sessions.list_by_account(1)
    assert (session.dialect, session.kind) == ("djoser", "jwt")


async def test_fields_bodies_and_methods(client):
    rows = field_rows(CREATE, "username", "password")
    for line in (REFRESH, VERIFY):
        rows += field_rows(line, FIELDS[line])
    await play_here(client, rows)
    text = {"Content-Type": "text/plain"}
    for line in PATHS.values():
        path = line.split()[1]
        rows = [
            Row(line, b"{", 400, {"detail": "JSON parse error - <text>"}, JSON, NO_CHALLENGE),
            Row(line, b"x", 415, wrong_media_type("text/plain"), text),
            Row(f"GET {path}", None, 405, not_allowed("GET"), bearer("x"), NO_CHALLENGE),
            Row(f"OPTIONS {path}", None, 200, {}, {}, ALLOW_METHODS),
        ]
        await play(client, rows)


async def test_refused_logins(client, names):
    again = {"refresh": "<r = jwt>", "access": "<jwt>"}
    rows = [
        *[
            Row(CREATE, {**CREDENTIALS, **change}, 401, WRONG, {}, BEARER)
            for change in ({"password": "x"}, {"username": "nobody"})
        ],
        log_in(again, password=f" {PASSWORD}\n"),
    ]
    await play_here(client, rows, names)


async def test_refused_tokens(client, names):
    for line in (REFRESH, VERIFY):
        await play_here(
            client,
            [
                refused(line, "x", INVALID),
                refused(line, "<opaque>", INVALID),
                refused(line, expired(names["refresh"]), EXPIRED),
            ],
            names,
        )
    await play_here(client, [refused(REFRESH, "<access>", WRONG_TYPE)], names)


HEADERS = [
    ("Bearer", TWO_VALUES),
    ("Bearer a b", TWO_VALUES),
    ("Bearer x", no_access(INVALID)),
    ("Bearer <opaque>", no_access(INVALID)),
    ("Bearer <refresh>", no_access(WRONG_TYPE)),
]
NONE = ["", "bearer <access>", "BEARER <access>", "JWT <access>", "Basic x"]


@pytest.mark.parametrize(("header", "body"), HEADERS)
async def test_a_bad_jwt_is_a_401_everywhere(client, names, header, body):
    """Also where none is required, as for opaque tokens."""
    headers = {"Authorization": header}
    lines = [f"GET {ME}", f"PUT {USERS}", f"POST {USERS}", "GET /auth", "POST /auth/token/login"]
    lines += [f"POST {USERS}/{action}" for action in ACTIONS]
    await play(client, [Row(line, None, 401, body, headers, BEARER) for line in lines], names)


async def test_an_expired_access_token(client, names):
    old = expired(names["access"])
    await play(client, [no_user(bearer(old), no_access(EXPIRED))])


@pytest.mark.parametrize("header", NONE)
async def test_another_scheme_counts_as_none(client, names, header):
    """With both kinds of token, the first authenticator is that of opaque tokens."""
    headers = {"Authorization": header}
    rows = [no_user(headers, MISSING_TOKEN, CHALLENGE), replace(LOGIN, headers=headers)]
    rows[1] = replace(rows[1], response={"auth_token": "<opaque>"})
    await play(client, rows, names)


async def test_each_kind_of_token_has_its_own_scheme(client, names):
    opaque = bearer("<opaque>", "token")
    rows = [
        user(opaque),
        user(bearer()),
        no_user(bearer("<access>", "Token"), INVALID_TOKEN, CHALLENGE),
        no_user({"Authorization": "Token"}, NO_CREDENTIALS, CHALLENGE),
    ]
    await play(client, rows, names)


async def test_the_account_of_a_token(client, names, database):
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false")
    await play(client, [no_user(bearer(), USER_INACTIVE)], names)
    rows = [send(line, "<refresh>", 401, NO_ACCOUNT) for line in (REFRESH, VERIFY)]
    await play_here(client, rows, names)
    await client.app[CORE].admin.remove(1)
    await play(client, [no_user(bearer(), USER_NOT_FOUND)], names)
    rows = [
        send(REFRESH, "<refresh>", 401, NO_ACCOUNT),
        send(VERIFY, "<refresh>", 400, IS_BLACKLISTED),
    ]
    await play_here(client, rows, names)


async def test_a_new_password_keeps_the_callers_tokens(client, names):
    """Djoser's default, but not for the other sessions of the account."""
    others = {"refresh": "<other refresh = jwt>", "access": "<other = jwt>"}
    change = {"new_password": NEW_PASSWORD, "current_password": PASSWORD}
    rows = [
        log_in(others),
        Row(f"POST {USERS}/set_password", change, 204, None, bearer(), EMPTY),
        user(bearer()),
        send(REFRESH, "<refresh>", response={"access": "<jwt>"}),
        no_user(bearer("<other>"), no_access(BLACKLISTED)),
        refused(REFRESH, "<other refresh>", BLACKLISTED),
        no_user(bearer("<opaque>", "Token"), INVALID_TOKEN, CHALLENGE),
    ]
    await play_here(client, rows, names)


async def test_logout_on_password_change(serve):
    client = await serve(logout_on_password_change=True)
    change = {"new_password": NEW_PASSWORD, "current_password": PASSWORD}
    rows = [
        REGISTER,
        log_in(),
        Row(f"POST {USERS}/set_password", change, 204, None, bearer(), EMPTY),
        no_user(bearer(), no_access(BLACKLISTED)),
        refused(REFRESH, "<refresh>", BLACKLISTED),
    ]
    await play_here(client, rows)


async def test_changes_and_deletion_by_a_jwt(client, names):
    shown = {"email": "other@example.org", "id": 1, "username": "ada"}
    rows = [
        Row(f"PATCH {ME}", {"email": "other@example.org"}, 200, shown, bearer()),
        Row(f"DELETE {ME}", {"current_password": PASSWORD}, 204, None, bearer(), EMPTY),
        no_user(bearer(), USER_NOT_FOUND),
    ]
    await play(client, rows, names)


async def test_an_account_that_is_not_activated(client):
    await play(client, [REGISTER])
    await client.app[CORE].accounts.change(1, {"activated": False})
    await play_here(client, [Row(CREATE, CREDENTIALS, 401, WRONG, {}, BEARER)])
    await client.app[CORE].accounts.change(1, {"activated": True})
    await play_here(client, [log_in()])


async def test_only_jwts(serve):
    """TOKEN_MODEL None."""
    client = await serve(token_endpoints=False)
    names = await play_here(client, [REGISTER, log_in()])
    rows = [
        Row("POST /auth/token/login", CREDENTIALS, 404, NOT_FOUND),
        Row("POST /auth/token/logout", None, 404, NOT_FOUND, bearer()),
        Row("POST /djoser/auth/token/login/", CREDENTIALS, 404, NOT_FOUND),
        user(bearer()),
        no_user({}, MISSING_TOKEN),
        no_user(bearer("<access>", "Token"), MISSING_TOKEN),
        no_user({"Authorization": "Token"}, MISSING_TOKEN),
        Row(f"OPTIONS {USERS}", None, 401, MISSING_TOKEN, {}, BEARER),
        Row(f"POST {USERS}", {}, 400, {"username": REQUIRED, "password": REQUIRED}, {}),
    ]
    await play(client, rows, names)


async def test_without_the_option_there_are_no_jwts(serve):
    client = await serve(jwt=False)
    names = await play(client, [REGISTER, LOGIN])
    rows = [Row(line, CREDENTIALS, 404, NOT_FOUND) for line in PATHS.values()]
    rows += [Row(f"GET {line.split()[1]}", None, 404, NOT_FOUND) for line in PATHS.values()]
    rows.append(no_user(bearer("x"), MISSING_TOKEN, CHALLENGE))
    await play(client, rows, names)


async def test_a_path_ends_where_it_ends(client):
    """Djoser's pattern has no end, so that jwt/createx works there."""
    await play(client, [Row("POST /auth/jwt/createx", CREDENTIALS, 404, NOT_FOUND)])


async def test_other_header_types(serve):
    client = await serve(auth_header_types=("JWT",))
    challenge = {"WWW-Authenticate": 'JWT realm="api"'}
    rows = [
        REGISTER,
        log_in(),
        user(bearer("<access>", "JWT")),
        no_user(bearer("x", "JWT"), no_access(INVALID), challenge),
        no_user(bearer(), MISSING_TOKEN, CHALLENGE),
        Row(CREATE, {**CREDENTIALS, "password": "x"}, 401, WRONG, {}, challenge),
    ]
    await play_here(client, rows)


async def test_forward_authentication_takes_the_header_types(serve):
    client = await serve(auth_header_types=("JWT",), header_types=("Key",))
    names = await play_here(client, [REGISTER, log_in(), LOGIN])
    for token, scheme in (("access", "JWT"), ("access", "Bearer"), ("opaque", "Key")):
        response = await client.get("/djoser/verify", headers=bearer(names[token], scheme))
        assert response.status == 200, scheme
    response = await client.get("/verify", headers=bearer(names["access"], "JWT"))
    assert response.status == 401


async def test_options_of_the_tokens(serve):
    client = await serve(
        access_token_lifetime=900,
        refresh_token_lifetime=604_800,
        rotate_refresh_tokens=True,
        rotation_grace=-1,
        claims=("email", "is_staff"),
    )
    rotated = {"access": "<jwt>", "refresh": "<refresh 2 = jwt>"}
    rows = [
        REGISTER,
        log_in(),
        send(REFRESH, "<refresh>", response=rotated),
        refused(REFRESH, "<refresh>", BLACKLISTED),
        no_user(bearer(), no_access(BLACKLISTED)),
    ]
    names = await play_here(client, rows)
    claims = claims_of(names["access"])
    assert (claims["email"], claims["is_staff"]) == ("ada@example.org", False)
    assert claims["exp"] - claims["iat"] == 900
    claims = claims_of(names["refresh 2"])
    assert claims["exp"] - claims["iat"] == 604_800


@pytest.mark.parametrize("login", ["email", "either"])
async def test_login_by_email(serve, login):
    client = await serve(login=login)
    core = client.app[CORE]
    response = await client.post(f"{USERS}/", json=ADA)
    assert response.status == 201
    fields = {"email": "ADA@example.org", "password": PASSWORD}
    response = await client.post("/auth/jwt/create/", json=fields)
    assert response.status == 200
    assert len(await core.sessions.list_by_account(1)) == 1
    missing = {"email": REQUIRED} if login == "email" else {"username": REQUIRED}
    await play_here(client, [Row(CREATE, {"password": "x"}, 400, missing)])


async def test_passwords_that_are_not_trimmed(serve):
    client = await serve(trim_passwords=False)
    spaced = {**CREDENTIALS, "password": f"{PASSWORD} "}
    await play_here(client, [REGISTER, Row(CREATE, spaced, 401, WRONG, {}, BEARER), log_in()])


BAD_OPTIONS = {
    "token-endpoints=off": "token-endpoints=off needs jwt=on",
    "jwt=on&auth-header-types=Token": "header-types and auth-header-types must have no word",
    "jwt=on&header-types=bearer": "header-types and auth-header-types must have no word",
    "jwt=on&claims=password": "claims must be a list of these",
}


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_options_that_are_refused_at_the_start(option):
    with pytest.raises(BadSetting) as caught:
        read_settings({"DIALECTS": f"djoser=/?{option}"})
    assert BAD_OPTIONS[option] in str(caught.value)


def test_without_opaque_tokens_the_header_types_may_be_the_same():
    read_settings({"DIALECTS": "djoser=/?jwt=on&token-endpoints=off&auth-header-types=Token"})
