"""kust (docs/contracts/kust.md): its examples, which requests need a token, its errors."""

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

import pytest

from app import create_app
from handlers import DIALECTS
from handlers.mounts import parse_mounts
from settings import BadSetting, read_settings
from tests.handlers.contract import (
    ALLOW_METHODS,
    FORM,
    JSON,
    MULTIPART,
    Row,
    multipart,
    places,
    play,
    urlencoded,
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
    wrong_media_type,
)
from tests.handlers.dialects.kust_rows import (
    KUST2,
    KUST3,
    LOG_IN,
    LOG_IN_AGAIN,
    LOGIN,
    SIGN_UP,
    log_in,
    log_out,
    me,
    register,
    token,
    user,
)

REGISTER, LOG = "POST /auth/users", "POST /auth/token/login"
ME, LOGOUT = "/auth/users/me", "/auth/token/logout"

SHORT = "This password is too short. It must contain at least 8 characters."
COMMON = "This password is too common."
NUMERIC = "This password is entirely numeric."
SIMILAR = "The password is too similar to the username."

USERNAME_TAKEN = ["A user with that username already exists."]
EMAIL_TAKEN = ["A user with that email already exists."]
INVALID_USERNAME = [
    "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ "
    "characters."
]
NOBODYS = token("090120266a287b7938e8b6b8fe9e8f58334a96cf")
MOMENT = re.compile(r"20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{6}Z")


def refused(fields, **errors):
    return Row(REGISTER, fields, 400, errors)


def login_refused(fields, **errors):
    return Row(LOG, fields, 400, errors)


def cannot_log_in(fields, **more):
    return Row(LOG, fields, 400, CANNOT_LOG_IN, **more)


def over(request, name="<token>"):
    """Send a request with the token of a session that has ended."""
    return Row(request, None, 401, INVALID_TOKEN, token(name), CHALLENGE)


USER_3 = {"username": "kust3", "email": "kust3@gmail.com", "towns": []}

EXAMPLES = [
    SIGN_UP,
    cannot_log_in({"username": "kust2", "password": "wrong"}),
    LOG_IN,
    LOG_IN_AGAIN,
    Row(f"POST {LOGOUT}", None, 401, {"detail": "Invalid token."}, NOBODYS, CHALLENGE),
    me(method="POST"),
    me(method="GET"),
    Row(
        f"POST {ME}",
        None,
        401,
        {"detail": "Authentication credentials were not provided."},
        {},
        CHALLENGE,
    ),
    register(KUST3, "kust3", "kust3@gmail.com", 2),
    user(2, method="POST", last_login=None, **USER_3),
    log_in("kust3", "k12345678", "<token of kust3 = 40 hex>"),
    user(2, method="POST", last_login="<text>", **USER_3),
    user(2, method="GET", name="<token of kust3>", **USER_3),
    user(1, method="GET", name="<token of kust3>"),
    Row(
        "POST /user/2",
        None,
        401,
        {"detail": "Authentication credentials were not provided."},
        {},
        CHALLENGE,
    ),
    log_out(),
    over(f"POST {LOGOUT}"),
    over(f"POST {ME}"),
    over("POST /user/2"),
    log_in("kust2", "k12345678", "<new token = 40 hex>"),
    me(name="<new token>"),
    me("kust3", "kust3@gmail.com", name="<token of kust3>", id=2),
]


@pytest.mark.parametrize("at", places("kust"))
async def test_examples(client, at):
    await play(client, EXAMPLES, at=at)


@pytest.mark.parametrize("at", ["{path}/", "/kust{path}/"])
async def test_the_published_clients_sequence(client, at):
    """It reads its account by GET, its scheme is in lower case, and its logout has no body."""
    login = Row(LOG, LOGIN, 200, {"auth_token": "<token = 40 hex>"})
    lower = token(scheme="token")
    rows = [
        SIGN_UP,
        login,
        me(scheme="token"),
        replace(log_out(), headers=lower),
        over(f"GET {ME}"),
    ]
    await play(client, rows, at=at)


LOGOUT_BODIES = [
    (None, "application/json"),
    (b"", "application/json"),
    (b"{}", "application/json"),
    (b"{not json", "application/json"),
    (b'["list"]', "application/json"),
    (b"plain", "text/plain"),
    (b"--", "multipart/form-data"),
]


async def test_logout_takes_any_body(client):
    names = await play(client, [SIGN_UP])
    for count, (body, kind) in enumerate(LOGOUT_BODIES):
        rows = [
            log_in("kust2", "k12345678", f"<token {count} = 40 hex>"),
            log_out(body, f"<token {count}>", Content_Type=kind),
            over(f"POST {LOGOUT}", f"<token {count}>"),
        ]
        await play(client, rows, names)


GUARDED = {LOGOUT: ("POST",), ME: ("GET", "POST"), "/user/1": ("GET", "POST")}
OPEN = {"/auth/users": ("POST",), "/auth/token/login": ("POST",)}
ALLOW = {
    ("POST",): {"Allow": "POST, OPTIONS"},
    ("GET", "POST"): {"Allow": "GET, POST, HEAD, OPTIONS"},
}

BAD_HEADERS = {
    "Token 090120266a287b7938e8b6b8fe9e8f58334a96cf": INVALID_TOKEN,
    "Token <TOKEN>": INVALID_TOKEN,
    "token short": INVALID_TOKEN,
    "Token": NO_CREDENTIALS,
    "Bearer ": NO_CREDENTIALS,
    "Token <token> <token>": SPACES,
    "bearer a b c": SPACES,
    "Token <token of kust3>": INACTIVE,
    "Bearer <token of kust3>": INACTIVE,
}
LOG_IN_KUST3 = log_in("kust3", "k12345678", "<token of kust3 = 40 hex>")
SIGN_UP_BOTH = [SIGN_UP, register(KUST3, "kust3", "kust3@gmail.com", 2)]


async def test_bad_token_is_a_401_even_where_none_is_needed(client, database):
    names = await play(client, [*SIGN_UP_BOTH, LOG_IN, LOG_IN_KUST3])
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false where username = 'kust3'")
    names["TOKEN"] = names["token"].upper()
    for path in (*GUARDED, *OPEN, "/user/99"):
        for header, response in BAD_HEADERS.items():
            headers = {"Authorization": header}
            rows = [
                Row(f"GET {path}", None, 401, response, headers, CHALLENGE),
                Row(f"POST {path}", KUST2, 401, response, headers, CHALLENGE),
                Row(f"PUT {path}", b"{", 401, response, headers | JSON, CHALLENGE),
            ]
            await play(client, rows, names)


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}, {"Authorization": "Basic dDp0"}])
async def test_missing_token(client, headers):
    for path in (*GUARDED, "/user/99", "/user/0", f"/user/{10**30}"):
        rows = [
            Row(f"{method} {path}", b"{", 401, MISSING_TOKEN, headers | JSON, CHALLENGE)
            for method in ("GET", "POST", "PUT")
        ]
        await play(client, rows)
    await play(client, [replace(SIGN_UP, headers=headers), replace(LOG_IN, headers=headers)])


async def test_schemes(client):
    names = await play(client, [SIGN_UP, LOG_IN])
    for scheme in ("Token", "token", "TOKEN", "Bearer", "bEARER", "Token  "):
        await play(client, [me(scheme=scheme), me(scheme=scheme, method="POST")], names)


async def test_good_token_is_ignored_where_none_is_needed(client):
    rows = [
        SIGN_UP,
        LOG_IN,
        register(KUST3, "kust3", "kust3@gmail.com", 2, headers=token()),
        replace(LOG_IN_KUST3, headers=token()),
    ]
    await play(client, rows)


async def test_wrong_methods(client):
    names = await play(client, [SIGN_UP, LOG_IN])
    for path, methods in (GUARDED | OPEN).items():
        for wrong in {"GET", "PUT", "PATCH", "DELETE"} - set(methods):
            response, allow = not_allowed(wrong), ALLOW[methods]
            row = Row(f"{wrong} {path}", b"{", 405, response, JSON | token(), allow)
            await play(client, [row], names)
            if path in OPEN:
                await play(client, [replace(row, headers=JSON)])


async def test_head_is_a_get_without_the_body(client):
    rows = [
        SIGN_UP,
        LOG_IN,
        Row(f"HEAD {ME}", None, 200, None, token()),
        Row("HEAD /user/1", None, 200, None, token()),
        Row("HEAD /user/9", None, 404, None, token()),
        Row(f"HEAD {ME}", None, 401, None, {}, CHALLENGE),
        Row(f"HEAD {LOGOUT}", None, 405, None, token(), ALLOW["POST",]),
        Row("HEAD /auth/token/login", None, 405, None, {}, ALLOW["POST",]),
    ]
    await play(client, rows)


@pytest.mark.parametrize("at", ["{}", "/kust{}/"])
async def test_options(client, at):
    paths = [at.format(path) for path in (*GUARDED, *OPEN)]
    await play(client, [Row(f"OPTIONS {path}", None, 200, {}, {}, ALLOW_METHODS) for path in paths])


UNKNOWN = [
    "/auth",
    "/auth/users/me/x",
    "/auth/nowhere",
    "/user",
    "/user/",
    "/user/abc",
    "/user/-1",
    "/user/+1",
    "/user/1.0",
    "/user/1e3",
    "/user/0x1",
    "/user/%201",
    "/user/%D9%A1",  # the Arabic digit one
    "/user/1/x",
    "/user/1%2F",
]


@pytest.mark.parametrize("at", ["{path}", "/kust{path}"])
async def test_unknown_paths_come_before_everything(client, at):
    names = await play(client, [SIGN_UP, LOG_IN])
    for path in UNKNOWN:
        rows = [
            Row(f"{method} {path}", b"{", 404, NOT_FOUND, headers)
            for method in ("GET", "POST", "PUT")
            for headers in ({}, NOBODYS, token())
        ]
        await play(client, rows, names, at)


@pytest.mark.parametrize("at", ["{path}", "/kust{path}/"])
async def test_ids_that_nobody_has(client, at):
    names = await play(client, [SIGN_UP, LOG_IN])
    for id in (2, 99, 0, 2**31, 2**63 - 1, 2**63, 2**64, 2**64 + 1, 10**30, "9" * 5_000):
        rows = [
            Row(f"{method} /user/{id}", None, 404, NOT_FOUND, token()) for method in ("GET", "POST")
        ]
        await play(client, rows, names, at)


async def test_user_shows_what_the_operator_set(client, database):
    await play(client, SIGN_UP_BOTH)
    with database.cursor() as cursor:
        cursor.execute(
            """update account set is_superuser = true, is_staff = true, is_active = false,
                first_name = 'Ku', last_name = 'St', days_count = -7, groups = '{4,1,4}',
                user_permissions = '{9,8}', towns = '{3,1,2}', email = null, email_folded = null
                where id = 2"""
        )
    changed = {
        "last_login": None,
        "is_superuser": True,
        "username": "kust3",
        "first_name": "Ku",
        "last_name": "St",
        "email": "",
        "is_staff": True,
        "is_active": False,
        "days_count": -7,
        "groups": [4, 1, 4],
        "user_permissions": [9, 8],
        "towns": [3, 1, 2],
    }
    await play(client, [LOG_IN, user(2, **changed), user(2, method="POST", **changed)])


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati"])
async def test_dates_are_utc_with_microseconds(aiohttp_client, settings, database, clean, zone):
    url = f"{settings.database_url}&options=-c%20timezone%3D{quote(zone)}"
    client = await aiohttp_client(create_app(replace(settings, database_url=url)))
    names = await play(client, [*SIGN_UP_BOTH, LOG_IN])
    with database.cursor() as cursor:
        cursor.execute(
            """update account set created = '2022-03-09 05:20:02.613644+00',
                last_login = '2022-03-09 18:33:17.000439+13'"""
        )
    dates = {
        "date_joined": "2022-03-09T05:20:02.613644Z",
        "last_login": "2022-03-09T05:33:17.000439Z",
    }
    await play(client, [user(**dates)], names)


async def test_joined_when_it_registered_and_logged_in_when_it_logged_in(client):
    dates = {"last_login": "<login = text>", "date_joined": "<joined = text>"}
    names = await play(client, [SIGN_UP, LOG_IN, user(**dates)])
    assert MOMENT.fullmatch(names["joined"])
    assert MOMENT.fullmatch(names["login"])
    joined, login = [datetime.fromisoformat(names[name]) for name in ("joined", "login")]
    now = datetime.now(UTC)
    assert now - timedelta(minutes=1) < joined < login < now + timedelta(seconds=1)
    later = {"last_login": "<later login = text>", "date_joined": "<joined>"}
    await play(client, [LOG_IN_AGAIN, user(**later)], names)
    assert names["login"] < names["later login"]


async def post(client, path, fields, key):
    """Register or log in through another dialect; return the token."""
    response = await client.post(path, json=fields)
    data = json.loads(await response.read())
    assert response.status in (200, 201), data
    return data[key]


async def test_accounts_and_sessions_of_other_dialects(client):
    """A name that kust would not register can log in; another dialect's session is valid here."""
    odd = {"username": "no body!", "email": "odd@gmail.com", "password": "y"}
    named = {"email": "kust@gmail.com", "password": "y", "first_name": "Ku", "last_name": "St"}
    wicare = {"username": "wicare", "password": "y"}
    names = {
        "odd": await post(client, "/lumotist/account/register", odd, "token"),
        "fardel": await post(client, "/fardel/api/auth/register/", named, "access_token"),
        "refresh": await post(client, "/fardel/api/auth/login/", named, "refresh_token"),
        "wicare": await post(client, "/wicare/api/auth/register/", wicare, "token"),
    }
    nobody = {"username": "", "towns": [], "email": "kust@gmail.com"}
    rows = [
        log_in("NO BODY!", "y", "<token = 40 hex>"),
        me("no body!", "odd@gmail.com"),
        me("no body!", "odd@gmail.com", name="<odd>"),
        me("", "kust@gmail.com", name="<fardel>", id=2),
        me("wicare", "", name="<wicare>", id=3),
        over(f"GET {ME}", "<refresh>"),  # it is not an access token
        user(1, name="<fardel>", username="no body!", email="odd@gmail.com", towns=[]),
        user(2, name="<wicare>", first_name="Ku", last_name="St", **nobody),
        user(3, username="wicare", email="", towns=[]),  # its registration returned a token
        log_out(name="<odd>"),
        over(f"GET {ME}", "<odd>"),
        me("no body!", "odd@gmail.com"),
    ]
    await play(client, rows, names)


KINDS = {"list": [KUST2], "str": "username", "int": 5, "float": 1.5, "bool": True, "NoneType": None}
BROKEN = [b"{not json", b'{"username": "ku', b"{} {}", b" ", b'{"username": "\xff"}', b"\0"]


async def test_bodies_that_are_no_object(client):
    for request in (REGISTER, LOG):
        parse_error = {"detail": "JSON parse error - <text>"}
        rows = [
            *[
                Row(request, json.dumps(value).encode(), 400, not_an_object(kind), JSON)
                for kind, value in KINDS.items()
            ],
            *[Row(request, body, 400, parse_error, JSON) for body in BROKEN],
            *[
                Row(request, b"{}", 415, wrong_media_type(kind), {"Content-Type": kind})
                for kind in ("text/plain", "application/xml")
            ],
        ]
        await play(client, rows)
    required = {"username": REQUIRED, "password": REQUIRED}
    rows = [Row(REGISTER, body, 400, required, JSON) for body in (None, b"", b"{}")]
    await play(client, [*rows, *[cannot_log_in(body, headers=JSON) for body in (None, b"", b"{}")]])


def fields(username="kust2", email="kust2@gmail.com", password="k12345678", **more):  # noqa: S107
    return {"username": username, "email": email, "password": password, **more}


REFUSED = [
    refused({}, username=REQUIRED, password=REQUIRED),
    refused({"username": "kust2"}, password=REQUIRED),
    refused(fields("", "", ""), username=BLANK, password=BLANK),
    refused(fields(" \t ", "  ", ""), username=BLANK, password=BLANK),
    refused(fields(None, None, None), username=NULL, email=NULL, password=NULL),
    refused(fields(True, [], {}), username=NOT_A_STRING, email=NOT_A_STRING, password=NOT_A_STRING),
    refused(
        {"towns": "x", "password": "short", "email": "no", "username": "n" * 151},
        username=too_long(150),
        email=INVALID_EMAIL,
        password=[SHORT],
        towns=["<text>"],
    ),
    refused(fields(2**64, -(2**63) - 1, 10**30), **dict.fromkeys(fields(), NOT_A_STRING)),
    refused(fields(email=f"kust@{'t' * 60}.{'t' * 187}.com"), email=too_long(254)),
    refused(fields("ku\0st2"), username=["<text>"]),
    refused(fields(email="kust2@g\0mail.com"), email=["<text>"]),
    *[
        refused(fields(username), username=INVALID_USERNAME)
        for username in ("ku st", "kust!", "ku/st", "ku\nst", "🔑", "ku\u200bst", "a,b", "<b>")
    ],
    *[
        refused(fields(email=email), email=INVALID_EMAIL)
        for email in ("kust2", "kust2@", "@gmail.com", "kust2@gmail", "ku st@gmail.com", "a@b..com")
    ],
]


async def test_register_refuses_fields_together_in_their_order(client):
    await play(client, [*REFUSED, SIGN_UP])  # and nothing was created


async def test_lone_surrogates_are_a_400(client):
    """UTF-7 can encode a surrogate, which then reaches the fields; UTF-8 cannot."""
    utf_7 = {"Content-Type": f"{FORM['Content-Type']}; charset=utf-7"}
    broken = {"detail": "JSON parse error - <text>"}
    for name in fields():
        body = json.dumps({**fields(), name: "HERE"}).replace("HERE", "x\\ud800").encode()
        values = {**fields(), name: "+2AA-a1b2c3d4"}
        form = "&".join(f"{key}={value}" for key, value in values.items()).encode()
        rows = [
            Row(REGISTER, body, 400, broken, JSON),
            Row(LOG, body, 400, broken, JSON),
            Row(REGISTER, form, 400, {name: ["<text>"]}, utf_7),
        ]
        if name != "email":
            rows.append(Row(LOG, form, 400, {name: ["<text>"]}, utf_7))
        await play(client, rows)


async def test_a_longer_body_than_1_mib_is_not_read(client):
    body = json.dumps(KUST2).encode().ljust(1024 * 1024 + 1)
    await play(
        client,
        [Row(request, body, 413, {"detail": "<text>"}, JSON) for request in (REGISTER, LOG)],
    )


async def test_taken_names_every_field_that_is(client):
    rows = [
        SIGN_UP,
        refused(fields(email="new@gmail.com"), username=USERNAME_TAKEN),
        refused({"username": " KUST2 ", "password": "k12345678"}, username=USERNAME_TAKEN),
        refused(fields("new"), email=EMAIL_TAKEN),
        refused(fields("new", " KUST2@Gmail.com "), email=EMAIL_TAKEN),
        refused(fields(), username=USERNAME_TAKEN, email=EMAIL_TAKEN),
        # A taken name is reported only if every field is valid.
        refused(fields(password="short"), password=[SHORT]),
        refused(fields(towns=[None]), towns=["<text>"]),
    ]
    await play(client, rows)


async def test_email_is_optional(client, database):
    rows = [
        register({"username": "anna", "password": "k12345678"}, "anna"),
        register({"username": "bert", "password": "k12345678", "email": ""}, "bert", id=2),
        log_in("bert", "k12345678", "<token = 40 hex>"),
        me("bert", "", id=2),
        user(1, username="anna", email="", towns=[], last_login=None),
    ]
    await play(client, rows)
    with database.cursor() as cursor:
        cursor.execute("select distinct email, email_folded from account")
        assert cursor.fetchall() == [(None, None)]


USERNAMES = ["k" * 150, "Åsa", "日本語", "Ελλάδα", "٣٤٥", "a@b.+-_9", "@"]


async def test_usernames_hold_letters_of_any_script(client):
    password = " \0 and 72 bytes are not all " + "x" * 100
    for id, username in enumerate(USERNAMES, 1):
        body = {"username": f"  {username}\n", "password": password}
        rows = [
            register(body, username, id=id),
            log_in(f" {username.upper()} ", password, "<token = 40 hex>"),
            me(username, "", id=id),
            cannot_log_in({"username": username, "password": password.strip()}),
            cannot_log_in({"username": username, "password": password[:-1]}),
        ]
        await play(client, rows)


ALONE = [
    ("kust2", "x9&ö-Qz", SHORT),
    ("kust2", "🔑" * 7, SHORT),
    ("kust2", " " * 7, SHORT),
    ("kust2", "trustno1", COMMON),
    ("kust2", "TrustNo1", COMMON),
    ("kust2", "83749208174", NUMERIC),
    ("kust2", "٨٣٧٤٩٢٠٨١٧٤", NUMERIC),
    ("kust2", 83749208174, NUMERIC),
    ("kust2000", "kust2000", SIMILAR),
    ("kust2000", "KUST2000", SIMILAR),
    ("kust2000", "kust2000!x", SIMILAR),
    ("from-the-long-kust.zebrafisch", "zebrafisch9", SIMILAR),
    ("  kust2000\n", "kust2000", SIMILAR),
]


async def test_each_password_rule_alone(client):
    rows = [
        refused({"username": username, "password": password}, password=[sentence])
        for username, password, sentence in ALONE
    ]
    await play(client, [*rows, SIGN_UP])  # and nothing was created


async def test_all_password_rules_that_fail_are_in_one_list(client):
    odd = fields("ku st!", password="ku st!")
    rows = [
        refused(fields("12345", password="12345"), password=[SHORT, COMMON, NUMERIC, SIMILAR]),
        refused(fields("12345", password=12345), password=[SHORT, COMMON, NUMERIC, SIMILAR]),
        refused(fields(password="12345678"), password=[COMMON, NUMERIC]),
        refused(fields(password="123456"), password=[SHORT, COMMON, NUMERIC]),
        refused(fields(password="kust2"), password=[SHORT, SIMILAR]),
        refused(fields("sunshin", password="sunshine"), password=[COMMON, SIMILAR]),
        refused(fields(9374920817, password="9374920817"), password=[NUMERIC, SIMILAR]),
        refused(odd, username=INVALID_USERNAME, password=[SHORT, SIMILAR]),
    ]
    await play(client, rows)


async def test_a_password_is_not_similar_to_a_username_that_is_none(client):
    rows = [
        refused({"password": "x9None"}, username=REQUIRED, password=[SHORT]),
        refused({"username": None, "password": "None9"}, username=NULL, password=[SHORT]),
        refused({"username": True, "password": "True9"}, username=NOT_A_STRING, password=[SHORT]),
    ]
    await play(client, rows)


async def test_a_username_of_very_many_words_costs_no_time(client):
    """The password would be compared with each, while every other request waits."""
    row = refused(
        {"username": "ab " * 340_000, "password": "wxyz"}, username=too_long(150), password=[SHORT]
    )
    before = time.process_time()
    await play(client, [row])
    assert time.process_time() - before < 0.4


COMMON_PASSWORDS = """
    password PASSWORD Password1 iloveyou qwertyuiop princess1 abcd1234 baseball football superman
    starwars passw0rd P@ssw0rd q1w2e3r4 1q2w3e4r liverpool internet whatever computer samantha
    mercedes corvette scorpion marlboro dolphins redskins swimming cocacola maverick einstein
    butterfly hardcore creative midnight wolverine spitfire excalibur lacrosse titleist
"""
COMMON_WORDS = """
    chocolate jennifer michelle elizabeth victoria stephanie christopher alexander nicholas
    jonathan benjamin november december september remember business
"""


@pytest.mark.parametrize("words", [COMMON_PASSWORDS, COMMON_WORDS], ids=["passwords", "words"])
async def test_common_passwords_are_those_of_a_list_of_thousands(client, words):
    """Some are in every list, some near its end; many are also names and words."""
    common = [refused(fields("mika", password=word), password=[COMMON]) for word in words.split()]
    await play(client, common)


PASSWORDS = [
    "k12345678",  # docs/contracts/kust.md#post-authusers
    "x9&ö-Qz7",
    "🔑" * 8,
    " " * 8,
    "correct horse",
    "kust-of-the-town",
    "8374-9208174",
    "pass\0wo\0",
    "kust2" * 40_000,
]


async def test_passwords_that_pass(client):
    for id, password in enumerate(PASSWORDS, 1):
        username = f"kust{id}"
        body = {"username": username, "password": password}
        wrong = {"username": username, "password": f"{password}x"}
        rows = [register(body, username, id=id), log_in(username, password), cannot_log_in(wrong)]
        await play(client, rows)


TOWNS = {
    "none": [],
    "in their order": [3, 1, 2],
    "repeated": [3, 1, 3, 3],
    "0 and less": [0, -1],
    "64 bits": [2**63 - 1, -(2**63)],
    "many": list(range(5000, 0, -1)),
}


@pytest.mark.parametrize("towns", TOWNS.values(), ids=TOWNS)
async def test_towns_are_kept_in_their_order(client, towns):
    rows = [register({**KUST2, "towns": towns}, "kust2", "kust2@gmail.com"), LOG_IN]
    await play(client, [*rows, user(towns=towns)])


async def test_towns_may_be_absent(client):
    await play(client, [register(fields(), "kust2", "kust2@gmail.com"), LOG_IN, user(towns=[])])


FORMS = {
    "urlencoded": (urlencode([*fields().items(), ("towns", 3), ("towns", 1), ("towns", 3)]), FORM),
    "multipart": (
        multipart(**fields(), towns="3", towns_2="1", towns_3="3").decode(),
        MULTIPART,
    ),
}


@pytest.mark.parametrize(("body", "headers"), FORMS.values(), ids=FORMS)
async def test_towns_of_a_form_are_repeated(client, body, headers):
    body = re.sub(r"towns_\d", "towns", body).encode()
    rows = [register(body, "kust2", "kust2@gmail.com", headers=headers), LOG_IN]
    await play(client, [*rows, user(towns=[3, 1, 3])])


@pytest.mark.parametrize(("write", "headers"), [(urlencoded, FORM), (multipart, MULTIPART)])
async def test_forms(client, write, headers):
    login = {"username": "Åsa", "password": " 100% +x=y "}
    blank = {"username": BLANK, "password": BLANK}
    rows = [
        register(write(**login, towns="", email=""), "Åsa", headers=headers),
        Row(LOG, write(**login), 200, {"auth_token": "<token = 40 hex>"}, headers),
        log_in("åsa", " 100% +x=y ", "<token>"),
        user(username="Åsa", email="", towns=[]),
        Row(REGISTER, write(username="", email="", password=""), 400, blank, headers),
        Row(REGISTER, write(**fields(towns="x")), 400, {"towns": ["<text>"]}, headers),
        Row(LOG, write(username="", password=""), 400, blank, headers),
        Row(LOG, write(name="x"), 400, CANNOT_LOG_IN, headers),
    ]
    await play(client, rows)


WRONG_TOWNS = [
    "x",
    "1",
    5,
    True,
    {"1": 3},
    [None],
    [True],
    [1.5],
    [[1]],
    [{}],
    ["x"],
    [""],
    [1, 2, "x", None],
    [2**63],
    [-(2**63) - 1],
    [2**64],
    [10**30],
    ["9" * 30],
    ["9" * 5000],
]


async def test_wrong_towns(client):
    rows = [refused(fields(towns=towns), towns=["<text>"]) for towns in WRONG_TOWNS]
    rows += [
        refused(fields(towns=None), towns=NULL),
        refused({"towns": [1.5]}, username=REQUIRED, password=REQUIRED, towns=["<text>"]),
        SIGN_UP,  # nothing was created
    ]
    await play(client, rows)


async def test_login_tells_missing_fields_from_blank_ones(client):
    rows = [
        SIGN_UP,
        cannot_log_in({}),
        cannot_log_in({"username": "kust2"}),
        cannot_log_in({"password": "k12345678"}),
        cannot_log_in({"email": "kust2@gmail.com", "password": "k12345678"}),
        login_refused({"username": "", "password": ""}, username=BLANK, password=BLANK),
        login_refused({"username": " \n", "password": "k12345678"}, username=BLANK),
        login_refused({"username": "kust2", "password": ""}, password=BLANK),
        login_refused({"username": ""}, username=BLANK),
        login_refused({"password": None, "username": None}, username=NULL, password=NULL),
        login_refused({"username": [], "password": {}}, **dict.fromkeys(LOGIN, NOT_A_STRING)),
        login_refused({"username": False, "password": 2**64}, **dict.fromkeys(LOGIN, NOT_A_STRING)),
        login_refused({"username": "ku\0st2", "password": "x"}, username=["<text>"]),
    ]
    await play(client, rows)


async def test_wrong_password_unknown_and_inactive_are_one_answer(client, database):
    await play(client, [SIGN_UP])
    rows = [
        cannot_log_in({**LOGIN, "password": "K12345678"}),
        cannot_log_in({**LOGIN, "password": " k12345678"}),
        cannot_log_in({**LOGIN, "password": "x"}),  # a login checks no rules
        cannot_log_in({**LOGIN, "username": "nobody"}),
        cannot_log_in({**LOGIN, "username": "no body!"}),
        cannot_log_in({**LOGIN, "username": "kust2@gmail.com"}),
        cannot_log_in({**LOGIN, "username": "n" * 10_000}),
        log_in(" KUST2 ", "k12345678"),
    ]
    await play(client, rows)
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false")
    await play(client, [cannot_log_in(LOGIN), cannot_log_in({**LOGIN, "password": "x"})])


async def test_a_registration_is_a_201_with_that_option(aiohttp_client, settings, clean):
    """Three published clients of this API take any other status for a failure."""
    dialects = parse_mounts("kust=/?register-status=201", DIALECTS)
    client = await aiohttp_client(create_app(replace(settings, dialects=dialects)))
    taken = refused(fields(), username=USERNAME_TAKEN, email=EMAIL_TAKEN)
    await play(client, [replace(SIGN_UP, status=201), taken, LOG_IN])


@pytest.mark.parametrize("status", ["204", "created"])
def test_other_statuses_are_refused_at_the_start(status):
    with pytest.raises(BadSetting, match="register-status must be"):
        read_settings({"DIALECTS": f"kust=/?register-status={status}"})
