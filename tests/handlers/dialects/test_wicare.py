"""wicare (docs/contracts/wicare.md): its examples, which requests need a token, its errors."""

import json
import re
import time
from dataclasses import replace
from datetime import datetime

import pytest

from app import create_app
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
from tests.handlers.dialects.wicare_rows import (
    EMAIL,
    LOG_IN,
    PITA,
    SIGN_UP,
    log_in,
    log_out,
    log_out_all,
    register,
    token,
    user,
)

REGISTER, LOGIN = "POST /api/auth/register", "POST /api/auth/login"
LOGOUT, LOGOUT_ALL = "POST /api/auth/logout", "POST /api/auth/logoutall"
NAMED = "/wicare{path}"
"""Where the dialect is certain: at / fardel has three of the four paths, too."""

USERNAME_TAKEN = ["A user with that username already exists."]
EMAIL_TAKEN = ["A user with that email already exists."]
INVALID_USERNAME = [
    "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ "
    "characters."
]
NOBODYS = token("7671fcda7591a3ca307438374cc86f56d8c86ab5d5b7204b6f50123b9c1e98e")  # sic: 63 digits
MOMENT = re.compile(r"20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{6}Z")


def refused(fields, **errors):
    return Row(REGISTER, fields, 400, errors)


def login_refused(fields, **errors):
    return Row(LOGIN, fields, 400, errors)


def cannot_log_in(fields):
    return Row(LOGIN, fields, 400, CANNOT_LOG_IN)


def over(request, name="<token>"):
    """Send a request with the token of a session that has ended."""
    return Row(request, None, 401, {"detail": "Invalid token."}, token(name), CHALLENGE)


OTHER = {"username": "pita2", "email": "pita@bot.com", "password": "password123"}

EXAMPLES = [
    SIGN_UP,
    register(OTHER, user("pita2", "pita@bot.com", id=2), "<token of pita2 = 64 hex>"),
    LOG_IN,
    log_in({"email": "pita@bot.com", "username": "pita2", "password": "password123"}),
    Row(LOGOUT, None, 401, {"detail": "Invalid token."}, NOBODYS, CHALLENGE),
    log_out(),
    over(LOGOUT),
    log_in(PITA, "<new token = 64 hex>"),
    log_in(PITA, "<new token>"),
    over(LOGOUT_ALL),
    log_out_all("<new token>"),
    over(LOGOUT, "<new token>"),
    log_in(PITA, "<last token = 64 hex>"),
    log_out_all("<token of pita2>"),
    log_in(PITA, "<last token>"),
]


@pytest.mark.parametrize("at", places("wicare"))
async def test_examples(client, at):
    await play(client, EXAMPLES, at=at)


CLIENT_FIELDS = {"username": "pita", "email": "pita@bot.com", "password": "password123"}


@pytest.mark.parametrize("body", [None, b"", b"{}"], ids=["none", "empty", "{}"])
@pytest.mark.parametrize("at", ["{path}/", "/wicare{path}/"])
async def test_the_published_clients_sequence(client, at, body):
    """It registers with multipart form data, logs in and out with JSON."""
    rows = [
        register(
            multipart(**CLIENT_FIELDS),
            user(email="pita@bot.com"),
            "<token = 64 hex>",
            headers=MULTIPART,
        ),
        LOG_IN,
        log_out(body=body, Content_Type="application/json"),
        over(LOGOUT),
    ]
    await play(client, rows, at=at)


async def test_expiry_is_the_end_of_the_session(client):
    fourteen_days = 14 * 86_400
    before = time.time() + fourteen_days
    rows = [SIGN_UP, log_in(PITA, expiry="<first = text>"), log_in(PITA, expiry="<second = text>")]
    names = await play(client, rows)
    after = time.time() + fourteen_days
    assert MOMENT.fullmatch(names["first"])
    assert MOMENT.fullmatch(names["second"])
    first, second = [
        datetime.fromisoformat(names[name]).timestamp() for name in ("first", "second")
    ]
    assert before - 0.01 < first < second < after + 0.01  # each login extends the session


async def test_expiry_follows_the_setting(aiohttp_client, settings, clean):
    client = await aiohttp_client(create_app(replace(settings, session_lifetime=90)))
    names = await play(client, [SIGN_UP, log_in(PITA, expiry="<expiry = text>")])
    left = datetime.fromisoformat(names["expiry"]).timestamp() - time.time()
    assert 85 < left <= 90


LOGOUT_BODIES = [
    (b"{not json", "application/json"),
    (b'["list"]', "application/json"),
    (b'{"email": "pita@bot.com"}', "application/json"),
    (b"plain", "text/plain"),
    (b"--", "multipart/form-data"),
    (b"a=b", "application/x-www-form-urlencoded"),
]


@pytest.mark.parametrize("at", ["{path}", NAMED])
async def test_logout_takes_any_body(client, at):
    names = await play(client, [SIGN_UP, log_out()], at=at)
    for count, (body, kind) in enumerate(LOGOUT_BODIES):
        one, two = f"<token {count}a", f"<token {count}b"
        everything = replace(log_out(f"{two}>", body, Content_Type=kind), request=LOGOUT_ALL)
        rows = [
            log_in(PITA, f"{one} = 64 hex>"),
            log_out(f"{one}>", body, Content_Type=kind),
            log_in(PITA, f"{two} = 64 hex>"),
            everything,
            over(LOGOUT, f"{two}>"),
        ]
        await play(client, rows, names, at)


async def hand_out(client, path, fields, key="token"):
    """Log in through another dialect; return the token."""
    response = await client.post(path, json=fields)
    data = json.loads(await response.read())
    assert response.status == 200, data
    return data[key]


async def log_in_everywhere(client):
    """Open a session of pita in each dialect; return the tokens by dialect."""
    names = await play(client, [register({**PITA, **EMAIL}, user(**EMAIL), "<wicare = 64 hex>")])
    by_email = {"email": "pita@bot.com", "password": "password123"}
    names["lumotist"] = await hand_out(client, "/lumotist/account/login", PITA)
    names["kust"] = await hand_out(client, "/kust/auth/token/login/", PITA, "auth_token")
    names["cellars"] = await hand_out(client, "/cellars/api/login/", PITA)
    names["fardel"] = await hand_out(client, "/fardel/api/auth/login/", by_email, "access_token")
    assert len(set(names.values())) == 5
    return names


def me(name, username="pita", email="pita@bot.com", **changed):
    response = {"email": email, "id": 1, "username": username, **changed}
    return Row("GET /kust/auth/users/me/", None, 200, response, token(f"<{name}>"))


@pytest.mark.parametrize("caller", ["wicare", "cellars"])
@pytest.mark.parametrize(
    "path",
    [
        "/wicare//api/auth/logoutall/",
        "/wicare//api/auth/logoutall",
        "/wicare/api/auth/logoutall/",
        "/api/auth/logoutall",
    ],
)
async def test_logoutall_ends_every_session_of_every_dialect(client, path, caller):
    names = await log_in_everywhere(client)
    by_email = {"email": "pita@bot.com", "password": "password123"}
    refresh = await hand_out(client, "/fardel/api/auth/login/", by_email, "refresh_token")
    stranger = {"username": "other", "password": "password123"}
    await play(client, [me(dialect) for dialect in names], names)
    rows = [
        register(stranger, user("other", id=2), "<other = 64 hex>"),
        log_out_all(f"<{caller}>", path),
        *[over("GET /kust/auth/users/me/", f"<{dialect}>") for dialect in names],
        *[over(LOGOUT, f"<{dialect}>") for dialect in names if dialect != "fardel"],
        Row(
            "POST /fardel/api/auth/refresh-token/",
            None,
            401,
            {"message": "Token has been revoked"},
            token(refresh, "Bearer"),
        ),
        me("other", "other", "", id=2),
        log_in(PITA, "<new = 64 hex>"),
        me("new"),
    ]
    await play(client, rows, names)


async def test_logout_ends_the_session_it_came_with_and_no_other(client):
    names = await log_in_everywhere(client)
    rows = [
        log_out("<kust>"),
        over(LOGOUT, "<kust>"),
        me("wicare"),
        log_out("<wicare>"),
        over(LOGOUT, "<wicare>"),
        me("lumotist"),
        me("cellars"),
        me("fardel"),
    ]
    await play(client, rows, names)


OPEN = ("/api/auth/register", "/api/auth/login")
GUARDED = ("/api/auth/logout", "/api/auth/logoutall", "//api/auth/logoutall")
ALLOW = {"Allow": "POST, OPTIONS"}

BAD_HEADERS = {
    "Token 2cc83e0073251de579f35e1050ce25ad57316b60f7862be1c92c77510b7e13da": INVALID_TOKEN,
    "Token <TOKEN>": INVALID_TOKEN,
    "token short": INVALID_TOKEN,
    "Token": NO_CREDENTIALS,
    "Bearer ": NO_CREDENTIALS,
    "Token <token> <token>": SPACES,
    "bearer a b c": SPACES,
    "Token <token of pita2>": INACTIVE,
    "Bearer <token of pita2>": INACTIVE,
}


async def test_bad_token_is_a_401_even_where_none_is_needed(client, database):
    names = await play(client, EXAMPLES[:2])
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false where username = 'pita2'")
    names["TOKEN"] = names["token"].upper()
    for path in (*OPEN, *GUARDED):
        for header, response in BAD_HEADERS.items():
            headers = {"Authorization": header}
            rows = [
                Row(f"POST {path}", PITA, 401, response, headers, CHALLENGE),
                Row(f"PUT {path}", b"{", 401, response, headers | JSON, CHALLENGE),
            ]
            await play(client, rows, names, NAMED)


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}, {"Authorization": "Basic dDp0"}])
async def test_missing_token(client, headers):
    for path in GUARDED:
        rows = [
            Row(f"POST {path}", None, 401, MISSING_TOKEN, headers, CHALLENGE),
            Row(f"GET {path}", b"{", 401, MISSING_TOKEN, headers | JSON, CHALLENGE),
        ]
        await play(client, rows, at=NAMED)
    rows = [
        Row(LOGOUT_ALL, None, 401, MISSING_TOKEN, headers, CHALLENGE),
        replace(SIGN_UP, headers=headers),
        replace(LOG_IN, headers=headers),
    ]
    await play(client, rows)


async def test_schemes(client):
    names = await play(client, [SIGN_UP, log_out()])
    for scheme in ("Token", "token", "TOKEN", "Bearer", "bEARER", "Token  "):
        name = f"token of {scheme}"
        rows = [
            log_in(PITA, f"<{name} = 64 hex>"),
            Row(LOGOUT, None, 204, None, token(f"<{name}>", scheme)),
            over(LOGOUT, f"<{name}>"),
        ]
        await play(client, rows, names, NAMED)


async def test_good_token_is_ignored_where_none_is_needed(client):
    mine = token("<token>")
    rows = [
        SIGN_UP,
        register(
            OTHER, user("pita2", "pita@bot.com", id=2), "<token of pita2 = 64 hex>", headers=mine
        ),
        log_in({"username": "pita2", "password": "password123"}, "<token of pita2>", headers=mine),
    ]
    await play(client, rows)


async def test_wrong_methods(client):
    names = await play(client, [SIGN_UP])
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        response = not_allowed(method)
        for path in OPEN:
            row = Row(f"{method} {path}", b"{", 405, response, JSON, ALLOW)
            await play(client, [row], at=NAMED)
        for path in (*OPEN, *GUARDED):
            row = Row(f"{method} {path}", b"{", 405, response, JSON | token("<token>"), ALLOW)
            await play(client, [row], names, NAMED)
    await play(client, [Row("HEAD /wicare/api/auth/login", None, 405, None, {}, ALLOW)])


@pytest.mark.parametrize("at", ["{path}", "/wicare{path}/"])
async def test_options(client, at):
    for path in (*OPEN, *GUARDED):
        if at == "{path}" and path.startswith("//"):
            continue  # a URL that begins like this has a host
        response = await client.options(at.format(path=path))
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["Access-Control-Allow-Headers"] == "Content-Type, Authorization"
        assert response.headers.items() >= ALLOW_METHODS.items()


UNKNOWN = ["/nowhere", "", "/", "/api", "/api/auth", "/api/auth/user", "/api/auth/logout/x"]


async def test_unknown_paths_come_before_everything(client):
    for path in UNKNOWN:
        rows = [Row(f"{verb} {path}", b"{", 404, NOT_FOUND, NOBODYS) for verb in ("GET", "POST")]
        await play(client, rows, at=NAMED)


KINDS = {"list": [PITA], "str": "username", "int": 5, "float": 1.5, "bool": True, "NoneType": None}
BROKEN = [b"{not json", b'{"username": "pi', b"{} {}", b" ", b'{"username": "\xff"}', b"\0"]


async def test_bodies_that_are_no_object(client):
    for request in (REGISTER, LOGIN):
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
            Row(request, b"", 400, {"username": REQUIRED, "password": REQUIRED}, JSON),
            Row(request, None, 400, {"username": REQUIRED, "password": REQUIRED}),
        ]
        await play(client, rows, at=NAMED)


@pytest.mark.parametrize(("write", "headers"), [(urlencoded, FORM), (multipart, MULTIPART)])
async def test_forms(client, write, headers):
    fields = {"username": " Åsa ", "password": " 100% +x=y "}
    blank = {"username": BLANK, "password": BLANK}
    rows = [
        register(write(**fields), user("Åsa"), "<token = 64 hex>", headers=headers),
        log_in(write(**fields), "<token>", headers=headers),
        log_in({"username": "åsa", "password": " 100% +x=y "}, "<token>"),
        Row(REGISTER, write(username="", email="", password=""), 400, blank, headers),
        Row(LOGIN, write(username="", password=""), 400, blank, headers),
        Row(LOGIN, write(email="", password="x"), 400, {"email": BLANK}, headers),
        Row(REGISTER, write(**fields), 400, {"username": USERNAME_TAKEN}, headers),
    ]
    await play(client, rows)


def fields(username="pita", email="pita@bot.com", password="password123"):  # noqa: S107
    return {"username": username, "email": email, "password": password}


REFUSED = [
    refused({}, username=REQUIRED, password=REQUIRED),
    refused({"username": "pita"}, password=REQUIRED),
    refused(fields("", "", ""), username=BLANK, password=BLANK),
    refused(fields(" \t ", "  ", ""), username=BLANK, password=BLANK),
    refused(fields(None, None, None), username=NULL, email=NULL, password=NULL),
    refused(fields(True, [], {}), username=NOT_A_STRING, email=NOT_A_STRING, password=NOT_A_STRING),
    refused(
        {"password": None, "email": "no", "username": "n" * 151},
        username=too_long(150),
        email=INVALID_EMAIL,
        password=NULL,
    ),
    refused(fields(2**64, -(2**63) - 1, 10**30), **dict.fromkeys(fields(), NOT_A_STRING)),
    refused(fields(email=f"pita@{'t' * 60}.{'t' * 187}.com"), email=too_long(254)),
    refused(fields("pi\0ta"), username=["<text>"]),
    refused(fields(email="pita@b\0t.com"), email=["<text>"]),
    *[
        refused(fields(username), username=INVALID_USERNAME)
        for username in ("pi ta", "pita!", "pi/ta", "pi\nta", "🔑", "pi\u200bta", "a,b", "<b>")
    ],
    *[
        refused(fields(email=email), email=INVALID_EMAIL)
        for email in ("pita", "pita@", "@bot.com", "pita@bot", "pi ta@bot.com", "pita@bot..com")
    ],
]


async def test_register_refuses_fields_together_in_their_order(client):
    await play(client, REFUSED, at=NAMED)
    await play(client, [register(fields(), user(**EMAIL))])  # and nothing was created


async def test_lone_surrogates_are_a_400(client):
    """UTF-7 can encode a surrogate, which then reaches the fields; UTF-8 cannot."""
    utf_7 = {"Content-Type": f"{FORM['Content-Type']}; charset=utf-7"}
    broken = {"detail": "JSON parse error - <text>"}
    for name in fields():
        body = json.dumps({**fields(), name: "HERE"}).replace("HERE", "x\\ud800").encode()
        form = "&".join(f"{key}={value}" for key, value in {**fields(), name: "+2AA-"}.items())
        rows = [
            Row(REGISTER, body, 400, broken, JSON),
            Row(LOGIN, body, 400, broken, JSON),
            Row(REGISTER, form.encode(), 400, {name: ["<text>"]}, utf_7),
        ]
        await play(client, rows, at=NAMED)
    for name in ("username", "password"):
        form = f"{name}=+2AA-&{'password' if name == 'username' else 'username'}=x".encode()
        await play(client, [Row(LOGIN, form, 400, {name: ["<text>"]}, utf_7)])


async def test_a_longer_body_than_1_mib_is_not_read(client):
    body = json.dumps(PITA).encode().ljust(1024 * 1024 + 1)
    rows = [Row(request, body, 413, {"detail": "<text>"}, JSON) for request in (REGISTER, LOGIN)]
    await play(client, rows, at=NAMED)


USERNAMES = ["p" * 150, "Åsa", "日本語", "Ελλάδα", "٣٤٥", "a@b.+-_9", "ñ_1", "@"]


async def test_usernames_hold_letters_of_any_script(client):
    """Names are trimmed. Passwords are not, and spaces alone are a password."""
    for id, username in enumerate(USERNAMES, 1):
        body = {"username": f"  {username}\n", "password": "  "}
        rows = [
            register(body, user(username, id=id), "<token = 64 hex>"),
            log_in({"username": username.upper(), "password": "  "}, "<token>"),
            cannot_log_in({"username": username, "password": " "}),
        ]
        await play(client, rows)


async def test_numbers_become_strings(client):
    rows = [
        register({"username": 12345, "password": 678}, user("12345"), "<token = 64 hex>"),
        log_in({"username": "12345", "password": "678"}, "<token>"),
        log_in({"username": 12345, "password": 678}, "<token>"),
    ]
    await play(client, rows)


PASSWORDS = [("p" * 72 + "a", "p" * 72 + "b"), ("pass\0word", "pass"), ("\0", "\0\0"), ("é", "e")]


async def test_passwords_hold_anything_and_all_of_it_counts(client):
    for id, (password, other) in enumerate(PASSWORDS, 1):
        username = f"pita{id}"
        body = {"username": username, "password": password}
        rows = [
            register(body, user(username, id=id), "<token = 64 hex>"),
            cannot_log_in({"username": username, "password": other}),
            log_in(body, "<token>"),
        ]
        await play(client, rows)


async def test_taken_names_every_field_that_is(client):
    rows = [
        register(fields(), user(**EMAIL)),
        refused(fields(email="new@bot.com"), username=USERNAME_TAKEN),
        refused({"username": "PITA", "password": "x"}, username=USERNAME_TAKEN),
        refused(fields("new"), email=EMAIL_TAKEN),
        refused(fields("new", " PITA@Bot.COM "), email=EMAIL_TAKEN),
        refused(fields(), username=USERNAME_TAKEN, email=EMAIL_TAKEN),
        refused(fields(" Pita "), username=USERNAME_TAKEN, email=EMAIL_TAKEN),
        # A taken name is reported only if every field is valid.
        refused(fields(password=""), password=BLANK),
        refused(fields(email="no"), email=INVALID_EMAIL),
    ]
    await play(client, rows)


SAME = [("åsa", "ÅSA"), ("Straße", "STRASSE"), ("σίσυφος", "ΣΊΣΥΦΟΣ"), ("Ａｌｉｃｅ", "alice")]


async def test_usernames_are_unique_and_log_in_whatever_their_case(client):
    names = {}
    for id, (username, _) in enumerate(SAME, 1):
        body = {"username": username, "password": "x"}
        row = register(body, user(username, id=id), f"<token of {id} = 64 hex>")
        await play(client, [row], names)
    for id, (_, other) in enumerate(SAME, 1):
        body = {"username": other, "password": "x"}
        rows = [refused(body, username=USERNAME_TAKEN), log_in(body, f"<token of {id}>")]
        await play(client, rows, names)


async def test_any_number_of_accounts_have_no_email(client, database):
    rows = [
        register({"username": "a", "password": "x"}, user("a")),
        register({"username": "b", "password": "x", "email": ""}, user("b", id=2)),
        register({"username": "c", "password": "x", "email": "  "}, user("c", id=3)),
        login_refused({"email": "", "password": "x"}, email=BLANK),
    ]
    await play(client, rows, at=NAMED)
    with database.cursor() as cursor:
        cursor.execute("select distinct email, email_folded from account")
        assert cursor.fetchall() == [(None, None)]


async def test_login_by_username_or_by_email(client):
    secret = {"password": "password123"}
    rows = [
        register(fields(), user(**EMAIL), "<token = 64 hex>"),
        log_in(PITA, "<token>"),
        log_in({"username": " PITA ", **secret}, "<token>"),
        log_in({"email": "pita@bot.com", **secret}, "<token>"),
        replace(
            log_in({}, "<token>"),
            body=urlencoded(username="", email="pita@bot.com", **secret),
            headers=FORM,
        ),
        log_in({"email": " Pita@BOT.com\n", **secret}, "<token>"),
        # With both, the username is used, whatever the e-mail.
        log_in(fields(), "<token>"),
        log_in(fields(email="nobody@bot.com"), "<token>"),
        log_in(fields(email=None), "<token>"),
        cannot_log_in(fields("nobody")),
        login_refused(fields(""), username=BLANK),
        login_refused(fields(None), username=NULL),
        # Usernames and e-mails are compared separately.
        cannot_log_in({"username": "pita@bot.com", **secret}),
        cannot_log_in({"email": "pita", **secret}),
    ]
    await play(client, rows, at=NAMED)


async def test_login_by_a_name_that_is_another_ones_email(client):
    theirs = {"username": "PITA@bot.com", "password": "another"}
    rows = [
        register(fields(), user(**EMAIL), "<token = 64 hex>"),
        register(theirs, user("PITA@bot.com", id=2), "<other = 64 hex>"),
        log_in({"username": "pita@bot.com", "password": "another"}, "<other>"),
        log_in({"email": "pita@bot.com", "password": "password123"}, "<token>"),
        cannot_log_in({"username": "pita@bot.com", "password": "password123"}),
        cannot_log_in({"email": "pita@bot.com", "password": "another"}),
    ]
    await play(client, rows, at=NAMED)


LOGIN_REFUSED = [
    login_refused({}, username=REQUIRED, password=REQUIRED),
    login_refused({"email": "pita@bot.com"}, password=REQUIRED),
    login_refused({"email": "", "password": ""}, email=BLANK, password=BLANK),
    login_refused({"email": None, "password": None}, email=NULL, password=NULL),
    login_refused({"email": [], "password": {}}, email=NOT_A_STRING, password=NOT_A_STRING),
    login_refused({"username": False, "password": 2**64}, **dict.fromkeys(PITA, NOT_A_STRING)),
    login_refused({"username": " ", "password": ""}, username=BLANK, password=BLANK),
    login_refused({"username": "pi\0ta", "password": "x"}, username=["<text>"]),
    login_refused({"email": "pita@b\0t.com", "password": "x"}, email=["<text>"]),
]


async def test_login_fields(client):
    await play(client, LOGIN_REFUSED, at=NAMED)


async def test_wrong_password_unknown_and_inactive_are_one_answer(client, database):
    await play(client, [register(fields(), user(**EMAIL))])
    rows = [
        cannot_log_in(fields(password="password124")),
        cannot_log_in(fields(password=" password123")),
        cannot_log_in({"email": "pita@bot.com", "password": "Password123"}),
        cannot_log_in({"email": "nobody@bot.com", "password": "password123"}),
        # A login does not validate the name.
        cannot_log_in({"email": "no e-mail", "password": "password123"}),
        cannot_log_in({"username": "no body!", "password": "password123"}),
        cannot_log_in({"username": "n" * 10_000, "password": "password123"}),
    ]
    await play(client, rows, at=NAMED)
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false")
    rows = [cannot_log_in(fields()), cannot_log_in({"email": "pita@bot.com", "password": "x"})]
    await play(client, [*rows, cannot_log_in(fields(password="wrong"))], at=NAMED)


async def test_accounts_of_other_dialects_log_in_by_what_they_have(client):
    """An account without a username by its e-mail; another by a name that is invalid here."""
    names = {"email": "pita@bot.com", "password": "x"}
    await hand_out(client, "/fardel/api/auth/register/", names, "access_token")
    odd = {"username": "no body!", "email": "odd@bot.com", "password": "y"}
    await hand_out(client, "/lumotist/account/register", odd)
    rows = [
        log_in(names, "<token = 64 hex>"),
        me("token", ""),
        log_in({"username": "NO BODY!", "password": "y"}, "<odd = 64 hex>"),
        me("odd", "no body!", "odd@bot.com", id=2),
        refused(fields("no body!"), username=INVALID_USERNAME),
        refused(fields(), email=EMAIL_TAKEN),
    ]
    await play(client, [replace(row, request=named(row.request)) for row in rows])


def named(request):
    return request.replace(" /api/", " /wicare/api/")


@pytest.mark.parametrize("row", [SIGN_UP, LOG_IN], ids=["register", "login"])
async def test_last_login_is_set(client, database, row):
    names = {} if row is SIGN_UP else await play(client, [SIGN_UP])
    with database.cursor() as cursor:
        cursor.execute("update account set last_login = null")
        await play(client, [row], names)
        cursor.execute("select last_login > now() - interval '1 minute' from account")
        assert cursor.fetchone() == (True,)
