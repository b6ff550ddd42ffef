"""Who may use the admin page's API: superusers, at this moment, by a session of the own API."""

import asyncio
import json
from dataclasses import replace

import pytest

from app import CORE, create_app
from handlers.admin import PREFIX, routes
from tests.handlers.admin.people import MIKA, PASSWORD, ROOT
from tests.handlers.internal.keys import KEYS, Scope

READS = [
    "/session",
    "/accounts",
    "/accounts/2",
    "/accounts/2/factors",
    "/accounts/2/sessions",
    "/events",
    "/live",
]
CHANGES = [
    ("PATCH", "/accounts/2", {"first_name": "x"}),
    ("DELETE", "/accounts/2", None),
    ("POST", "/accounts/2/password-reset", {}),
    ("DELETE", "/accounts/2/factors", None),
    ("DELETE", "/accounts/2/sessions", None),
    ("DELETE", "/accounts/2/sessions/0123456789abcdef", None),
    ("POST", "/gallery?group=a&name=b", None),
    ("DELETE", "/gallery/1", None),
]
EVERYTHING = [*(("GET", path, None) for path in READS), *CHANGES]


def test_all_endpoints_are_tried():
    declared = {
        (method, path.removeprefix(PREFIX))
        for path, endpoint in routes.endpoints.items()
        for method in endpoint.methods
    }
    tried = {
        (method, path.partition("?")[0].replace("/2", "/{id}").replace("/1", "/{id}"))
        for method, path, _ in EVERYTHING
    }
    assert {
        (method, path.replace("/0123456789abcdef", "/{sid}")) for method, path in tried
    } == declared


@pytest.fixture
async def tokens(office):
    """What others than an administrator may send, with the code of the error."""
    found = {
        "ordinary account": (await office.log_in("mika"), "superuser_required"),
        "unknown": ("0" * 64, "token_unknown"),
        "malformed": ("root", "token_unknown"),
        "service key": (KEYS[Scope.WRITE], "token_unknown"),
    }
    login = {"username": "root", "password": PASSWORD}
    fardel = {"email": "root@example.com", "password": PASSWORD}
    response = await office.client.post("/account/login", json=login)
    found["token of another dialect"] = (
        (await response.json())["token"],
        "superuser_required",
    )
    response = await office.client.post("/fardel/api/auth/login", json=fardel)
    pair = await response.json()
    found["fresh token of another dialect"] = pair["access_token"], "superuser_required"
    found["refresh token"] = pair["refresh_token"], "token_unknown"
    response = await office.client.post("/simplejwt/api/token", json=login)
    pair = await response.json()
    assert pair["access"].count(".") == 2
    found["JWT"] = pair["access"], "superuser_required"
    found["JWT that refreshes"] = pair["refresh"], "token_unknown"
    for name in ("staff", "disabled", "gone", "ended"):
        await office.register(name)
    office.sql("update account set is_staff = true, is_admin = true where username = 'staff'")
    office.sql(
        "update account set is_superuser = true where username in ('disabled','gone','ended')"
    )
    found["staff without superuser"] = await office.log_in("staff"), "superuser_required"
    for name in ("disabled", "gone", "ended"):
        found[name] = await office.log_in(name), "token_revoked"
    office.sql("update account set is_active = false where username = 'disabled'")
    office.sql("delete from account where username = 'gone'")
    headers = {"Authorization": f"Bearer {found['ended'][0]}"}
    response = await office.client.delete("/v1/sessions/current", headers=headers)
    assert response.status == 204
    return found


async def test_nobody_else_gets_in(office, tokens):
    for method, path, data in EVERYTHING:
        for who, (token, code) in tokens.items():
            assert await office.code(method, path, data, token=token) == code, (who, path)
        async with office.client.request(method, PREFIX + path) as response:
            content = await response.json(content_type=None)
            assert (response.status, content["code"]) == (401, "token_missing")
            assert response.headers["WWW-Authenticate"] == "Bearer"
    [[name, active]] = office.sql("select first_name, is_active from account where id = 2")
    assert (name, active) == (None, True)
    assert await office.events() == []


async def test_a_superuser_gets_in(office):
    for path in READS:
        assert await office.code("GET", path) is None
    _, session = await office.send("GET", "/session")
    assert session["account"]["username"] == "root"
    assert (session["events"], session["mail"]) == (True, True)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("update account set is_superuser = false where id = 1", "superuser_required"),
        (
            "update account set is_active = false, session_epoch = session_epoch + 1 where id = 1",
            "token_revoked",
        ),
        ("update account set session_epoch = session_epoch + 1 where id = 1", "token_revoked"),
        ("delete from account where id = 1", "token_revoked"),
    ],
    ids=["demoted", "disabled", "sessions ended", "deleted"],
)
async def test_access_is_lost_at_once(office, statement, code):
    assert await office.code("GET", "/accounts") is None
    office.sql(statement)
    assert await office.code("GET", "/accounts") == code
    assert await office.code("DELETE", "/accounts/2") == code


async def test_access_is_lost_while_a_body_arrives(office):
    """The rights are checked again after the last byte."""
    sending = asyncio.Event()

    async def body():
        yield b'{"first_name":'
        await sending.wait()
        yield b' "Eve"}'

    headers = {"Authorization": f"Bearer {office.token}", "Content-Type": "application/json"}
    changing = asyncio.create_task(
        office.client.patch(f"{PREFIX}/accounts/2", data=body(), headers=headers)
    )
    await asyncio.sleep(0.2)
    office.sql("update account set is_superuser = false where id = 1")
    sending.set()
    response = await changing
    assert (await response.json(content_type=None))["code"] == "superuser_required"
    assert office.sql("select first_name from account where id = 2") == [(None,)]


async def test_what_destroys_requires_a_recent_login(office):
    await office.log_in("mika")
    office.age()
    refused = [
        *((method, path, None) for method, path, _ in CHANGES if method == "DELETE"),
        *(
            ("PATCH", "/accounts/2", fields)
            for fields in (
                {"is_active": False},
                {"is_superuser": True},
                {"is_staff": True},
                {"email": "eve@example.com"},
                {"email_verified": True},
                {"first_name": "x", "is_superuser": False},
            )
        ),
    ]
    for method, path, data in refused:
        assert await office.code(method, path, data) == "fresh_login_required", (path, data)
    allowed = {"first_name": "Mika", "is_active": True, "username": "mika2"}
    assert await office.code("PATCH", "/accounts/2", allowed) is None
    assert await office.code("POST", "/accounts/2/password-reset", {}) is None
    for path in READS:
        assert await office.code("GET", path) is None
    fresh = await office.log_in("root")
    assert await office.code("PATCH", "/accounts/2", {"is_active": False}, token=fresh) is None
    assert await office.code("DELETE", "/accounts/2", token=fresh) is None


async def test_use_does_not_make_a_session_fresh(office):
    office.age(590)
    assert await office.code("DELETE", "/accounts/9") == "not_found"
    office.age(15)
    for _ in range(2):
        assert await office.code("GET", "/accounts") is None
        assert await office.code("DELETE", "/accounts/9") == "fresh_login_required"


async def test_the_password_makes_a_session_fresh_again(office):
    office.age()
    headers = {"Authorization": f"Bearer {office.token}"}
    for password, status, code in (
        ("wrong", 422, "fresh_login_required"),
        (PASSWORD, 204, "not_found"),
    ):
        async with office.client.post(
            "/v1/sessions/current/confirm", json={"password": password}, headers=headers
        ) as response:
            assert response.status == status
        assert await office.code("DELETE", "/accounts/9") == code


async def test_superusers_cannot_lock_themselves_out(office):
    for method, data in (
        ("DELETE", None),
        ("PATCH", {"is_active": False}),
        ("PATCH", {"is_superuser": False}),
    ):
        assert await office.code(method, f"/accounts/{ROOT}", data) == "own_account"
    changes = {"first_name": "Root", "is_superuser": True, "is_active": True, "is_staff": True}
    assert await office.code("PATCH", f"/accounts/{ROOT}", changes) is None


async def test_they_can_end_their_own_sessions(office):
    assert await office.code("DELETE", f"/accounts/{ROOT}/sessions") is None
    assert await office.code("GET", "/accounts") == "token_revoked"


async def test_a_superuser_can_be_made_and_demoted_by_another(office):
    other = await office.log_in("mika")
    assert await office.code("GET", "/accounts", token=other) == "superuser_required"
    assert await office.code("PATCH", f"/accounts/{MIKA}", {"is_superuser": True}) is None
    demotion = {"is_superuser": False}
    assert await office.code("PATCH", f"/accounts/{ROOT}", demotion, token=other) is None
    assert await office.code("GET", "/accounts") == "superuser_required"


async def test_whether_there_is_an_administrator(office):
    directory = office.client.app[CORE].directory
    assert await directory.has_superuser()
    office.sql("update account set is_active = false where id = 1")
    assert not await directory.has_superuser()
    office.sql("update account set is_active = true, is_superuser = false where id = 1")
    assert not await directory.has_superuser()


async def test_no_cookie_and_no_query_authenticates(office):
    """Therefore no page of another site can make a browser send an authenticated request."""
    for headers, query in (
        ({"Cookie": f"token={office.token}; Authorization=Bearer {office.token}"}, ""),
        ({}, f"?token={office.token}&access_token={office.token}"),
    ):
        for method, path, data in EVERYTHING:
            async with office.client.request(
                method, f"{PREFIX}{path.partition('?')[0]}{query}", headers=headers, json=data
            ) as response:
                assert response.status == 401
                assert "Set-Cookie" not in response.headers


async def test_a_form_of_another_site_changes_nothing(office):
    """A browser sends such bodies without a preflight."""
    headers = {"Authorization": f"Bearer {office.token}"}
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        async with office.client.patch(
            f"{PREFIX}/accounts/2",
            data=json.dumps({"first_name": "x"}),
            headers={**headers, "Content-Type": media_type},
        ) as response:
            assert response.status == 415


@pytest.mark.parametrize("origins", [("*",), ("https://app.example",)])
async def test_no_cors(aiohttp_client, admin_settings, clean, origins):
    settings = replace(admin_settings, cors_origins=origins)
    client = await aiohttp_client(create_app(settings))
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "DELETE"}
    for path in (f"{PREFIX}/accounts/2", f"{PREFIX}/nothing", "/ui/style.css"):
        for method in ("OPTIONS", "GET", "DELETE"):
            async with client.request(method, path, headers=headers) as response:
                found = [name for name in response.headers if name.startswith("Access-Control")]
                assert found == [], (method, path)


async def test_headers(office):
    headers = {"Authorization": f"Bearer {office.token}"}
    async with office.client.get(f"{PREFIX}/accounts", headers=headers) as response:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.content_type == "application/json"


async def test_unknown_paths_and_methods(office):
    assert await office.code("GET", "/nothing") == "not_found"
    assert await office.code("GET", "/accounts/x") == "not_found"
    assert await office.code("GET", f"/accounts/{2**63}") == "not_found"
    assert await office.code("PUT", "/accounts/2") == "method_not_allowed"
    assert await office.code("POST", "/accounts", {}) == "method_not_allowed"
    assert await office.code("PUT", "/accounts/2/password", {}) == "not_found"


async def test_without_the_setting_there_is_nothing(aiohttp_client, settings, clean):
    client = await aiohttp_client(create_app(settings))
    for path in ("/session", "/accounts", "/nothing"):
        async with client.get(PREFIX + path) as response:
            assert response.status == 404
            assert (await response.json()) == {"detail": "Not found."}


async def test_service_keys_and_the_internal_port_stay_as_they_are(office):
    headers = {"Authorization": f"Bearer {office.token}"}
    async with office.client.get("/internal/accounts", headers=headers) as response:
        assert response.status == 401
