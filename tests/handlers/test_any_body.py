"""Any body, sent to every endpoint: success or a documented error, never a 5xx."""

import gzip
import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import create_app
from handlers import app_keys
from handlers.problem_codes import FIELD_CODES, PROBLEMS
from store.account import NewAccount
from store.session_record import SessionSpec
from tests.conftest import Server
from tests.handlers.any_bodies import BYTES, LIKELY, VALUES, fields, written
from tests.handlers.contract import EVERY_DIALECT, JSON
from tests.handlers.dialects.fardel_rows import ADA, SIGN_UP


@pytest.fixture(scope="module")
async def server(settings):
    """A server of every dialect."""
    async with Server(create_app(replace(settings, dialects=EVERY_DIALECT))) as server:
        yield server


def fixed(examples: int) -> settings:
    """The same examples in every run; one server for all examples of a test."""
    return settings(
        derandomize=True,
        database=None,
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def is_drf(status: int, data: Mapping[str, Any]) -> bool:
    """Return whether this is an error of the framework: one detail, or messages by field."""
    if list(data) == ["detail"]:
        return status in (400, 415) and isinstance(data["detail"], str)
    return (
        status == 400
        and set(data) <= {*LIKELY, "non_field_errors"}
        and all(isinstance(why, list) and why for why in data.values())
        and all(isinstance(sentence, str) for why in data.values() for sentence in why)
    )


def is_knox(status: int, data: Mapping[str, Any]) -> bool:
    missing = {"detail": "Authentication credentials were not provided."}
    return is_drf(status, data) or (status, data) == (401, missing)


def is_dj_rest_auth(status: int, data: Mapping[str, Any]) -> bool:
    missing = ["This field is required."]
    fields = ("password1", "password2", "new_password1", "new_password2", "uid", "token", "key")
    required = {field: why for field, why in data.items() if field in fields and why == missing}
    others = {field: why for field, why in data.items() if field not in required}
    return is_drf(status, others) if others else status == 400 and bool(required)


def is_simplejwt(status: int, data: Mapping[str, Any]) -> bool:
    invalid = {"detail": "Token is invalid", "code": "token_not_valid"}
    wrong = {"detail": "No active account found with the given credentials"}
    required = [{field: ["This field is required."]} for field in ("refresh", "token")]
    known = [(401, invalid), (401, wrong), *((400, each) for each in required)]
    return is_drf(status, data) or (status, data) in known


def is_lumotists_register(status: int, data: Mapping[str, Any]) -> bool:
    if list(data) == ["success", "errors"]:
        return data["success"] is False and is_drf(status, data["errors"])
    return list(data) == ["detail"] and is_drf(status, data)


def is_lumotists_picture(status: int, data: Mapping[str, Any]) -> bool:
    return status == 400 and list(data) == ["success", "error"] and isinstance(data["error"], str)


def is_cellars(status: int, data: Mapping[str, Any]) -> bool:
    return status == 400 and list(data) == ["error"] and isinstance(data["error"], str)


def is_fardel(status: int, data: Mapping[str, Any]) -> bool:
    return (status, data) in [
        (400, {"message": "Unvalid form submitted"}),
        (401, {"message": "Username or password is not correct"}),
        (409, {"message": "A user with this email already exists."}),
    ]


def is_latchkey(status: int, data: Mapping[str, Any]) -> bool:
    """Return whether this is a problem, with the codes of fields where it has some."""
    code, errors = data.get("code"), data.get("errors", [])
    return (
        status in (400, 401, 409, 415, 422)
        and list(data)[:4] == ["type", "title", "status", "code"]
        and (status, data["title"]) == PROBLEMS[code][:2]
        and bool(errors) == (code in ("invalid_fields", "taken"))
        and all(list(each) == ["field", "code", "message"] for each in errors)
        and all(each["code"] in FIELD_CODES for each in errors)
    )


def is_either(status: int, data: Mapping[str, Any]) -> bool:
    return is_drf(status, data) or is_fardel(status, data)


READ = {
    "POST /wicare/api/auth/register": is_drf,
    "POST /wicare/api/auth/login": is_drf,
    "POST /lumotist/account/register": is_lumotists_register,
    "POST /lumotist/account/login": is_drf,
    "POST /lumotist/account/set_picture": is_lumotists_picture,
    "POST /kust/auth/users": is_drf,
    "POST /kust/auth/token/login": is_drf,
    "POST /knox/login": is_knox,
    "POST /knox/register": is_drf,
    "POST /authtoken/api-token-auth": is_drf,
    "POST /dj-rest-auth/login": is_dj_rest_auth,
    "POST /dj-rest-auth/registration": is_dj_rest_auth,
    "POST /dj-rest-auth/registration/verify-email": is_dj_rest_auth,
    "POST /dj-rest-auth/password/reset/confirm": is_dj_rest_auth,
    "POST /simplejwt/api/token": is_simplejwt,
    "POST /simplejwt/api/token/refresh": is_simplejwt,
    "POST /simplejwt/api/token/verify": is_simplejwt,
    "POST /simplejwt/api/token/blacklist": is_simplejwt,
    "POST /djoser/auth/jwt/create": is_simplejwt,
    "POST /djoser/auth/jwt/refresh": is_simplejwt,
    "POST /djoser/auth/jwt/verify": is_simplejwt,
    "POST /cellars/api/register": is_cellars,
    "POST /cellars/api/login": is_cellars,
    "POST /fardel/api/auth/register": is_fardel,
    "POST /fardel/api/auth/login": is_fardel,
    "PUT /fardel/api/auth/profile": is_fardel,
    "POST /latchkey/v1/accounts": is_latchkey,
    "POST /latchkey/v1/sessions": is_latchkey,
    "PATCH /latchkey/v1/account": is_latchkey,
    "PUT /latchkey/v1/account/password": is_latchkey,
    "PUT /latchkey/v1/account/email": is_latchkey,
    "PUT /latchkey/v1/account/picture": is_latchkey,
    "POST /latchkey/v1/email-verifications": is_latchkey,
    "POST /latchkey/v1/password-resets/check": is_latchkey,
    "POST /latchkey/v1/password-resets/confirm": is_latchkey,
    "POST /latchkey/v1/account/deletion": is_latchkey,
    "DELETE /latchkey/v1/account": is_latchkey,
    "POST /api/auth/register": is_either,
    "POST /api/auth/login": is_either,
}
"""The endpoints that read their body, and the form of their errors.

Those that send a link are not among them: without e-mail they are a 503.
"""
GUARDED = re.compile("set_picture|profile|/v1/account(/|$)")

IGNORE = (
    "GET /lumotist/account/profile",
    "GET /lumotist/account/get_pictures",
    "GET /kust/auth/users/me",
    "POST /kust/auth/users/me",
    "GET /kust/user/1",
    "POST /kust/user/1",
    "GET /fardel/api/auth/profile",
    "GET /latchkey/v1/account",
    "GET /latchkey/v1/sessions",
    "GET /latchkey/v1/gallery",
    "GET /knox/user",
    "POST /fardel/api/auth/refresh-token",
    "POST /fardel/api/auth/logout-refresh",
)
"""Those that do not, in an order in which one account's tokens remain valid."""

END = (
    "POST /wicare/api/auth/logout",
    "POST /wicare/api/auth/logoutall",
    "POST /lumotist/account/logout",
    "POST /lumotist/account/delete",
    "POST /kust/auth/token/logout",
    "POST /knox/logout",
    "POST /knox/logoutall",
    "POST /cellars/api/logout",
    "POST /fardel/api/auth/logout",
    "DELETE /latchkey/v1/sessions/current",
    "DELETE /latchkey/v1/sessions",
    "POST /api/auth/logout",
)
"""Those that do not and that end the session of their token."""


async def send(client, line, body, kind, token=None):
    """Send any body; return the status and the JSON, after the checks of every response."""
    method, path = line.split()
    headers = {} if kind is None else {"Content-Type": kind}
    if token:
        scheme = "Token" if "/knox/" in line else "Bearer"
        headers["Authorization"] = f"{scheme} {token}"
    response = await client.request(
        method, path, data=io.BytesIO(body), headers=headers, skip_auto_headers=["Content-Type"]
    )
    raw = await response.read()
    data = f"{line} {kind} {body!r}\nanswered {response.status} {raw!r}"
    assert response.status < 500, data
    # latchkey repeats the names of unknown fields, which may be "$2b$12$" without a hash behind it.
    assert not re.search(rb"bcrypt|\$2[aby]\$\d\d\$[./\w]", raw), f"a hash: {data}"
    if response.status == 204:
        assert raw == b"", data
        assert "Content-Type" not in response.headers, data
        return response.status, {}
    is_problem = "/latchkey/" in line and response.status >= 400
    kind = "application/problem+json" if is_problem else "application/json"
    assert response.headers["Content-Type"] == kind, data
    return response.status, json.loads(raw)


async def new_tokens(client) -> tuple[str, str]:
    """Create another account; return its access and its refresh token."""
    new = NewAccount()
    session_specs = [SessionSpec("fardel", "fresh"), SessionSpec("fardel", "refresh")]
    _, [fresh, refresh] = await client.app[app_keys.ACCESS].register(new, "secret", session_specs)
    return fresh.token, refresh.token


async def send_everywhere(client, database, body, kind, first):
    """Send a body to every endpoint that reads it, without a registered account."""
    with database.cursor() as cursor:
        cursor.execute("delete from account where username is not null or email is not null")
    token, _ = await new_tokens(client)
    lines = list(READ)
    for line in lines[first:] + lines[:first]:
        needs_token = GUARDED.search(line)
        status, data = await send(client, line, body, kind, token if needs_token else None)
        error = READ[line](status, data)
        assert error or status in (200, 201, 204), (line, kind, body, status, data)
        token = data.get("access_token", token) if needs_token else token


FIRST = st.integers(0, len(READ) - 1)


@pytest.mark.slow
@fixed(50)
@given(value=VALUES, first=FIRST)
async def test_any_json(client, database, value, first):
    await send_everywhere(client, database, written(value), "application/json", first)


@fixed(70)
@given(given_fields=fields(), first=FIRST)
async def test_any_values_of_known_fields(client, database, given_fields, first):
    await send_everywhere(client, database, written(given_fields), "application/json", first)


@pytest.mark.slow
@fixed(70)
@given(sent=BYTES, first=FIRST)
async def test_any_bytes_of_any_content_type(client, database, sent, first):
    kind, body = sent
    await send_everywhere(client, database, body, kind, first)


@fixed(15)
@given(sent=BYTES)
async def test_what_needs_no_body_takes_any(client, sent):
    kind, body = sent
    access, refresh = await new_tokens(client)
    for line in IGNORE:
        token = refresh if "refresh" in line else access
        status, _ = await send(client, line, body, kind, token)
        assert status == 200, (line, kind, body)
    for line in END:
        access, _ = await new_tokens(client)
        status, _ = await send(client, line, body, kind, access)
        assert status in (200, 204), (line, kind, body)


async def test_a_compressed_body_does_no_harm_to_the_next(client, caplog):
    """The connection stays usable, or the response announces its end; no bug is logged."""
    status, _ = await send(client, SIGN_UP.request, written(ADA), "application/json")
    assert status == 200
    packed = JSON | {"Content-Encoding": "gzip"}
    for body in (b"not gzip", gzip.compress(written(ADA))[:-12], b"\x1f\x8b"):
        response = await client.post("/fardel/api/auth/login", data=body, headers=packed)
        assert response.status == 415
        await response.read()
        status, _ = await send(
            client, "POST /fardel/api/auth/login", written(ADA), "application/json"
        )
        assert status == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


UNREAD = {"POST /cellars/api/logout": 401, "GET /fardel/api/auth/profile": 200}


async def test_nor_does_one_that_nobody_reads(client, caplog):
    packed = JSON | {"Content-Encoding": "gzip"}
    for line, expected in UNREAD.items():
        method, path = line.split()
        response = await client.request(method, path, data=b"not gzip", headers=packed)
        assert response.status == expected
        await response.read()
        status, _ = await send(client, "POST /fardel/api/auth/login", written(ADA), None)
        assert status == 400
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
