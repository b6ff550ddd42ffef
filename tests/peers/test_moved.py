"""A back end with knox or `authtoken` moves by docs/migrating.md; its clients see no difference.

The same requests go to Django and to Latchkey, which has what was exported from it. What differs on
purpose is not among them: docs/contracts/knox.md#decisions, docs/migrating.md.
"""

import asyncio
import base64
import contextlib
import json
import re
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from app import create_app
from handlers import DIALECTS
from handlers.mounts import parse_mounts
from tests.commands.migration import page
from tests.commands.migration.page import run_ours
from tests.pages import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PROJECT = Path(__file__).parent / "token_project.py"
PASSWORD = "Difference-Engine-1822"
PEOPLE = ("ada", "bob", "carol", "dora", "eve", "nobody")
TOKEN = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b")
NEW_ID = re.compile(r'("id": ?)1[2-9]\b')
"""The ids of accounts that were registered after the move: Latchkey may leave some out."""
EXPIRY = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(?=[-+]\d\d:\d\d)")

MOUNTS = {
    "knox": "knox=/api/auth?time-zone=America/Chicago",
    "customary": "knox=/api/auth?user=id,username,email&login-fields=user,token&basic=off"
    "&trim-passwords=on&register-path=/register&user-path=/user",
    "authtoken": "authtoken=/?path=/api/token",
}


@dataclass(frozen=True)
class Step:
    """A request. `<name>` in its header is a token that the response of a step has, as `keep`."""

    method: str
    path: str
    body: Any = None
    header: str = ""
    keep: str = ""


@dataclass
class Side:
    """One of the two servers, and the tokens of its responses."""

    session: ClientSession
    url: str
    tokens: dict[str, str] = field(default_factory=dict)

    async def send(self, step: Step) -> tuple[int, Any, str | None, str | None]:
        """Send a request; return the status, the body, and the headers that clients may read."""
        headers = {}
        if step.header:
            name = re.sub("<(.+)>", lambda match: self.tokens[match[1]], step.header)
            headers["Authorization"] = name
        content = {} if step.body is None else {"json": step.body}
        if isinstance(step.body, str):
            content = {"data": step.body}
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        request = self.session.request(
            step.method, self.url + step.path, headers=headers, **content
        )
        async with request as response:
            text = await response.text()
        if step.keep:
            [self.tokens[step.keep]] = TOKEN.findall(text)
        shown = EXPIRY.sub("<time>", TOKEN.sub("<token>", NEW_ID.sub(r"\1 0", text)))
        allow = response.headers.get("Allow") if response.status == 405 else None
        return (
            response.status,
            list(json.loads(shown).items()) if shown else "",
            response.headers.get("WWW-Authenticate"),
            allow and allow.replace("HEAD, ", ""),
        )


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
async def move(request, session, settings, aiohttp_client, clean, tmp_path, monkeypatch):
    """Start the back end, export and import it; return both sides."""
    monkeypatch.chdir(tmp_path)
    processes = []

    async def manage(urls: str, *command: str) -> asyncio.subprocess.Process:
        line = [PROJECT, tmp_path, urls, *command]
        stderr = asyncio.subprocess.DEVNULL if command[0] == "serve" else None
        processes.append(await asyncio.create_subprocess_exec(sys.executable, *line, stderr=stderr))
        return processes[-1]

    async def ours(command: str) -> None:
        ended, said = await run_ours(command, settings)
        assert ended == 0, said

    async def move_urls(urls: str) -> tuple[Side, Side]:
        port = free_port()
        await manage(urls, "serve", str(port))
        theirs = Side(session, f"http://127.0.0.1:{port}")
        async with asyncio.timeout(60):
            while True:
                try:
                    await session.get(theirs.url)
                    break
                except OSError:
                    await asyncio.sleep(0.1)
        export = page.TO_JSON.removeprefix("python manage.py ").split()
        assert await (await manage(urls, *export)).wait() == 0
        await ours(page.IMPORT.replace("accounts.csv", "accounts.jsonl"))
        export_tokens(urls, tmp_path / "db", tmp_path / "tokens.csv")
        dialect = urls if urls == "authtoken" else "knox"
        await ours(page.IMPORT_TOKENS.replace("lumotist", dialect))
        dialects = parse_mounts(MOUNTS[urls], DIALECTS)
        own = replace(settings, dialects=dialects, imported_tokens="on")
        client = await aiohttp_client(create_app(own))
        ours_side = Side(session, str(client.make_url("")).rstrip("/"))
        old = json.loads((tmp_path / "tokens.json").read_text())
        theirs.tokens |= old
        ours_side.tokens |= old
        return theirs, ours_side

    yield move_urls
    for process in processes:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def export_tokens(urls: str, database: Path, file: Path) -> None:
    """Write the table of tokens to a file, as the commands of the page do."""
    select = "select key, user_id from authtoken_token"
    if urls != "authtoken":
        select = "select digest, user_id, expiry from knox_authtoken"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        cursor = connection.execute(select)
        rows = [[each[0] for each in cursor.description], *cursor]
    file.write_text("\n".join(",".join(map(str, row)) for row in rows))


async def compare(sides: tuple[Side, Side], steps: list[Step]) -> None:
    """Send each request to both sides; the responses must be equal."""
    different = []
    for step in steps:
        theirs, ours = [await side.send(step) for side in sides]
        if theirs != ours:
            different.append(f"{step}\n  Django   {theirs}\n  Latchkey {ours}")
    assert not different, "\n".join(different)


def basic(username: str, password: str = PASSWORD) -> str:
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


UNKNOWN = ("", "Token x", "token 0", f"Token {'0' * 64}")
BAD_TOKENS = (*UNKNOWN, "Token", "Token a b", "Bearer x")


def guarded(method: str, path: str, name: str) -> list[Step]:
    """Requests to an endpoint behind the token, without it and with a good one."""
    others = [each for each in ("GET", "PUT", "DELETE", "POST") if each != method]
    return [
        *[Step(each, path, header=header) for header in BAD_TOKENS for each in (method, "PATCH")],
        *[Step(each, path, header=f"Token <{name}>") for each in others],
    ]


def life(dialect: str) -> list[Step]:
    """Tokens a, b and c of a login: one logs out, then all."""
    check = f"/{dialect}/verify"
    return [
        *[Step("GET", check, header=f"{word} <a>") for word in ("Token", "token")],
        *[Step("GET", check, header=header) for header in UNKNOWN],
        *guarded("POST", "/api/auth/logout/", "a"),
        *guarded("POST", "/api/auth/logoutall/", "a"),
        Step("POST", "/api/auth/logout/", {"x": 1}, "Token <a>"),
        Step("POST", "/api/auth/logout/", None, "Token <a>"),
        Step("GET", check, header="Token <a>"),
        Step("GET", check, header="Token <b>"),
        Step("POST", "/api/auth/logoutall/", None, "Token <b>"),
        Step("GET", check, header="Token <c>"),
        Step("POST", "/api/auth/logoutall/", None, "Token <c>"),
    ]


OLD = ("ada", "ada 2", "carol", "eve")
"""Tokens of before the move; carol is disabled."""


async def test_knox(move):
    login = "/api/auth/login/"
    steps = [
        *[Step("POST", login, header=basic(name)) for name in PEOPLE],
        *[Step("POST", login, header=basic(name, "wrong")) for name in PEOPLE],
        *[Step("POST", login, header=basic(name, f"{PASSWORD} ")) for name in PEOPLE],
        *[
            Step("POST", login, header=header)
            for header in (
                "",
                "Basic",
                "Basic a b",
                "Basic !",
                "Basic abc",
                basic("", ""),
                basic(" ada"),
                basic("ada@example.org"),
                basic("a\0b"),
                "Bearer x",
            )
        ],
        Step("POST", login, {"username": "x"}, basic("ada")),
        Step("GET", login, header=basic("ada")),
        *[Step("GET", "/knox/verify", header=f"Token <{name}>") for name in OLD],
        *[Step("POST", login, header=basic("ada"), keep=name) for name in "abc"],
        *life("knox"),
    ]
    await compare(await move("knox"), steps)


ADA, NEW = {"username": "ada", "password": PASSWORD}, {"username": "new", "password": "a"}
BAD_BODIES: list[Any] = [
    {},
    [],
    "a=b",
    "",
    {"username": "", "password": "", "email": ""},
    {"username": None, "password": None, "email": None},
    {"username": [], "password": {}, "email": []},
    {"username": {}, "password": [], "email": True},
    {"username": True, "password": 1, "email": 1},
    {"username": "a b", "password": " ", "email": "x"},
    {"username": "nul", "password": "a\0b"},
    {"username": "a" * 151, "password": "x", "email": f"{'a' * 250}@example.org"},
    {"username": "ada", "password": "x", "email": "ada@example.net"},
    {"username": " ada ", "password": "x"},
]


def logins(path: str) -> list[Step]:
    """Logins by a body: everybody, and what is wrong with a body."""
    return [
        *[Step("POST", path, {**ADA, "username": name}) for name in PEOPLE],
        *[Step("POST", path, {"username": name, "password": "wrong"}) for name in PEOPLE],
        *[Step("POST", path, {"username": n, "password": f" {PASSWORD} "}) for n in PEOPLE],
        *[Step("POST", path, {"username": n, "password": f"{PASSWORD} "}) for n in PEOPLE],
        *[Step("POST", path, body) for body in BAD_BODIES],
        Step("POST", path, f"username=ada&password={PASSWORD}"),
        *[Step("POST", path, ADA, header) for header in BAD_TOKENS if header != ""],
        *[Step(method, path) for method in ("GET", "PUT", "DELETE")],
    ]


async def test_the_customary_set(move):
    register, login, user = (f"/api/auth/{name}" for name in ("register", "login", "user"))
    steps = [
        *[Step("POST", register, body) for body in BAD_BODIES],
        Step("POST", register, {**NEW, "email": "new@example.org"}, keep="new"),
        Step("POST", register, NEW | {"email": "another@example.org"}),
        Step("POST", register, {**NEW, "username": "newer", "email": ""}),
        *[Step("POST", register, NEW, header) for header in BAD_TOKENS if header != ""],
        *[Step(method, register) for method in ("GET", "PUT")],
        *logins(login),
        *[Step("GET", user, header=f"Token <{name}>") for name in OLD],
        Step("POST", "/api/auth/logout/", None, "Token <ada 2>"),
        *[Step("GET", user, header=f"Token <{name}>") for name in OLD],
        *[Step("POST", login, ADA, keep=name) for name in "abc"],
        *[Step("GET", user, header=f"Token <{name}>") for name in ("a", "new")],
        *guarded("GET", user, "a"),
        *life("knox"),
        *[Step("GET", user, header=f"Token <{name}>") for name in ("ada", "eve", "new")],
    ]
    await compare(await move("customary"), steps)


async def test_authtoken(move):
    check, login = "/authtoken/verify", "/api/token/"
    steps = [
        *[Step("GET", check, header=f"Token <{name}>") for name in ("ada", "carol")],
        *logins(login),
        Step("POST", login, ADA, keep="a"),
        *[Step("GET", check, header=f"{word} <a>") for word in ("Token", "token", "TOKEN")],
        *[Step("GET", check, header=header) for header in UNKNOWN],
        Step("GET", check, header="Token <ada>"),
    ]
    await compare(await move("authtoken"), steps)
