"""authtoken (docs/contracts/authtoken.md): the login, its errors in their order, its options."""

import json
from dataclasses import replace

import pytest

from tests import django_settings  # isort: skip  # noqa: F401  # configures Django

from rest_framework.authtoken import serializers

import handlers
from app import create_app
from handlers.mounts import parse_mounts
from settings import BadSetting, read_settings
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
    INVALID_TOKEN,
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

AT = "/authtoken{path}"
LOGIN = "POST /api-token-auth"
CREDENTIALS = {"username": "test", "password": "test"}
ISSUED = {"token": "<mine = 40 hex>"}
AGAIN = {"token": "<mine>"}
ALLOW = {"Allow": "POST, OPTIONS"}
NUL = ["Null characters are not allowed."]


@pytest.fixture(scope="module")
async def server(settings):
    """A server of every dialect."""
    async with Server(create_app(replace(settings, dialects=EVERY_DIALECT))) as server:
        yield server


@pytest.fixture
async def names(client):
    """The names of a registered account, whose token in lumotist is `token`."""
    return await play(client, [SIGN_UP])


@pytest.mark.parametrize(
    "at",
    ["/authtoken{path}", "/authtoken{path}/", "/at/authtoken{path}", "/at/authtoken{path}/"],
)
async def test_every_login_returns_the_same_token(client, names, at):
    rows = [
        Row(LOGIN, CREDENTIALS, 200, ISSUED),
        Row(LOGIN, {"username": " TEST ", "password": "test"}, 200, AGAIN),
        Row(LOGIN, urlencoded(**CREDENTIALS), 200, AGAIN, FORM),
        Row(LOGIN, multipart(**CREDENTIALS), 200, AGAIN, MULTIPART),
        Row(LOGIN, CREDENTIALS, 200, AGAIN, token("<mine>")),  # one that is good is ignored
    ]
    await play(client, rows, names, at)
    await play(client, [replace(profile(), headers=token("<mine>"))], names)
    await play(
        client, [Row("POST /account/logout", None, 200, {"success": True}, token("<mine>"))], names
    )
    await play(client, [Row(LOGIN, CREDENTIALS, 200, {"token": "<new = 40 hex>"})], names, at)


async def test_wrong_unknown_and_disabled_are_one_answer(client, names, database):
    for username, password in [
        ("test", "Test"),
        ("test", " test"),  # passwords are not trimmed
        ("nobody", "test"),
        ("test@test.com", "test"),
    ]:
        body = {"username": username, "password": password}
        await play(client, [Row(LOGIN, body, 400, CANNOT_LOG_IN)], at=AT)
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false")
    await play(client, [Row(LOGIN, CREDENTIALS, 400, CANNOT_LOG_IN)], at=AT)


FIELDS = [
    ({}, {"username": REQUIRED, "password": REQUIRED}),
    ({"username": "test"}, {"password": REQUIRED}),
    ({"password": "test"}, {"username": REQUIRED}),
    ({"username": " ", "password": ""}, {"username": BLANK, "password": BLANK}),
    ({"username": None, "password": None}, {"username": NULL, "password": NULL}),
    ({"username": {}, "password": False}, {"username": NOT_A_STRING, "password": NOT_A_STRING}),
    ({"username": "a\0", "password": " \0"}, {"username": NUL, "password": NUL}),
    ([CREDENTIALS], not_an_object("list")),
    (1, not_an_object("int")),
]


@pytest.mark.parametrize(("body", "errors"), FIELDS)
async def test_fields(client, body, errors):
    await play(client, [Row(LOGIN, json.dumps(body).encode(), 400, errors, JSON)], at=AT)


@pytest.mark.parametrize(("body", "errors"), [*FIELDS, (CREDENTIALS, CANNOT_LOG_IN)])
def test_the_librarys_own_serializer_has_the_same_errors(monkeypatch, body, errors):
    """In the order of the fields, too. The last row is a user that Django does not find."""
    monkeypatch.setattr(serializers, "authenticate", lambda **given: None)
    found = serializers.AuthTokenSerializer(data=body)
    assert not found.is_valid()
    texts = {name: [str(each) for each in messages] for name, messages in found.errors.items()}
    assert list(texts.items()) == list(errors.items())


async def test_other_bodies(client, names):
    text = {"Content-Type": "text/plain"}
    rows = [
        Row(LOGIN, b"{", 400, {"detail": "JSON parse error - <text>"}, JSON),
        Row(LOGIN, b"a", 415, wrong_media_type("text/plain"), text),
        Row(LOGIN, None, 400, {"username": REQUIRED, "password": REQUIRED}),
        Row(LOGIN, {"username": "test"}, 400, {"password": REQUIRED}, basic()),
    ]
    await play(client, rows, names, AT)


def basic():
    return {"Authorization": "Basic dGVzdDp0ZXN0"}


BAD_TOKENS = {
    "Token 0123456789012345678901234567890123456789": INVALID_TOKEN,
    "token short": INVALID_TOKEN,
    "Token": NO_CREDENTIALS,
    "TOKEN a b": SPACES,
}


@pytest.mark.parametrize(("header", "response"), BAD_TOKENS.items())
async def test_a_bad_token_comes_before_the_method_and_the_body(client, header, response):
    headers = JSON | {"Authorization": header}
    rows = [
        Row(f"{method} /api-token-auth", b"{", 401, response, headers, CHALLENGE)
        for method in ("POST", "PUT")
    ]
    await play(client, rows, at=AT)


@pytest.mark.parametrize("header", ["Bearer x", "Bearer", "Bearer a b", "JWT x", "Basic x"])
async def test_another_scheme_counts_as_none(client, names, header):
    headers = {"Authorization": header}
    await play(client, [Row(LOGIN, CREDENTIALS, 200, ISSUED, headers)], names, AT)


async def test_methods(client):
    rows = [
        Row(f"{method} /api-token-auth", b"{", 405, not_allowed(method), JSON, ALLOW)
        for method in ("GET", "PUT", "PATCH", "DELETE")
    ]
    rows.append(Row("OPTIONS /api-token-auth", None, 200, {}, {}, ALLOW_METHODS))
    rows.append(Row("POST /nowhere", None, 404, NOT_FOUND))
    await play(client, rows, at=AT)


async def test_options(aiohttp_client, settings, clean):
    """The path moves at the mount, and stays under the dialect's name."""
    dialects = parse_mounts(
        "lumotist=/ authtoken=/v1?path=/api/token/&login=either", handlers.DIALECTS
    )
    client = await aiohttp_client(create_app(replace(settings, dialects=dialects)))
    body = {"username": "test@TEST.com", "password": "test"}
    rows = [
        SIGN_UP,
        Row("POST /v1/api/token", body, 200, ISSUED),
        Row("POST /v1/api/token/", CREDENTIALS, 200, AGAIN),
        Row("POST /authtoken/api-token-auth/", body, 200, AGAIN),
        Row("POST /v1/api-token-auth", body, 404, NOT_FOUND),
        Row("POST /authtoken/api/token", body, 404, NOT_FOUND),
    ]
    await play(client, rows)


async def test_login_by_email(aiohttp_client, settings, clean):
    dialects = parse_mounts("lumotist=/ authtoken=/?login=email", handlers.DIALECTS)
    client = await aiohttp_client(create_app(replace(settings, dialects=dialects)))
    rows = [
        SIGN_UP,
        Row(LOGIN, {"username": "test@TEST.com", "password": "test"}, 200, ISSUED),
        Row(LOGIN, CREDENTIALS, 400, CANNOT_LOG_IN),
    ]
    await play(client, rows)


BAD_OPTIONS = {
    "path=login": "authtoken: path must be a path such as /auth/login",
    "path=/a/./b": "authtoken: path must be a path such as /auth/login",
    "login=phone": "authtoken: login must be username or email or either",
    "lifetime=1": "authtoken has no option 'lifetime'; its options are path, login",
}


@pytest.mark.parametrize(("option", "reason"), BAD_OPTIONS.items())
def test_bad_options(option, reason):
    with pytest.raises(BadSetting) as caught:
        read_settings({"DIALECTS": f"authtoken=/?{option}"})
    assert reason in str(caught.value)
