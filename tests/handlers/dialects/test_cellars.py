"""cellars (docs/contracts/cellars.md): its examples, its errors, which requests need a token."""

import datetime
import gzip
import itertools
import json
import re
from dataclasses import replace
from urllib.parse import quote

import pytest

from app import create_app
from handlers import app_keys
from handlers.dialects.cellars import DIALECT
from handlers.errors import InternalError, RequestTimeout
from store.errors import Busy, Unavailable
from tests.handlers.contract import ALLOW_METHODS, JSON, Row, places, play
from tests.handlers.dialects.cellars_rows import (
    ANY_TYPE,
    AZURE,
    BAD_HEADERS,
    BAD_REQUEST,
    EXAMPLES,
    INACTIVE,
    INVALID_DATA,
    INVALID_DATA_BECAUSE,
    INVALID_HEADER,
    INVALID_METHOD,
    LOG_IN,
    LOGOUT_BODIES,
    MALFORMED,
    NO_FIELDS,
    NO_HEADERS,
    NO_NAMES,
    NO_SUCH_TOKEN,
    NO_TOKENS,
    NOBODYS,
    NOT_FOUND,
    NOT_SET,
    NOT_UNIQUE,
    OPEN,
    PASSWORDS,
    SET_BY_AN_OPERATOR,
    SIGN_UP,
    SUCCESS,
    WRONG,
    log_in,
    log_out,
    register,
)
from tests.handlers.dialects.lumotist_rows import token


@pytest.mark.parametrize("at", places("cellars"))
async def test_examples(client, at):
    await play(client, EXAMPLES, at=at)


@pytest.mark.parametrize("at", places("cellars"))
async def test_published_client(client, at):
    """It sends its logout as JSON without a body, and reads `.error` as a string."""
    rows = [SIGN_UP, LOG_IN, log_out(body=b"", **JSON)]
    names = await play(client, rows, at=at)
    response = await client.post(
        at.format(path="/api/logout"), data=b"", headers=JSON | token(names["token"])
    )
    assert isinstance((await response.json())["error"], str)


async def test_what_an_operator_sets_is_shown_as_in_the_document(client):
    names = await play(client, [SIGN_UP])
    await client.app[app_keys.ACCOUNTS].change(1, SET_BY_AN_OPERATOR)
    await play(client, [log_in("AzureDiamond", **SET_BY_AN_OPERATOR)], names)


DATES = ("last_login", "created", "modified", "date_joined")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
async def test_dates_are_utc_with_milliseconds_whatever_the_databases_zone(
    aiohttp_client, settings, database, clean, zone
):
    url = f"{settings.database_url}&options=-c%20timezone%3D{quote(zone)}"
    client = await aiohttp_client(create_app(replace(settings, database_url=url)))
    for path, status in (("/api/register", 201), ("/api/login", 200)):
        response = await client.post(path, json=AZURE)
        assert response.status == status
        shown = (await response.json())["user"]
        now = datetime.datetime.now(datetime.UTC)
        for name in DATES:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown[name])
            age = now - datetime.datetime.fromisoformat(shown[name])
            assert abs(age) < datetime.timedelta(seconds=30), name
    with database.cursor() as cursor:
        cursor.execute(
            "update account set created = '2015-01-04 22:51:35.144+00',"
            " modified = '2015-12-31 23:59:59.999900+00'"
        )
    days = {
        "created": "2015-01-04T22:51:35.144Z",
        "modified": "2015-12-31T23:59:59.999Z",
        "date_joined": "2015-01-04T22:51:35.144Z",
    }
    await play(client, [log_in("AzureDiamond", hands_out="<token = 40 hex>", **days)])


async def test_last_login_is_that_of_the_last_login(client, database):
    await play(client, [SIGN_UP])
    with database.cursor() as cursor:
        cursor.execute("select now() - last_login < interval '30 s' from account")
        assert cursor.fetchone() == (True,)
        cursor.execute("update account set last_login = '2015-01-04 22:51:35.144+00'")
    response = await client.post("/api/login", json=AZURE)
    shown = datetime.datetime.fromisoformat((await response.json())["user"]["last_login"])
    assert datetime.datetime.now(datetime.UTC) - shown < datetime.timedelta(seconds=30)


async def test_invalid_data(client):
    await play(client, [SIGN_UP])
    for path in OPEN:
        rows = [Row(f"POST {path}", body, 400, INVALID_DATA) for body in NO_FIELDS.values()]
        await play(client, [*rows, Row(f"POST {path}", b"null", 400, INVALID_DATA, JSON)])


async def test_malformed_json_says_why(client):
    await play(client, [SIGN_UP])
    for path in OPEN:
        rows = [Row(f"POST {path}", body, 400, INVALID_DATA_BECAUSE, JSON) for body in MALFORMED]
        await play(client, rows)


async def test_names_that_can_not_be_registered(client):
    rows = [
        Row("POST /api/register", {**AZURE, "username": name}, 400, INVALID_DATA_BECAUSE)
        for name in NO_NAMES.values()
    ]
    empty = Row("POST /api/register", {**AZURE, "username": ""}, 400, NOT_SET)
    await play(client, [*rows, empty])
    assert await client.app[app_keys.ACCOUNTS].details(1) is None


async def test_a_login_looks_the_name_up_as_it_is(client):
    unknown = [name for name in NO_NAMES.values() if "\0" not in name]
    unknown += ["", "nobody", "AzureDiamond2", "azure@example.com"]
    await play(client, [SIGN_UP])
    await client.app[app_keys.ACCOUNTS].change(1, {"email": "azure@example.com"})
    rows = [Row("POST /api/login", {**AZURE, "username": name}, 400, WRONG) for name in unknown]
    nul = {**AZURE, "username": "Azure\0Diamond"}
    await play(client, [*rows, Row("POST /api/login", nul, 400, INVALID_DATA_BECAUSE)])
    long = "a name that cellars would not register, " * 5
    await client.app[app_keys.ACCOUNTS].change(1, {"username": long, "email": None})
    await play(client, [log_in(long, hands_out="<token = 40 hex>")])


async def test_names_that_can_be_registered(client):
    for username in ("n" * 30, "a_b@c+d.e-9", "_", "Åsa", "ユーザー"):
        await play(client, [register(username), log_in(username), log_in(username)])


async def test_names_are_unique_and_log_in_whatever_their_case(client):
    for username, other in [
        ("AzureDiamond", "azureDIAMOND"),
        ("ÅSA", "åsa"),
        ("Straße", "STRASSE"),
    ]:
        taken = Row("POST /api/register", {**AZURE, "username": other}, 400, NOT_UNIQUE)
        await play(client, [register(username), taken, log_in(other, shown=username)])


async def test_passwords_are_arbitrarily_long_and_hold_any_character(client):
    for number, (password, other) in enumerate(PASSWORDS):
        name = f"azure{number}"
        wrong = Row("POST /api/login", {"username": name, "password": other}, 400, WRONG)
        await play(client, [register(name, password), wrong, log_in(name, password)])


async def test_inactive(client):
    names = await play(client, [SIGN_UP])
    await client.app[app_keys.ACCOUNTS].change(1, {"is_active": False})
    rows = [
        Row("POST /api/login", AZURE, 400, INACTIVE),
        Row("POST /api/login", {**AZURE, "password": "*******"}, 400, WRONG),
        Row("POST /api/logout", None, 401, NO_SUCH_TOKEN, token("<token>")),
    ]
    await play(client, rows, names)


async def test_register_and_login_look_at_no_token(client):
    names = await play(client, [SIGN_UP])
    for number, headers in enumerate(BAD_HEADERS):
        name, other = f"azure{number}", f"<token of {number}"
        rows = [register(name, hands_out=f"{other} = 40 hex>"), log_in(name, hands_out=f"{other}>")]
        await play(client, [replace(row, headers=headers) for row in rows], names)


async def test_the_body_is_json_whatever_its_type_says(client):
    for number, headers in enumerate(ANY_TYPE):
        rows = [register(f"azure{number}"), log_in(f"azure{number}")]
        rows = [replace(row, body=json.dumps(row.body).encode(), headers=headers) for row in rows]
        await play(client, rows)


async def test_wrong_method_on_register_and_login_is_a_bad_request(client):
    for path in OPEN:
        rows = [
            Row(f"{wrong} {path}", b"{", 400, None if wrong == "HEAD" else BAD_REQUEST, headers)
            for wrong in ("GET", "HEAD", "PUT", "PATCH", "DELETE")
            for headers in ({}, JSON, NOBODYS)
        ]
        await play(client, rows)


async def test_logout_looks_at_the_token_before_the_method(client):
    names = await play(client, [SIGN_UP])
    names["TOKEN"] = names["token"].upper()
    for method in ("POST", "GET", "PUT", "DELETE"):
        request = f"{method} /api/logout"
        rows = [Row(request, None, 401, INVALID_HEADER, headers) for headers in NO_HEADERS]
        rows += [Row(request, None, 401, NO_SUCH_TOKEN, token(name)) for name in NO_TOKENS]
        await play(client, rows, names)
    allow = {"Allow": "POST, OPTIONS"}
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        request = f"{method} /api/logout"
        await play(
            client, [Row(request, b"{", 405, INVALID_METHOD, token("<token>"), allow)], names
        )
    head = Row("HEAD /api/logout", None, 405, None, token("<token>"), allow)
    await play(client, [head, log_out()], names)  # no wrong method ended the session


async def test_logout_takes_any_body_and_scheme(client):
    names = await play(client, [SIGN_UP, log_out()])
    schemes = itertools.cycle(["Token", "token", "TOKEN", "Bearer", "bEARER"])
    for count, (body, headers) in enumerate(LOGOUT_BODIES):
        mine = headers | {"Authorization": f"{next(schemes)} <token {count}>"}
        rows = [
            log_in("AzureDiamond", hands_out=f"<token {count} = 40 hex>"),
            log_in("AzureDiamond", hands_out=f"<token {count}>"),
            Row("POST /api/logout", body, 200, SUCCESS, mine),
            Row("POST /api/logout", body, 401, NO_SUCH_TOKEN, mine),
        ]
        await play(client, rows, names)


async def test_options(client):
    rows = [
        Row(f"OPTIONS {path}", None, 200, {}, headers, ALLOW_METHODS)
        for path in (*OPEN, "/api/logout")
        for headers in ({}, {"Origin": "https://app.example"}, NOBODYS)
    ]
    for at in places("cellars"):
        await play(client, rows, at=at)


async def test_unknown_paths_under_the_name(client):
    rows = [
        Row(f"{method} /cellars{path}", b"{", 404, NOT_FOUND, NOBODYS)
        for method in ("GET", "POST", "PUT")
        for path in ("", "/", "/nowhere", "/api", "/api/register/1", "/register")
    ]
    await play(client, rows)


async def test_bodies_that_are_too_large_or_can_not_be_read(client):
    body = json.dumps(AZURE).encode()
    whole = body + b" " * (1024 * 1024 - len(body))
    packed = JSON | {"Content-Encoding": "gzip"}
    rows = [
        replace(SIGN_UP, body=whole, headers=JSON),
        replace(LOG_IN, body=body, headers=JSON | {"Content-Encoding": "identity"}),
    ]
    refused = {"error": "Unsupported Media Type"}
    for path in OPEN:
        rows += [
            Row(f"POST {path}", whole + b" ", 413, {"error": "<text>"}, JSON),
            Row(f"POST {path}", gzip.compress(body), 415, refused, packed),
        ]
    await play(client, rows)


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (RequestTimeout(), 408, None),
        (Busy(1.2), 503, "2"),
        (Unavailable("redis", "away"), 503, "1"),
        (InternalError(), 500, None),
    ],
)
def test_what_is_nobodys_fault_is_one_string_too(error, status, retry_after):
    for path in DIALECT.endpoints:
        response = DIALECT.endpoints[path].render_error(error)
        assert response.status == status
        assert response.headers.get("Retry-After") == retry_after
        [(name, why)] = json.loads(response.body).items()
        assert name == "error"
        assert isinstance(why, str)
        assert "redis" not in why
