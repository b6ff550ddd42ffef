"""djoser at the wire: every endpoint with each of its errors, in the order of its checks."""

import base64
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import TestClient

import handlers
from app import CORE, create_app
from handlers.mounts import Mount, parse_mounts
from mail import sender
from settings import BadSetting, Settings, read_settings
from store.account import NewAccount
from store.limits import parse_limit
from store.one_time_tokens import Purpose
from tests.conftest import Server, empty_stores
from tests.handlers.contract import Row, play, urlencoded
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
from tests.pages import ROOT
from tests.program import wait_for_async

PASSWORD, NEW_PASSWORD = "Difference-Engine-1822", "Bernoulli-Numbers-1842"
ADA = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
USERS, ME = "/auth/users", "/auth/users/me"
LOGIN, LOGOUT = "POST /auth/token/login", "POST /auth/token/logout"
EMPTY = {"Content-Type": None}

SHORT = "This password is too short. It must contain at least 8 characters."
COMMON = "This password is too common."
NUMERIC = "This password is entirely numeric."
MISMATCH = {"non_field_errors": ["The two password fields didn't match."]}
WRONG = {"current_password": ["Invalid password."]}
BAD_UID = {"uid": ["Invalid user id or user doesn't exist."]}
BAD_TOKEN = {"token": ["Invalid token for given user."]}
STALE = {"detail": "Stale token for given user."}
DENIED = {"detail": "You do not have permission to perform this action."}
TAKEN = ["A user with that username already exists."]
EMAIL_TAKEN = ["A user with that email already exists."]
INVALID_USERNAME = [
    "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ "
    "characters."
]
LINKS = {
    "activation_url": "https://app.example/activate/{uid}/{token}",
    "password_reset_confirm_url": "https://app.example/reset/{uid}/{token}",
    "username_reset_confirm_url": "https://app.example/username/{uid}/{token}",
}


def similar(name: str) -> str:
    return f"The password is too similar to the {name}."


def token(name: str = "<token>", scheme: str = "Token") -> dict[str, str]:
    return {"Authorization": f"{scheme} {name}"}


def uid(account_id: int = 1) -> str:
    return base64.urlsafe_b64encode(str(account_id).encode()).rstrip(b"=").decode()


def register(fields=ADA, id: int = 1, **changed) -> Row:
    shown = {"email": fields.get("email", ""), "username": fields["username"], "id": id, **changed}
    return Row(f"POST {USERS}", fields, 201, shown)


def refused(fields, **errors) -> Row:
    return Row(f"POST {USERS}", fields, 400, errors)


def log_in(name="ada", password=PASSWORD, issued="<token = 40 hex>", field="username") -> Row:
    return Row(LOGIN, {field: name, "password": password}, 200, {"auth_token": issued})


def cannot_log_in(name="ada", password=PASSWORD) -> Row:
    return Row(LOGIN, {"username": name, "password": password}, 400, CANNOT_LOG_IN)


def user(path: str = ME, name: str = "<token>", **changed) -> Row:
    shown = {"email": "ada@example.org", "id": 1, "username": "ada", **changed}
    return Row(f"GET {path}", None, 200, shown, token(name))


def post(action: str, body, status: int = 204, response=None, name: str = "") -> Row:
    headers = token(name) if name else {}
    returned = EMPTY if response is None else {}
    return Row(f"POST {USERS}/{action}", body, status, response, headers, returned)


def ended(name: str = "<token>", request: str = f"GET {ME}", body=INVALID_TOKEN) -> Row:
    return Row(request, None, 401, body, token(name), CHALLENGE)


IN = [register(), log_in()]


def mounted(settings: Settings, **options) -> Settings:
    """Settings of a server that has only djoser, with these options."""
    mount = Mount("/", replace(handlers.DIALECTS["djoser"].options, **options))
    return replace(settings, dialects={"djoser": mount})


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


async def link(mailbox: Mailbox, kind: str) -> dict[str, str]:
    """Wait for a message; return the uid and the token of its link, as an app sends them."""
    [_, _, uid, token] = urlsplit(link_of(await mailbox.take(kind))).path.split("/")
    mailbox.links.append(token)
    return {"uid": uid, "token": token}


def make(client, purpose, account):
    return client.app[CORE].one_time_tokens.make(purpose, account, 4_000_000_000)


async def account_of(client, account_id=1):
    return await client.app[CORE].accounts.get(account_id)


@pytest.mark.parametrize("at", ["{path}", "{path}/", "/djoser{path}", "/djoser{path}/"])
async def test_a_token_from_registration_to_logout(client, at):
    rows = [
        *IN,
        log_in(issued="<token>"),
        user(),
        user(f"{USERS}/1"),
        Row(f"GET {USERS}", None, 200, [user().response], token()),
        Row(LOGOUT, None, 204, None, token(), EMPTY),
        ended(),
        ended(request=LOGOUT),
        log_in(issued="<other = 40 hex>"),
    ]
    await play(client, rows, at=at)


async def test_the_root(client):
    for path in ("/auth", "/djoser/auth/"):
        response = await client.get(path)
        assert (await response.json())["users"].endswith(f"{path.rstrip('/')}/users/")


REFUSED = [
    ({}, {"username": REQUIRED, "password": REQUIRED}),
    (
        {"username": "a b", "email": "x", "password": ""},
        {"email": INVALID_EMAIL, "username": INVALID_USERNAME, "password": BLANK},
    ),
    (
        {"username": None, "email": None, "password": None},
        {"email": NULL, "username": NULL, "password": NULL},
    ),
    (
        {"username": [], "password": {}, "email": True},
        {"email": INVALID_EMAIL, "username": NOT_A_STRING, "password": NOT_A_STRING},
    ),
    ({"username": "a" * 151, "password": "x"}, {"username": too_long(150)}),
    ({"username": "ada", "password": "   "}, {"password": BLANK}),
    ({"username": "ada", "password": "12345"}, {"password": [SHORT, COMMON, NUMERIC]}),
    ({"username": "adalovelace", "password": "adalovelace1"}, {"password": [similar("username")]}),
    (
        {"username": "ada", "email": "countess@example.org", "password": "countess1"},
        {"password": [similar("email address")]},
    ),
    (
        {"username": "ada", "password": "Differ\0ence"},
        {"password": ["Null characters are not allowed."]},
    ),
]


@pytest.mark.parametrize(("fields", "errors"), REFUSED)
async def test_what_a_registration_refuses(client, fields, errors):
    await play(client, [refused(fields, **errors)])


async def test_taken_names(client):
    """Together with other fields; the rules for passwords only once all fields are right."""
    again = {**ADA, "username": "ADA"}
    rows = [
        register(),
        refused(again, username=TAKEN, email=EMAIL_TAKEN),
        refused({**again, "email": "x"}, email=INVALID_EMAIL, username=TAKEN),
        refused({"username": "ada", "password": "12345"}, username=TAKEN),
        refused({"username": "Ada", "password": PASSWORD}, username=TAKEN),
        refused({"username": "bob", "password": "12345"}, password=[SHORT, COMMON, NUMERIC]),
    ]
    await play(client, rows)


async def test_bodies(client):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    rows = [
        Row(f"POST {USERS}", [], 400, not_an_object("list")),
        Row(f"POST {USERS}", urlencoded(**ADA), 201, register().response, form),
        Row(
            LOGIN,
            urlencoded(username="ada", password=PASSWORD),
            200,
            {"auth_token": "<40 hex>"},
            form,
        ),
    ]
    await play(client, rows)


async def test_passwords_are_trimmed(client):
    rows = [
        register({**ADA, "password": f"  {PASSWORD} "}),
        log_in(),
        log_in(password=f" {PASSWORD}\n", issued="<token>"),
        post(
            "set_password",
            {"new_password": f" {NEW_PASSWORD} ", "current_password": f"{PASSWORD} "},
            name="<token>",
        ),
        log_in(password=NEW_PASSWORD, issued="<token>"),
    ]
    await play(client, rows)


LOGINS = [
    ({}, CANNOT_LOG_IN),
    ({"username": "ada"}, CANNOT_LOG_IN),
    ({"username": "ada", "password": "wrong"}, CANNOT_LOG_IN),
    ({"username": "nobody", "password": PASSWORD}, CANNOT_LOG_IN),
    ({"username": "ada@example.org", "password": PASSWORD}, CANNOT_LOG_IN),
    ({"username": "", "password": ""}, {"username": BLANK, "password": BLANK}),
    ({"username": None, "password": None}, {"username": NULL, "password": NULL}),
]


async def test_refused_logins(client):
    await play(client, [register(), *[Row(LOGIN, body, 400, error) for body, error in LOGINS]])


async def test_a_disabled_account(client):
    await play(client, IN)
    await client.app[CORE].accounts.change(1, {"is_active": False})
    await play(client, [cannot_log_in()])


async def test_a_token_of_a_disabled_account(client, database):
    names = await play(client, IN)
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false")
    await play(client, [ended(body=INACTIVE)], names)


HEADERS = [
    ({}, MISSING_TOKEN),
    ({"Authorization": "Bearer 0"}, MISSING_TOKEN),
    ({"Authorization": "Token"}, NO_CREDENTIALS),
    ({"Authorization": "Token a b"}, SPACES),
    ({"Authorization": "token nonsense"}, INVALID_TOKEN),
]
GUARDED = [
    ("GET", USERS),
    *[
        (method, path)
        for method in ("GET", "PUT", "PATCH", "DELETE")
        for path in (ME, f"{USERS}/1")
    ],
    ("POST", f"{USERS}/set_password"),
    ("POST", f"{USERS}/set_username"),
    ("POST", "/auth/token/logout"),
]
ACTIONS = (
    "activation",
    "resend_activation",
    "reset_password",
    "reset_password_confirm",
    "set_password",
    "set_username",
    "reset_username",
    "reset_username_confirm",
)


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_a_token_is_required(client, method, path):
    await play(
        client,
        [Row(f"{method} {path}", {}, 401, body, headers, CHALLENGE) for headers, body in HEADERS],
    )


@pytest.mark.parametrize(
    "path", [USERS, *[f"{USERS}/{each}" for each in ACTIONS], "/auth/token/login"]
)
async def test_a_bad_token_is_refused_where_none_is_required(client, path):
    await play(client, [Row(f"POST {path}", {}, 401, INVALID_TOKEN, token("0" * 40), CHALLENGE)])


UNMAPPED = [
    ("PUT", USERS),
    ("DELETE", USERS),
    ("OPTIONS", USERS),
    ("POST", ME),
    ("OPTIONS", ME),
    ("POST", f"{USERS}/1"),
    ("OPTIONS", f"{USERS}/1"),
    ("GET", "/auth/token/logout"),
    ("OPTIONS", "/auth/token/logout"),
    *[(method, f"{USERS}/{each}") for each in ACTIONS for method in ("GET", "OPTIONS")],
]


@pytest.mark.parametrize(("method", "path"), UNMAPPED)
async def test_methods_that_a_path_does_not_have_require_a_token(client, method, path):
    names = await play(client, IN)
    anonymous = await client.request(method, path)
    assert (anonymous.status, await anonymous.json()) == (401, MISSING_TOKEN)
    response = await client.request(
        method, path, headers={"Authorization": f"Token {names['token']}"}
    )
    if method == "OPTIONS":
        assert response.status == 200
    else:
        assert (response.status, await response.json()) == (405, not_allowed(method))
    assert "OPTIONS" in response.headers["Allow"]


async def test_the_login_knows_its_method_before_any_token(client):
    assert (await client.get("/auth/token/login")).status == 405
    assert (await client.options("/auth/token/login")).status == 200


@pytest.mark.parametrize("path", [USERS, ME, "/auth/token/logout"])
async def test_a_preflight_is_always_answered(client, path):
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    response = await client.options(path, headers=headers)
    assert response.status == 200
    assert "POST" in response.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("path", [ME, f"{USERS}/1"])
async def test_changes_of_ones_own_account(client, path):
    other = {"username": "bob", "email": "bob@example.org", "password": PASSWORD}
    changed = user(email="other@example.org").response
    rows = [
        *IN,
        register(other, 2),
        Row(f"PUT {path}", {}, 200, user().response, token()),
        Row(f"PATCH {path}", {"username": "x", "id": 7, "more": 1}, 200, user().response, token()),
        Row(f"PATCH {path}", {"email": "x"}, 400, {"email": INVALID_EMAIL}, token()),
        Row(f"PATCH {path}", {"email": None}, 400, {"email": NULL}, token()),
        Row(f"PATCH {path}", {"email": "BOB@example.org"}, 400, {"email": EMAIL_TAKEN}, token()),
        Row(f"PUT {path}", {"email": "other@example.org"}, 200, changed, token()),
        Row(f"PUT {path}", {"email": ""}, 200, user(email="").response, token()),
    ]
    await play(client, rows)


@pytest.mark.parametrize("path", [ME, f"{USERS}/1"])
async def test_deletion(client, path):
    rows = [
        *IN,
        Row(f"DELETE {path}", None, 400, {"current_password": REQUIRED}, token()),
        Row(f"DELETE {path}", {"current_password": "x"}, 400, WRONG, token()),
        Row(f"DELETE {path}", {"current_password": PASSWORD}, 204, None, token(), EMPTY),
        ended(),
        cannot_log_in(),
    ]
    await play(client, rows)


BOB = {"username": "bob", "email": "bob@example.org", "password": PASSWORD}
BOB_SHOWN = {"email": "bob@example.org", "id": 2, "username": "bob"}
IDS = ["2", "99", "0", "9" * 30, "abc", "1e0"]


@pytest.mark.parametrize("other", IDS)
async def test_other_ids_look_alike(client, other):
    """Lesson 10: two sentences tell which ids exist; here they are one."""
    path = f"{USERS}/{other}"
    rows = [
        *IN,
        register(BOB, 2),
        *[
            Row(f"{method} {path}", {}, 404, NOT_FOUND, token())
            for method in ("GET", "PUT", "PATCH")
        ],
        Row(f"DELETE {path}", {"current_password": PASSWORD}, 403, DENIED, token()),
    ]
    await play(client, rows)


@pytest.mark.parametrize("other", IDS)
async def test_without_hide_users_other_ids_look_alike_too(serve, other):
    client = await serve(hide_users=False)
    path = f"{USERS}/{other}"
    rows = [
        *IN,
        register(BOB, 2),
        Row(f"GET {USERS}", None, 200, [user().response, BOB_SHOWN], token()),
        *[
            Row(f"{method} {path}", {}, 403, DENIED, token())
            for method in ("GET", "PUT", "PATCH", "DELETE")
        ],
    ]
    await play(client, rows)


async def test_staff(client):
    names = await play(client, [*IN, register(BOB, 2), log_in("bob", issued="<bob = 40 hex>")])
    await client.app[CORE].accounts.change(1, {"is_staff": True})
    path, moved = f"{USERS}/2", {**BOB_SHOWN, "email": "rob@example.org"}
    rows = [
        Row(f"GET {USERS}", None, 200, [user().response, BOB_SHOWN], token()),
        Row(f"GET {USERS}?after=1", None, 200, [BOB_SHOWN], token()),
        Row(f"GET {path}", None, 200, BOB_SHOWN, token()),
        Row(f"PUT {path}", {}, 200, BOB_SHOWN, token()),
        Row(f"PATCH {path}", {"email": "x"}, 400, {"email": INVALID_EMAIL}, token()),
        Row(f"PATCH {path}", {"email": "ada@example.org"}, 400, {"email": EMAIL_TAKEN}, token()),
        Row(f"PATCH {path}", {"email": "rob@example.org"}, 200, moved, token()),
        *[
            Row(f"{method} {USERS}/99", {}, 404, NOT_FOUND, token())
            for method in ("GET", "PUT", "PATCH", "DELETE")
        ],
        Row(f"DELETE {path}", {}, 400, {"current_password": REQUIRED}, token()),
        Row(f"DELETE {path}", {"current_password": "x"}, 400, WRONG, token()),
        Row(f"DELETE {path}", {"current_password": PASSWORD}, 204, None, token(), EMPTY),
        Row(f"GET {path}", None, 404, NOT_FOUND, token()),
        ended("<bob>"),
    ]
    await play(client, rows, names)


async def test_long_lists_are_pages(client, monkeypatch):
    monkeypatch.setattr("handlers.dialects.djoser.users.LISTED", 2)
    names = await play(client, IN)
    for name in ("bob", "cy"):
        await client.app[CORE].admin.register(NewAccount(name), PASSWORD)
    await client.app[CORE].accounts.change(1, {"is_staff": True})
    headers = {"Authorization": f"Token {names['token']}"}
    response = await client.get(f"{USERS}/", headers=headers)
    assert [each["username"] for each in await response.json()] == ["ada", "bob"]
    following = re.fullmatch(
        '<http://[^/]+(/auth/users/.after=2)>; rel="next"', response.headers["Link"]
    )
    response = await client.get(following[1], headers=headers)
    assert [each["username"] for each in await response.json()] == ["cy"]
    assert "Link" not in response.headers
    assert (await client.get(f"{USERS}?after=x", headers=headers)).status == 400


async def test_a_new_password_leaves_the_callers_session(client):
    """Lesson 7: all other sessions end, the caller's token stays valid."""
    right = {"new_password": NEW_PASSWORD, "current_password": PASSWORD}
    names = await play(client, IN)
    action = "set_password"
    rows = [
        post(action, {}, 400, {"new_password": REQUIRED, "current_password": REQUIRED}, "<token>"),
        post(action, {"new_password": "1", "current_password": "x"}, 400, WRONG, "<token>"),
        post(
            action,
            {**right, "new_password": "12345"},
            400,
            {"new_password": [SHORT, COMMON, NUMERIC]},
            "<token>",
        ),
        post(
            action,
            {**right, "new_password": "ada@example.org"},
            400,
            {"new_password": [similar("email address")]},
            "<token>",
        ),
        post(action, right, name="<token>"),
        user(),
        cannot_log_in(),
        log_in(password=NEW_PASSWORD, issued="<token>"),
    ]
    await play(client, rows, names)


async def test_a_new_username(client):
    action, right = "set_username", {"new_username": "countess", "current_password": PASSWORD}
    rows = [
        *IN,
        register(BOB, 2),
        post(action, {}, 400, {"current_password": REQUIRED, "new_username": REQUIRED}, "<token>"),
        post(
            action,
            {"new_username": "BOB", "current_password": "x"},
            400,
            {**WRONG, "new_username": TAKEN},
            "<token>",
        ),
        post(
            action,
            {"new_username": "ADA", "current_password": "x"},
            400,
            {**WRONG, "new_username": TAKEN},
            "<token>",
        ),
        post(action, {**right, "new_username": "ada"}, 400, {"new_username": TAKEN}, "<token>"),
        post(action, {**right, "new_username": "bob"}, 400, {"new_username": TAKEN}, "<token>"),
        post(
            action,
            {**right, "new_username": "a b"},
            400,
            {"new_username": INVALID_USERNAME},
            "<token>",
        ),
        post(action, right, name="<token>"),
        user(username="countess"),
        Row(f"POST {USERS}/set_email", {}, 404, NOT_FOUND, token()),
    ]
    await play(client, rows)


async def test_links_that_are_none(client):
    """In djoser's order: fields, rules for the password or name, uid, token."""
    await play(client, IN)
    good = make(client, Purpose.VERIFY, await account_of(client))
    confirm, rename = "reset_password_confirm", "reset_username_confirm"
    all_required = {"uid": REQUIRED, "token": REQUIRED}
    new = {"new_password": NEW_PASSWORD}
    rows = [
        post("activation", {}, 400, all_required),
        post("activation", {"uid": "", "token": ""}, 400, {"uid": BLANK, "token": BLANK}),
        *[
            post("activation", {"uid": each, "token": "x"}, 400, BAD_UID)
            for each in ("Mg", "!", "é", "MQ==x", uid(-1), "AA")
        ],
        post("activation", {"uid": "MQ", "token": "x"}, 400, BAD_TOKEN),
        post("activation", {"uid": "MQ", "token": good}, 400, BAD_TOKEN),
        post(confirm, {}, 400, {**all_required, "new_password": REQUIRED}),
        post(
            confirm,
            {"uid": "x", "token": "x", "new_password": "12345"},
            400,
            {"new_password": [SHORT, COMMON, NUMERIC]},
        ),
        post(confirm, {"uid": "Mg", "token": "x", **new}, 400, BAD_UID),
        post(confirm, {"uid": "MQ", "token": good, **new}, 400, BAD_TOKEN),
        post(rename, {}, 400, {"new_username": REQUIRED}),
        post(rename, {"new_username": "a b"}, 400, {"new_username": INVALID_USERNAME}),
        post(rename, {"new_username": "x"}, 400, BAD_UID),
        post(rename, {"new_username": "x", "uid": "MQ"}, 400, BAD_TOKEN),
        post(rename, {"new_username": "x", "uid": "MQ", "token": good}, 400, BAD_TOKEN),
        post("resend_activation", {}, 400, {"email": REQUIRED}),
        post("resend_activation", {"email": "x"}, 400, {"email": INVALID_EMAIL}),
        *[
            post(each, {"email": bad}, 400, {"email": error})
            for each in ("reset_password", "reset_username")
            for bad, error in (("x", INVALID_EMAIL), ("", BLANK), (None, NULL))
        ],
    ]
    await play(client, rows)
    response = await client.post(f"{USERS}/resend_activation", json={"email": "ada@example.org"})
    assert (response.status, await response.read()) == (400, b"")


async def test_without_mail_links_are_unavailable(client):
    for action in ("reset_password", "reset_username"):
        response = await client.post(f"{USERS}/{action}", json={"email": "ada@example.org"})
        assert response.status == 503


async def test_a_reset(serve, mailbox, database):
    """Lessons 1, 4, 5 and 7: 204 for any address; a link works once; all sessions end."""
    client = await serve()
    names = await play(
        client,
        [
            *IN,
            register(BOB, 2),
            post("reset_password", {"email": "nobody@example.org"}),
            post("reset_password", {"email": "ADA@example.org"}),
        ],
    )
    sent = await link(mailbox, "reset")
    assert sent["uid"] == "MQ"
    confirm, new = "reset_password_confirm", {"new_password": NEW_PASSWORD}
    rows = [
        post("activation", sent, 400, BAD_TOKEN),
        post("reset_username_confirm", {**sent, "new_username": "x"}, 400, BAD_TOKEN),
        post(confirm, {**sent, **new, "uid": "Mg"}, 400, BAD_TOKEN),
        post(
            confirm,
            {**sent, "new_password": "ada@example.org"},
            400,
            {"new_password": [similar("email address")]},
        ),
        post(confirm, {**sent, **new}),
        ended(),
        post(confirm, {**sent, **new}, 400, BAD_TOKEN),
        cannot_log_in(),
        log_in(password=NEW_PASSWORD, issued="<40 hex>"),
    ]
    await play(client, rows, names)
    with database.cursor() as cursor:
        assert await wait_for_async(
            lambda: cursor.execute("select id from mail") or cursor.fetchall() == []
        )
    assert mailbox.waiting("reset") == []  # none to the unknown address


async def test_another_username_by_a_link(serve, mailbox):
    client = await serve()
    names = await play(
        client, [*IN, register(BOB, 2), post("reset_username", {"email": "ada@example.org"})]
    )
    sent = await link(mailbox, "rename")
    confirm = "reset_username_confirm"
    rows = [
        post(confirm, {**sent, "new_username": "bob"}, 400, {"new_username": TAKEN}),
        post(confirm, {**sent, "new_username": "Ada"}, 400, {"new_username": TAKEN}),
        post("reset_password_confirm", {**sent, "new_password": NEW_PASSWORD}, 400, BAD_TOKEN),
        post(confirm, {**sent, "new_username": "countess"}),
        post(confirm, {**sent, "new_username": "lovelace"}, 400, BAD_TOKEN),
        user(username="countess"),
    ]
    await play(client, rows, names)


async def test_an_activation(serve, mailbox):
    client = await serve(send_activation_email=True)
    await play(client, [register(), cannot_log_in()])
    sent = await link(mailbox, "activate")
    other = {"email": "nobody@example.org"}
    rows = [
        post("reset_password_confirm", {**sent, "new_password": NEW_PASSWORD}, 400, BAD_TOKEN),
        post("resend_activation", other),
        post("resend_activation", {"email": "Ada@example.org"}),
        post("activation", {**sent, "uid": "Mg"}, 400, BAD_UID),
        post("activation", sent),
        post("activation", sent, 403, STALE),
        log_in(),
        user(),
    ]
    await play(client, rows)


async def test_a_link_that_was_sent_again(serve, mailbox):
    client = await serve(send_activation_email=True)
    await play(client, [register()])
    await link(mailbox, "activate")
    await play(client, [post("resend_activation", {"email": "ada@example.org"})])
    sent = await link(mailbox, "activate")
    await play(client, [post("activation", sent), log_in()])


async def test_no_link_enables_a_disabled_account(serve, mailbox, database):
    """Lesson 6: in djoser, resend and activation enable an account that staff disabled."""
    client = await serve(send_activation_email=True)
    await play(client, [register()])
    sent = await link(mailbox, "activate")
    await client.app[CORE].accounts.change(1, {"is_active": False})
    rows = [
        post("resend_activation", {"email": "ada@example.org"}),
        post("activation", sent, 400, BAD_TOKEN),
        cannot_log_in(),
    ]
    await play(client, rows)
    await client.app[CORE].accounts.change(1, {"is_active": True})
    await play(client, [post("activation", sent), log_in()])
    await client.app[CORE].accounts.change(1, {"is_active": False})
    await play(client, [post("activation", sent, 400, BAD_TOKEN), cannot_log_in()])


async def test_another_address_counts_once_it_is_confirmed(serve, mailbox):
    """Lesson 8: in djoser, a typing error in a new address locks the account out at once."""
    client = await serve(send_activation_email=True)
    await play(client, [register()])
    names = await play(client, [post("activation", await link(mailbox, "activate")), log_in()])
    change = Row(f"PATCH {ME}", {"email": "countess@example.org"}, 200, user().response, token())
    await play(client, [change, user()], names)
    message = await link(mailbox, "change")
    assert message["uid"] == "MQ"
    await play(client, [post("activation", message), user(email="countess@example.org")], names)
    assert (await mailbox.take("changed"))["To"] == "ada@example.org"


async def test_case_of_addresses(serve, mailbox):
    """Lesson 9, and 3: an address has one account, in whatever case it is written."""
    client = await serve()
    rows = [
        register(),
        refused({**BOB, "email": "ADA@EXAMPLE.org"}, email=EMAIL_TAKEN),
        post("reset_password", {"email": "Ada@EXAMPLE.ORG"}),
    ]
    await play(client, rows)
    assert (await mailbox.take("reset"))["To"] == "ada@example.org"


@pytest.mark.parametrize("action", ["reset_password", "reset_username", "resend_activation"])
async def test_known_and_unknown_addresses_cost_the_same_statement(serve, database, action):
    """Lesson 2: djoser sends within the request, so that a known address takes longer."""
    client = await serve(send_activation_email=True)
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
        assert (await client.post(f"{USERS}/{action}", json={"email": email})).status == 204
        seen.append([each for each in statements if "insert into mail" in each])
    assert seen[0] == seen[1]
    assert len(seen[0]) == 1


async def test_a_link_can_be_tested_before_a_form_is_filled(
    mailing, aiohttp_client, clean, mailbox
):
    """Lesson 11: by Latchkey's own endpoint, where that is mounted as well."""
    both = mounted(mailing, **LINKS)
    both = replace(both, dialects={**both.dialects, "latchkey": Mount("/")})
    client = await aiohttp_client(create_app(both))
    await play(client, [register(), post("reset_password", {"email": "ada@example.org"})])
    sent = await link(mailbox, "reset")
    for text, status in ((sent["token"], 204), ("x", 400)):
        response = await client.post("/v1/password-resets/check", json={"token": text})
        assert response.status == status


async def test_mails_are_limited_silently(mailing, aiohttp_client, clean, mailbox):
    limits = {
        name: parse_limit("50/hour") for name in ("login_limit", "address_limit", "register_limit")
    }
    limited = replace(
        mounted(mailing, **LINKS), rate_limits="on", mail_limit=parse_limit("1/hour"), **limits
    )
    client = await aiohttp_client(create_app(limited))
    await play(client, [register(), *[post("reset_password", {"email": "ada@example.org"})] * 3])
    await mailbox.take("reset")
    assert mailbox.waiting("reset") == []


async def test_login_by_email(serve):
    client = await serve(login="email", user_fields=("username", "first_name"))
    fields = {"email": "ada@example.org", "password": PASSWORD, "first_name": "Ada"}
    shown = {"username": "", "first_name": "Ada", "email": "ada@example.org", "id": 1}
    mine = {"username": "", "first_name": "Ada", "id": 1, "email": "ada@example.org"}
    set_email = {"new_email": "countess@example.org", "current_password": PASSWORD}
    rows = [
        refused({}, email=REQUIRED, password=REQUIRED),
        Row(f"POST {USERS}", fields, 201, shown),
        Row(LOGIN, {"username": "ada@example.org", "password": PASSWORD}, 400, CANNOT_LOG_IN),
        log_in("ADA@example.org", field="email"),
        Row(f"GET {ME}", None, 200, mine, token()),
        Row(
            f"PATCH {ME}",
            {"email": "x", "username": "ada"},
            200,
            {**mine, "username": "ada"},
            token(),
        ),
        post(
            "set_email",
            {"new_email": "x"},
            400,
            {"current_password": REQUIRED, "new_email": INVALID_EMAIL},
            "<token>",
        ),
        post("set_email", set_email, name="<token>"),
        Row(
            f"GET {ME}",
            None,
            200,
            {**mine, "email": "countess@example.org", "username": "ada"},
            token(),
        ),
        post("set_username", {}, 404, NOT_FOUND, "<token>"),
        post("reset_username", {}, 404, NOT_FOUND),
        post("reset_username_confirm", {}, 404, NOT_FOUND),
    ]
    await play(client, rows)


def registered(email: str, id: int = 1) -> Row:
    """Register where accounts log in with their e-mail."""
    fields = {"email": email, "password": PASSWORD}
    return Row(f"POST {USERS}", fields, 201, {"email": email, "id": id})


async def test_another_email_by_a_link(serve, mailbox, database):
    """The link is sent to the address that the account has."""
    client = await serve(login="email")
    names = await play(
        client,
        [
            registered("ada@example.org"),
            registered("bob@example.org", 2),
            log_in("ada@example.org", field="email"),
            post("reset_email", {}, 400, {"email": REQUIRED}),
            post("reset_email", {"email": "x"}, 400, {"email": INVALID_EMAIL}),
            post("reset_email", {"email": "nobody@example.org"}),
            post("reset_email", {"email": "ADA@example.org"}),
        ],
    )
    sent = await link(mailbox, "rename")
    confirm, new = "reset_email_confirm", {"new_email": "countess@example.org"}
    shown = {"id": 1, "email": "countess@example.org"}
    rows = [
        post(confirm, {}, 400, {"new_email": REQUIRED}),
        post(confirm, {**sent, "new_email": "x"}, 400, {"new_email": INVALID_EMAIL}),
        post(confirm, new, 400, BAD_UID),
        post(confirm, {**new, "uid": "MQ", "token": "x"}, 400, BAD_TOKEN),
        post(confirm, {**sent, **new, "uid": uid(2)}, 400, BAD_TOKEN),
        post(confirm, {**sent, "new_email": "BOB@example.org"}, 400, {"new_email": EMAIL_TAKEN}),
        post(confirm, {**sent, "new_email": "Ada@example.org"}, 400, {"new_email": EMAIL_TAKEN}),
        post("reset_password_confirm", {**sent, "new_password": NEW_PASSWORD}, 400, BAD_TOKEN),
        post(confirm, {**sent, **new}),
        post(confirm, {**sent, "new_email": "lovelace@example.org"}, 400, BAD_TOKEN),
        Row(f"GET {ME}", None, 200, shown, token()),
    ]
    await play(client, rows, names)
    with database.cursor() as cursor:
        cursor.execute("select email_verified_at from account where id = 1")
        assert cursor.fetchone() == (None,)


async def test_another_email_by_a_link_counts_once_it_is_confirmed(serve, mailbox):
    """With activation by e-mail, as for set_email. Lesson 8."""
    client = await serve(login="email", send_activation_email=True)
    await play(client, [registered("ada@example.org")])
    await play(client, [post("activation", await link(mailbox, "activate"))])
    await play(client, [post("reset_email", {"email": "ada@example.org"})])
    sent = await link(mailbox, "rename")
    new = {**sent, "new_email": "countess@example.org"}
    await play(client, [post("reset_email_confirm", new), log_in("ada@example.org", field="email")])
    message = await link(mailbox, "change")
    rows = [
        post("activation", message),
        log_in("countess@example.org", field="email", issued="<40 hex>"),
        post("reset_email_confirm", {**sent, "new_email": "x@example.org"}, 400, BAD_TOKEN),
    ]
    await play(client, rows)


@pytest.mark.parametrize("login", ["username", "either"])
async def test_where_accounts_have_usernames_there_is_no_reset_of_emails(serve, login):
    client = await serve(login=login)
    actions = ("reset_email", "reset_email_confirm")
    await play(client, [post(each, {}, 404, NOT_FOUND) for each in actions])


NAMES_DIFFER = {"non_field_errors": ["The two username fields didn't match."]}
EMAILS_DIFFER = {"non_field_errors": ["The two email fields didn't match."]}


async def test_usernames_typed_twice(serve, mailbox):
    """All errors of fields come first, a taken name among them; then the second name."""
    client = await serve(set_username_retype=True, username_reset_confirm_retype=True)
    new = {"new_username": "countess", "current_password": PASSWORD}
    twice = {**new, "re_new_username": " countess "}
    required = {"current_password": REQUIRED, "new_username": REQUIRED}
    action, confirm = "set_username", "reset_username_confirm"
    taken = {**twice, "new_username": "bob"}
    rows = [
        *IN,
        register(BOB, 2),
        post(action, {}, 400, {**required, "re_new_username": REQUIRED}, "<token>"),
        post(action, new, 400, {"re_new_username": REQUIRED}, "<token>"),
        post(action, {**twice, "re_new_username": ""}, 400, {"re_new_username": BLANK}, "<token>"),
        post(action, {**twice, "re_new_username": "Countess"}, 400, NAMES_DIFFER, "<token>"),
        post(action, taken, 400, {"new_username": TAKEN}, "<token>"),
        post(action, {**twice, "new_username": "ADA"}, 400, {"new_username": TAKEN}, "<token>"),
        post(action, twice, name="<token>"),
        user(username="countess"),
        post("reset_username", {"email": "ada@example.org"}),
    ]
    names = await play(client, rows)
    sent = {**await link(mailbox, "rename"), "new_username": "lovelace"}
    rows = [
        post(confirm, {}, 400, {"new_username": REQUIRED, "re_new_username": REQUIRED}),
        post(confirm, sent, 400, {"re_new_username": REQUIRED}),
        post(confirm, {**sent, "re_new_username": "x", "uid": "x"}, 400, NAMES_DIFFER),
        post(confirm, {**sent, "re_new_username": "lovelace"}),
        user(username="lovelace"),
    ]
    await play(client, rows, names)


async def test_emails_typed_twice(serve, mailbox):
    client = await serve(
        login="email", set_username_retype=True, username_reset_confirm_retype=True
    )
    new = {"new_email": "countess@example.org", "current_password": PASSWORD}
    rows = [
        registered("ada@example.org"),
        log_in("ada@example.org", field="email"),
        post("set_email", new, 400, {"re_new_email": REQUIRED}, "<token>"),
        post("set_email", {**new, "re_new_email": "x"}, 400, EMAILS_DIFFER, "<token>"),
        post("set_email", {**new, "re_new_email": new["new_email"]}, name="<token>"),
        post("reset_email", {"email": new["new_email"]}),
    ]
    await play(client, rows)
    sent = {**await link(mailbox, "rename"), "new_email": "ada@example.org"}
    rows = [
        post("reset_email_confirm", {**sent, "re_new_email": "x"}, 400, EMAILS_DIFFER),
        post("reset_email_confirm", {**sent, "re_new_email": "ada@example.org"}),
        log_in("ada@example.org", field="email", issued="<40 hex>"),
    ]
    await play(client, rows)


async def test_login_by_either(serve):
    client = await serve(login="either")
    rows = [
        register(),
        log_in(),
        log_in("ada@example.org", issued="<token>"),
        log_in("ada@example.org", issued="<token>", field="email"),
        cannot_log_in("ada@example.org", "x"),
    ]
    await play(client, rows)


async def test_passwords_typed_twice(serve, mailbox):
    client = await serve(
        user_create_password_retype=True,
        set_password_retype=True,
        password_reset_confirm_retype=True,
    )
    new = {"new_password": NEW_PASSWORD, "current_password": PASSWORD}
    rows = [
        refused(ADA, re_password=REQUIRED),
        refused({**ADA, "re_password": "x"}, **MISMATCH),
        refused(
            {**ADA, "password": "12345", "re_password": "x"}, password=[SHORT, COMMON, NUMERIC]
        ),
        Row(f"POST {USERS}", {**ADA, "re_password": PASSWORD}, 201, register().response),
        log_in(),
        post("set_password", new, 400, {"re_new_password": REQUIRED}, "<token>"),
        post("set_password", {**new, "re_new_password": "x"}, 400, MISMATCH, "<token>"),
        post("set_password", {**new, "re_new_password": NEW_PASSWORD}, name="<token>"),
        post("reset_password", {"email": "ada@example.org"}),
    ]
    await play(client, rows)
    sent = {**await link(mailbox, "reset"), "new_password": PASSWORD}
    rows = [
        post("reset_password_confirm", sent, 400, {"re_new_password": REQUIRED}),
        post("reset_password_confirm", {**sent, "re_new_password": "x"}, 400, MISMATCH),
        post("reset_password_confirm", {**sent, "re_new_password": PASSWORD}),
        log_in(issued="<40 hex>"),
    ]
    await play(client, rows)


async def test_logout_on_password_change(serve):
    client = await serve(logout_on_password_change=True)
    new = {"new_password": NEW_PASSWORD, "current_password": PASSWORD}
    await play(client, [*IN, post("set_password", new, name="<token>"), ended()])


async def test_other_header_types(serve):
    client = await serve(header_types=("JWT", "Token"))
    names = await play(client, IN)
    for scheme, status in (("JWT", 200), ("jwt", 200), ("Token", 200), ("Bearer", 401)):
        headers = {"Authorization": f"{scheme} {names['token']}"}
        assert (await client.get(ME, headers=headers)).status == status


async def test_more_fields_of_the_user(serve):
    fields = ("first_name", "last_name", "is_active", "is_staff", "is_superuser", "date_joined")
    client = await serve(user_fields=fields)
    more = {
        "first_name": "Ada",
        "last_name": "",
        "is_active": True,
        "is_staff": False,
        "is_superuser": False,
        "date_joined": "<microseconds>",
    }
    created = {"email": "ada@example.org", "username": "ada", **more, "id": 1}
    rows = [
        Row(f"POST {USERS}", {**ADA, "first_name": "Ada"}, 201, created),
        log_in(),
        user(**more),
        Row(
            f"PATCH {ME}",
            {"first_name": "x" * 255, "is_staff": True},
            400,
            {"first_name": too_long(254)},
            token(),
        ),
        Row(
            f"PATCH {ME}",
            {"last_name": "King", "is_staff": True},
            200,
            user(**{**more, "last_name": "King"}).response,
            token(),
        ),
    ]
    await play(client, rows)


async def test_other_rules_for_passwords(serve):
    client = await serve(password_rules=("length",), password_length=3, trim_passwords=False)
    rows = [
        refused({**ADA, "password": "12"}, password=[SHORT.replace("8", "3")]),
        register({**ADA, "password": "123 "}),
        cannot_log_in("ada", "123"),
        log_in(password="123 "),
    ]
    await play(client, rows)


async def test_no_rules_for_passwords(serve):
    client = await serve(password_rules=("none",))
    await play(client, [register({**ADA, "password": "1"}), log_in(password="1")])


BAD_OPTIONS = {
    "login=phone": "login must be username or email or either",
    "user-fields=password": "user-fields has 'password'",
    "password-rules=none,length": "password-rules has 'none'",
    "header-types=To ken": "",
    "header-types=a-b": "header-types must be",
    "send-activation-email=on": "send-activation-email needs activation-url",
    "activation-url=/activate/{uid}/{token}": "activation-url must be a URL",
    "activation-url=https://app.example/{token}": "activation-url must contain",
    "activation-url=https://app.example/{uid}/{token}/{token}": "activation-url must be a URL",
    "activation-url=https://{uid}.example/{token}": "activation-url must be a URL",
    "activation-url=javascript:{uid}{token}": "activation-url must be a URL",
}


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_options_that_are_refused_at_the_start(option):
    with pytest.raises(BadSetting) as caught:
        read_settings({"DIALECTS": f"djoser=/?{option}"})
    assert BAD_OPTIONS[option] in str(caught.value)


def test_options_in_their_short_form():
    text = (
        "djoser=/?login=email&send-activation-email=on"
        "&activation-url=https://app.example/#/activate/{uid}/{token}&user-fields=first_name,last_name"
    )
    options = parse_mounts(text, handlers.DIALECTS)["djoser"].options
    assert options.login == "email"
    assert options.send_activation_email
    assert options.user_fields == ("first_name", "last_name")


def test_it_is_mounted_only_where_it_is_named():
    assert "djoser" not in Settings().dialects


SETTINGS = """
    USER_ID_FIELD LOGIN_FIELD SEND_ACTIVATION_EMAIL SEND_CONFIRMATION_EMAIL
    USER_CREATE_PASSWORD_RETYPE SET_PASSWORD_RETYPE PASSWORD_RESET_CONFIRM_RETYPE
    SET_USERNAME_RETYPE USERNAME_RESET_CONFIRM_RETYPE PASSWORD_RESET_SHOW_EMAIL_NOT_FOUND
    USERNAME_RESET_SHOW_EMAIL_NOT_FOUND PASSWORD_CHANGED_EMAIL_CONFIRMATION
    USERNAME_CHANGED_EMAIL_CONFIRMATION TOKEN_MODEL SERIALIZERS EMAIL EMAIL_FRONTEND_DOMAIN
    EMAIL_FRONTEND_PROTOCOL EMAIL_FRONTEND_SITE_NAME CONSTANTS LOGOUT_ON_PASSWORD_CHANGE
    CREATE_SESSION_ON_LOGIN SOCIAL_AUTH_TOKEN_STRATEGY SOCIAL_AUTH_ALLOWED_REDIRECT_URIS HIDE_USERS
    PERMISSIONS WEBAUTHN ACTIVATION_URL PASSWORD_RESET_CONFIRM_URL USERNAME_RESET_CONFIRM_URL
"""
"""The settings of djoser 2.3.5: those of its defaults, and the three URLs, which have none."""


def test_the_page_says_of_every_setting_what_corresponds_to_it():
    page = (ROOT / "docs/contracts/djoser.md").read_text()
    section = page.partition("## Settings of djoser")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall("`([A-Z_]+)`", row)}
    assert not {*SETTINGS.split()} - named
