"""Accounts for services (docs/contracts/service.md#accounts): every endpoint, with its errors."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace

import bcrypt
import pytest
from aiohttp.test_utils import TestClient

from app import create_app
from commands.columns import FIELDS as COMMAND_FIELDS
from handlers.internal.account_fields import FIELDS
from handlers.problem_codes import PROBLEMS
from store.foreign_hashes import NATIVE, digest
from tests.handlers.internal.keys import KEYS, Scope, bearer
from tests.handlers.internal.test_openapi import OPERATIONS, check

ACCOUNTS = "/internal/accounts"
PASSWORD = "Analytical-Engine-1843"
ADA = {
    "username": "Ada",
    "email": "ada@example.org",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "password": PASSWORD,
}
SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


async def call(
    client: TestClient, method: str, path: str, body=None, scope=Scope.WRITE, **headers: str
):
    """Send a request to /internal/accounts…; return the status and the JSON, None without one."""
    data = json.dumps(body).encode() if body is not None and not isinstance(body, bytes) else body
    kind = {"Content-Type": "application/json"} if body is not None else {}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.request(
        method,
        ACCOUNTS + path,
        data=io.BytesIO(data) if data else data,
        headers={**kind, **bearer(KEYS[scope]), **names},
    ) as response:
        raw = await response.read()
        assert not [each for each in response.headers if each.startswith("Access-Control")]
        if operation := OPERATIONS.get((described(path), method)):
            check(operation, response.status, response.headers, raw)
        if response.status == 204:
            assert raw == b""
            return 204, None
        kind = "application/json" if response.ok else "application/problem+json"
        assert response.headers["Content-Type"] == kind
        content = json.loads(raw)
        if not response.ok:
            assert content["status"] == response.status
            assert content["title"] == PROBLEMS[content["code"]].title
        return response.status, content


def described(path: str) -> str:
    """Return a path as openapi/internal.json has it."""
    path = re.sub("(?<=sessions/).+", "{sid}", path.partition("?")[0])
    return "/accounts" + re.sub("^/[^/]+", "/{id}", path)


async def refused(client, method, path, body=None, *, fields=(), **headers):
    """Send a request that fails; return its code, and check which fields are wrong and why."""
    _, content = await call(client, method, path, body, **headers)
    wrong = [(each["field"], each["code"]) for each in content.get("errors", [])]
    assert wrong == list(fields), content
    return content["code"]


async def create(client, **fields):
    status, content = await call(client, "POST", "", {"password_hash": "!", **fields})
    assert status == 201, content
    return content


async def log_in(client, login="ada", password=PASSWORD):
    body = {"login": login, "password": password, "device": "phone"}
    async with client.post("/v1/sessions", json=body) as response:
        return response.status, await response.json(content_type=None)


async def test_an_account_is_created_and_read(client):
    status, created = await call(client, "POST", "", ADA)
    assert status == 201
    assert created == {
        "id": 1,
        "username": "Ada",
        "email": "ada@example.org",
        "email_verified": False,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "picture": None,
        "created": created["created"],
        "last_login": None,
        "is_active": True,
        "is_staff": False,
        "is_superuser": False,
        "password_set": True,
    }
    assert SECONDS.fullmatch(created["created"])
    assert await call(client, "GET", "/1", scope=Scope.READ) == (200, created)
    status, logged_in = await log_in(client)
    assert status == 201
    own = logged_in["account"]
    assert list(created)[: len(own)] == list(own)
    assert {**own, "last_login": None} == {name: created[name] for name in own}


async def test_the_location_of_a_new_account(client):
    headers = bearer(KEYS[Scope.WRITE])
    async with client.post(ACCOUNTS, json=ADA, headers=headers) as response:
        assert response.headers["Location"] == "/internal/accounts/1"
        async with client.get(response.headers["Location"], headers=headers) as again:
            assert await again.json() == await response.json()


async def test_every_field_can_be_set_when_it_is_created(client, database):
    values = {
        "is_staff": True,
        "is_superuser": True,
        "is_admin": True,
        "is_active": False,
        "email_verified": True,
        "group": "engineers",
        "days_count": -7,
        "towns": [1, 2**63 - 1],
        "groups": [],
        "wants": [-(2**63)],
        "city": "London",
        "zipcode": "",
    }
    made = await create(client, username="ada", email="ada@example.org", **values)
    shown = ("is_staff", "is_superuser", "is_active", "email_verified", "password_set")
    assert [made[name] for name in shown] == [True, True, False, True, False]
    with database.cursor() as cursor:
        cursor.execute(
            "select is_admin, group_name, days_count, towns, groups, wants, city from account"
        )
        assert cursor.fetchone() == (
            True,
            "engineers",
            -7,
            [1, 2**63 - 1],
            [],
            [-(2**63)],
            "London",
        )


def pbkdf2(salt: str) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt.encode(), 1000)


@pytest.mark.parametrize(
    "hash",
    [
        NATIVE + bcrypt.hashpw(digest(PASSWORD.encode()), bcrypt.gensalt(4)).decode(),
        bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode(),
        "pbkdf2_sha256$1000$salt$" + base64.b64encode(pbkdf2("salt")).decode(),
        "pbkdf2:sha256:1000$salt$" + pbkdf2("salt").hex(),
        "!unusable",
    ],
    ids=["ours", "bcrypt", "Django", "werkzeug", "unusable"],
)
async def test_an_account_is_created_with_a_hash(client, hash):
    """Whose password then logs in."""
    made = await create(client, username="ada", password_hash=hash)
    is_usable = not hash.startswith("!")
    assert made["password_set"] is is_usable
    assert (await log_in(client))[0] == (201 if is_usable else 401)
    assert (await log_in(client, password="another-Password-1"))[0] == 401


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, [("username", "required"), ("password", "required")]),
        ({"username": "ada"}, [("password", "required")]),
        ({"password": PASSWORD}, [("username", "required")]),
        ({**ADA, "password_hash": "!"}, [("password_hash", "invalid")]),
        ({**ADA, "password": "short"}, [("password", "too_short")]),
        ({**ADA, "password": "password1"}, [("password", "too_common")]),
        ({**ADA, "password": "ada@example.org"}, [("password", "too_similar")]),
        ({**ADA, "password": "x" * 4097}, [("password", "too_long")]),
        ({**ADA, "password": 5}, [("password", "invalid")]),
        ({"username": "ada", "password_hash": "md5$salt$x"}, [("password_hash", "invalid")]),
        ({"username": "ada", "password_hash": "!\0"}, [("password_hash", "invalid")]),
        ({"username": "ada", "password_hash": ""}, [("password_hash", "required")]),
        ({**ADA, "shoe_size": 41}, [("shoe_size", "unknown")]),
        ({**ADA, "id": 7}, [("id", "unknown")]),
        ({**ADA, "email": "nonsense"}, [("email", "invalid")]),
        (
            {**ADA, "username": 5, "is_staff": "yes"},
            [("username", "invalid"), ("is_staff", "invalid")],
        ),
        ({**ADA, "username": "a\u200bda"}, [("username", "invalid")]),
        ({**ADA, "username": "a" * 255}, [("username", "too_long")]),
        ({**ADA, "first_name": "\0"}, [("first_name", "invalid")]),
        ({**ADA, "is_active": None}, [("is_active", "required")]),
        ({**ADA, "email_verified": None}, [("email_verified", "required")]),
        ({**ADA, "email_verified": "yes"}, [("email_verified", "invalid")]),
        ({**ADA, "email_verified_at": "yesterday"}, [("email_verified_at", "invalid")]),
        ({**ADA, "email_verified_at": 5}, [("email_verified_at", "invalid")]),
        (
            {**ADA, "email_verified": True, "email_verified_at": True},
            [("email_verified_at", "invalid")],
        ),
        ({**ADA, "days_count": 2**31}, [("days_count", "invalid")]),
        ({**ADA, "days_count": 1.0}, [("days_count", "invalid")]),
        ({**ADA, "days_count": True}, [("days_count", "invalid")]),
        ({**ADA, "towns": [1, "2"]}, [("towns", "invalid")]),
        ({**ADA, "towns": [2**63]}, [("towns", "invalid")]),
        ({**ADA, "towns": 1}, [("towns", "invalid")]),
        ({**ADA, "address": "x" * 10_001}, [("address", "too_long")]),
        ([], [("", "invalid")]),
    ],
)
async def test_fields_that_are_not_valid(client, body, fields):
    assert await refused(client, "POST", "", body, fields=fields) == "invalid_fields"
    status, page = await call(client, "GET", "")
    assert (status, page) == (200, {"accounts": [], "next": None})


async def test_bodies_that_are_not_valid(client):
    assert await refused(client, "POST", "", b"{") == "invalid_json"
    kind = {"Content_Type": "text/plain"}
    for method, path in (("POST", ""), ("PATCH", "/1"), ("PUT", "/1/password")):
        code = await refused(client, method, path, b"x", **kind)
        assert code == "unsupported_media_type"
        code = await refused(client, method, path, b"x" * (2**20 + 1))
        assert code == "payload_too_large"


async def test_names_that_are_taken(client):
    await create(client, username="ada", email="ada@example.org")
    body = {**ADA, "username": "ADA", "email": "Ada@Example.org"}
    taken = [("username", "taken"), ("email", "taken")]
    assert await refused(client, "POST", "", body, fields=taken) == "taken"
    path = f"/{(await create(client, username='grace'))['id']}"
    code = await refused(client, "PATCH", path, {"username": "Ada"}, fields=taken[:1])
    assert code == "taken"
    assert (await call(client, "GET", path))[1]["username"] == "grace"


def test_the_fields_are_those_of_the_command():
    assert FIELDS.keys() == {*COMMAND_FIELDS, "email_verified"}


CHANGES = [
    ({}, {}),
    ({"username": " Countess "}, {"username": "Countess"}),
    ({"username": None}, {"username": None}),
    ({"email": "", "username": "ada2"}, {"email": None, "username": "ada2"}),
    ({"first_name": None, "last_name": "Byron"}, {"first_name": None, "last_name": "Byron"}),
    ({"is_staff": True, "is_superuser": True}, {"is_staff": True, "is_superuser": True}),
    ({"email_verified": True}, {"email_verified": True}),
    ({"email_verified": False}, {"email_verified": False}),
    ({"email_verified_at": "2021-01-09T12:00:00"}, {"email_verified": True}),
    ({"email_verified_at": "2021-01-09T12:00:00+02:00"}, {"email_verified": True}),
    ({"email_verified_at": None}, {"email_verified": False}),
    ({"days_count": 5, "towns": [1, 2], "groups": None, "city": None}, {}),
]


@pytest.mark.parametrize(("changes", "shown"), CHANGES)
async def test_changes(client, changes, shown):
    _, made = await call(client, "POST", "", ADA)
    assert await call(client, "PATCH", "/1", changes) == (200, {**made, **shown})
    assert await call(client, "GET", "/1") == (200, {**made, **shown})


async def test_another_address_is_not_verified(client):
    await create(client, email="ada@example.org", email_verified=True)
    _, changed = await call(client, "PATCH", "/1", {"email": "countess@example.org"})
    assert (changed["email"], changed["email_verified"]) == ("countess@example.org", False)
    both = {"email": "ada@example.org", "email_verified": True}
    assert (await call(client, "PATCH", "/1", both))[1]["email_verified"] is True


async def test_changes_that_are_not_valid(client):
    await create(client, username="ada")
    for body, fields in (
        ({"username": None}, [("username", "required")]),
        ({"username": "  "}, [("username", "required")]),
        ({"password": PASSWORD}, [("password", "unknown")]),
        (
            {"password_hash": "!", "is_staff": 1},
            [("is_staff", "invalid"), ("password_hash", "unknown")],
        ),
        ({"created": "2021-01-09"}, [("created", "unknown")]),
    ):
        assert await refused(client, "PATCH", "/1", body, fields=fields) == "invalid_fields"
    assert (await call(client, "GET", "/1"))[1]["username"] == "ada"


WITH_AN_ID = [
    ("GET", "", None),
    ("PATCH", "", {"is_staff": True}),
    ("PATCH", "", {}),
    ("DELETE", "", None),
    ("PUT", "/password", {"password": PASSWORD}),
    ("PUT", "/password", {"password_hash": "!"}),
    ("POST", "/password-reset", None),
    ("GET", "/sessions", None),
    ("DELETE", "/sessions", None),
    ("DELETE", "/sessions/0123456789abcdef", None),
]


@pytest.mark.parametrize("number", ["1", "0", str(2**63 - 1), str(2**63), "9" * 30, "x", "-1", ""])
@pytest.mark.parametrize(("method", "path", "body"), WITH_AN_ID)
async def test_an_account_that_does_not_exist(client, method, path, body, number):
    assert await refused(client, method, f"/{number}{path}", body) == "not_found"


@pytest.mark.parametrize(("method", "path", "body"), [*WITH_AN_ID, ("POST", "", ADA)])
async def test_a_key_with_scope_read_changes_nothing(
    client, database, redis_client, method, path, body
):
    await call(client, "POST", "", ADA)
    await log_in(client)

    def state():
        with database.cursor() as cursor:
            cursor.execute("select * from account")
            rows = cursor.fetchall()
            cursor.execute("select * from mail union all select * from mail")
            return rows, cursor.fetchall(), sorted(redis_client.keys("*"))

    before = state()
    where = f"/1{path}" if (method, path, body) != ("POST", "", ADA) else ""
    if method == "GET":
        assert (await call(client, method, where, scope=Scope.READ))[0] == 200
    else:
        code = await refused(client, method, where, body, scope=Scope.READ)
        assert code == "insufficient_scope"
    assert (
        await refused(client, method, where, body, scope=Scope.INTROSPECT) == "insufficient_scope"
    )
    assert state() == before


async def test_methods(client):
    for path, allowed in (
        ("", "GET, POST, HEAD, OPTIONS"),
        ("/1", "GET, PATCH, DELETE, HEAD, OPTIONS"),
        ("/1/password", "PUT, OPTIONS"),
        ("/1/password-reset", "POST, OPTIONS"),
        ("/1/sessions", "GET, DELETE, HEAD, OPTIONS"),
        ("/1/sessions/x", "DELETE, OPTIONS"),
    ):
        headers = bearer(KEYS[Scope.WRITE])
        async with client.request("TRACE", ACCOUNTS + path, headers=headers) as response:
            assert (response.status, response.headers["Allow"]) == (405, allowed)


# Passwords and sessions


async def test_a_password_is_set(client):
    await call(client, "POST", "", ADA)
    _, logged_in = await log_in(client)
    assert await call(client, "PUT", "/1/password", {"password": "Difference-1822"}) == (204, None)
    own = {"Authorization": f"Bearer {logged_in['token']}"}
    async with client.get("/v1/account", headers=own) as response:
        assert (await response.json(content_type=None))["code"] == "token_revoked"
    assert (await log_in(client))[0] == 401
    assert (await log_in(client, password="Difference-1822"))[0] == 201
    assert await call(client, "PUT", "/1/password", {"password_hash": "!"}) == (204, None)
    assert (await log_in(client, password="Difference-1822"))[0] == 401
    assert (await call(client, "GET", "/1"))[1]["password_set"] is False


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, [("password", "required")]),
        ({"password": "Ada@Example.org"}, [("password", "too_similar")]),
        ({"password": PASSWORD, "password_hash": "!"}, [("password_hash", "invalid")]),
        ({"password_hash": "plain"}, [("password_hash", "invalid")]),
        ({"password": PASSWORD, "current": "x"}, [("current", "unknown")]),
    ],
)
async def test_a_password_that_is_not_valid(client, body, fields):
    await call(client, "POST", "", ADA)
    code = await refused(client, "PUT", "/1/password", body, fields=fields)
    assert code == "invalid_fields"
    assert (await log_in(client))[0] == 201


async def test_disabling_ends_all_sessions(client, redis_client):
    await call(client, "POST", "", ADA)
    await log_in(client)
    assert len((await call(client, "GET", "/1/sessions"))[1]["sessions"]) == 1
    assert (await call(client, "PATCH", "/1", {"is_active": False}))[1]["is_active"] is False
    assert await call(client, "GET", "/1/sessions") == (200, {"sessions": []})
    assert (await log_in(client))[1]["code"] == "account_disabled"
    await call(client, "PATCH", "/1", {"is_active": True})
    assert await call(client, "GET", "/1/sessions") == (200, {"sessions": []})
    assert (await log_in(client))[0] == 201


async def test_sessions(client):
    await call(client, "POST", "", ADA)
    issued = [(await log_in(client))[1] for _ in range(3)]
    status, found = await call(client, "GET", "/1/sessions", scope=Scope.READ)
    assert status == 200
    expected = [{**each["session"], "current": False} for each in issued]
    assert sorted(found["sessions"], key=str) == sorted(expected, key=str)
    first = issued[0]["session"]["id"]
    assert await call(client, "DELETE", f"/1/sessions/{first}") == (204, None)
    assert await refused(client, "DELETE", f"/1/sessions/{first}") == "not_found"
    await create(client, username="grace")
    second = issued[1]["session"]["id"]
    assert await refused(client, "DELETE", f"/2/sessions/{second}") == "not_found"
    assert len((await call(client, "GET", "/1/sessions"))[1]["sessions"]) == 2
    assert await call(client, "DELETE", "/1/sessions") == (204, None)
    assert await call(client, "GET", "/1/sessions") == (200, {"sessions": []})
    assert await call(client, "DELETE", "/1/sessions") == (204, None)


async def test_an_account_is_deleted(client, database):
    await call(client, "POST", "", ADA)
    await log_in(client)
    assert await call(client, "DELETE", "/1") == (204, None)
    assert await refused(client, "DELETE", "/1") == "not_found"
    assert (await log_in(client))[0] == 401


# Password resets


@pytest.fixture
async def mailing(aiohttp_client, internal_settings, clean, tmp_path, monkeypatch):
    """A client of a server that sends mail, to files that nobody reads."""
    settings = replace(
        internal_settings, mail_url=f"file:{tmp_path}/mail", public_url="https://accounts.example"
    )
    monkeypatch.setattr("mail.sender.MailSender.start", lambda self: None)
    monkeypatch.setattr("mail.sender.MailSender.wake", lambda self: None)
    return await aiohttp_client(create_app(settings))


def queued(database):
    with database.cursor() as cursor:
        cursor.execute("select kind, address from mail order by id")
        return cursor.fetchall()


async def test_a_reset_is_sent(mailing, database):
    await create(mailing, username="ada", email="Ada@example.org")
    assert await call(mailing, "POST", "/1/password-reset") == (202, {})
    assert await call(mailing, "POST", "/1/password-reset", {}) == (202, {})
    assert queued(database) == [("reset", "Ada@example.org")] * 2


async def test_a_repeated_reset_is_sent_once(mailing, database):
    await create(mailing, email="ada@example.org")
    for _ in range(3):
        sent = await call(mailing, "POST", "/1/password-reset", Idempotency_Key="first")
        assert sent == (202, {})
    assert queued(database) == [("reset", "ada@example.org")]


async def test_a_reset_that_cannot_be_sent(mailing, database, client):
    await create(mailing, username="ada")
    path = "/1/password-reset"
    code = await refused(mailing, "POST", path, fields=[("email", "required")])
    assert code == "invalid_fields"
    code = await refused(mailing, "POST", path, {"to": "x"}, fields=[("to", "unknown")])
    assert code == "invalid_fields"
    await call(mailing, "PATCH", "/1", {"email": "ada@example.org", "is_active": False})
    assert await refused(mailing, "POST", path) == "account_disabled"
    await call(mailing, "PATCH", "/1", {"is_active": True})
    assert await refused(client, "POST", path) == "unavailable"  # this server sends no mail
    assert queued(database) == []


# Lists


async def fill(client):
    """Ada, Grace, Alan and Edsger, who is disabled; grace has Ada's e-mail as her username."""
    await create(client, username="ada", email="countess@example.org")
    await create(client, username="Countess@example.org2", email="grace@example.org")
    await create(client, username="alan")
    await create(client, email="edsger@example.org", is_active=False)
    await create(client, username="adam", email="adam@example.org")


async def listed(client, query):
    """Return the ids of a list, and its `next`."""
    status, content = await call(client, "GET", f"?{query}", scope=Scope.READ)
    assert status == 200, content
    assert list(content) == ["accounts", "next"]
    return [account["id"] for account in content["accounts"]], content["next"]


@pytest.mark.parametrize(
    ("query", "ids", "following"),
    [
        ("", [1, 2, 3, 4, 5], None),
        ("ids=3,1,99,3", [3, 1], None),
        (f"ids={2**63 - 1},{2**63},0", [], None),
        ("ids=2", [2], None),
        ("username=ADA", [1], None),
        ("username=ad", [], None),
        ("username=", [], None),
        ("username=a%00", [], None),
        ("email=Countess%40Example.org", [1], None),
        ("email=ada", [], None),
        ("limit=2", [1, 2], 2),
        ("after=2&limit=2", [3, 4], 4),
        ("after=4&limit=1", [5], None),
        ("after=5", [], None),
        ("after=77", [], None),
        ("active=false", [4], None),
        ("active=true&limit=3", [1, 2, 3], 3),
        ("active=true&after=3&limit=1", [5], None),
        ("search=ad", [1, 5], None),
        ("search=AD&limit=1", [1], 1),
        ("search=ad&limit=1&after=1", [5], None),
        ("search=countess", [1, 2], None),
        ("search=a", [1, 5, 3], None),
        ("search=e&active=true", [], None),
        ("search=e&active=false", [4], None),
        ("search=", [1, 2, 3, 4, 5], None),
        ("search=%25", [], None),
        ("search=_da", [], None),
        ("search=%5C", [], None),
    ],
)
async def test_lists(client, query, ids, following):
    await fill(client)
    assert await listed(client, query) == (ids, following)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("ids=", [("ids", "invalid")]),
        ("ids=1,,2", [("ids", "invalid")]),
        ("ids=1,x", [("ids", "invalid")]),
        ("ids=-1", [("ids", "invalid")]),
        ("ids=" + ",".join(["1"] * 501), [("ids", "invalid")]),
        ("ids=1&limit=2", [("ids", "invalid"), ("limit", "invalid")]),
        ("ids=1&ids=2", [("ids", "invalid")]),
        ("username=a&email=b", [("username", "invalid"), ("email", "invalid")]),
        ("limit=1&limit=2", [("", "invalid")]),
        ("limit=0", [("limit", "invalid")]),
        ("limit=501", [("limit", "invalid")]),
        ("after=x&limit=x&active=x", [(name, "invalid") for name in ("after", "limit", "active")]),
        (f"after={2**63}", [("after", "invalid")]),
        ("search=%00", [("search", "invalid")]),
        ("offset=5", [("offset", "unknown")]),
        ("search=alan&after=1", [("after", "not_found")]),
        ("search=alan&after=99", [("after", "not_found")]),
    ],
)
async def test_queries_that_are_not_valid(client, query, fields):
    await fill(client)
    assert await refused(client, "GET", f"?{query}", fields=fields) == "invalid_fields"


async def test_500_accounts_by_id(client):
    for number in range(5):
        await create(client, username=f"user{number}")
    ids = ",".join(map(str, range(1, 501)))
    assert await listed(client, f"ids={ids}") == ([1, 2, 3, 4, 5], None)


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_a_search_finds_each_account_once(client, limit):
    """In pages of any size, with names that are equal to other accounts' e-mails."""
    for number in range(6):
        await create(
            client, username=f"a{number}@example.org", email=f"a{(number + 1) % 6}@example.org"
        )
    for number in range(6):
        await create(client, username=f"b{number}", email=f"ab{5 - number}@example.org")
    found, after = [], 0
    while after is not None:
        ids, after = await listed(client, f"search=A&limit={limit}&after={after}")
        assert len(ids) <= limit
        found += ids
    assert found == [1, 6, 2, 3, 4, 5, 12, 11, 10, 9, 8, 7]


async def test_what_events_name_as_the_actor(aiohttp_client, internal_settings, clean):
    client = await aiohttp_client(create_app(replace(internal_settings, events="on")))
    await call(client, "POST", "", ADA)
    await call(client, "PATCH", "/1", {"is_staff": True, "city": "London"})
    await call(client, "PUT", "/1/password", {"password_hash": "!"})
    await call(client, "DELETE", "/1/sessions")
    await call(client, "PATCH", "/1", {"is_active": False})
    await call(client, "DELETE", "/1")
    headers = bearer(KEYS[Scope.READ])
    async with client.get("/internal/events", headers=headers) as response:
        found = (await response.json())["events"]
    assert {(each["actor"]["type"], each["actor"]["name"]) for each in found} == {
        ("service", "billing")
    }
    assert [each["type"] for each in found] == [
        "account.created",
        "account.changed",
        "account.password_changed",
        "sessions.ended",
        "account.disabled",
        "account.deleted",
    ]
