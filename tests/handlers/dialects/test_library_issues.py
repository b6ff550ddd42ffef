"""docs/contracts/library-issues.md: its tests exist; and those that belong to no dialect alone."""

import ast
import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from app import CORE, create_app
from handlers import DIALECTS
from handlers.mounts import parse_mounts
from store.account import NewAccount
from store.one_time_tokens import Purpose

ROOT = Path(__file__).parent.parent.parent.parent
PAGE = (ROOT / "docs/contracts/library-issues.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE)
WITHOUT_TESTS = {"22"}
"""What Latchkey does not have."""

ADA = {"username": "ada", "password": "Difference-Engine-1822"}


def test_every_issue_has_a_row():
    assert [int(number) for number, _ in ROWS] == list(range(1, 24))


@pytest.mark.parametrize(("number", "row"), ROWS, ids=[number for number, _ in ROWS])
def test_the_tests_of_a_row_exist(number: str, row: str):
    *_, cell = row.split(" | ")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", cell)
    assert (cell == "none") == (number in WITHOUT_TESTS)
    assert len(named) == cell.count("::")
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text())
        functions = ast.FunctionDef, ast.AsyncFunctionDef
        assert name in {node.name for node in tree.body if isinstance(node, functions)}, (
            f"{file} has no {name}: name another test in the row {number} of "
            "docs/contracts/library-issues.md"
        )


@pytest.fixture
def serve(aiohttp_client, settings, clean):
    """Run a server with these dialects, and the account of ADA."""

    async def serve(text: str, **changes):
        dialects = parse_mounts(text, DIALECTS)
        client = await aiohttp_client(create_app(replace(settings, dialects=dialects, **changes)))
        new = NewAccount("ada", "ada@example.org")
        await client.app[CORE].admin.register(new, ADA["password"])
        return client

    return serve


async def test_a_login_leaves_the_links_that_were_mailed(serve):
    """Issue 4: Django's tokens cover `last_login`, so a login ends them."""
    client = await serve("djoser=/")
    core = client.app[CORE]
    made = core.one_time_tokens.make(Purpose.RESET, await core.accounts.get(1), 4_000_000_000)
    for path in ("/auth/token/login", "/auth/token/login"):
        assert (await client.post(path, json=ADA)).status == 200
    body = {"uid": "MQ", "token": made, "new_password": "Bernoulli-Numbers-1842"}
    assert (await client.post("/auth/users/reset_password_confirm", json=body)).status == 204
    assert (await client.post("/auth/users/reset_password_confirm", json=body)).status == 400


async def test_refreshes_at_the_same_time_have_one_successor(serve):
    """Issue 18: a rotation is one step. If it were two, some of these would make more of them."""
    client = await serve("simplejwt=/?rotate-refresh-tokens=on")
    response = await client.post("/api/token", json=ADA)
    token = (await response.json())["refresh"]

    async def refresh() -> str:
        response = await client.post("/api/token/refresh", json={"refresh": token})
        assert response.status == 200
        return (await response.json())["refresh"]

    successors = set(await asyncio.gather(*[refresh() for _ in range(20)]))
    assert len(successors) == 1
    assert token not in successors


DEAD_COOKIES = {"Cookie": "my-app-auth=x.y.z; my-refresh-token=x.y.z; sessionid=x; csrftoken=x"}


@pytest.mark.parametrize(
    ("dialect", "login", "logout"),
    [
        ("dj-rest-auth", "/login", "/logout"),
        ("djoser", "/auth/token/login", "/auth/token/logout"),
        ("knox", "/login", "/logout"),
        ("authtoken", "/api-token-auth", None),
    ],
)
async def test_no_cookie_refuses_a_login_or_a_logout(serve, dialect, login, logout):
    """Issue 14: with dj-rest-auth an expired cookie leaves users neither logged in nor out."""
    client = await serve(f"{dialect}=/")
    response = await client.post(login, json=ADA, headers=DEAD_COOKIES)
    assert response.status == 200
    assert "Set-Cookie" not in response.headers
    found = await response.json()
    token = next(found[name] for name in ("key", "auth_token", "token") if name in found)
    if logout:
        headers = {**DEAD_COOKIES, "Authorization": f"Token {token}"}
        assert (await client.post(logout, headers=headers)).status in (200, 204)
        assert await client.app[CORE].sessions.list_by_account(1) == []


async def test_a_token_of_authtoken_ends(serve):
    """Issue 21: those of the library never end."""
    client = await serve("authtoken=/", session_lifetime=1)
    response = await client.post("/api-token-auth", json=ADA)
    headers = {"Authorization": f"Token {(await response.json())['token']}"}
    assert (await client.get("/verify", headers=headers)).status == 200
    await asyncio.sleep(1.1)
    assert (await client.get("/verify", headers=headers)).status == 401
