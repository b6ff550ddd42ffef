"""POST /api/auth/{register,login,logout}/ at /: which requests choose wicare, which fardel."""

import asyncio
import gzip
import json
from dataclasses import replace

import pytest

from app import create_app
from handlers import app_keys
from tests.handlers.contract import (
    ALLOW_METHODS,
    FORM,
    JSON,
    MULTIPART,
    Row,
    mounts_at,
    multipart,
    play,
    urlencoded,
)
from tests.handlers.dialects.drf_messages import (
    CANNOT_LOG_IN,
    CHALLENGE,
    INVALID_TOKEN,
    MISSING_TOKEN,
    NO_CREDENTIALS,
    NULL,
    REQUIRED,
    not_allowed,
)
from tests.handlers.dialects.fardel_rows import (
    BAD_HEADER,
    FORGED,
    LOGIN,
    LOGOUT,
    MISSING,
    NOT_ALLOWED,
    REFRESH,
    REGISTER,
    UNVALID,
    WRONG,
    bearer,
    message,
)
from tests.handlers.dialects.lumotist_rows import token
from tests.handlers.dialects.shared_rows import (
    ASK_FARDEL,
    ASK_WICARE,
    BY_EMAIL,
    BY_NAME,
    FARDEL_LOGGED_IN,
    FARDEL_REGISTERED,
    MADE_BY_FARDEL,
    MADE_BY_WICARE,
    MIB,
    NOWHERE,
    ONLY_FARDEL,
    ONLY_WICARE,
    SPEAK_FARDEL,
    TOLD_APART,
    WICARE_LOGGED_IN,
    WICARE_REGISTERED,
    WICARES,
    padded,
)


@pytest.mark.parametrize("at", ["{path}", "{path}/"])
async def test_what_speaks_wicare(client, at):
    both = {**BY_EMAIL, "username": "ada"}
    rows = [
        Row(REGISTER, multipart(**WICARES), 200, WICARE_REGISTERED, MULTIPART),
        Row(LOGIN, BY_NAME, 200, WICARE_LOGGED_IN),
        Row(LOGIN, both, 200, WICARE_LOGGED_IN),
        Row(LOGIN, {**both, "username": "nobody"}, 400, CANNOT_LOG_IN),
        Row(LOGIN, {"username": None}, 400, {"username": NULL, "password": REQUIRED}),
        Row(LOGIN, urlencoded(**BY_NAME), 200, WICARE_LOGGED_IN, FORM),
        Row(LOGIN, multipart(**BY_NAME), 200, WICARE_LOGGED_IN, MULTIPART),
        Row(LOGIN, urlencoded(**BY_EMAIL), 200, WICARE_LOGGED_IN, FORM),
        Row(LOGIN, urlencoded(**BY_EMAIL), 200, WICARE_LOGGED_IN, FORM | bearer("<token>")),
        Row(LOGIN, urlencoded(x="y"), 400, {"username": REQUIRED, "password": REQUIRED}, FORM),
        Row(REGISTER, urlencoded(x="y"), 400, {"username": REQUIRED, "password": REQUIRED}, FORM),
        Row(REGISTER, {"username": "ada"}, 400, {"password": REQUIRED}),
    ]
    await play(client, rows, at=at)


@pytest.mark.parametrize("scheme", ["Token", "token", "TOKEN", "tOkEn"])
async def test_the_scheme_token_speaks_wicare(client, scheme):
    names = await play(client, [MADE_BY_WICARE])
    good, bad, none = [{"Authorization": f"{scheme}{each}"} for each in (" <token>", " x", "")]
    rows = [
        Row(LOGIN, BY_EMAIL, 200, WICARE_LOGGED_IN, good),
        Row(REGISTER, BY_EMAIL, 400, {"username": REQUIRED}, good),
        Row(LOGIN, {}, 400, {"username": REQUIRED, "password": REQUIRED}, good),
        *[Row(line, BY_EMAIL, 401, INVALID_TOKEN, bad, CHALLENGE) for line in (REGISTER, LOGIN)],
        Row(LOGIN, BY_EMAIL, 401, NO_CREDENTIALS, none, CHALLENGE),
        Row(LOGOUT, None, 401, NO_CREDENTIALS, none, CHALLENGE),
        Row(LOGOUT, None, 401, INVALID_TOKEN, bad, CHALLENGE),
        Row(LOGOUT, b"{not json", 204, None, good | JSON),
        Row(LOGOUT, None, 401, INVALID_TOKEN, good, CHALLENGE),
    ]
    await play(client, rows, names)


async def test_json_in_another_charset_speaks_wicare(client):
    """It reads such bodies, and this one has a `username`."""
    for charset in ("utf-16", "latin-1"):
        body = json.dumps({**BY_NAME, "password": "ä"}, ensure_ascii=False).encode(charset)
        headers = {"Content-Type": f"application/json; charset={charset}"}
        row = Row(LOGIN, body, 400, CANNOT_LOG_IN, headers)
        await play(client, [row], at="/wicare{path}")
        await play(client, [row])


async def test_what_speaks_fardel(client):
    for line in (REGISTER, LOGIN):
        rows = [Row(line, body, 400, UNVALID, headers) for body, headers in SPEAK_FARDEL.values()]
        await play(client, rows)
        await play(client, rows, at="{path}/")


async def test_a_compressed_body_speaks_fardel_unless_it_is_a_form(client):
    packed, refused = {"Content-Encoding": "gzip"}, message("Unsupported Media Type")
    body = gzip.compress(b'{"username": "ada"}')
    detail = {"detail": "The request body must not be compressed."}
    rows = [
        Row(LOGIN, body, 415, refused, JSON | packed),
        Row(LOGIN, body, 415, detail, FORM | packed, {"Accept-Encoding": "identity"}),
    ]
    await play(client, rows)


async def test_an_email_speaks_fardel(client):
    rows = [
        Row(REGISTER, BY_EMAIL, 200, FARDEL_REGISTERED),
        Row(LOGIN, BY_EMAIL, 200, FARDEL_LOGGED_IN),
        Row(LOGIN, {**BY_EMAIL, "password": "?"}, 401, WRONG),
    ]
    for scheme in ("Bearer <access>", "Bearer x", "Tokens x", "Tokenx", "Basic x", "x Token"):
        headers = {"Authorization": scheme}
        rows += [Row(LOGIN, BY_EMAIL, 200, FARDEL_LOGGED_IN, headers)]
    await play(client, rows)


async def test_logout_that_speaks_wicare(client):
    """It ends a session of fardel like one of wicare."""
    names = await play(client, [MADE_BY_WICARE])
    form, name = urlencoded(x="y"), b'{"username": "ada"}'
    for count, (body, headers) in enumerate(
        [
            (None, token("<access>")),
            (b"", token("<access>") | JSON),
            (b"{", token("<access>") | JSON),
            (form, bearer("<access>") | FORM),
            (name, bearer("<access>") | JSON),
        ]
    ):
        headers["Authorization"] = headers["Authorization"].replace("access", f"access {count}")
        made = {**FARDEL_LOGGED_IN, "access_token": f"<access {count} = 40 hex>"}
        rows = [
            Row(LOGIN, BY_EMAIL, 200, made),
            Row(LOGOUT, body, 204, None, headers),
            Row(LOGOUT, body, 401, INVALID_TOKEN, headers, CHALLENGE),
        ]
        await play(client, rows, names)
    rows = [
        Row(LOGOUT, form, 401, MISSING_TOKEN, FORM, CHALLENGE),
        Row(LOGOUT, name, 401, MISSING_TOKEN, JSON, CHALLENGE),
    ]
    await play(client, rows)


async def test_logout_that_speaks_fardel(client):
    """It ends a session of wicare like one of fardel."""
    logged_out = message("Access token has been revoked")
    names = await play(client, [MADE_BY_WICARE])
    await play(client, [Row(LOGOUT, None, 200, logged_out, bearer("<token>"))], names)
    for count, (body, headers) in enumerate([(None, {}), (b"", JSON), (b"{}", JSON), (b"{", JSON)]):
        mine = bearer(f"<token {count}>") | headers
        rows = [
            Row(LOGIN, BY_NAME, 200, {**WICARE_LOGGED_IN, "token": f"<token {count} = 64 hex>"}),
            Row(LOGOUT, body, 200, logged_out, mine),
            Row(LOGOUT, body, 401, message("Token has been revoked"), mine),
        ]
        await play(client, rows, names)
    rows = [
        Row(LOGOUT, None, 401, MISSING),
        Row(LOGOUT, b"", 401, MISSING, JSON),
        Row(LOGOUT, {}, 401, MISSING),
        Row(LOGOUT, None, 422, BAD_HEADER, {"Authorization": "Bearer"}),
        Row(LOGOUT, None, 422, FORGED, bearer("x")),
    ]
    await play(client, rows)


async def test_a_body_that_is_too_large_speaks_fardel(client):
    too_large = message("<text>")
    rows = [Row(line, padded(BY_NAME), 413, too_large, JSON) for line in (REGISTER, LOGIN)]
    rows += [Row(REGISTER, padded(WICARES, MIB), 200, WICARE_REGISTERED, JSON)]
    await play(client, rows)


async def test_what_follows_a_body_that_was_too_large_is_no_body(client):
    """The dialect reads the body a second time, from its beginning."""

    async def body():
        yield b" " * (MIB + 1)
        await asyncio.sleep(0.1)
        yield json.dumps(BY_EMAIL).encode()

    response = await client.post("/api/auth/register", data=body(), headers=JSON)
    assert response.status == 413
    assert list(await response.json()) == ["message"]
    assert await client.app[app_keys.ACCOUNTS].details(1) is None


async def test_what_follows_a_body_that_was_too_slow_is_no_body(aiohttp_client, settings, clean):
    client = await aiohttp_client(create_app(replace(settings, body_timeout=0.2)))

    async def body():
        yield b" "
        await asyncio.sleep(0.6)
        yield json.dumps(BY_EMAIL).encode()

    response = await client.post("/api/auth/register", data=body(), headers=JSON)
    assert response.status == 408
    assert list(await response.json()) == ["message"]
    assert await client.app[app_keys.ACCOUNTS].details(1) is None


async def test_under_their_names_nobody_guesses(client):
    for slash in ("", "/"):
        await play(client, ONLY_WICARE, at=f"/wicare{{path}}{slash}")
        await play(client, ONLY_FARDEL, at=f"/fardel{{path}}{slash}")


@pytest.mark.parametrize(
    ("dialects", "responses"),
    [
        ({"wicare": "/"}, {"": [ASK_WICARE]}),
        ({"fardel": "/"}, {"": [ASK_FARDEL]}),
        ({"wicare": "/", "fardel": "/v2"}, {"": [ASK_WICARE], "/v2": [ASK_FARDEL]}),
        ({"fardel": "/", "wicare": "/v2/"}, {"": [ASK_FARDEL], "/v2": [ASK_WICARE]}),
        ({"wicare": "/v1", "fardel": "/v1/"}, {"": [NOWHERE], "/v1": TOLD_APART}),
        ({"fardel": "/", "lumotist": "/", "wicare": "/"}, {"": TOLD_APART}),
    ],
)
async def test_it_is_only_guessed_where_both_answer(
    aiohttp_client, settings, clean, dialects, responses
):
    client = await aiohttp_client(create_app(replace(settings, dialects=mounts_at(dialects))))
    for prefix, rows in responses.items():
        await play(client, rows, at=f"{prefix}{{path}}")
        await play(client, rows, at=f"{prefix}{{path}}/")
    for name, row in (("wicare", ASK_WICARE), ("fardel", ASK_FARDEL)):
        if name in dialects:
            await play(client, [row], at=f"/{name}{{path}}")


async def test_other_methods(client):
    names = await play(client, [MADE_BY_WICARE])
    allow = {"Allow": "POST, OPTIONS"}
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        for line in (REGISTER, LOGIN, LOGOUT):
            request = f"{method} {line.split()[1]}"
            rows = [
                Row(request, None, 405, NOT_ALLOWED, {}, allow),
                Row(request, b"{", 405, NOT_ALLOWED, JSON | bearer("x"), allow),
                Row(request, BY_EMAIL, 405, NOT_ALLOWED, {}, allow),
                Row(request, None, 401, INVALID_TOKEN, token("x"), CHALLENGE),
                Row(request, None, 405, not_allowed(method), token("<token>"), allow),
            ]
            await play(client, rows, names)
    for line in (REGISTER, LOGIN, LOGOUT):
        path = line.split()[1]
        rows = [
            Row(f"OPTIONS {path}", None, 200, {}, headers, ALLOW_METHODS)
            for headers in ({}, token("x"))
        ]
        rows += [Row(f"HEAD {path}", None, 405, None, {}, allow)]
        await play(client, rows)


async def test_paths_that_only_one_of_them_owns_are_not_guessed(client):
    names = await play(client, [MADE_BY_WICARE, MADE_BY_FARDEL])
    renewed = {"access_token": "<renewed = 40 hex>"}
    rows = [
        Row(REFRESH, urlencoded(username="ada"), 200, renewed, FORM | token("<refresh>")),
        Row("GET /api/auth/profile", None, 422, FORGED, token("x")),
        Row("POST /api/auth/logoutall", None, 401, INVALID_TOKEN, bearer("x"), CHALLENGE),
        Row("POST /api/auth/logoutall", {}, 204, None, bearer("<renewed>")),
    ]
    await play(client, rows, names)
