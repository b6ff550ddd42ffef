"""Simple JWT and djoser's JWTs as released, beside the dialects: the same requests to both.

Tokens are compared by their headers and payloads. What differs on purpose is in
docs/contracts/simplejwt.md#differences-from-simple-jwt; its requests are not in the scripts, but in
tests/handlers/dialects/test_simplejwt.py. Then the accounts and the key move, and the tokens of one
side are accepted by the other.
"""

import asyncio
import base64
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import ClientSession

from app import CORE, create_app
from handlers import DIALECTS
from handlers.mounts import Mount
from tests.commands.migration import page
from tests.commands.migration.page import run_ours
from tests.pages import ROOT, free_port
from tests.peers.test_djoser import python  # noqa: F401  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PROJECT = Path(__file__).parent / "jwt_project.py"
KEY = "only-for-this-test-and-on-this-machine"
PASSWORD, OTHER = "Difference-Engine-1822", "Bernoulli-Numbers-1842"
ADA = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
CREDENTIALS = {"username": "ada", "password": PASSWORD}
USERS, ME = "/auth/users/", "/auth/users/me/"
CREATE, REFRESH = "/api/token/", "/api/token/refresh/"
VERIFY, BLACKLIST = "/api/token/verify/", "/api/token/blacklist/"
JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")

Step = tuple[str, str, Any, str]
"""A method, a path, a body, and the Authorization header. `<access>` and the like are tokens."""
Start = Callable[..., Awaitable["Side"]]


class Side:
    """One of the two servers, and the tokens of its responses.

    `<refresh>` is the newest refresh token, `<refresh -2>` the one before.
    """

    def __init__(self, session: ClientSession, url: str) -> None:
        self.session = session
        self.url = url
        self.tokens: dict[str, list[str]] = {"access": [], "refresh": []}

    def fill(self, text: str) -> str:
        """Return a text with tokens in the place of their names."""

        def token(match: re.Match[str]) -> str:
            found = self.tokens[match[1]][int(match[2] or -1)]
            return expired(found) if match[0].startswith("<old") else found

        return re.sub(r"<(?:old )?(access|refresh)(?: (-\d))?>", token, text)

    async def send(self, step: Step) -> tuple[Any, ...]:
        """Send a request; return the status, the body, and the headers that clients may read."""
        method, path, body, header = step
        headers = {"Authorization": self.fill(header)} if header else {}
        content: dict[str, Any] = {}
        if isinstance(body, bytes):
            content["data"] = body
            headers["Content-Type"] = "text/plain"
        elif body is not None:
            content["data"] = self.fill(json.dumps(body))
            headers["Content-Type"] = "application/json"
        request = self.session.request(method, self.url + path, headers=headers, **content)
        async with request as response:
            text = await response.text()
        for kind, token in re.findall(r'"(access|refresh)": ?"([\w.-]+)"', text):
            self.tokens[kind].append(token)
        data = json.loads(text) if text and method != "OPTIONS" else None
        allow = response.headers.get("Allow", "") if response.status == 405 else ""
        return (
            response.status,
            shown(data),
            response.headers.get("WWW-Authenticate"),
            sorted({*allow.split(", ")} - {"HEAD"}),
        )


def expired(token: str) -> str:
    """Return a token with the same claims that has expired."""
    claims = jwt.decode(token, KEY, ["HS256"])
    return jwt.encode({**claims, "exp": int(time.time()) - 1}, KEY, "HS256")


def shown(value: Any) -> Any:
    """Return a value with its keys in their order, and tokens as what they state."""
    if isinstance(value, dict):
        return [(key, shown(each)) for key, each in value.items()]
    if isinstance(value, list):
        return [shown(each) for each in value]
    if not isinstance(value, str) or not JWT.fullmatch(value):
        return value
    header, payload, _ = value.split(".")
    claims = jwt.decode(value, KEY, ["HS256"])
    text = base64.urlsafe_b64decode(payload + "==").decode()
    assert abs(claims["iat"] - time.time()) < 60
    # Django takes the time twice, so its access tokens may live a second less.
    claims["exp"] = round(claims["exp"] - claims["iat"], -1)
    claims["iat"] = "now"
    claims["jti"] = type(claims["jti"]).__name__
    spaces = " " in re.sub(r'"[^"]*"', "", text)
    return base64.urlsafe_b64decode(header + "==").decode(), list(claims.items()), spaces


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
async def django(python, session, tmp_path) -> AsyncIterator[Start]:  # noqa: F811
    """Run the project; return a function that starts it with settings."""
    processes = []

    async def start(**settings: Any) -> Side:
        port = free_port()
        line = [PROJECT, tmp_path, json.dumps(settings), "serve", str(port)]
        null = asyncio.subprocess.DEVNULL
        processes.append(await asyncio.create_subprocess_exec(python, *line, stderr=null))
        side = Side(session, f"http://127.0.0.1:{port}")
        async with asyncio.timeout(60):
            while True:
                try:
                    await session.get(side.url)
                    break
                except OSError:
                    await asyncio.sleep(0.1)
        return side

    yield start
    for process in processes:
        process.terminate()
        await process.wait()


@pytest.fixture
async def latchkey(settings, aiohttp_client, session, clean) -> Start:
    """Run the dialects; return a function that starts them with options."""

    async def start(
        djoser: dict[str, Any] | None = None, moved_at: float = 0, **options: Any
    ) -> Side:
        options = {"rotation_grace": -1, **options}
        of_djoser = {"jwt": True, "token_endpoints": False, "password_rules": ("none",)}
        more = djoser or {}
        own = replace(
            settings,
            jwt_signing_keys=(KEY,),
            jwt_moved_at=moved_at,
            dialects={
                "simplejwt": Mount("/", replace(DIALECTS["simplejwt"].options, **options)),
                "djoser": Mount(
                    "/", replace(DIALECTS["djoser"].options, **of_djoser, **options, **more)
                ),
            },
        )
        client = await aiohttp_client(create_app(own))
        side = Side(session, str(client.make_url("")).rstrip("/"))
        side.core = client.app[CORE]
        return side

    return start


async def compare(theirs: Side, ours: Side, steps: list[Step]) -> None:
    """Send each request to both sides; their responses must be equal, but for an OPTIONS' body."""
    different = []
    for step in steps:
        one, other = [await side.send(step) for side in (theirs, ours)]
        if one != other:
            different.append(f"{step}\n  Django {one}\n  here   {other}")
    assert not different, "\n".join(different)


def fields(*names: str) -> list[Any]:
    """Return bodies in which something is wrong with these fields."""
    values = ("", "  ", None, True, [], {}, "a\0", 1, 1.5, "x")
    bodies: list[Any] = [{}, [], "x", 1, None, {"other": "x"}]
    bodies += [dict.fromkeys(names, value) for value in values]
    return bodies + [{name: "x"} for name in names]


def script(create: str, refresh: str, verify: str) -> list[Step]:
    """Return the requests to three endpoints that both libraries have."""
    return [
        ("POST", USERS, ADA, ""),
        *[("POST", create, body, "") for body in fields("username", "password")],
        *[("POST", refresh, body, "") for body in fields("refresh")],
        *[("POST", verify, body, "") for body in fields("token")],
        ("POST", create, {"username": " ada", "password": f" {PASSWORD}\n"}, "Bearer x"),
        ("POST", create, {"username": "ada", "password": PASSWORD.lower()}, ""),
        *[("POST", path, b"x", "") for path in (create, refresh, verify)],
        *[
            (method, path, None, header)
            for path in (create, refresh, verify)
            for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS")
            for header in ("", "Bearer x", "Bearer <access>")
        ],
        ("POST", verify, {"token": "<access>"}, "Bearer"),
        ("POST", verify, {"token": " <refresh> "}, ""),
        ("POST", refresh, {"refresh": "<access>"}, ""),
        *[("POST", verify, {"token": f"<old {kind}>"}, "") for kind in ("access", "refresh")],
        *[("POST", refresh, {"refresh": f"<old {kind}>"}, "") for kind in ("access", "refresh")],
        *[("POST", path, {"token": "<access>x"}, "") for path in (verify, refresh)],
    ]


HEADERS = (
    "",
    "Bearer",
    "Bearer a b",
    "Bearer x",
    "Bearer <access>",
    "Bearer <access>x",
    "Bearer <refresh>",
    "Bearer <old access>",
    "Bearer <old refresh>",
    "bearer <access>",
    "BEARER x",
    "Token <access>",
    "Token x",
    "JWT <access>",
    "Basic x",
)
CALLERS: list[Step] = [
    (method, path, None, header)
    for path in (ME, USERS, f"{USERS}1/", f"{USERS}activation/")
    for method in ("GET", "PUT", "OPTIONS")
    for header in HEADERS
    if not (method == "OPTIONS" and header == "Bearer <access>")  # in djoser a 500 for some
]
OF_SIMPLEJWT = script(CREATE, REFRESH, VERIFY)
OF_DJOSER = script("/auth/jwt/create/", "/auth/jwt/refresh", "/auth/jwt/verify/")


async def test_simplejwt(django, latchkey):
    steps = [
        *OF_SIMPLEJWT,
        *[("POST", BLACKLIST, body, "") for body in fields("refresh")],
        ("POST", REFRESH, {"refresh": "<refresh>"}, ""),
        ("POST", REFRESH, {"refresh": "<refresh>"}, ""),
        ("POST", BLACKLIST, {"refresh": "<access>"}, ""),
        ("POST", BLACKLIST, {"refresh": "<old refresh>"}, ""),
        ("POST", BLACKLIST, {"refresh": "<refresh>"}, ""),
        ("POST", BLACKLIST, {"refresh": "<refresh>"}, ""),
        ("POST", REFRESH, {"refresh": "<refresh>"}, ""),
    ]
    await compare(await django(), await latchkey(), steps)


async def test_djoser(django, latchkey):
    change = {"new_password": OTHER, "current_password": PASSWORD}
    steps = [
        *OF_DJOSER,
        *CALLERS,
        ("POST", "/auth/jwt/refresh/", {"refresh": "<refresh>"}, ""),
        ("POST", f"{USERS}set_password/", change, "Bearer <access>"),
        ("GET", ME, None, "Bearer <access>"),
        ("POST", "/auth/jwt/refresh/", {"refresh": "<refresh>"}, ""),
        ("POST", "/auth/jwt/create/", CREDENTIALS, ""),
        ("POST", "/auth/jwt/create/", {"username": "ada", "password": OTHER}, ""),
        ("PATCH", ME, {"email": "other@example.org"}, "Bearer <access>"),
        ("DELETE", ME, {"current_password": OTHER}, "Bearer <access>"),
        ("GET", ME, None, "Bearer <access>"),
        ("POST", "/auth/jwt/create/", {"username": "ada", "password": OTHER}, ""),
    ]
    await compare(await django(), await latchkey(), steps)


ROTATION = {"ROTATE_REFRESH_TOKENS": True, "BLACKLIST_AFTER_ROTATION": True}


async def test_rotation(django, latchkey):
    """The last request ends the session here, and in Django none of its other tokens."""
    lifetimes = {"access_token_lifetime": 900, "refresh_token_lifetime": 604_800}
    steps = [
        ("POST", USERS, ADA, ""),
        ("POST", CREATE, CREDENTIALS, ""),
        ("POST", REFRESH, {"refresh": "<refresh>"}, ""),
        ("POST", VERIFY, {"token": "<refresh -2>"}, ""),
        ("POST", VERIFY, {"token": "<refresh>"}, ""),
        ("POST", VERIFY, {"token": "<access -2>"}, ""),
        ("POST", REFRESH, {"refresh": "<refresh>"}, ""),
        ("GET", ME, None, "Bearer <access>"),
        ("POST", REFRESH, {"refresh": "<refresh -2>"}, ""),
        ("POST", VERIFY, {"token": "<refresh -2>"}, ""),
    ]
    upper = {name.upper(): value for name, value in lifetimes.items()}
    theirs = await django(SIMPLE_JWT={**ROTATION, **upper})
    await compare(theirs, await latchkey(rotate_refresh_tokens=True, **lifetimes), steps)


async def test_rotation_without_blacklisting(django, latchkey):
    steps = [
        ("POST", USERS, ADA, ""),
        ("POST", CREATE, CREDENTIALS, ""),
        ("POST", REFRESH, {"refresh": "<refresh>"}, ""),
        ("POST", VERIFY, {"token": "<refresh -2>"}, ""),
        ("POST", REFRESH, {"refresh": "<refresh -2>"}, ""),
        ("POST", VERIFY, {"token": "<refresh -2>"}, ""),
        ("GET", ME, None, "Bearer <access>"),
    ]
    theirs = await django(SIMPLE_JWT={"ROTATE_REFRESH_TOKENS": True})
    ours = await latchkey(rotate_refresh_tokens=True, blacklist_after_rotation=False)
    await compare(theirs, ours, steps)


async def test_claims_and_other_header_types(django, latchkey):
    claims = ("username", "email", "first_name", "is_staff", "is_superuser", "is_active")
    headers = [header.replace("Bearer", "JWT") for header in HEADERS]
    steps = [
        ("POST", USERS, {**ADA, "username": "zoë"}, ""),
        ("POST", CREATE, {"username": "zoë", "password": PASSWORD}, ""),
        ("POST", CREATE, {"username": "zoë", "password": "x"}, ""),
        ("POST", REFRESH, {"refresh": "<refresh>"}, ""),
        ("POST", REFRESH, {"refresh": "x"}, ""),
        *[("GET", ME, None, header) for header in (*HEADERS, *headers)],
    ]
    types = ("JWT", "Bear")
    theirs = await django(SIMPLE_JWT={"AUTH_HEADER_TYPES": types, "CLAIMS": claims})
    await compare(theirs, await latchkey(auth_header_types=types, claims=claims), steps)


async def test_an_account_that_is_not_activated(django, latchkey):
    theirs, ours = await django(DJOSER={"SEND_ACTIVATION_EMAIL": True}), await latchkey()
    for side in (theirs, ours):
        assert (await side.send(("POST", USERS, ADA, "")))[0] == 201
    await ours.core.accounts.change(1, {"activated": False})
    paths = (CREATE, "/auth/jwt/create/")
    await compare(theirs, ours, [("POST", path, CREDENTIALS, "") for path in paths])


def test_the_page_names_every_setting(python):  # noqa: F811
    code = (
        "from django.conf import settings; settings.configure(SECRET_KEY='x'); "
        "from rest_framework_simplejwt.settings import DEFAULTS; print(*DEFAULTS)"
    )
    run = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    text = (ROOT / "docs/contracts/simplejwt.md").read_text()
    [table] = re.findall(r"^## Settings of Simple JWT$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    assert sorted(re.findall("`([A-Z_]+)`", " ".join(rows))) == sorted(run.stdout.split())


@pytest.fixture
async def moved(django, latchkey, python, settings, clean, tmp_path, monkeypatch):  # noqa: F811
    """Return both sides after accounts and key have moved, with a login of before in both."""
    monkeypatch.chdir(tmp_path)
    given = {"SIMPLE_JWT": ROTATION}
    theirs = await django(**given)
    for step in (("POST", USERS, ADA, ""), ("POST", CREATE, CREDENTIALS, "")):
        assert (await theirs.send(step))[0] in (200, 201)
    export = page.TO_JSON.removeprefix("python manage.py ").split()
    line = [PROJECT, tmp_path, json.dumps(given), *export]
    exporting = await asyncio.create_subprocess_exec(python, *line)
    assert await exporting.wait() == 0
    ended, said = await run_ours(page.IMPORT.replace("accounts.csv", "accounts.jsonl"), settings)
    assert ended == 0, said
    await asyncio.sleep(1)  # "iat" has whole seconds
    ours = await latchkey(moved_at=time.time(), rotate_refresh_tokens=True)
    ours.tokens = {kind: [*tokens] for kind, tokens in theirs.tokens.items()}
    return theirs, ours


async def test_tokens_of_here_are_accepted_there(moved):
    theirs, ours = moved
    assert (await ours.send(("POST", CREATE, CREDENTIALS, "")))[0] == 200
    theirs.tokens = ours.tokens
    user = [("id", 1), ("username", "ada")]
    assert (await theirs.send(("GET", "/other/", None, "Bearer <access>")))[:2] == (200, user)
    status, body, *_ = await theirs.send(("GET", "/other/", None, "Bearer <refresh>"))
    assert (status, dict(body)["code"]) == (401, "token_not_valid")


async def test_refresh_tokens_of_before_are_accepted_once(moved):
    theirs, ours = moved
    assert (await ours.send(("GET", ME, None, "Bearer <access>")))[0] == 401  # but no access token
    assert (await ours.send(("POST", REFRESH, {"refresh": "<refresh>"}, "")))[0] == 200
    assert (await ours.send(("GET", ME, None, "Bearer <access>")))[0] == 200
    theirs.tokens = ours.tokens
    assert (await theirs.send(("GET", "/other/", None, "Bearer <access>")))[0] == 200
    again = await ours.send(("POST", REFRESH, {"refresh": "<refresh -2>"}, ""))
    assert again[:2] == (401, [("detail", "Token is blacklisted"), ("code", "token_not_valid")])
    ended = await ours.send(("POST", REFRESH, {"refresh": "<refresh>"}, ""))
    assert ended[0] == 401  # a token that was used twice ends its session


async def test_refresh_tokens_of_before_end_with_a_new_password(moved):
    _, ours = moved
    await ours.core.admin.set_password(1, OTHER)
    assert (await ours.send(("POST", REFRESH, {"refresh": "<refresh>"}, "")))[0] == 401
