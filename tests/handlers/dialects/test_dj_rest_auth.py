"""dj-rest-auth at the wire: every endpoint with each of its errors, in the order of its checks."""

from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import TestClient

import handlers
from app import CORE, create_app
from handlers.mounts import parse_mounts
from mail import sender
from settings import BadSetting, Settings, read_settings
from store.account import NewAccount
from store.limits import parse_limit
from store.one_time_tokens import Purpose
from tests.conftest import Server, empty_stores
from tests.handlers.contract import FORM, MULTIPART, Row, multipart, places, play, urlencoded
from tests.handlers.dialects.dj_rest_auth_rows import (
    ADA,
    BAD_TOKEN,
    BAD_UID,
    BOB,
    CHANGE,
    CHANGED_DIFFERENTLY,
    CONFIRM,
    DIFFERENT,
    DONE,
    EMAIL_TAKEN,
    INVALID_USERNAME,
    KEY,
    LINKS,
    LOGGED_OUT,
    LOGIN,
    LOGOUT,
    NAME,
    NEW_PASSWORD,
    NOT_VERIFIED,
    NUL,
    OK,
    PASSWORD,
    REGISTER,
    RESEND,
    RESET,
    SAVED,
    SENT,
    SHORT,
    TAKEN,
    VERIFY,
    WEAK,
    WRONG,
    cannot_log_in,
    ended,
    log_in,
    mounted,
    new,
    post,
    refused,
    register,
    shown,
    similar,
    token,
    user,
)
from tests.handlers.dialects.drf_messages import (
    BLANK,
    CANNOT_LOG_IN,
    CHALLENGE,
    INACTIVE,
    INVALID_EMAIL,
    INVALID_TOKEN,
    MISSING_TOKEN,
    NO_CREDENTIALS,
    NOT_A_STRING,
    NOT_FOUND,
    NULL,
    REQUIRED,
    SPACES,
    not_allowed,
    not_an_object,
    too_long,
)
from tests.mail.mailbox import Mailbox
from tests.mail.smtp import link_of
from tests.program import wait_for_async


@pytest.fixture(scope="module")
async def module_server(settings) -> AsyncIterator[Server]:
    async with Server(create_app(mounted(settings))) as server:
        yield server


@pytest.fixture
async def client(module_server, database, redis_client) -> AsyncIterator[TestClient]:
    """A client of a server with the default options and without e-mail."""
    empty_stores(database, redis_client)
    client = TestClient(module_server)
    yield client
    await client.session.close()


@pytest.fixture
def mailing(settings, tmp_path, monkeypatch):
    """Settings of a server that writes its mail to a directory, and does so at once."""
    monkeypatch.setattr(sender, "WAKE_SECONDS", (0.0, 0.01))
    return replace(
        settings, mail_url=f"file:{tmp_path}/mail", public_url="https://accounts.example"
    )


@pytest.fixture
def serve(mailing, aiohttp_client, clean):
    """Run a server that sends mail, with options."""

    async def serve(**options) -> TestClient:
        return await aiohttp_client(create_app(mounted(mailing, **{**LINKS, **options})))

    return serve


@pytest.fixture
def mailbox(tmp_path):
    return Mailbox(tmp_path / "mail")


async def link(mailbox: Mailbox) -> dict[str, str]:
    """Wait for a message; return the uid and the token of its link, as an app sends them."""
    [_, _, uid, token] = urlsplit(link_of(await mailbox.take("reset"))).path.split("/")
    mailbox.links.append(token)
    return {"uid": uid, "token": token}


async def key(mailbox: Mailbox) -> dict[str, str]:
    """Wait for a message; return the key of its link, as an app sends it."""
    path = urlsplit(link_of(await mailbox.take("verify"))).path
    found = path.removeprefix("/confirm/")
    mailbox.links.append(found)
    return {"key": found}


async def has_sent_all(database) -> bool:
    with database.cursor() as cursor:
        return await wait_for_async(
            lambda: cursor.execute("select id from mail") or cursor.fetchall() == []
        )


async def account_of(client, account_id=1):
    return await client.app[CORE].accounts.get(account_id)


def make(client, purpose, account, expires=4_000_000_000):
    return client.app[CORE].one_time_tokens.make(purpose, account, expires)


@pytest.mark.parametrize("at", places(NAME))
async def test_a_token_from_registration_to_logout(client, at):
    rows = [
        register(),
        log_in(),
        user(),
        post(LOGOUT, None, 200, LOGGED_OUT, "<token>"),
        ended(),
        log_in(issued="<other = 40 hex>"),
        Row("GET /user", None, 200, shown(), token("<other>", "token")),
    ]
    await play(client, rows, at=at)


REFUSED = [
    ({}, {"username": REQUIRED, "password1": REQUIRED, "password2": REQUIRED}),
    (
        {"username": "", "email": "", "password1": "", "password2": ""},
        {"username": BLANK, "email": BLANK, "password1": BLANK, "password2": BLANK},
    ),
    (
        {"username": None, "email": None, "password1": None, "password2": None},
        {"username": NULL, "email": NULL, "password1": NULL, "password2": NULL},
    ),
    (
        {"username": [], "email": [], "password1": {}, "password2": 1},
        {"username": NOT_A_STRING, "email": INVALID_EMAIL, "password1": NOT_A_STRING},
    ),
    (
        {"username": "a b", "email": "x", "password1": "12345", "password2": "y"},
        {"username": INVALID_USERNAME, "email": INVALID_EMAIL, "password1": WEAK},
    ),
    ({**ADA, "username": "a" * 151}, {"username": too_long(150)}),
    (
        {"username": "ada", "password1": "Differ\0ence", "password2": "Differ\0ence"},
        {"password1": NUL, "password2": NUL},
    ),
    ({"username": "ada", "password1": PASSWORD, "password2": "x"}, DIFFERENT),
    (
        {"username": "adalovelace", "password1": "adalovelace1", "password2": "adalovelace1"},
        {"non_field_errors": [similar("username")]},
    ),
    (
        {
            **ADA,
            "email": "countess@example.org",
            "password1": "countess1",
            "password2": "countess1",
        },
        {"non_field_errors": [similar("email address")]},
    ),
]


@pytest.mark.parametrize(("fields", "errors"), REFUSED)
async def test_what_a_registration_refuses(client, fields, errors):
    await play(client, [refused(fields, **errors)])


async def test_taken_names(client):
    """Together with other fields, before the two passwords are compared."""
    again = {**ADA, "username": "ADA", "email": "ADA@example.org"}
    taken = {"username": TAKEN, "email": EMAIL_TAKEN}
    rows = [
        register(),
        refused(again, **taken),
        refused({**again, "password2": "x"}, **taken),
        refused({**again, "password1": "12345"}, **taken, password1=WEAK),
        refused({**again, "email": "x"}, username=TAKEN, email=INVALID_EMAIL),
        refused({**ADA, "username": "bob"}, email=EMAIL_TAKEN),
    ]
    await play(client, rows)


async def test_bodies(client):
    login = {"username": "ada", "password": PASSWORD}
    rows = [
        Row(REGISTER, [], 400, not_an_object("list")),
        Row(REGISTER, urlencoded(**ADA), 201, {"key": "<token = 40 hex>"}, FORM),
        Row(LOGIN, urlencoded(**login), 200, KEY, FORM),
        Row(LOGIN, multipart(**login), 200, KEY, MULTIPART),
    ]
    await play(client, rows)


async def test_passwords_are_trimmed(client):
    changed = new(f" {NEW_PASSWORD} ", NEW_PASSWORD)
    rows = [
        register({**ADA, "password1": f"  {PASSWORD} "}),
        log_in(),
        log_in(password=f" {PASSWORD}\n"),
        post(CHANGE, changed, 200, SAVED, "<token>"),
        log_in(password=NEW_PASSWORD),
    ]
    await play(client, rows)


MUST_INCLUDE = {"non_field_errors": ['Must include "username" and "password".']}
LOGINS = [
    ({}, {"password": REQUIRED}),
    ({"username": "ada"}, {"password": REQUIRED}),
    ({"password": "x"}, MUST_INCLUDE),
    ({"username": "", "email": "", "password": "x"}, MUST_INCLUDE),
    ({"email": "ada@example.org", "password": PASSWORD}, MUST_INCLUDE),
    ({"email": "x", "password": PASSWORD}, {"email": INVALID_EMAIL}),
    ({"username": "", "password": ""}, {"password": BLANK}),
    (
        {"username": None, "email": None, "password": None},
        {"username": NULL, "email": NULL, "password": NULL},
    ),
    ({"username": "ada", "password": "wrong"}, CANNOT_LOG_IN),
    ({"username": "nobody", "password": PASSWORD}, CANNOT_LOG_IN),
    ({"username": "ada@example.org", "password": PASSWORD}, CANNOT_LOG_IN),
]


async def test_refused_logins(client):
    await play(client, [register(), *[Row(LOGIN, body, 400, error) for body, error in LOGINS]])
    body = {"username": "ADA", "email": "other@example.org", "password": PASSWORD}
    await play(client, [Row(LOGIN, body, 200, {"key": "<40 hex>"})])


async def test_a_disabled_account(client):
    names = await play(client, [register()])
    await client.app[CORE].accounts.change(1, {"is_active": False})
    await play(client, [cannot_log_in(), ended(body=INACTIVE)], names)


HEADERS = [
    ({}, MISSING_TOKEN),
    ({"Authorization": "Bearer 0"}, MISSING_TOKEN),
    ({"Authorization": "Token"}, NO_CREDENTIALS),
    ({"Authorization": "Token a b"}, SPACES),
    ({"Authorization": "token nonsense"}, INVALID_TOKEN),
]
GUARDED = [*[f"{method} /user" for method in ("GET", "PUT", "PATCH")], CHANGE]
OPEN = [LOGIN, LOGOUT, RESET, CONFIRM, REGISTER, VERIFY, RESEND]


@pytest.mark.parametrize("request_line", GUARDED)
async def test_a_token_is_required(client, request_line):
    rows = [Row(request_line, {}, 401, body, headers, CHALLENGE) for headers, body in HEADERS]
    await play(client, rows)


@pytest.mark.parametrize("request_line", OPEN)
async def test_a_bad_token_is_refused_where_none_is_required(client, request_line):
    row = Row(request_line, {}, 401, INVALID_TOKEN, token("0" * 40), CHALLENGE)
    await play(client, [row, replace(row, request=row.request.replace("POST", "GET"))])


@pytest.mark.parametrize("path", ["/user", "/password/change"])
@pytest.mark.parametrize("method", ["DELETE", "OPTIONS"])
async def test_methods_that_a_guarded_path_does_not_have_require_a_token(client, path, method):
    names = await play(client, [register()])
    anonymous = await client.request(method, path)
    assert (anonymous.status, await anonymous.json()) == (401, MISSING_TOKEN)
    headers = {"Authorization": f"Token {names['token']}"}
    response = await client.request(method, path, headers=headers)
    assert response.status == (200 if method == "OPTIONS" else 405)
    assert "OPTIONS" in response.headers["Allow"]


@pytest.mark.parametrize("request_line", OPEN)
async def test_other_methods_of_open_paths(client, request_line):
    path = request_line.partition(" ")[2]
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        row = Row(
            f"{method} {path}", None, 405, not_allowed(method), {}, {"Allow": "POST, OPTIONS"}
        )
        await play(client, [row])
    assert (await client.options(path)).status == 200


@pytest.mark.parametrize("path", ["/user", "/password/change"])
async def test_a_preflight_is_always_answered(client, path):
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    assert (await client.options(path, headers=headers)).status == 200


CHANGES = [
    ("PUT", {}, {"username": REQUIRED}),
    ("PUT", {"username": ""}, {"username": BLANK}),
    ("PATCH", {"username": None, "first_name": None}, {"username": NULL, "first_name": NULL}),
    ("PATCH", {"username": "a b"}, {"username": INVALID_USERNAME}),
    ("PATCH", {"username": "a" * 151}, {"username": too_long(150)}),
    ("PATCH", {"username": "BOB"}, {"username": TAKEN}),
    ("PATCH", {"first_name": "x" * 151}, {"first_name": too_long(150)}),
    ("PATCH", {"last_name": "x" * 151}, {"last_name": too_long(150)}),
    ("PATCH", [], not_an_object("list")),
]


async def test_changes_of_the_user(client):
    """The own username may be sent again, unlike in the library."""
    rows = [
        register(),
        register(BOB, "<bob = 40 hex>"),
        *[Row(f"{how} /user", body, 400, error, token()) for how, body, error in CHANGES],
        Row("PATCH /user", {}, 200, shown(), token()),
        Row("PATCH /user", {"email": "x@example.org", "pk": 7}, 200, shown(), token()),
        Row("PUT /user", {"username": "ada"}, 200, shown(), token()),
        Row(
            "PUT /user",
            {"username": "countess", "first_name": " Ada "},
            200,
            shown(username="countess", first_name="Ada"),
            token(),
        ),
        user(username="countess", first_name="Ada"),
        Row(
            "PATCH /user",
            {"first_name": "", "last_name": "King"},
            200,
            shown(username="countess", last_name="King"),
            token(),
        ),
    ]
    await play(client, rows)


BAD_CHANGES = [
    ({}, {"new_password1": REQUIRED, "new_password2": REQUIRED}),
    (
        {"new_password1": "", "new_password2": None},
        {"new_password1": BLANK, "new_password2": NULL},
    ),
    (new("x" * 129), {"new_password1": too_long(128), "new_password2": too_long(128)}),
    (new("Differ\0ence"), {"new_password1": NUL, "new_password2": NUL}),
    (new("12345", "1234"), CHANGED_DIFFERENTLY),
    (new("12345"), {"new_password2": WEAK}),
    (new("ada@example.org"), {"new_password2": [similar("email address")]}),
]


async def test_a_new_password_leaves_the_callers_session(client):
    """Lesson 7: all other sessions end, the caller's token stays valid."""
    names = await play(client, [register()])
    core = client.app[CORE]
    account = await account_of(client)
    [other] = await core.access.open_after_raise(account, [replace(SESSION, reuse=False)])
    names["other"] = other.token
    rows = [
        *[post(CHANGE, body, 400, error, "<token>") for body, error in BAD_CHANGES],
        user("<other>"),
        post(CHANGE, new(), 200, SAVED, "<token>"),
        user(),
        ended("<other>"),
        cannot_log_in(),
        log_in(password=NEW_PASSWORD),
    ]
    await play(client, rows, names)


SESSION = handlers.DIALECTS[NAME].session_specs[0]


async def test_logout_on_password_change(serve):
    client = await serve(logout_on_password_change=True)
    await play(client, [register(), post(CHANGE, new(), 200, SAVED, "<token>"), ended()])


async def test_the_old_password(serve):
    client = await serve(old_password_field_enabled=True)
    all_required = dict.fromkeys(("old_password", "new_password1", "new_password2"), REQUIRED)
    wrong = {"old_password": "x", "new_password1": "1"}
    rows = [
        register(),
        post(CHANGE, {}, 400, all_required, "<token>"),
        post(CHANGE, {**wrong, "new_password2": "2"}, 400, {"old_password": WRONG}, "<token>"),
        post(CHANGE, wrong, 400, {"old_password": WRONG, "new_password2": REQUIRED}, "<token>"),
        post(CHANGE, new(old_password="x" * 129), 400, {"old_password": too_long(128)}, "<token>"),
        post(CHANGE, new("1", "2", old_password=PASSWORD), 400, CHANGED_DIFFERENTLY, "<token>"),
        post(CHANGE, new(old_password=f" {PASSWORD}"), 200, SAVED, "<token>"),
        user(),
    ]
    await play(client, rows)


CONFIRMATION = dict.fromkeys(("new_password1", "new_password2", "uid", "token"), REQUIRED)
BAD_LINKS = [
    ({}, CONFIRMATION),
    (
        {"uid": "", "token": None, **new("x" * 129)},
        {
            "new_password1": too_long(128),
            "new_password2": too_long(128),
            "uid": BLANK,
            "token": NULL,
        },
    ),
    *[
        (new("1", "2", uid=each, token="x"), BAD_UID)
        for each in ("zz", "!", "é", "-1", "0", "z" * 13)
    ],
    (new("1", "2", uid="1", token="x"), BAD_TOKEN),
]


async def test_links_that_are_none(client):
    """In the library's order: fields, uid, token, the new password."""
    await play(client, [register()])
    account = await account_of(client)
    expired = make(client, Purpose.RESET, account, 1)
    other = make(client, Purpose.VERIFY, account)
    reset = make(client, Purpose.RESET, account)
    rows = [
        *[post(CONFIRM, body, 400, error) for body, error in BAD_LINKS],
        post(CONFIRM, new(uid="1", token=expired), 400, BAD_TOKEN),
        post(CONFIRM, new(uid="1", token=other), 400, BAD_TOKEN),
        post(CONFIRM, new("1", "2", uid="1", token=reset), 400, CHANGED_DIFFERENTLY),
        post(CONFIRM, new("12345", uid="1", token=reset), 400, {"new_password2": WEAK}),
        *[
            post(each, {"email": bad}, 400, {"email": error})
            for each in (RESET, RESEND)
            for bad, error in (("x", INVALID_EMAIL), ("", BLANK), (None, NULL), ([], INVALID_EMAIL))
        ],
        *[post(each, {}, 400, {"email": REQUIRED}) for each in (RESET, RESEND)],
    ]
    await play(client, rows)


async def test_without_mail_links_are_unavailable(client):
    for request in (RESET, RESEND):
        path = request.removeprefix("POST ")
        response = await client.post(path, json={"email": "ada@example.org"})
        assert response.status == 503


async def test_a_reset(serve, mailbox, database):
    """Lessons 1, 4, 5 and 7: 200 for any address; a link works once; all sessions end."""
    client = await serve(email_verification="none")
    names = await play(
        client,
        [
            register(),
            register(BOB, "<bob = 40 hex>"),
            post(RESET, {"email": "nobody@example.org"}, 200, SENT),
            post(RESET, {"email": "ADA@example.org"}, 200, SENT),
        ],
    )
    sent = await link(mailbox)
    assert sent["uid"] == "1"
    similar_to_email = {"new_password2": [similar("email address")]}
    rows = [
        post(VERIFY, {"key": sent["token"]}, 404, NOT_FOUND),
        post(CONFIRM, new(**{**sent, "uid": "2"}), 400, BAD_TOKEN),
        post(CONFIRM, new("ada@example.org", **sent), 400, similar_to_email),
        post(CONFIRM, new(**sent), 200, DONE),
        ended(),
        post(CONFIRM, new(**sent), 400, BAD_TOKEN),
        cannot_log_in(),
        log_in(password=NEW_PASSWORD, issued="<40 hex>"),
    ]
    await play(client, rows, names)
    assert await has_sent_all(database)
    assert mailbox.waiting("reset") == []  # none to the unknown address


async def test_uids_in_base_36_and_in_base_64(serve, mailbox, database):
    """Lesson 13: django-allauth writes ids in base 36, Django itself in base64."""
    for encoding, written in (("base36", "18fjz"), ("base64", "MjA3MzAyMw")):
        client = await serve(uid_encoding=encoding, email_verification="none")
        with database.cursor() as cursor:
            cursor.execute("delete from account; alter sequence account_id restart 2073023")
        await play(client, [register(), post(RESET, {"email": "ada@example.org"}, 200, SENT)])
        sent = await link(mailbox)
        assert sent["uid"] == written
        rows = [
            post(CONFIRM, new(**{**sent, "uid": "!"}), 400, BAD_UID),
            post(CONFIRM, new(**sent), 200, DONE),
        ]
        await play(client, rows)


async def test_verification_is_optional_by_default(serve, mailbox, database):
    client = await serve()
    await play(client, [register(), log_in()])
    sent = await key(mailbox)
    assert not (await account_of(client)).email_verified
    rows = [
        post(VERIFY, {}, 400, {"key": REQUIRED}),
        post(VERIFY, {"key": ""}, 400, {"key": BLANK}),
        post(VERIFY, {"key": None}, 400, {"key": NULL}),
        post(VERIFY, {"key": "x"}, 404, NOT_FOUND),
        post(VERIFY, sent, 200, OK),
        post(VERIFY, sent, 404, NOT_FOUND),
    ]
    await play(client, rows)
    assert (await account_of(client)).email_verified
    await play(client, [post(RESEND, {"email": "ada@example.org"}, 200, OK)])
    assert await has_sent_all(database)
    assert mailbox.waiting("verify") == []


async def test_keys_that_have_expired_or_are_of_another_purpose(client):
    await play(client, [register()])
    account = await account_of(client)
    for text in (
        make(client, Purpose.VERIFY, account, 1),
        make(client, Purpose.RESET, account),
        make(client, Purpose.ACTIVATE, account),
    ):
        await play(client, [post(VERIFY, {"key": text}, 404, NOT_FOUND)])
    assert not (await account_of(client)).email_verified


async def test_no_verification(serve, mailbox, database):
    client = await serve(email_verification="none")
    await play(client, [register()])
    assert await has_sent_all(database)
    assert mailbox.waiting("verify") == []


async def test_mandatory_verification(serve, mailbox, database):
    """Lessons 12 and 14: no login before, however it was registered; resending needs a field."""
    client = await serve(email_verification="mandatory")
    await client.app[CORE].admin.register(NewAccount("bob", "bob@example.org"), PASSWORD)
    sent = Row(REGISTER, ADA, 201, {"detail": "Verification e-mail sent."})
    refused_login = {"username": "ada", "password": PASSWORD}
    rows = [
        sent,
        post(LOGIN, refused_login, 400, NOT_VERIFIED),
        post(LOGIN, {**refused_login, "username": "bob"}, 400, NOT_VERIFIED),
        cannot_log_in(password="wrong"),
        post(RESEND, {}, 400, {"email": REQUIRED}),
        post(RESEND, {"email": "nobody@example.org"}, 200, OK),
    ]
    await play(client, rows)
    first = await key(mailbox)
    await play(client, [post(RESEND, {"email": "ADA@example.org"}, 200, OK)])
    second = await key(mailbox)
    rows = [
        post(VERIFY, second, 200, OK),
        post(VERIFY, first, 404, NOT_FOUND),
        log_in(issued="<token = 40 hex>"),
        user(pk=2),
        post(RESEND, {"email": "bob@example.org"}, 200, OK),
    ]
    await play(client, rows)
    await play(client, [post(VERIFY, await key(mailbox), 200, OK)])
    await play(client, [log_in("bob", issued="<40 hex>")])


async def test_mandatory_verification_without_mail(settings, aiohttp_client, clean, database):
    client = await aiohttp_client(create_app(mounted(settings, email_verification="mandatory")))
    assert (await client.post("/registration", json=ADA)).status == 503
    with database.cursor() as cursor:
        cursor.execute("select from account")
        assert cursor.rowcount == 0


async def test_links_without_options_are_those_of_the_settings(serve, mailbox):
    client = await serve(**dict.fromkeys(LINKS, ""))
    await play(client, [register(), post(RESET, {"email": "ada@example.org"}, 200, SENT)])
    for kind, page in (("verify", "verify-email"), ("reset", "reset-password")):
        found = link_of(await mailbox.take(kind))
        assert found.startswith(f"https://accounts.example/ui/{page}#")
        mailbox.links.append(urlsplit(found).fragment)


@pytest.mark.parametrize("request_line", [RESET, RESEND])
async def test_known_and_unknown_addresses_cost_the_same_statement(serve, database, request_line):
    """Lesson 2: the library sends within the request, so that a known address takes longer."""
    client = await serve()
    await play(client, [register()])
    core = client.app[CORE]
    statements: list[str] = []
    run = core.database.rows

    async def counting(sql, *args, **more):
        statements.append(sql)
        return await run(sql, *args, **more)

    core.recovery._mail._database = type("Counting", (), {"rows": staticmethod(counting)})()
    seen = []
    for email in ("ada@example.org", "nobody@example.org"):
        statements.clear()
        path = request_line.removeprefix("POST ")
        assert (await client.post(path, json={"email": email})).status == 200
        seen.append([each for each in statements if "insert into mail" in each])
    assert seen[0] == seen[1]
    assert len(seen[0]) == 1


async def test_mails_are_limited_silently(mailing, aiohttp_client, clean, mailbox, database):
    limits = {
        name: parse_limit("50/hour") for name in ("login_limit", "address_limit", "register_limit")
    }
    options = {**LINKS, "email_verification": "none"}
    limited = replace(
        mounted(mailing, **options), rate_limits="on", mail_limit=parse_limit("1/hour"), **limits
    )
    client = await aiohttp_client(create_app(limited))
    await play(client, [register(), *[post(RESET, {"email": "ada@example.org"}, 200, SENT)] * 3])
    await mailbox.take("reset")
    assert await has_sent_all(database)
    assert mailbox.waiting("reset") == []


async def test_login_by_email(serve):
    client = await serve(login="email", email_required=True, username_required=False)
    fields = {"email": "ada@example.org", "password1": PASSWORD, "password2": PASSWORD}
    must = {"non_field_errors": ['Must include "email" and "password".']}
    rows = [
        refused({}, email=REQUIRED, password1=REQUIRED, password2=REQUIRED),
        register(fields),
        *[
            Row(LOGIN, {**body, "password": PASSWORD}, 400, must)
            for body in ({}, {"email": ""}, {"username": "ada@example.org"})
        ],
        Row(LOGIN, {"email": "ada@example.org", "password": "x"}, 400, CANNOT_LOG_IN),
        log_in("ADA@example.org", field="email"),
        user(username=""),
    ]
    await play(client, rows)


async def test_login_by_either(serve):
    client = await serve(login="either")
    must = {"non_field_errors": ['Must include either "username" or "email" and "password".']}
    both = {"username": "ada", "email": "nobody@example.org", "password": PASSWORD}
    rows = [
        register(),
        Row(LOGIN, {"password": PASSWORD}, 400, must),
        log_in(),
        log_in("ada@example.org"),
        log_in("ADA@example.org", field="email"),
        Row(LOGIN, both, 400, CANNOT_LOG_IN),
        Row(LOGIN, {**both, "username": "x", "email": "ada@example.org"}, 200, KEY),
    ]
    await play(client, rows)


async def test_a_logout_without_a_token(client, serve):
    await play(client, [post(LOGOUT, {}, 200, LOGGED_OUT)])
    strict = await serve(logout_requires_token=True)
    message = "You should be logged in to logout. Check whether the token is passed."
    rows = [
        post(LOGOUT, None, 400, {"detail": message}),
        register(),
        post(LOGOUT, None, 200, LOGGED_OUT, "<token>"),
        ended(),
    ]
    await play(strict, rows)


async def test_403_where_the_library_is_not_asked_for_a_token(serve):
    """Where a project's first authenticator is SessionAuthentication."""
    client = await serve(unauthenticated_status="403")
    nothing = {"WWW-Authenticate": None}
    rows = [
        *[Row("GET /user", None, 403, body, headers, nothing) for headers, body in HEADERS],
        Row(CHANGE, {}, 403, MISSING_TOKEN, {}, nothing),
        Row("DELETE /user", None, 403, MISSING_TOKEN, {}, nothing),
        Row(LOGIN, {}, 403, INVALID_TOKEN, token("x"), nothing),
        register(),
        user(),
        cannot_log_in(password="x"),
    ]
    await play(client, rows)


async def test_other_fields(serve):
    fields = ("pk", "email", "first_name", "is_staff", "date_joined", "email_verified")
    client = await serve(user_fields=fields, register_fields=("first_name",))
    mine = {
        "pk": 1,
        "email": "ada@example.org",
        "first_name": "Ada",
        "is_staff": False,
        "date_joined": "<microseconds>",
        "email_verified": False,
    }
    rows = [
        refused({**ADA, "first_name": "x" * 151}, first_name=too_long(150)),
        register({**ADA, "first_name": "Ada", "last_name": "King"}),
        Row("GET /user", None, 200, mine, token()),
        Row("PUT /user", {"username": "x", "is_staff": True}, 200, mine, token()),
    ]
    await play(client, rows)


async def test_other_rules_for_passwords(serve):
    client = await serve(password_rules=("length",), password_length=3)
    short = {**ADA, "password1": "12", "password2": "12"}
    rows = [
        refused(short, password1=[SHORT.replace("8", "3")]),
        register({**ADA, "password1": "123", "password2": "123"}),
        post(CHANGE, new("12"), 400, {"new_password2": [SHORT.replace("8", "3")]}, "<token>"),
    ]
    await play(client, rows)


BAD_OPTIONS = {
    "login=phone": "login must be username or email or either",
    "login=email": "login=email needs email-required=on",
    "username-required=off": "username-required or email-required must be on",
    "user-fields=pk,password": "user-fields must be a list of these",
    "register-fields=email": "register-fields must be a list of these",
    "password-rules=none,length": "password-rules has 'none'",
    "email-verification=on": "email-verification must be none or optional or mandatory",
    "unauthenticated-status=402": "unauthenticated-status must be 401 or 403",
    "uid-encoding=base32": "uid-encoding must be base36 or base64",
    "password-reset-confirm-url=/reset/{uid}/{token}": "password-reset-confirm-url must be a URL",
    "password-reset-confirm-url=https://app.example/{token}": "must contain {uid} and {token} once",
    "account-confirm-email-url=https://app.example/{token}": "account-confirm-email-url must be",
    "account-confirm-email-url=https://app.example/": "must contain {key} once",
}


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_options_that_are_refused_at_the_start(option):
    with pytest.raises(BadSetting) as caught:
        read_settings({"DIALECTS": f"{NAME}=/?{option}"})
    assert BAD_OPTIONS[option] in str(caught.value)


def test_options_in_their_short_form():
    text = (
        f"{NAME}=/api/auth?login=either&account-confirm-email-url=https://app.example/%23/{{key}}"
    )
    options = parse_mounts(text.replace("%23", "#"), handlers.DIALECTS)[NAME].options
    assert options.login == "either"
    assert options.account_confirm_email_url == "https://app.example/#/{key}"


def test_it_is_mounted_only_where_it_is_named():
    assert NAME not in Settings().dialects
