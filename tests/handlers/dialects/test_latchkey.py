"""latchkey (docs/contracts/latchkey.md): every endpoint, with each of its errors."""

import base64
import io
import re
from dataclasses import replace
from urllib.parse import unquote

import pytest
from PIL import Image
from yarl import URL

from app import CORE, create_app
from handlers.problem_codes import PROBLEMS
from store.one_time_tokens import Purpose
from tests.handlers.contract import FORM, Row, places, play
from tests.handlers.dialects.latchkey_rows import (
    ADA,
    PASSWORD,
    PHONE,
    TABLET,
    account,
    bearer,
    log_in,
    problem,
    register,
    session,
)

NEW_PASSWORD = "Difference-Engine-1822"
EMPTY = {"Content-Type": None, "Content-Length": None}

ACCOUNTS, SESSIONS = "POST /v1/accounts", "POST /v1/sessions"
GUARDED = [
    "GET /v1/account",
    "PATCH /v1/account",
    "DELETE /v1/account",
    "POST /v1/account/deletion",
    "PUT /v1/account/password",
    "PUT /v1/account/email",
    "POST /v1/account/email/verification",
    "PUT /v1/account/picture",
    "DELETE /v1/account/picture",
    "GET /v1/sessions",
    "DELETE /v1/sessions",
    "DELETE /v1/sessions/current",
    "DELETE /v1/sessions/0123456789abcdef",
]
OPEN = {
    ACCOUNTS: ADA,
    SESSIONS: {"login": "ada", "password": PASSWORD},
    "POST /v1/email-verifications": {"token": "x"},
    "POST /v1/password-resets": {"email": "ada@example.org"},
    "POST /v1/password-resets/check": {"token": "x"},
    "POST /v1/password-resets/confirm": {"token": "x", "new": NEW_PASSWORD},
}


def show(name="<token>", **changed):
    return Row("GET /v1/account", None, 200, account(**changed), bearer(name))


def ended(name="<token>", request="GET /v1/account"):
    return problem(request, None, "token_revoked", headers=bearer(name))


def no_content(request, body=None, name="<token>"):
    return Row(request, body, 204, None, bearer(name) if name else {}, EMPTY)


@pytest.fixture
async def mailing(settings, tmp_path, aiohttp_client, clean):
    """A client of a server that writes its mail to a directory."""
    settings = replace(
        settings, mail_url=f"file:{tmp_path}/mail", public_url="https://accounts.example"
    )
    return await aiohttp_client(create_app(settings))


async def link_token(client, purpose, address=""):
    """Return the token of a link for the first account, as the sender makes it."""
    core = client.server.app[CORE]
    [found] = [await core.accounts.get(1)]
    return core.one_time_tokens.make(purpose, found, found.created.timestamp() + 3600, address)


def authorization(names):
    return {"Authorization": f"Bearer {names['token']}"}


def queued(database):
    """Return the kind and address of what waits to be sent, or was written to files."""
    with database.cursor() as cursor:
        cursor.execute("select kind, address from mail order by id")
        return cursor.fetchall()


# Register, log in, read


@pytest.mark.parametrize("at", places("latchkey"))
async def test_life_of_an_account(client, at):
    rows = [
        register(),
        show(),
        log_in(),
        show("<other>"),
        log_in("ADA@Example.org", issued="<third = 64 hex>"),
        no_content("DELETE /v1/sessions/current"),
        ended(),
        no_content("DELETE /v1/account", {"password": PASSWORD}, "<other>"),
        ended("<other>"),
        ended("<third>"),
        problem(SESSIONS, {"login": "ada", "password": PASSWORD}, "invalid_credentials"),
    ]
    await play(client, rows, at=at)


async def test_register_with_either_name(client):
    rows = [
        register({"username": "ada", "password": PASSWORD}, account={"email": None}),
        register(
            {"email": "eve@example.org", "password": PASSWORD, "first_name": "Eve"},
            "<eve = 64 hex>",
            account={
                "id": 2,
                "username": None,
                "email": "eve@example.org",
                "first_name": "Eve",
            },
        ),
    ]
    await play(client, rows)


async def test_null_and_absent_fields_are_the_same(client):
    fields = {**ADA, "first_name": None, "last_name": None}
    await play(client, [register(fields)])


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({}, [("password", "required"), ("username", "required")]),
        ({"username": "ada"}, [("password", "required")]),
        ({"password": PASSWORD}, [("username", "required")]),
        ({"username": "", "email": "", "password": ""}, None),
        ({**ADA, "username": "a@b"}, [("username", "invalid")]),
        ({**ADA, "username": "a b"}, [("username", "invalid")]),
        ({**ADA, "username": "a\u200bb"}, [("username", "invalid")]),
        ({**ADA, "username": "a" * 151}, [("username", "too_long")]),
        ({**ADA, "username": 7}, [("username", "invalid")]),
        ({**ADA, "email": "ada"}, [("email", "invalid")]),
        ({**ADA, "email": f"{'a' * 250}@b.org"}, [("email", "too_long")]),
        ({**ADA, "first_name": "A" * 151}, [("first_name", "too_long")]),
        ({**ADA, "first_name": "A\u202eB"}, [("first_name", "invalid")]),
        ({**ADA, "last_name": ["A"]}, [("last_name", "invalid")]),
        ({**ADA, "device": "d" * 65}, [("device", "too_long")]),
        ({**ADA, "device": "a\nb"}, [("device", "invalid")]),
        ({**ADA, "is_staff": True}, [("is_staff", "unknown")]),
        ({**ADA, "password": "short"}, [("password", "too_short")]),
        ({**ADA, "password": "password"}, [("password", "too_common")]),
        ({**ADA, "password": "ada@example"}, [("password", "too_similar")]),
        ({**ADA, "password": "p" * 4097}, [("password", "too_long")]),
        (
            {"email": "ada", "password": "12345", "nickname": "a"},
            [
                ("email", "invalid"),
                ("nickname", "unknown"),
                ("password", "too_short"),
                ("password", "too_common"),
            ],
        ),
    ],
)
async def test_fields_of_registration(client, database, fields, errors):
    if errors is None:
        errors = [("username", "required"), ("email", "required"), ("password", "required")]
    await play(client, [problem(ACCOUNTS, fields, "invalid_fields", *errors)])
    with database.cursor() as cursor:
        cursor.execute("select count(*) from account")
        assert cursor.fetchone() == (0,)


async def test_a_long_list_of_unknown_fields_is_cut(client):
    fields = {**ADA, **{f"unknown{number}": 1 for number in range(1000)}}
    response = await client.post("/v1/accounts", json=fields)
    assert response.status == 422
    assert len((await response.json())["errors"]) == 20


async def test_taken(client):
    rows = [
        register(),
        problem(ACCOUNTS, {**ADA, "email": "b@example.org"}, "taken", ("username", "taken")),
        problem(
            ACCOUNTS,
            {**ADA, "username": "ADA", "email": "ADA@example.org"},
            "taken",
            ("username", "taken"),
            ("email", "taken"),
        ),
    ]
    await play(client, rows)


async def test_an_email_is_looked_up_first_where_a_login_has_an_at(client):
    """Other dialects allow usernames with an @, which may be another account's e-mail."""
    other = {"username": "ada@example.org", "password": NEW_PASSWORD}
    response = await client.post("/wicare/api/auth/register", json=other)
    assert response.status == 200
    rows = [
        register(account={"id": 2}),
        log_in("ada@example.org", account={"id": 2}),
        problem(SESSIONS, {"login": "ada@example.org", "password": NEW_PASSWORD}, CREDENTIALS),
    ]
    await play(client, rows)


CREDENTIALS = "invalid_credentials"


async def test_a_username_with_an_at_logs_in(client):
    other = {"username": "eve@home", "password": PASSWORD}
    response = await client.post("/wicare/api/auth/register", json=other)
    assert response.status == 200
    await play(client, [log_in("eve@home", account={"username": "eve@home", "email": None})])


async def test_errors_of_logging_in(client, database):
    rows = [
        register(),
        problem(SESSIONS, {"login": "ada", "password": "wrong"}, CREDENTIALS),
        problem(SESSIONS, {"login": "nobody", "password": PASSWORD}, CREDENTIALS),
        problem(SESSIONS, {"login": "n" * 254, "password": PASSWORD}, CREDENTIALS),
        problem(SESSIONS, {}, "invalid_fields", ("login", "required"), ("password", "required")),
        problem(
            SESSIONS, {"login": "a\0b", "password": "x"}, "invalid_fields", ("login", "invalid")
        ),
        problem(
            SESSIONS,
            {"login": "ada", "password": PASSWORD, "otp": "1"},
            "invalid_fields",
            ("otp", "unknown"),
        ),
    ]
    await play(client, rows)
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false")
    rows = [
        problem(SESSIONS, {"login": "ada", "password": "wrong"}, CREDENTIALS),
        problem(SESSIONS, {"login": "ada", "password": PASSWORD}, "account_disabled"),
    ]
    await play(client, rows)


async def test_a_session_is_named_by_the_user_agent_without_a_label(client):
    fields = {"login": "ada", "password": PASSWORD}
    long = "Mozilla/5.0 (a very long description of a browser and of what it runs on)"
    content = {"account": account(), "session": session(long[:64]), "token": "<other = 64 hex>"}
    rows = [register(), Row(SESSIONS, fields, 201, content, {"User-Agent": long})]
    await play(client, rows)


# Bodies, methods, tokens


@pytest.mark.parametrize("request_line", OPEN)
async def test_bodies(client, request_line):
    rows = [
        problem(request_line, b"{", "invalid_json"),
        problem(request_line, b"{", "invalid_json", headers={"Content-Type": "application/json"}),
        problem(request_line, b"a=b", "unsupported_media_type", headers=FORM),
        problem(request_line, b"[]", "invalid_fields", ("", "invalid"), headers=JSON),
        problem(request_line, b" " * (1024 * 1024 + 1), "payload_too_large", headers=JSON),
        problem(
            request_line,
            b"{}",
            "unsupported_media_type",
            headers={**JSON, "Content-Encoding": "gzip"},
        ),
    ]
    await play(client, rows[1:])


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("request_line", GUARDED)
async def test_tokens(client, request_line):
    unknown = bearer("0" * 64)
    names = await play(client, [register(), no_content("DELETE /v1/sessions/current")])
    refresh = await client.post(
        "/fardel/api/auth/register/", json={"email": "f@example.org", "password": PASSWORD}
    )
    names["refresh"] = (await refresh.json())["refresh_token"]
    rows = [
        problem(request_line, None, "token_missing"),
        problem(request_line, None, "token_missing", headers={"Authorization": "Basic YTpi"}),
        problem(request_line, None, "token_missing", headers={"Authorization": "Bearer"}),
        problem(request_line, None, "token_unknown", headers={"Authorization": "Bearer a b"}),
        problem(request_line, None, "token_unknown", headers=unknown),
        problem(request_line, None, "token_unknown", headers=bearer("<refresh>")),
        problem(request_line, None, "token_revoked", headers=bearer()),
        problem(request_line, None, "token_revoked", headers=bearer(scheme="Token")),
    ]
    await play(client, rows, names)


async def test_an_expired_token(client, redis_client):
    names = await play(client, [register()])
    [key] = redis_client.keys("session:*")
    redis_client.delete(key)
    await play(client, [problem("GET /v1/account", None, "token_expired", headers=bearer())], names)


@pytest.mark.parametrize("path", sorted({line.split()[1] for line in [*GUARDED, *OPEN]}))
async def test_methods(client, path):
    """A method that the path does not support is a 405, with or without a token."""
    known = {line.split()[0] for line in [*GUARDED, *OPEN] if line.split()[1] == path}
    for method in sorted({"GET", "POST", "PUT", "PATCH", "DELETE"} - known):
        row = problem(f"{method} {path}", None, "method_not_allowed")
        await play(client, [row])
    response = await client.request("TRACE", path)
    assert set(response.headers["Allow"].split(", ")) >= known
    preflight = await client.options(path)
    assert preflight.status == 200
    assert {"PATCH", "PUT", "DELETE"} <= set(
        preflight.headers["Access-Control-Allow-Methods"].split(", ")
    )


async def test_unknown_paths(client):
    await play(client, [problem("GET /latchkey/v1/nothing", None, "not_found")])


def test_every_problem_has_a_title_and_advice():
    for code, row in PROBLEMS.items():
        assert 400 <= row.status < 600, code
        assert row.title.endswith("."), code
        assert row.advice.endswith("."), code


# Sessions


async def test_sessions_are_listed(client):
    names = await play(client, [register(), log_in()])
    wicare = {"username": "ada", "password": PASSWORD}
    response = await client.post("/wicare/api/auth/login", json=wicare)
    assert response.status == 200
    response = await client.get(
        "/v1/sessions", headers={"Authorization": f"Bearer {names['token']}"}
    )
    listed = (await response.json())["sessions"]
    shapes = {(each["dialect"], each["kind"], each["device"], each["current"]) for each in listed}
    assert shapes == {
        ("latchkey", "device", PHONE, True),
        ("latchkey", "device", TABLET, False),
        ("wicare", "token", None, False),
    }
    assert all(re.fullmatch("[0-9a-f]{16}", each["id"]) for each in listed)
    assert names["token"][:16] not in {each["id"] for each in listed}
    assert [each["created"] for each in listed] == sorted(
        (each["created"] for each in listed), reverse=True
    )


async def test_one_session_is_ended(client):
    rows = [
        register(session={"session_id": "<phone = 16 hex>"}),
        log_in(session={"session_id": "<tablet = 16 hex>"}),
        no_content("DELETE /v1/sessions/<tablet>"),
    ]
    names = await play(client, rows[:2])
    path = f"DELETE /v1/sessions/{names['tablet']}"
    rows = [
        no_content(path),
        ended("<other>"),
        show(),
        problem(path, None, "not_found", headers=bearer()),
        problem("DELETE /v1/sessions/0000000000000000", None, "not_found", headers=bearer()),
        problem("DELETE /v1/sessions/x", None, "not_found", headers=bearer()),
    ]
    await play(client, rows, names)


async def test_a_session_of_another_account_cannot_be_ended(client):
    eve = {"username": "eve", "email": "eve@example.org", "password": PASSWORD}
    who = {"id": 2, "username": "eve", "email": "eve@example.org"}
    rows = [
        register(session={"session_id": "<phone = 16 hex>"}),
        register(eve, "<eve = 64 hex>", account=who),
    ]
    names = await play(client, rows)
    path = f"DELETE /v1/sessions/{names['phone']}"
    await play(client, [problem(path, None, "not_found", headers=bearer("<eve>")), show()], names)


async def test_other_sessions_are_ended(client):
    rows = [
        register(),
        log_in(),
        no_content("DELETE /v1/sessions?keep=current"),
        show(),
        ended("<other>"),
        no_content("DELETE /v1/sessions?keep=current"),
        show(),
        problem(
            "DELETE /v1/sessions?keep=all",
            None,
            "invalid_fields",
            ("keep", "invalid"),
            headers=bearer(),
        ),
        show(),
        no_content("DELETE /v1/sessions"),
        ended(),
    ]
    await play(client, rows)


# The account


NAMES = {"first_name": "Ada", "last_name": "Lovelace"}


async def test_names_are_changed(client):
    def patch(fields, **changed):
        return Row("PATCH /v1/account", fields, 200, account(**changed), bearer())

    def error(fields, *errors, code="invalid_fields"):
        return problem("PATCH /v1/account", fields, code, *errors, headers=bearer())

    eve = {"username": "eve", "email": "eve@example.org", "password": PASSWORD}
    who = {"id": 2, "username": "eve", "email": "eve@example.org"}
    rows = [
        register(),
        register(eve, "<eve = 64 hex>", account=who),
        patch(
            {"first_name": "Ada", "last_name": "Lovelace"}, first_name="Ada", last_name="Lovelace"
        ),
        patch({}, first_name="Ada", last_name="Lovelace"),
        patch({"username": "lady.ada", "last_name": None}, username="lady.ada", first_name="Ada"),
        patch({"first_name": ""}, username="lady.ada"),
        error({"username": "eve"}, ("username", "taken"), code="taken"),
        error({"username": ""}, ("username", "required")),
        error({"username": None}, ("username", "required")),
        error({"username": "a b"}, ("username", "invalid")),
        error({"email": "b@example.org"}, ("email", "unknown")),
        error({"password": "x"}, ("password", "unknown")),
    ]
    await play(client, rows)


@pytest.mark.parametrize("request_line", ["DELETE /v1/account", "POST /v1/account/deletion"])
async def test_an_account_is_deleted(client, database, request_line):
    rows = [
        register(),
        problem(request_line, {}, "invalid_fields", ("password", "required"), headers=bearer()),
        problem(request_line, {"password": "wrong"}, "wrong_password", headers=bearer()),
        show(),
        no_content(request_line, {"password": PASSWORD}),
        ended(),
    ]
    await play(client, rows)
    with database.cursor() as cursor:
        cursor.execute("select count(*) from account")
        assert cursor.fetchone() == (0,)


async def test_a_password_is_changed(client):
    path = "PUT /v1/account/password"

    def error(fields, code, *errors):
        return problem(path, fields, code, *errors, headers=bearer())

    good = {"current": PASSWORD, "new": NEW_PASSWORD}
    changed = {"session": session(PHONE), "token": "<new = 64 hex>"}
    rows = [
        register(),
        log_in(),
        error({}, "invalid_fields", ("current", "required"), ("new", "required")),
        error({"current": "wrong", "new": NEW_PASSWORD}, "wrong_password"),
        error({"current": PASSWORD, "new": "short"}, "invalid_fields", ("new", "too_short")),
        error({"current": PASSWORD, "new": "password"}, "invalid_fields", ("new", "too_common")),
        error(
            {"current": PASSWORD, "new": "ada@example"}, "invalid_fields", ("new", "too_similar")
        ),
        show(),
        Row(path, good, 200, changed, bearer()),
        ended(),
        ended("<other>"),
        show("<new>"),
        problem(SESSIONS, {"login": "ada", "password": PASSWORD}, CREDENTIALS),
        log_in(password=NEW_PASSWORD, issued="<last = 64 hex>"),
    ]
    await play(client, rows)


# Pictures


def png():
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(buffer, "PNG")
    return buffer.getvalue()


def large_png():
    """Return a picture whose base64 is long enough to be decoded in pieces."""
    buffer = io.BytesIO()
    Image.effect_noise((200, 200), 99).save(buffer, "PNG")
    return buffer.getvalue()


def as_text(picture):
    return base64.b64encode(picture).decode()


async def test_pictures(client):
    path = "PUT /v1/account/picture"
    image = {**bearer(), "Content-Type": "image/png"}
    shown = {"picture": "<url>"}
    rows = [
        register(),
        Row(path, png(), 200, shown, image),
        show(picture="<url>"),
        Row(path, {"gallery": 6}, 200, shown, bearer()),
        show(picture="<url>"),
        problem(path, {"gallery": 0}, "invalid_fields", ("gallery", "not_found"), headers=bearer()),
        problem(
            path, {"gallery": 10**6}, "invalid_fields", ("gallery", "not_found"), headers=bearer()
        ),
        problem(path, {}, "invalid_fields", ("picture", "required"), headers=bearer()),
        problem(path, None, "invalid_fields", ("picture", "required"), headers=bearer()),
        problem(
            path, {"gallery": None}, "invalid_fields", ("picture", "required"), headers=bearer()
        ),
        problem(path, {"id": 6}, "invalid_fields", ("id", "unknown"), headers=bearer()),
        problem(
            path,
            {"gallery": 6, "picture": 7, "size": 1},
            "invalid_fields",
            ("picture", "invalid"),
            ("size", "unknown"),
            headers=bearer(),
        ),
        Row(path, {"picture": as_text(png()), "gallery": None}, 200, shown, bearer()),
        Row(path, {"picture": as_text(large_png())}, 200, shown, bearer()),
        problem(path, b"[]", "invalid_fields", ("", "invalid"), headers={**bearer(), **JSON}),
        problem(path, b"GIF89a", "invalid_fields", ("picture", "damaged"), headers=image),
        problem(path, b"no image", "invalid_fields", ("picture", "unsupported"), headers=image),
        problem(path, {"picture": "!"}, "invalid_fields", ("picture", "invalid"), headers=bearer()),
        no_content("DELETE /v1/account/picture"),
        show(),
        no_content("DELETE /v1/account/picture"),
    ]
    await play(client, rows)


async def test_the_gallery(client):
    response = await client.get("/v1/gallery")
    pictures = (await response.json())["pictures"]
    assert len(pictures) == 10
    assert [list(each) for each in pictures] == [["id", "group", "name", "url"]] * 10
    assert (await client.get(URL(pictures[0]["url"]).path)).status == 200


# E-mail


ACCEPTED = {"status": "accepted"}


async def test_an_address_is_verified(mailing, database):
    names = await play(mailing, [register()])
    assert queued(database) in ([("verify", "ada@example.org")], [])
    names["link"] = await link_token(mailing, Purpose.VERIFY)
    path = "POST /v1/email-verifications"
    verified = {"account": account(email_verified=True)}
    rows = [
        problem(path, {}, "invalid_fields", ("token", "required")),
        problem(path, {"token": "nonsense"}, "link_invalid"),
        Row(path, {"token": "<link>"}, 200, verified),
        Row(path, {"token": "<link>"}, 200, verified),
        show(email_verified=True),
    ]
    await play(mailing, rows, names)


async def test_an_address_is_changed(mailing, database):
    path = "PUT /v1/account/email"
    new = "countess@example.org"
    eve = {"username": "eve", "email": "eve@example.org", "password": PASSWORD}
    who = {"id": 2, "username": "eve", "email": "eve@example.org"}

    def error(fields, code, *errors):
        return problem(path, fields, code, *errors, headers=bearer())

    rows = [
        register(),
        register(eve, "<eve = 64 hex>", account=who),
        error({}, "invalid_fields", ("email", "required"), ("password", "required")),
        error({"email": "x", "password": PASSWORD}, "invalid_fields", ("email", "invalid")),
        error({"email": new, "password": "wrong"}, "wrong_password"),
        error({"email": "EVE@example.org", "password": PASSWORD}, "taken", ("email", "taken")),
        Row(path, {"email": new, "password": PASSWORD}, 202, {}, bearer()),
        show(),
    ]
    names = await play(mailing, rows)
    names["link"] = await link_token(mailing, Purpose.CHANGE, new)
    verify = "POST /v1/email-verifications"
    changed = {"account": account(email=new, email_verified=True)}
    rows = [
        Row(verify, {"token": "<link>"}, 200, changed),
        Row(verify, {"token": "<link>"}, 200, changed),
        show(email=new, email_verified=True),
        log_in(new, account={"email": new, "email_verified": True}),
    ]
    await play(mailing, rows, names)


async def test_a_change_to_an_address_that_was_taken_meanwhile(mailing):
    names = await play(mailing, [register()])
    names["link"] = await link_token(mailing, Purpose.CHANGE, "eve@example.org")
    eve = {"username": "eve", "email": "eve@example.org", "password": PASSWORD}
    who = {"id": 2, "username": "eve", "email": "eve@example.org"}
    rows = [
        register(eve, "<eve = 64 hex>", account=who),
        problem("POST /v1/email-verifications", {"token": "<link>"}, "taken", ("email", "taken")),
        show(),
    ]
    await play(mailing, rows, names)


async def test_a_verification_is_sent_again(mailing, database):
    path = "POST /v1/account/email/verification"
    rows = [
        register(),
        Row(path, None, 202, {}, bearer()),
        Row(path, {}, 202, {}, bearer()),
        problem(path, {"a": 1}, "invalid_fields", ("a", "unknown"), headers=bearer()),
    ]
    await play(mailing, rows)


async def test_a_password_is_reset(mailing):
    ask, check, confirm = (f"POST /v1/password-resets{end}" for end in ("", "/check", "/confirm"))
    names = await play(mailing, [register(), Row(ask, {"email": "ada@example.org"}, 202, {})])
    names["link"] = await link_token(mailing, Purpose.RESET)
    fields = {"token": "<link>", "new": NEW_PASSWORD, "device": TABLET}
    content = {
        "account": account(email_verified=True),
        "session": session(TABLET),
        "token": "<new = 64 hex>",
    }
    rows = [
        Row(ask, {"email": "nobody@example.org"}, 202, {}),
        problem(ask, {}, "invalid_fields", ("email", "required")),
        problem(ask, {"email": "x"}, "invalid_fields", ("email", "invalid")),
        problem(check, {"token": "nonsense"}, "link_invalid"),
        no_content(check, {"token": "<link>"}, name=None),
        problem(confirm, {"token": "nonsense", "new": NEW_PASSWORD}, "link_invalid"),
        problem(
            confirm, {"token": "<link>", "new": "short"}, "invalid_fields", ("new", "too_short")
        ),
        problem(
            confirm,
            {"token": "<link>", "new": "ada@example"},
            "invalid_fields",
            ("new", "too_similar"),
        ),
        show(),
        Row(confirm, fields, 200, content),
        ended(),
        show("<new>", email_verified=True),
        problem(confirm, fields, "link_invalid"),
        problem(check, {"token": "<link>"}, "link_invalid"),
        problem(SESSIONS, {"login": "ada", "password": PASSWORD}, CREDENTIALS),
        log_in(password=NEW_PASSWORD, account={"email_verified": True}),
    ]
    await play(mailing, rows, names)


async def test_an_expired_link(mailing):
    names = await play(mailing, [register()])
    core = mailing.server.app[CORE]
    found = await core.accounts.get(1)
    names["link"] = core.one_time_tokens.make(Purpose.RESET, found, 1_700_000_000)
    await play(
        mailing,
        [problem("POST /v1/password-resets/check", {"token": "<link>"}, "link_expired")],
        names,
    )


async def test_a_disabled_account_cannot_be_reset(mailing, database):
    names = await play(mailing, [register()])
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false")
    names["link"] = await link_token(mailing, Purpose.RESET)
    confirm = {"token": "<link>", "new": NEW_PASSWORD}
    rows = [
        problem("POST /v1/password-resets/check", {"token": "<link>"}, "link_invalid"),
        problem("POST /v1/password-resets/confirm", confirm, "link_invalid"),
    ]
    await play(mailing, rows, names)


@pytest.mark.parametrize(
    ("request_line", "body"),
    [
        ("PUT /v1/account/email", {"email": "b@example.org", "password": PASSWORD}),
        ("POST /v1/account/email/verification", None),
        ("POST /v1/password-resets", {"email": "ada@example.org"}),
    ],
)
async def test_without_mail(client, request_line, body):
    """Registration does without; what only sends a link cannot."""
    row = problem(request_line, body, "unavailable", headers=bearer())
    await play(client, [register(), replace(row, returned={**row.returned, "Retry-After": "1"})])


# Verified addresses, and limits


async def test_verified_addresses_may_be_required(settings, aiohttp_client, clean, database):
    settings = replace(settings, require_verified_email="on")
    client = await aiohttp_client(create_app(settings))
    fields = {"login": "ada", "password": PASSWORD}
    rows = [
        register(),
        problem(SESSIONS, {**fields, "password": "wrong"}, CREDENTIALS),
        problem(SESSIONS, fields, "email_not_verified"),
    ]
    await play(client, rows)
    for path, status in [
        ("/wicare/api/auth/login", 400),
        ("/lumotist/account/login", 400),
        ("/kust/auth/token/login", 400),
        ("/cellars/api/login", 400),
    ]:
        response = await client.post(path, json={"username": "ada", "password": PASSWORD})
        assert response.status == status, path
    response = await client.post("/fardel/api/auth/login/", json={**ADA, "username": None})
    assert response.status == 401
    with database.cursor() as cursor:
        cursor.execute("update account set email_verified_at = now()")
    await play(client, [log_in(account={"email_verified": True})])


async def test_wrong_passwords_are_limited(settings, aiohttp_client, clean):
    settings = replace(settings, rate_limits="on")
    client = await aiohttp_client(create_app(settings))
    names = await play(client, [register()])
    headers = authorization(names)
    statuses = []
    for _ in range(25):
        response = await client.request(
            "DELETE", "/v1/account", json={"password": "wrong"}, headers=headers
        )
        statuses.append(response.status)
    assert statuses == [422] * 20 + [429] * 5
    assert int(response.headers["Retry-After"]) > 0
    assert (await response.json())["code"] == "rate_limited"


async def test_messages_are_limited_silently(settings, tmp_path, aiohttp_client, clean, database):
    settings = replace(
        settings,
        rate_limits="on",
        mail_url=f"file:{tmp_path}/mail",
        public_url="https://accounts.example",
    )
    client = await aiohttp_client(create_app(settings))
    with database.cursor() as cursor:
        cursor.execute("select last_value from mail_id_seq")
        [before] = cursor.fetchone()
        for _ in range(9):
            response = await client.post("/v1/password-resets", json={"email": "x@example.org"})
            assert response.status == 202
        cursor.execute("select last_value from mail_id_seq")
        assert cursor.fetchone()[0] - before <= 5


async def test_labels_of_devices_are_not_logged(client, caplog):
    fields = {**ADA, "device": "A label that nobody else uses"}
    response = await client.post("/v1/accounts", json=fields)
    assert response.status == 201
    assert "nobody else" not in unquote(caplog.text)
