"""fardel (docs/contracts/fardel.md): its examples, and what each of its two tokens may do."""

import asyncio
import gzip
import itertools
import json
from dataclasses import replace

import pytest

from app import create_app
from handlers import app_keys
from handlers.dialects.fardel import DIALECT, Options
from handlers.errors import InternalError, RequestTimeout
from handlers.mounts import Mount
from store.errors import Busy, Unavailable
from tests.handlers.contract import ALLOW_METHODS, JSON, Row, places, play
from tests.handlers.dialects.fardel_rows import (
    ADA,
    BAD_HEADER,
    BAD_HEADERS,
    EMPTY,
    EXAMPLES,
    EXPIRED,
    FORGED,
    GUARDED_BY_ACCESS,
    GUARDED_BY_REFRESH,
    LOG_IN,
    LOGIN,
    LOGOUT,
    LOGOUT_BODIES,
    LOGOUT_REFRESH,
    MALFORMED,
    MISSING,
    NAMED,
    NO_FORMS,
    NO_TOKENS,
    NOT_LOGIN,
    ONLY_ACCESS,
    ONLY_REFRESH,
    OTHER_TYPES,
    POST_ONLY,
    PUBLISHED_CLIENT,
    REFRESH,
    REGISTER,
    REVOKED,
    SHOW,
    SIGN_UP,
    STORIES,
    UNVALID,
    UPDATE,
    WRONG,
    bearer,
    log_in,
    log_out,
    log_out_refresh,
    not_updated,
    nothing_updated,
    register,
    renew,
    shows,
    shows_not,
    updated,
)

UNDER_ITS_NAME = "/fardel{path}"  # at / the scheme Token chooses wicare


@pytest.mark.parametrize("at", places("fardel"))
async def test_examples(client, at):
    await play(client, EXAMPLES, at=at)


@pytest.mark.parametrize("at", places("fardel"))
async def test_published_client(client, at):
    """It sends all four fields, empty ones too, and logs out the refresh token first."""
    await play(client, PUBLISHED_CLIENT, at=at)


@pytest.mark.parametrize("rows", STORIES.values(), ids=STORIES)
async def test_story(client, rows):
    await play(client, rows)


@pytest.mark.parametrize("request_line", [REGISTER, LOGIN])
async def test_unvalid_forms(client, request_line):
    rows = [Row(request_line, form, 400, UNVALID) for form in NO_FORMS.values()]
    rows += [Row(request_line, body, 400, UNVALID, JSON) for body in [None, *MALFORMED]]
    rows += [Row(request_line, body, 400, UNVALID, kind) for body, kind in OTHER_TYPES]
    await play(client, rows, at=UNDER_ITS_NAME)


async def test_register_and_login_ignore_the_header(client):
    bad = ["Bearer garbage", "Bearer", "Bearer a b", "Token garbage", "Token", "Basic dDp0"]
    for number, header in enumerate(bad):
        fields = {**ADA, "email": f"ada{number}@example.com"}
        headers = {"Authorization": header}
        rows = [replace(row, headers=headers) for row in (register(fields), log_in(fields))]
        await play(client, rows, at=UNDER_ITS_NAME)


async def test_what_needs_no_body_takes_any(client):
    names = await play(client, [SIGN_UP, log_out(), log_out_refresh()])
    schemes = itertools.cycle(["Bearer", "bearer", "Token", "tOKEN"])
    for count, (body, headers) in enumerate(LOGOUT_BODIES):
        scheme = next(schemes)
        access, refresh = f"<access {count}>", f"<refresh {count}>"
        asked = [renew(f"renewed {count}", refresh), log_out(access), log_out_refresh(refresh)]
        for number, row in enumerate(asked):
            mine = row.headers["Authorization"].replace("Bearer", scheme)
            asked[number] = replace(row, body=body, headers=headers | {"Authorization": mine})
        login = log_in(ADA, f"<access {count} = 40 hex>", f"<refresh {count} = 40 hex>")
        rows = [login, *asked, shows_not(REVOKED, access)]
        await play(client, rows, names, at=UNDER_ITS_NAME)


async def test_headers_that_bring_no_token(client):
    names = await play(client, [SIGN_UP])
    names["ACCESS"] = names["access"].upper()
    for request_line in GUARDED_BY_ACCESS + GUARDED_BY_REFRESH:
        rows = [Row(request_line, b"{", 401, MISSING, headers) for headers in ({}, JSON)]
        rows += [Row(request_line, None, 401, MISSING, {"Authorization": ""})]
        rows += [
            Row(request_line, None, 422, BAD_HEADER, {"Authorization": header})
            for header in BAD_HEADERS
        ]
        rows += [Row(request_line, None, 422, FORGED, bearer(name)) for name in NO_TOKENS]
        await play(client, rows, names, at=UNDER_ITS_NAME)


async def test_a_header_without_a_token_is_not_login_and_a_bad_token_is_its_error(client):
    names = await play(client, [SIGN_UP, renew("renewed"), log_out("<renewed>")])
    names["ACCESS"] = names["access"].upper()
    rows = [Row(SHOW, None, 200, NOT_LOGIN, headers) for headers in ({}, {"Authorization": ""})]
    rows += [Row(SHOW, None, 200, NOT_LOGIN, {"Authorization": header}) for header in BAD_HEADERS]
    rows += [shows_not(FORGED, name, 422) for name in NO_TOKENS]
    rows += [shows_not(REVOKED, "<renewed>"), shows_not(ONLY_ACCESS, "<refresh>", 422), shows()]
    await play(client, rows, names)


async def test_expired_tokens(client, redis_client):
    names = await play(client, [SIGN_UP, renew("renewed")])
    for name in ("access", "renewed", "refresh"):
        assert redis_client.delete(f"session:{names[name][:20]}") == 1
    rows = [Row(line, None, 401, EXPIRED, bearer("<access>")) for line in GUARDED_BY_ACCESS]
    rows += [Row(line, None, 401, EXPIRED, bearer("<refresh>")) for line in GUARDED_BY_REFRESH]
    rows += [shows_not(EXPIRED, f"<{name}>") for name in ("access", "renewed", "refresh")]
    rows += [log_in(ADA, "<new access = 40 hex>", "<new refresh = 40 hex>"), shows("<new access>")]
    await play(client, rows, names)


async def test_access_tokens_expire_before_refresh_tokens(aiohttp_client, settings, clean):
    client = await aiohttp_client(create_app(replace(settings, access_token_lifetime=1)))
    names = await play(client, [SIGN_UP, renew("renewed")])
    await asyncio.sleep(1.2)
    rows = [
        shows_not(EXPIRED),
        shows_not(EXPIRED, "<renewed>"),
        not_updated(401, EXPIRED, {}),
        log_in(access="<new access = 40 hex>"),  # the refresh token is still the one
        renew("renewed again"),
        shows("<new access>"),
        shows("<renewed again>"),
    ]
    await play(client, rows, names)


MINUTE, DAY = 60, 86_400
LIFETIMES = {"access": 15 * MINUTE, "renewed": 15 * MINUTE, "refresh": 30 * DAY}


def lifetime(redis_client, token):
    return redis_client.ttl(f"session:{token[: len(token) // 2]}")


async def test_lifetimes(client, redis_client):
    names = await play(client, [SIGN_UP, renew("renewed")])
    for name, seconds in LIFETIMES.items():
        assert seconds - 10 < lifetime(redis_client, names[name]) <= seconds, name


async def test_sessions_are_extended_by_what_hands_them_out_and_never_by_use(client, redis_client):
    """A session of wicare, which is extended by use, shows that there was enough time for it."""
    beside = Row(
        "POST /wicare/api/auth/register",
        {"username": "ada", "password": "secret"},
        200,
        {"user": {"id": 2, "username": "ada", "email": ""}, "token": "<token = 64 hex>"},
    )
    names = await play(client, [SIGN_UP, renew("renewed"), beside])
    for name in ("access", "renewed", "refresh", "token"):
        key = f"session:{names[name][: len(names[name]) // 2]}"
        *record, opened = redis_client.get(key).split(b" ")
        long_ago = str(int(opened) - 20 * DAY).encode()
        redis_client.set(key, b" ".join([*record, long_ago]), ex=300)
    rows = [
        shows(),
        shows("<renewed>"),
        nothing_updated({}),
        updated({"first_name": "Ada"}, first_name="Ada"),
        updated({"first_name": "Ada"}, "<renewed>", first_name="Ada"),
        renew("another"),
        shows("<token>", id=2, email=""),
    ]
    await play(client, rows, names)
    for _ in range(100):
        if lifetime(redis_client, names["token"]) > 300:
            break
        await asyncio.sleep(0.01)
    assert lifetime(redis_client, names["token"]) > 300
    for name in ("access", "renewed", "refresh"):
        assert lifetime(redis_client, names[name]) <= 300, name
    await play(client, [LOG_IN], names)
    for name in ("access", "refresh"):
        assert lifetime(redis_client, names[name]) > LIFETIMES[name] - 10, name
    assert lifetime(redis_client, names["renewed"]) <= 300


async def test_an_account_that_an_operator_disabled(client):
    names = await play(client, [SIGN_UP, renew("renewed")])
    over = [
        Row(LOGIN, ADA, 401, WRONG),
        Row(LOGIN, {**ADA, "password": "?"}, 401, WRONG),
        *[shows_not(REVOKED, f"<{name}>") for name in ("access", "renewed")],
        *[Row(line, None, 401, REVOKED, bearer("<access>")) for line in GUARDED_BY_ACCESS],
        *[Row(line, None, 401, REVOKED, bearer("<refresh>")) for line in GUARDED_BY_REFRESH],
    ]
    await client.app[app_keys.ACCOUNTS].change(1, {"is_active": False})
    await play(client, over, names)
    await client.app[app_keys.ACCOUNTS].change(1, {"is_active": True})
    again = log_in(ADA, "<new access = 40 hex>", "<new refresh = 40 hex>")
    await play(client, [*over[2:], again, shows("<new access>")], names)


@pytest.mark.parametrize(
    "fields",
    [
        {"group_name": "Makers"},
        {"is_admin": True},
        {"is_staff": True},
        {"group_name": "Makers", "is_admin": True, "is_staff": True},
    ],
)
async def test_group_and_ranks_are_shown_when_they_are_set(client, database, fields):
    names = await play(client, [register(NAMED)])
    with database.cursor() as cursor:
        for column, value in fields.items():
            cursor.execute(f"update account set {column} = %s", (value,))
    shown = {"first_name": "Ada", "last_name": "Lovelace"}
    shown |= {name.removesuffix("_name"): value for name, value in fields.items()}
    rows = [shows(**shown), updated({"first_name": "Ada"}, **shown)]
    await play(client, rows, names)


async def test_options(client):
    rows = [
        Row(f"OPTIONS {line.split()[1]}", None, 200, {}, {}, ALLOW_METHODS)
        for line in (*POST_ONLY, SHOW)
    ]
    for at in places("fardel"):
        await play(client, rows, at=at)


async def test_bodies_that_are_too_large_or_can_not_be_read(client):
    body = json.dumps(ADA).encode()
    whole = body + b" " * (1024 * 1024 - len(body))
    packed = JSON | {"Content-Encoding": "gzip"}
    too_large, compressed = {"message": "<text>"}, {"message": "Unsupported Media Type"}
    rows = [
        replace(SIGN_UP, body=whole, headers=JSON),
        replace(LOG_IN, body=body, headers=JSON | {"Content-Encoding": "identity"}),
    ]
    for line in (REGISTER, LOGIN, UPDATE):
        mine = bearer("<access>") if line == UPDATE else {}
        rows += [
            Row(line, whole + b" ", 413, too_large, mine | JSON),
            Row(line, gzip.compress(body), 415, compressed, mine | packed),
        ]
    await play(client, rows, at=UNDER_ITS_NAME)


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (RequestTimeout(), 408, None),
        (Busy(1.2), 503, "2"),
        (Unavailable("redis", "away"), 503, "1"),
        (InternalError(), 500, None),
    ],
)
def test_what_is_nobodys_fault_is_a_message_too(error, status, retry_after):
    for endpoint in DIALECT.endpoints.values():
        response = endpoint.render_error(error)
        assert response.status == status
        assert response.headers.get("Retry-After") == retry_after
        [(name, why)] = json.loads(response.body).items()
        assert name == "message"
        assert isinstance(why, str)
        assert "redis" not in why


@pytest.fixture
async def keeping(aiohttp_client, settings, clean):
    """A client of a server that keeps the caller's session through a new password."""
    mount = Mount("/", Options(keep_session=True))
    dialects = {"fardel": mount, "kust": Mount("/")}
    return await aiohttp_client(create_app(replace(settings, dialects=dialects)))


DIFFERENCE = {**ADA, "password": "difference engine"}
PHONE = log_in(ADA, "<phone = 40 hex>", "<phone refresh = 40 hex>")


async def test_a_session_that_is_kept(keeping):
    """The published app for iOS goes on with its tokens, whatever the response has.

    It asks for the account at once, and logs out only if the refresh token's logout is a 200.
    """
    change = updated({**EMPTY, "password": DIFFERENCE["password"]})
    change.response["access_token"] = "<access>"
    change.response["refresh_token"] = "<new refresh = 40 hex>"
    rows = [
        SIGN_UP,
        PHONE,
        renew("renewed"),
        change,
        shows(),
        Row(LOGIN, ADA, 401, WRONG),
        *[shows_not(REVOKED, name) for name in ("<phone>", "<renewed>")],
        *[
            Row(REFRESH, None, 401, REVOKED, bearer(name))
            for name in ("<refresh>", "<phone refresh>")
        ],
        renew("newly renewed", "<new refresh>"),
        shows("<newly renewed>"),
        updated({"email": "countess@example.com"}, email="countess@example.com"),  # still fresh
        replace(log_out_refresh(), body=b"", headers=JSON | bearer("<refresh>")),
        replace(log_out(), body=b"", headers=JSON | bearer("<access>")),
        shows_not(REVOKED),
        shows("<newly renewed>", email="countess@example.com"),
    ]
    await play(keeping, rows)


async def test_each_login_has_its_own_tokens_where_sessions_are_kept(keeping):
    """Of two devices, the one that does not change the password is logged out."""
    rows = [
        SIGN_UP,
        PHONE,
        log_out("<phone>"),
        shows(),
        log_out_refresh("<phone refresh>"),
        renew("renewed"),
        updated({"first_name": "Ada"}, first_name="Ada"),
        updated({"last_name": "King"}, "<renewed>", first_name="Ada", last_name="King"),
    ]
    await play(keeping, rows)


async def test_a_logout_of_what_has_ended(keeping, redis_client):
    """Without the option it is the error of an ended session."""
    names = await play(keeping, [SIGN_UP, log_out_refresh(), log_out_refresh()])
    rows = [
        Row(LOGOUT_REFRESH, None, 422, FORGED, bearer(NO_TOKENS[0])),
        Row(LOGOUT_REFRESH, None, 422, ONLY_REFRESH, bearer("<access>")),
        Row(LOGOUT_REFRESH, None, 401, MISSING),
        log_out(),
        Row(LOGOUT, None, 401, REVOKED, bearer("<access>")),
    ]
    await play(keeping, rows, names)
    redis_client.flushdb()
    await play(keeping, [log_out_refresh()], names)


async def test_of_two_new_passwords_at_a_time_one_counts(keeping):
    """Each would keep its own session; the one that is refused has lost it."""
    names = await play(keeping, [SIGN_UP, PHONE])

    async def change(number: int, name: str):
        return await keeping.put(
            "/api/auth/profile",
            json={"password": f"engine {number}"},
            headers={"Authorization": f"Bearer {names[name]}"},
        )

    first, second = await asyncio.gather(change(1, "access"), change(2, "phone"))
    assert sorted((first.status, second.status)) == [200, 401]
    kept, ended = ("access", "phone") if first.status == 200 else ("phone", "access")
    await play(keeping, [shows(f"<{kept}>"), shows_not(REVOKED, f"<{ended}>")], names)
