"""knox (docs/contracts/knox.md): two forms of login, their errors, the fixed end, the options."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from aiohttp.test_utils import make_mocked_request

from tests import django_settings  # isort: skip  # noqa: F401  # configures Django

from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.fields import DateTimeField
from rest_framework.test import APIRequestFactory

import handlers
from app import create_app
from handlers import app_keys
from handlers.dialects import knox
from handlers.mounts import parse_mounts
from settings import BadSetting, read_settings
from store.account import NewAccount
from store.session_record import SessionSpec
from tests.conftest import Server
from tests.handlers.contract import (
    ALLOW_METHODS,
    EVERY_DIALECT,
    FORM,
    JSON,
    MULTIPART,
    Row,
    multipart,
    play,
    urlencoded,
)
from tests.handlers.dialects.drf_messages import (
    BLANK,
    CANNOT_LOG_IN,
    CHALLENGE,
    INACTIVE,
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
    wrong_media_type,
)
from tests.handlers.dialects.lumotist_rows import SIGN_UP, profile, token

AT = "/knox{path}"
LOGIN, LOGOUT, LOGOUT_ALL = "POST /login", "POST /logout", "POST /logoutall"
CREDENTIALS = {"username": "test", "password": "test"}
ASK_FOR_BASIC = {"WWW-Authenticate": 'Basic realm="api"'}
PLACES = ["/knox{path}", "/knox{path}/", "/at/knox{path}", "/at/knox{path}/"]


@pytest.fixture(scope="module")
async def server(settings):
    """A server of every dialect."""
    async with Server(create_app(replace(settings, dialects=EVERY_DIALECT))) as server:
        yield server


@pytest.fixture
async def names(client):
    """The names of a registered account, the first of its tokens as `token`."""
    return await play(client, [SIGN_UP])


def basic(credentials: str = "test:test", coding: str = "utf-8") -> dict[str, str]:
    """Return the Authorization header of HTTP Basic."""
    text = base64.b64encode(credentials.encode(coding)).decode()
    return {"Authorization": f"Basic {text}"}


def issued(name: str) -> dict[str, str]:
    return {"expiry": "<microseconds>", "token": f"<{name} = 64 hex>"}


def wrong(headers: dict[str, str], detail: str = "Invalid username/password.") -> Row:
    """A login that HTTP Basic does not let in; its body, which would, is ignored."""
    return Row(LOGIN, CREDENTIALS, 401, {"detail": detail}, headers, ASK_FOR_BASIC)


@pytest.mark.parametrize("at", PLACES)
async def test_a_life(client, names, at):
    rows = [
        Row(LOGIN, None, 200, issued("first"), basic()),
        Row(LOGIN, CREDENTIALS, 200, issued("second")),
        Row(LOGIN, urlencoded(**CREDENTIALS), 200, issued("third"), FORM),
        Row(LOGIN, multipart(**CREDENTIALS), 200, issued("fourth"), MULTIPART),
        Row(LOGOUT, None, 204, None, token("<first>")),
        Row(LOGOUT, b"{", 401, INVALID_TOKEN, token("<first>"), CHALLENGE),
        Row(LOGOUT, b"{", 204, None, JSON | token("<second>")),
        Row(LOGOUT_ALL, b"{", 204, None, JSON | token("<third>")),
        Row(LOGOUT_ALL, None, 401, INVALID_TOKEN, token("<third>"), CHALLENGE),
        Row(LOGOUT, None, 401, INVALID_TOKEN, token("<fourth>"), CHALLENGE),
        Row(LOGIN, None, 200, issued("fifth"), basic()),
    ]
    await play(client, rows, names, at)
    over = Row("GET /account/profile", None, 401, INVALID_TOKEN, token("<token>"), CHALLENGE)
    await play(client, [over], names)  # logoutall ended the session of lumotist, too


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "Basic "])
async def test_schemes_of_basic(client, names, scheme):
    header = basic()["Authorization"].replace("Basic", scheme)
    row = Row(LOGIN, None, 200, issued("one"), {"Authorization": header})
    await play(client, [row], names, AT)


NOT_BASE64 = "Invalid basic header. Credentials not correctly base64 encoded."
BAD_BASIC = {
    "Basic": "Invalid basic header. No credentials provided.",
    "basic  ": "Invalid basic header. No credentials provided.",
    "Basic a b": "Invalid basic header. Credentials string should not contain spaces.",
    "Basic abc": NOT_BASE64,
    "Basic é": NOT_BASE64,
    "Basic %": NOT_BASE64,
    "Basic dGVzdA==": NOT_BASE64,  # no colon
    "Basic dGVzdDp3cm9uZw==": "Invalid username/password.",
    "Basic Og==": "Invalid username/password.",
}


@pytest.mark.parametrize(("header", "detail"), BAD_BASIC.items())
async def test_bad_basic(client, names, header, detail):
    await play(client, [wrong({"Authorization": header}, detail)], names, AT)


async def test_wrong_unknown_and_disabled_are_one_answer(client, names, database):
    """And what no account can have; in each of the two forms."""
    for username, password in [
        ("test", "Test"),
        ("test", "test "),
        (" test", "test"),  # HTTP Basic trims nothing
        ("nobody", "test"),
        ("test@test.com", "test"),
        ("te\0st", "test"),
        ("", ""),
    ]:
        await play(client, [wrong(basic(f"{username}:{password}"))], names, AT)
    fields = [("test", "Test"), ("test", "test "), ("nobody", "test"), ("test@test.com", "test")]
    for username, password in fields:
        body = {"username": username, "password": password}
        await play(client, [Row(LOGIN, body, 400, CANNOT_LOG_IN)], names, AT)
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false")
    rows = [
        wrong(basic()),
        Row(LOGIN, CREDENTIALS, 400, CANNOT_LOG_IN),
        Row(LOGOUT, None, 401, INACTIVE, token("<token>"), CHALLENGE),
    ]
    await play(client, rows, names, AT)


async def test_what_an_unverified_address_is_told(aiohttp_client, settings, clean):
    settings = replace(
        settings,
        dialects=EVERY_DIALECT,
        require_verified_email="on",
        mail_url="file:/nonexistent",
        public_url="https://accounts.example",
    )
    client = await aiohttp_client(create_app(settings))
    new = NewAccount("test", "test@test.com")
    await client.app[app_keys.ACCESS].register(new, "test", [SessionSpec("lumotist")])
    await play(client, [wrong(basic()), Row(LOGIN, CREDENTIALS, 400, CANNOT_LOG_IN)], at=AT)


NUL = ["Null characters are not allowed."]
FIELDS = [
    ({"username": "test"}, {"password": REQUIRED}),
    ({"password": "test"}, {"username": REQUIRED}),
    ({"username": " ", "password": ""}, {"username": BLANK, "password": BLANK}),
    ({"username": None, "password": None}, {"username": NULL, "password": NULL}),
    ({"username": [], "password": True}, {"username": NOT_A_STRING, "password": NOT_A_STRING}),
    ({"username": "te\0st", "password": "\0"}, {"username": NUL, "password": NUL}),
    ([CREDENTIALS], not_an_object("list")),
    ("test", not_an_object("str")),
    (None, not_an_object("NoneType")),
]


@pytest.mark.parametrize(("body", "errors"), FIELDS)
async def test_fields(client, names, body, errors):
    await play(client, [Row(LOGIN, json.dumps(body).encode(), 400, errors, JSON)], names, AT)


async def test_other_bodies(client, names):
    missing = (401, MISSING_TOKEN)
    rows = [
        Row(LOGIN, None, *missing, {}, ASK_FOR_BASIC),
        Row(LOGIN, None, *missing, JSON, ASK_FOR_BASIC),
        Row(LOGIN, {}, *missing, {}, ASK_FOR_BASIC),
        Row(LOGIN, {"email": "test@test.com"}, *missing, {}, ASK_FOR_BASIC),
        Row(LOGIN, b"a=b", *missing, FORM, ASK_FOR_BASIC),
        Row(LOGIN, {}, *missing, {"Authorization": "Bearer <token>"}, ASK_FOR_BASIC),
        Row(LOGIN, b"{", 400, {"detail": "JSON parse error - <text>"}, JSON),
        Row(LOGIN, b"a", 415, wrong_media_type("text/plain"), {"Content-Type": "text/plain"}),
        Row(LOGIN, b"{", 200, issued("one"), JSON | basic()),
        Row(LOGIN, b"a", 200, issued("two"), {"Content-Type": "text/plain"} | basic()),
        Row(LOGIN, {"username": " TEST ", "password": "test"}, 200, issued("three")),
    ]
    await play(client, rows, names, AT)


BAD_TOKENS = {
    "Token 0123456789012345678901234567890123456789": INVALID_TOKEN,
    "token short": INVALID_TOKEN,
    "Token": NO_CREDENTIALS,
    "TOKEN a b": SPACES,
}


@pytest.mark.parametrize(("header", "response"), BAD_TOKENS.items())
async def test_a_bad_token_comes_before_the_method_and_the_body(client, names, header, response):
    headers = JSON | {"Authorization": header}
    for path in ("/login", "/logout", "/logoutall"):
        rows = [
            Row(f"{method} {path}", b"{", 401, response, headers, CHALLENGE)
            for method in ("POST", "PUT")
        ]
        await play(client, rows, names, AT)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer <token>"}, basic()])
async def test_only_the_scheme_token_counts(client, names, headers):
    for path in ("/logout", "/logoutall"):
        rows = [
            Row(f"{method} {path}", b"{", 401, MISSING_TOKEN, JSON | headers, CHALLENGE)
            for method in ("POST", "PUT")
        ]
        await play(client, rows, names, AT)


async def test_methods(client, names):
    for path in ("/login", "/logout", "/logoutall"):
        rows = [
            Row(f"{method} {path}", b"{", 405, not_allowed(method), token("<token>"), ALLOW)
            for method in ("GET", "PUT", "PATCH", "DELETE")
        ]
        rows.append(Row(f"OPTIONS {path}", None, 200, {}, {}, ALLOW_METHODS))
        await play(client, rows, names, AT)
    rows = [
        Row("GET /login", None, 405, not_allowed("GET"), {"Authorization": "Basic a b"}, ALLOW),
        Row("POST /nowhere", None, 404, NOT_FOUND),
    ]
    await play(client, rows, names, AT)


ALLOW = {"Allow": "POST, OPTIONS"}


async def test_a_token_is_ignored_where_none_is_needed(client, names):
    await play(client, [Row(LOGIN, CREDENTIALS, 200, issued("one"), token("<token>"))], names, AT)


async def test_the_end_is_fixed(client, names, redis_client):
    """Neither use nor another login moves it, and the list of sessions has it."""
    before = time.time()
    response = await client.post("/knox/login/", headers=basic())
    content = await response.json()
    expiry = datetime.fromisoformat(content["expiry"]).timestamp()
    assert before + 36_000 - 1 < expiry <= time.time() + 36_000
    keys = [
        key for key in redis_client.scan_iter("session:*") if b" knox " in redis_client.get(key)
    ]
    [key] = keys
    assert 35_990 < redis_client.ttl(key) <= 36_000
    redis_client.expire(key, 7)
    mine = {"token": content["token"]}
    await play(client, [profile()] * 3, mine)
    await play(client, [Row(LOGIN, None, 200, issued("other"), basic())], dict(names), AT)
    assert redis_client.ttl(key) <= 7
    headers = {"Authorization": f"Token {content['token']}"}
    listed = await (await client.get("/latchkey/v1/sessions", headers=headers)).json()
    [session] = [each for each in listed["sessions"] if each["current"]]
    assert (session["dialect"], session["kind"]) == ("knox", "fixed")
    assert datetime.fromisoformat(session["expires"]).timestamp() == int(expiry)
    assert session["last_used"] == session["created"]
    redis_client.delete(key)  # as if it had expired
    await play(
        client, [Row(LOGOUT, None, 401, INVALID_TOKEN, token("<token>"), CHALLENGE)], mine, AT
    )


REGISTER, USER = "POST /register", "GET /user"
NEW = {"username": "ada", "email": "ada@example.org", "password": " first engine "}


async def test_a_registration_and_the_user(client):
    rows = [
        Row(REGISTER, NEW, 200, issued("first")),
        Row(USER, None, 200, {"id": 1, **user_of(NEW)}, token("<first>")),
        Row(LOGIN, NEW, 200, issued("second")),
        Row(REGISTER, urlencoded(username="bob", password="x"), 200, issued("bob"), FORM),
        Row(USER, b"{", 200, {"id": 2, "username": "bob", "email": ""}, JSON | token("<bob>")),
        Row(LOGOUT_ALL, None, 204, None, token("<second>")),
        Row(USER, None, 401, INVALID_TOKEN, token("<first>"), CHALLENGE),
    ]
    await play(client, rows, at=AT)


def user_of(fields):
    return {name: fields[name] for name in ("username", "email")}


TAKEN_NAME = ["A user with that username already exists."]
TAKEN_EMAIL = ["A user with that email already exists."]
BAD_EMAIL = ["Enter a valid email address."]
BAD_NAME = "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ "
REGISTRATIONS = [
    ({}, {"username": REQUIRED, "password": REQUIRED}),
    ({"username": "", "password": "", "email": ""}, {"username": BLANK, "password": BLANK}),
    (
        {"username": None, "password": None, "email": None},
        {"username": NULL, "email": NULL, "password": NULL},
    ),
    (
        {"username": "a b", "password": "x", "email": "x"},
        {"username": [f"{BAD_NAME}characters."], "email": BAD_EMAIL},
    ),
    (
        {"username": "a" * 151, "password": "x"},
        {"username": ["Ensure this field has no more than 150 characters."]},
    ),
    ({"username": "TEST", "password": "x"}, {"username": TAKEN_NAME}),
    ({"username": "a", "password": "x", "email": "test@TEST.com"}, {"email": TAKEN_EMAIL}),
    (
        {"username": "TEST", "password": "x", "email": "test@TEST.com"},
        {"username": TAKEN_NAME, "email": TAKEN_EMAIL},
    ),
    (
        {"username": True, "password": {}, "email": []},
        {"username": NOT_A_STRING, "email": BAD_EMAIL, "password": NOT_A_STRING},
    ),
    ({"username": "a", "password": "\0"}, {"password": NUL}),
    ([NEW], not_an_object("list")),
]


@pytest.mark.parametrize(("body", "errors"), REGISTRATIONS)
async def test_errors_of_a_registration(client, names, body, errors):
    await play(client, [Row(REGISTER, json.dumps(body).encode(), 400, errors, JSON)], names, AT)


async def test_checks_of_a_registration_and_the_user(client, names):
    rows = [
        Row(REGISTER, NEW, 401, INVALID_TOKEN, {"Authorization": "Token x"}, CHALLENGE),
        Row("GET /register", None, 405, not_allowed("GET"), {}, ALLOW),
        Row(REGISTER, b"{", 400, {"detail": "JSON parse error - <text>"}, JSON),
        Row(REGISTER, b"a", 415, wrong_media_type("text/plain"), {"Content-Type": "text/plain"}),
        Row(USER, None, 401, MISSING_TOKEN, {}, CHALLENGE),
        Row(USER, None, 401, MISSING_TOKEN, basic(), CHALLENGE),
        Row(USER, None, 401, MISSING_TOKEN, {"Authorization": "Bearer <token>"}, CHALLENGE),
        Row("POST /user", None, 401, MISSING_TOKEN, {}, CHALLENGE),
        Row(
            "POST /user",
            None,
            405,
            not_allowed("POST"),
            token("<token>"),
            {"Allow": "GET, HEAD, OPTIONS"},
        ),
    ]
    await play(client, rows, names, AT)


async def with_options(aiohttp_client, settings, text):
    """Return a client of a server whose only mount besides lumotist has these options."""
    dialects = parse_mounts(f"lumotist=/ {text}", handlers.DIALECTS)
    client = await aiohttp_client(create_app(replace(settings, dialects=dialects)))
    await play(client, [SIGN_UP])
    return client


async def test_lifetime_and_time_zone(aiohttp_client, settings, clean):
    text = "knox=/?lifetime=100&time-zone=America/Chicago"
    client = await with_options(aiohttp_client, settings, text)
    before = time.time()
    content = await (await client.post("/login/", headers=basic())).json()
    expiry = datetime.fromisoformat(content["expiry"])
    assert before + 99 < expiry.timestamp() <= time.time() + 100
    assert expiry.utcoffset() in (timedelta(hours=-6), timedelta(hours=-5))
    assert content["expiry"][-6:] in ("-06:00", "-05:00")


async def test_the_user(aiohttp_client, settings, clean):
    fields = "id,username,email,first_name,last_name,is_staff,is_superuser"
    client = await with_options(aiohttp_client, settings, f"knox=/api?user={fields}")
    user = {
        "id": 1,
        "username": "test",
        "email": "test@test.com",
        "first_name": "",
        "last_name": "",
        "is_staff": False,
        "is_superuser": False,
    }
    await play(
        client, [Row("POST /api/login", None, 200, {**issued("one"), "user": user}, basic())]
    )


@pytest.mark.parametrize(
    ("login", "accepted"),
    [
        ("username", ["TEST"]),
        ("email", ["test@TEST.com"]),
        ("either", ["TEST", "test@TEST.com"]),
    ],
)
async def test_who_can_log_in(aiohttp_client, settings, clean, login, accepted):
    client = await with_options(aiohttp_client, settings, f"knox=/?login={login}")
    for name in ("TEST", "test@TEST.com"):
        body = {"username": name, "password": "test"}
        if name in accepted:
            rows = [
                Row(LOGIN, None, 200, issued(f"{name} 1"), basic(f"{name}:test")),
                Row(LOGIN, body, 200, issued(f"{name} 2")),
            ]
        else:
            rows = [wrong(basic(f"{name}:test")), Row(LOGIN, body, 400, CANNOT_LOG_IN)]
        await play(client, rows)


async def test_the_customary_set(aiohttp_client, settings, clean):
    """Of docs/contracts/knox.md#projects-with-a-registration."""
    options = "user=id,username,email&login-fields=user,token&basic=off&trim-passwords=on"
    text = f"knox=/api/auth?{options}&register-path=/register&user-path=/user"
    client = await with_options(aiohttp_client, settings, text)
    user = {"id": 2, **user_of(NEW)}
    trimmed = {**NEW, "password": "first engine"}
    at = "/api/auth{path}"
    rows = [
        Row(REGISTER, NEW, 200, {"user": user, "token": "<first = 64 hex>"}),
        Row(LOGIN, trimmed, 200, {"user": user, "token": "<second = 64 hex>"}),
        Row(LOGIN, NEW, 200, {"user": user, "token": "<third = 64 hex>"}),
        Row(USER, None, 200, user, token("<third>")),
        Row("POST /logout/", None, 204, None, token("<third>")),
        Row(USER, None, 401, INVALID_TOKEN, token("<third>"), CHALLENGE),
        Row(USER, None, 200, user, token("<first>")),
        Row(REGISTER, {**NEW, "username": "b", "password": " "}, 400, {"password": BLANK}),
        Row(LOGIN, None, 400, {"username": REQUIRED, "password": REQUIRED}),
        Row(LOGIN, {}, 400, {"username": REQUIRED, "password": REQUIRED}, basic("ada:x")),
        Row(LOGIN, trimmed, 200, {"user": user, "token": "<fourth = 64 hex>"}, basic("ada:x")),
    ]
    await play(client, rows, at=at)


async def test_basic_trims_nothing(aiohttp_client, settings, clean):
    client = await with_options(aiohttp_client, settings, "knox=/?trim-passwords=on")
    spaces = {"username": "test", "password": " test "}
    await play(client, [wrong(basic("test:test ")), Row(LOGIN, spaces, 200, issued("one"))])


async def test_no_registration_and_no_user_by_default(aiohttp_client, settings, clean):
    client = await with_options(aiohttp_client, settings, "knox=/api")
    for at in ("/api{path}", AT):
        rows = [
            Row(REGISTER, NEW, 404, NOT_FOUND),
            Row(USER, None, 404, NOT_FOUND, token("<token>")),
        ]
        await play(client, rows, {"token": "0"}, at)


async def test_paths(aiohttp_client, settings, clean):
    """Each moves at the mount. Under the dialect's name it stays."""
    text = "knox=/api?login-path=/sign/in&logout-path=/sign/out/&logoutall-path=/out"
    client = await with_options(aiohttp_client, settings, text)
    for paths in (
        ("/api/sign/in", "/api/sign/out", "/api/out"),
        ("/login", "/logout", "/logoutall"),
    ):
        at = "{path}" if paths[0].startswith("/api") else AT
        login, logout, logout_all = (f"POST {path}" for path in paths)
        rows = [
            Row(login, None, 200, issued("one"), basic()),
            Row(f"{login}/", None, 200, issued("two"), basic()),
            Row(logout, None, 204, None, token("<one>")),
            Row(f"{logout_all}/", None, 204, None, token("<two>")),
        ]
        await play(client, rows, at=at)
    for path in ("/api/login", "/login", "/api/logout", "/knox/sign/in"):
        await play(client, [Row(f"POST {path}", None, 404, NOT_FOUND)])


BAD_OPTIONS = {
    "lifetime=0": "lifetime must be from 1 to 315360000 seconds",
    "lifetime=315360001": "lifetime must be from 1 to 315360000 seconds",
    "lifetime=1h": "lifetime must be a whole number",
    "user=on": "user must be a list of these, each once: id, username",
    "user=id,password": "user must be a list of these, each once: id, username",
    "user=id,id": "user must be a list of these, each once: id, username",
    "login-fields=user": "login-fields must have token",
    "login-fields=token,token": "login-fields must be a list of these, each once: expiry, token",
    "login-fields=token,id": "login-fields must be a list of these, each once: expiry, token",
    "user-path=/user": "user-path needs user, the fields of its response",
    "register-path=register": "register-path must be a path such as /auth/login",
    "register-path=/": "register-path must be a path such as /auth/login",
    "basic=yes": "basic must be on or off",
    "trim-passwords=yes": "trim-passwords must be on or off",
    "time-zone=Mars": "time-zone 'Mars' is unknown",
    "time-zone=/etc/passwd": "time-zone '/etc/passwd' is unknown",
    "time-zone=../UTC": "time-zone '../UTC' is unknown",
    "time-zone=America": "time-zone 'America' is unknown",
    "login=phone": "login must be username or email or either",
    "login-path=login": "login-path must be a path such as /auth/login",
    "logout-path=/a//b": "logout-path must be a path such as /auth/login",
    "logoutall-path=/a/../b": "logoutall-path must be a path such as /auth/login",
    "logoutall-path=/": "logoutall-path must be a path such as /auth/login",
}


@pytest.mark.parametrize(("option", "reason"), BAD_OPTIONS.items())
def test_bad_options(option, reason):
    with pytest.raises(BadSetting) as caught:
        read_settings({"DIALECTS": f"knox=/?{option}"})
    assert f"knox: {reason}" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "knox=/?login-path=/logout",
        "knox=/?login-path=/a&logout-path=/a/",
        "knox=/knox?login-path=/logout&logout-path=/x",
    ],
)
def test_two_endpoints_at_one_path(settings, text):
    with pytest.raises(handlers.Conflict, match="two endpoints of knox answer at /"):
        create_app(replace(settings, dialects=parse_mounts(text, handlers.DIALECTS)))


def test_a_conflict_with_another_dialect(settings):
    dialects = parse_mounts("kust=/ knox=/auth?login-path=/token/login", handlers.DIALECTS)
    with pytest.raises(handlers.Conflict, match="kust and knox both answer at /auth/token/login"):
        create_app(replace(settings, dialects=dialects))


HEADERS = [
    "",
    "Token a b",
    *BAD_BASIC,
    basic("test:te:st")["Authorization"],
    basic("åsa:pässword")["Authorization"],
    basic("åsa:pässword", "latin-1")["Authorization"],
    basic("a\0b:\n")["Authorization"],
    "Basic dGVzdDp0ZXN0!",  # Python's decoder skips what is not of the alphabet
    "Basic dGVz-dDp0ZXN0",
    "Basic dGVzdDp0ZXN0 ",
    "\tbAsIc\tdGVzdDp0ZXN0",
    "Basic dGVzdDp0ZXN0=",
    "Basic dGVzdDp0ZXN",
]


@pytest.fixture
def of_framework(monkeypatch) -> Callable[[str], object]:
    """Return what the framework reads from a header: the credentials, None, or its sentence."""
    monkeypatch.setattr(
        authentication.BasicAuthentication,
        "authenticate_credentials",
        lambda self, username, password, request=None: (username, password),
    )

    def read(header):
        request = APIRequestFactory().post("/", HTTP_AUTHORIZATION=header)
        try:
            return authentication.BasicAuthentication().authenticate(request)
        except AuthenticationFailed as error:
            return str(error.detail)

    return read


@pytest.mark.parametrize("header", HEADERS)
def test_basic_is_read_as_the_framework_reads_it(of_framework, header):
    try:
        found = knox.read_basic(make_mocked_request("POST", "/", {"Authorization": header}))
    except knox.BadBasic as error:
        found = str(error)
    assert found == of_framework(header)


def test_credentials_of_basic_are_refused_as_the_framework_refuses_them(monkeypatch):
    """Django's own back end finds no user where the account is disabled."""
    monkeypatch.setattr(authentication, "authenticate", lambda **given: None)
    monkeypatch.setattr(
        authentication, "get_user_model", lambda: type("User", (), {"USERNAME_FIELD": "username"})
    )
    framework = authentication.BasicAuthentication()
    with pytest.raises(AuthenticationFailed) as caught:
        framework.authenticate_credentials("test", "wrong")
    assert str(caught.value.detail) == knox.WRONG
    assert framework.authenticate_header(None) == ASK_FOR_BASIC["WWW-Authenticate"]


@pytest.mark.parametrize("zone", ["UTC", "America/Chicago", "Asia/Kathmandu", "Europe/London"])
@pytest.mark.parametrize("seconds", [1767225600.25, 1782864000.000001])
def test_expiry_is_written_as_the_framework_writes_it(zone, seconds):
    moment = datetime.fromtimestamp(seconds, knox.zone("UTC"))
    field = DateTimeField(default_timezone=knox.zone(zone))
    assert knox.expiry(seconds, zone) == field.to_representation(moment)
