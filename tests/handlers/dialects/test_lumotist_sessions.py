"""lumotist: how sessions begin and end, and how accounts are deleted."""

from dataclasses import replace
from urllib.parse import quote

import pytest

from app import create_app
from handlers import app_keys
from store.accounts import NewAccount
from store.session_record import SessionSpec
from tests.handlers.contract import JSON, Row, play
from tests.handlers.dialects.drf_messages import CANNOT_LOG_IN, CHALLENGE, INVALID_TOKEN
from tests.handlers.dialects.lumotist_rows import (
    LOG_IN,
    LOGIN,
    SIGN_UP,
    SUCCESS,
    TEST,
    profile,
    token,
)


def cannot_log_in(username, password):
    fields = {"username": username, "password": password}
    return Row("POST /account/login", fields, 400, CANNOT_LOG_IN)


LOGOUT_BODIES = [
    (None, {}),
    (None, JSON),
    (b"", JSON),
    (b"{}", JSON),
    (b"{not json", JSON),
    (b'["list"]', JSON),
    (b"plain", {"Content-Type": "text/plain"}),
    (b"--", {"Content-Type": "multipart/form-data"}),
    (b"\xff\x00", {}),
]


@pytest.mark.parametrize("path", ["/account/logout", "/lumotist/account/logout/"])
async def test_logout_takes_any_body_and_the_next_login_makes_a_new_token(client, path):
    names = await play(client, [SIGN_UP])
    for count, (body, headers) in enumerate(LOGOUT_BODIES):
        login = Row("POST /account/login", LOGIN, 200, {"token": f"<token {count} = 40 hex>"})
        mine = token(f"<token {count}>")
        again = Row("POST /account/login", LOGIN, 200, {"token": f"<token {count}>"})
        logout = Row(f"POST {path}", body, 200, SUCCESS, headers | mine)
        over = Row(f"POST {path}", body, 401, INVALID_TOKEN, headers | mine, CHALLENGE)
        first = Row("POST /account/logout", None, 200, SUCCESS, token("<token>"))
        await play(client, [*([] if count else [first]), login, again, logout, over], names)


async def test_wrong_password_unknown_and_inactive_are_one_answer(client, database):
    await play(client, [SIGN_UP])
    for username, password in [
        ("test", "Test"),
        ("test", "test "),
        ("nobody", "test"),
        ("test@test.com", "test"),  # usernames are only compared with usernames
        ("n" * 10_000, "test"),
    ]:
        await play(client, [cannot_log_in(username, password)])
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false")
    await play(client, [cannot_log_in("test", "test"), cannot_log_in("test", "wrong")])


async def test_delete_takes_everything_and_frees_the_names(client, database):
    names = await play(client, [SIGN_UP])
    with database.cursor() as cursor:
        cursor.execute("insert into picture values ('its own', 1, 'a', 'b', 'c')")
        await play(client, [Row("POST /account/delete", {}, 200, SUCCESS, token("<token>"))], names)
        cursor.execute("select count(*) from account")
        assert cursor.fetchone() == (0,)
        cursor.execute("select count(*) from picture where account_id is not null")
        assert cursor.fetchone() == (0,)
    over = Row("GET /account/profile", None, 401, INVALID_TOKEN, token("<token>"), CHALLENGE)
    made = {"success": True, "token": "<new token = 40 hex>"}
    await play(client, [over, Row("POST /account/register", TEST, 200, made), over], names)
    await play(client, [profile(id=2)], {"token": names["new token"]})


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Niue"])
async def test_created_is_day_month_year_whatever_the_databases_zone(
    aiohttp_client, settings, database, clean, zone
):
    url = f"{settings.database_url}&options=-c%20timezone%3D{quote(zone)}"
    client = await aiohttp_client(create_app(replace(settings, database_url=url)))
    names = await play(client, [SIGN_UP])
    with database.cursor() as cursor:
        cursor.execute("update account set created = '2021-01-09 12:00+00'")
    await play(client, [profile(created="09-01-2021")], names)


@pytest.mark.parametrize("row", [SIGN_UP, LOG_IN], ids=["register", "login"])
async def test_last_login_is_set(client, database, row):
    names = {} if row is SIGN_UP else await play(client, [SIGN_UP])
    with database.cursor() as cursor:
        cursor.execute("update account set last_login = null")
        await play(client, [row], names)
        cursor.execute("select last_login is not null from account")
        assert cursor.fetchone() == (True,)


async def test_accounts_and_sessions_of_other_dialects(client):
    """A name that lumotist rejects can log in; another dialect's session is valid here."""
    session_specs = [
        SessionSpec("wicare", sid_bytes=16),
        SessionSpec("fardel", "fresh"),
        SessionSpec("fardel", "refresh"),
    ]
    new = NewAccount(username="n" * 150)
    _, opened = await client.app[app_keys.ACCESS].register(new, "secret", session_specs)
    wicare, fresh, refresh = [{"Authorization": f"Bearer {each.token}"} for each in opened]
    asked = profile("n" * 150, "")
    login = {"username": "N" * 150, "password": "secret"}
    rows = [
        Row("POST /account/login", login, 200, {"token": "<token = 40 hex>"}),
        asked,
        replace(asked, headers=wicare),
        replace(asked, headers=fresh),
        Row("GET /account/profile", None, 401, INVALID_TOKEN, refresh, CHALLENGE),
    ]
    await play(client, rows)
