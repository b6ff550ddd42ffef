"""lumotist (docs/contracts/lumotist.md): its examples, then which requests need a token."""

import pytest

from tests.handlers.contract import JSON, Row, places, play
from tests.handlers.dialects.drf_messages import (
    CANNOT_LOG_IN,
    CHALLENGE,
    INACTIVE,
    INVALID_TOKEN,
    MISSING_TOKEN,
    NO_CREDENTIALS,
    NOT_FOUND,
    SPACES,
    not_allowed,
)
from tests.handlers.dialects.lumotist_rows import LOG_IN, LOGIN, SIGN_UP, TEST, token

NOBODYS = token(
    "2427f839b8a07d89147375921f75444094d38c05"
)  # docs/contracts/lumotist.md#post-accountlogout

EXAMPLES = [
    SIGN_UP,
    Row(
        "POST /account/register",
        {"username": "test1", "email": "test@test.com1", "password": "test"},
        200,
        {"success": True, "token": "<token of test1 = 40 hex>"},
    ),
    Row(
        "POST /account/register",
        TEST,
        400,
        {
            "success": False,
            "errors": {
                "username": ["user with this username already exists."],
                "email": ["user with this email already exists."],
            },
        },
    ),
    LOG_IN,
    Row(
        "POST /account/login",
        {"username": "test", "password": "wrong"},
        400,
        {"non_field_errors": ["Unable to log in with provided credentials."]},
    ),
    Row("GET /account/profile", None, 401, {"detail": "Invalid token."}, NOBODYS),
    Row(
        "GET /account/profile",
        None,
        401,
        {"detail": "Authentication credentials were not provided."},
    ),
    Row(
        "GET /account/profile",
        None,
        200,
        {
            "success": True,
            "data": {
                "id": 2,
                "username": "test1",
                "email": "test@test.com1",
                "created": "<day-month-year>",
                "picture": "",
            },
        },
        token("<token of test1>"),
    ),
    Row("POST /account/logout", None, 200, {"success": True}, token("<token>")),
    Row("POST /account/logout", None, 401, {"detail": "Invalid token."}, token("<token>")),
    Row("POST /account/login", LOGIN, 200, {"token": "<new token = 40 hex>"}),
    Row("POST /account/delete", None, 200, {"success": True}, token("<new token>")),
    Row("POST /account/delete", None, 401, {"detail": "Invalid token."}, token("<new token>")),
    Row("POST /account/login", LOGIN, 400, CANNOT_LOG_IN),
]


@pytest.mark.parametrize("at", places("lumotist"))
async def test_examples(client, at):
    await play(client, EXAMPLES, at=at)


NEED_A_TOKEN = {
    "/account/logout": "POST",
    "/account/profile": "GET",
    "/account/delete": "POST",
    "/account/get_pictures": "GET",
    "/account/set_picture": "POST",
    "/acount/set_picture": "POST",
}
NEED_NONE = {"/account/register": "POST", "/account/login": "POST"}
ALLOW = {"GET": "GET, HEAD, OPTIONS", "POST": "POST, OPTIONS"}

BAD_HEADERS = {
    "Token 0123456789012345678901234567890123456789": INVALID_TOKEN,
    "Token <TOKEN>": INVALID_TOKEN,
    "Token short": INVALID_TOKEN,
    "Token": NO_CREDENTIALS,
    "Bearer ": NO_CREDENTIALS,
    "Token <token> <token>": SPACES,
    "bearer a b c": SPACES,
    "Token <token of test1>": INACTIVE,
}


async def disabled(client, database):
    """Register the two accounts of EXAMPLES, of which test1 is disabled; return the names."""
    names = await play(client, EXAMPLES[:2])
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false where username = 'test1'")
    names["TOKEN"] = names["token"].upper()
    return names


@pytest.mark.parametrize("header", BAD_HEADERS)
async def test_bad_token_is_a_401_even_where_none_is_needed(client, database, header):
    names = await disabled(client, database)
    headers, response = {"Authorization": header}, BAD_HEADERS[header]
    for path, method in (NEED_A_TOKEN | NEED_NONE).items():
        wrong = "PUT"  # the token is checked before the method and the body
        rows = [
            Row(f"{method} {path}", None, 401, response, headers, CHALLENGE),
            Row(f"{wrong} {path}", b"{", 401, response, headers | JSON, CHALLENGE),
        ]
        await play(client, rows, names)


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}, {"Authorization": "Basic dDp0"}])
async def test_missing_token(client, headers):
    for path, method in NEED_A_TOKEN.items():
        rows = [
            Row(f"{method} {path}", None, 401, MISSING_TOKEN, headers, CHALLENGE),
            Row(f"PUT {path}", b"{", 401, MISSING_TOKEN, headers | JSON, CHALLENGE),
        ]
        await play(client, rows)
    await play(client, [SIGN_UP, LOG_IN])  # they require no token


async def test_good_token_is_ignored_where_none_is_needed(client):
    other = {"username": "other", "email": "other@test.com", "password": "pass"}
    made = {"success": True, "token": "<token of other = 40 hex>"}
    login = {"username": "other", "password": "pass"}
    rows = [
        SIGN_UP,
        Row("POST /account/register", other, 200, made, token("<token>")),
        Row("POST /account/login", login, 200, {"token": "<token of other>"}, token("<token>")),
    ]
    await play(client, rows)


@pytest.mark.parametrize("scheme", ["Token", "token", "TOKEN", "Bearer", "bEARER", "Token  "])
async def test_schemes(client, scheme):
    row = Row("HEAD /account/profile", None, 200, None, {"Authorization": f"{scheme} <token>"})
    await play(client, [SIGN_UP, row])


async def test_wrong_methods(client):
    names = await play(client, [SIGN_UP])
    for path, method in NEED_A_TOKEN.items():
        for wrong in {"GET", "POST", "PUT", "PATCH", "DELETE"} - {method}:
            allow = {"Allow": ALLOW[method]}
            row = Row(f"{wrong} {path}", b"{", 405, not_allowed(wrong), token("<token>"), allow)
            await play(client, [row], names)
    for path in NEED_NONE:
        for wrong in ("GET", "PUT", "PATCH", "DELETE"):
            row = Row(
                f"{wrong} {path}", b"{", 405, not_allowed(wrong), {}, {"Allow": ALLOW["POST"]}
            )
            await play(client, [row])


async def test_head_is_a_get_without_the_body(client):
    rows = [
        SIGN_UP,
        Row("HEAD /account/profile", None, 200, None, token("<token>")),
        Row("HEAD /account/get_pictures", None, 200, None, token("<token>")),
        Row("HEAD /account/profile", None, 401, None, {}, CHALLENGE),
        Row("HEAD /account/logout", None, 405, None, token("<token>"), {"Allow": ALLOW["POST"]}),
        Row("HEAD /account/login", None, 405, None, {}, {"Allow": ALLOW["POST"]}),
        Row("HEAD /account/nowhere", None, 404, None),
    ]
    await play(client, rows)


@pytest.mark.parametrize(
    "path", ["/account/nowhere", "/account", "/lumotist/nowhere", "/lumotist", "/lumotist/", "/"]
)
async def test_unknown_paths_come_before_everything(client, path):
    rows = [Row(f"{verb} {path}", b"{", 404, NOT_FOUND, NOBODYS) for verb in ("GET", "POST", "PUT")]
    await play(client, rows)
