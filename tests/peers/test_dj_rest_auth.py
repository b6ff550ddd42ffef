"""The released dj-rest-auth and the dialect get the same requests, and give the same responses.

What differs on purpose is in docs/contracts/dj-rest-auth.md#differences-from-dj-rest-auth; its
requests are not in the scripts, but in tests/handlers/dialects/test_dj_rest_auth.py.
"""

import asyncio
import contextlib
import io
import json
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar
from aiohttp.test_utils import TestClient

import commands
import handlers
from app import create_app
from handlers.mounts import Mount
from mail import sender
from mail.transport import stored
from tests.pages import free_port
from tests.program import wait_for_async

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
NAME = "dj-rest-auth"
PASSWORD, OTHER = "Difference-Engine-1822", "Bernoulli-Numbers-1842"
ADA = {
    "username": "ada",
    "email": "ada@example.org",
    "password1": PASSWORD,
    "password2": PASSWORD,
}
LINKS = {
    "password_reset_confirm_url": "https://app.example/reset/{uid}/{token}",
    "account_confirm_email_url": "https://app.example/confirm-email/{key}",
}
RESET_LINK = re.compile(r"/reset/([\w-]+)/([\w-]+)")
KEY_LINK = re.compile(r"/confirm-email/([^/\s]+)")
VARIES = {
    r"\b[0-9a-f]{40}\b": "<token>",
    r"\beyJ[\w-]+\.[\w-]+\.[\w-]+": "<jwt>",
    r"\d{4}-\d\d-\d\dT[\d:.]+Z": "<time>",
    r"expires=(?!Thu, 01 Jan 1970)[^;]+": "expires=<time>",
}
KEPT = re.compile(r'"(key|access|refresh)": ?"([\w.-]+)"')
OWN_COOKIES = ("sessionid=", "messages=")
"""Of Django and of django-allauth."""

Step = tuple[str, str, Any, str]
"""A method, a path, a body, and the Authorization header, in which <key> is the client's token."""


@pytest.fixture
async def original(tmp_path):
    """Run dj-rest-auth; return a function that starts it with settings, and returns its URL."""
    processes = []

    async def start(**settings: Any) -> tuple[str, Callable[[], str]]:
        port = free_port()
        arguments = [HERE / "dj_rest_auth_project.py", str(port), tmp_path, json.dumps(settings)]
        processes.append(
            await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stderr=asyncio.subprocess.DEVNULL
            )
        )
        url = f"http://127.0.0.1:{port}"
        async with asyncio.timeout(30), ClientSession() as session:
            while True:
                try:
                    await session.get(url)
                    break
                except OSError:
                    await asyncio.sleep(0.1)
        return url, lambda: text_of(
            sorted((tmp_path / "mail").glob("*.log"), key=_age, reverse=True)
        )

    yield start
    for process in processes:
        process.terminate()
        await process.wait()


def _age(file: Path) -> float:
    return file.stat().st_mtime_ns


def text_of(messages: list[Path]) -> str:
    """Return the text of all messages, the newest first."""
    return "".join(each.read_text().replace("=\n", "") for each in messages)


@pytest.fixture
async def latchkey(settings, aiohttp_client, clean, tmp_path, monkeypatch):
    """Run the dialect; return a function that starts it with options."""
    monkeypatch.setattr(sender, "WAKE_SECONDS", (0.0, 0.01))
    directory = tmp_path / "latchkey"

    async def start(
        changed: Mapping[str, Any] | None = None, **options: Any
    ) -> tuple[str, Callable[[], str]]:
        mount = Mount("/", replace(handlers.DIALECTS[NAME].options, **LINKS, **options))
        own = replace(
            settings,
            mail_url=f"file:{directory}",
            public_url="https://accounts.example",
            dialects={NAME: mount},
            imported_tokens="on",
            **(changed or {}),
        )
        client: TestClient = await aiohttp_client(create_app(own))
        return str(client.make_url("")).rstrip("/"), lambda: text_of(stored(directory))

    return start


class Side:
    """One of the two servers, and what a client keeps of its responses."""

    def __init__(self, session: ClientSession, url: str, mail: Callable[[], str]) -> None:
        self._session, self._url, self._mail = session, url, mail
        self._names: dict[str, str] = {}

    async def send(self, step: Step) -> tuple[int, Any, str, list[str]]:
        """Send a request; return the status, the body, the challenge and the cookies it sets."""
        method, path, body, header = step
        if isinstance(body, dict):
            body = await self._filled(body)
        headers = {"Authorization": self._fill(header)} if header else {}
        content = {"json": body} if body is not None else {}
        request = self._session.request(method, self._url + path, headers=headers, **content)
        async with request as response:
            text = await response.text()
        self._names |= {f"<{name}>": value for name, value in KEPT.findall(text)}
        shown = _alike(text)
        challenge = response.headers.get("WWW-Authenticate", "")
        set_cookies = response.headers.getall("Set-Cookie", [])
        own = [_alike(each) for each in set_cookies if not each.startswith(OWN_COOKIES)]
        return response.status, json.loads(shown) if shown else "", challenge, own

    async def _filled(self, body: dict[str, Any]) -> dict[str, Any]:
        if "<reset>" in body:
            found = await wait_for_async(lambda: RESET_LINK.search(self._mail()))
            self._names |= {"<uid>": found[1], "<reset>": found[2]}
            body = {"uid": "<uid>", "token": "<reset>", **body}
        if "<mailed key>" in body:
            found = await wait_for_async(lambda: KEY_LINK.search(self._mail()))
            self._names["<mailed key>"] = found[1]
            body = {"key": "<mailed key>"}
        return {
            name: self._fill(value) if isinstance(value, str) else value
            for name, value in body.items()
            if name not in ("<reset>", "<mailed key>")
        }

    def _fill(self, text: str) -> str:
        for name, value in self._names.items():
            text = text.replace(name, value)
        return text


def _alike(text: str) -> str:
    for pattern, name in VARIES.items():
        text = re.sub(pattern, name, text)
    return text


async def compare(
    original,
    latchkey,
    steps: list[Step],
    theirs: dict[str, Any],
    *,
    before: Sequence[Step] = (),
    **options: Any,
) -> None:
    """Send steps to both. Those `before` are sent by other clients, and may differ."""
    servers = await original(**theirs), await latchkey(**options)
    async with contextlib.AsyncExitStack() as stack:
        for each in servers:
            async with ClientSession() as session:
                for step in before:
                    await Side(session, *each).send(step)
        jars = [ClientSession(cookie_jar=CookieJar(unsafe=True)) for _ in servers]
        sessions = [await stack.enter_async_context(each) for each in jars]
        sides = [Side(session, *each) for session, each in zip(sessions, servers, strict=True)]
        different = []
        for step in steps:
            one, other = [await side.send(step) for side in sides]
            if (json.dumps(one[1]), *one) != (json.dumps(other[1]), *other):
                different.append(f"{step}\n  {NAME} {one}\n  here         {other}")
    assert not different, "\n".join(different)


def new(password: str = OTHER, again: str | None = None, **more: Any) -> dict[str, Any]:
    return {"new_password1": password, "new_password2": again or password, **more}


MINE = "Token <key>"
LOGIN = ("POST", "/login/", {"username": "ada", "password": PASSWORD}, "")
PATHS = (
    "/login/",
    "/logout/",
    "/user/",
    "/password/change/",
    "/password/reset/",
    "/password/reset/confirm/",
    "/registration/",
    "/registration/verify-email/",
    "/registration/resend-email/",
)
REGISTRATIONS: list[Any] = [
    {},
    [],
    {"username": "", "email": "", "password1": "", "password2": ""},
    {"username": None, "email": None, "password1": None, "password2": None},
    {"username": [], "email": [], "password1": {}, "password2": 1},
    {"username": "a b", "email": "x", "password1": "12345", "password2": "y"},
    {"username": "a" * 151, "password1": PASSWORD, "password2": PASSWORD},
    {"username": "bob", "password1": "Differ\0ence", "password2": "Differ\0ence"},
    {"username": "bob", "password1": PASSWORD, "password2": "x"},
    {"username": "adalovelace", "password1": "adalovelace1", "password2": "adalovelace1"},
    {
        "username": "b",
        "email": "countess@x.org",
        "password1": "countess1",
        "password2": "countess1",
    },
    {"username": "ADA", "password1": "12345", "password2": PASSWORD},
    {"username": "ada", "password1": PASSWORD, "password2": "x"},
]
LOGINS: list[Any] = [
    {},
    [],
    {"username": "ada"},
    {"password": "x"},
    {"username": "", "email": "", "password": "x"},
    {"username": "ada@example.org", "password": PASSWORD},
    {"email": "ada@example.org", "password": PASSWORD},
    {"email": "ADA@example.org", "password": PASSWORD},
    {"email": "x", "password": PASSWORD},
    {"username": "", "password": ""},
    {"username": None, "email": None, "password": None},
    {"username": "ada", "password": "wrong"},
    {"username": "nobody", "password": PASSWORD},
    {"username": "ada", "email": "nobody@example.org", "password": PASSWORD},
    {"username": "nobody", "email": "ada@example.org", "password": PASSWORD},
    {"username": "ADA", "password": f" {PASSWORD}"},
]
SCRIPT: list[Step] = [
    ("POST", "/registration/", {**ADA, "password1": f" {PASSWORD} "}, ""),
    *[("POST", "/registration/", body, "") for body in REGISTRATIONS],
    *[("POST", "/login/", body, "") for body in LOGINS],
    ("POST", "/login", {"username": "ada", "password": PASSWORD}, ""),
    *[
        ("GET", "/user/", None, header)
        for header in (MINE, "", "Token", "Token a b", "Token x", "Bearer x", "token <key>")
    ],
    *[
        (method, path, None, header)
        for path in PATHS
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        for header in ("", "Token x")
        # Without an e-mail, the library sends the first address of its table a link.
        if (method, path, header) != ("POST", "/registration/resend-email/", "")
    ],
    *[("OPTIONS", path, None, "") for path in ("/user/", "/password/change/")],
    *[("DELETE", path, None, MINE) for path in ("/user/", "/password/change/")],
    *[
        (method, "/user/", body, MINE)
        for method, body in (
            ("PUT", {}),
            ("PUT", {"username": ""}),
            ("PATCH", {"username": None, "first_name": None}),
            ("PATCH", {"username": "a b"}),
            ("PATCH", {"username": "a" * 151, "first_name": "x" * 151, "last_name": "y" * 151}),
            ("PATCH", {"first_name": []}),
            ("PATCH", []),
            ("PATCH", {}),
            ("PATCH", {"email": "x@example.org", "pk": 9, "is_staff": True}),
            ("PATCH", {"first_name": " Ada ", "last_name": "King"}),
            ("PUT", {"username": "countess"}),
            ("PATCH", {"username": "ada", "last_name": ""}),
        )
    ],
    ("GET", "/user", None, MINE),
    *[
        ("POST", "/password/change/", body, MINE)
        for body in (
            {},
            {"new_password1": "", "new_password2": None},
            new("x" * 129),
            new("Differ\0ence"),
            new("12345", "1234"),
            new("12345"),
            new("ada@example.org"),
            new(f" {OTHER} ", OTHER),
        )
    ],
    ("GET", "/user/", None, MINE),
    LOGIN,
    *[
        ("POST", "/password/reset/", body, "")
        for body in (
            {},
            {"email": ""},
            {"email": None},
            {"email": "x"},
            {"email": []},
            {"email": "nobody@example.org"},
            {"email": "ADA@example.org"},
        )
    ],
    *[
        ("POST", "/password/reset/confirm/", body, "")
        for body in (
            {},
            {"uid": "", "token": "", **new("x" * 129)},
            *[new("1", "2", uid=each, token="x") for each in ("!", "zz", "-1", "0", "é", "z" * 14)],
            new("1", "2", uid="1", token="x"),
            {"<reset>": 1, **new("12345")},
            {"<reset>": 1, **new("12345", "1234")},
            {"<reset>": 1, **new("ada@example.org")},
            {"<reset>": 1, **new(PASSWORD)},
            {"<reset>": 1, **new(OTHER)},
        )
    ],
    *[
        ("POST", "/registration/resend-email/", body, "")
        for body in (
            {"email": ""},
            {"email": None},
            {"email": "x"},
            {"email": "nobody@example.org"},
            {"email": "ada@example.org"},
        )
    ],
    *[
        ("POST", "/registration/verify-email/", body, "")
        for body in ({}, {"key": ""}, {"key": None}, {"key": []}, {"key": "x"})
    ],
    LOGIN,
    ("POST", "/logout/", None, MINE),
    ("GET", "/user/", None, MINE),
    ("POST", "/logout/", {}, ""),
    LOGIN,
    ("GET", "/user/", None, MINE),
]
WITHOUT_SESSIONS = {"SESSION_LOGIN": False}


async def test_the_default_options(original, latchkey):
    await compare(original, latchkey, SCRIPT, {})


async def test_mandatory_verification(original, latchkey):
    steps = [
        ("POST", "/registration/", ADA, ""),
        LOGIN,
        ("POST", "/login/", {"username": "ada", "password": "x"}, ""),
        ("POST", "/registration/verify-email/", {"key": "x"}, ""),
        ("POST", "/registration/verify-email/", {"<mailed key>": 1}, ""),
        ("POST", "/registration/verify-email/", {"key": "<mailed key>"}, ""),
        ("POST", "/registration/resend-email/", {"email": "ada@example.org"}, ""),
        LOGIN,
        ("GET", "/user/", None, MINE),
        ("POST", "/registration/", {**ADA, "username": "eve"}, ""),
        ("POST", "/registration/", {**ADA, "password1": "12345"}, ""),
    ]
    mandatory = {"ACCOUNT_EMAIL_VERIFICATION": "mandatory"}
    await compare(original, latchkey, steps, mandatory, email_verification="mandatory")


@pytest.mark.parametrize("login", ["email", "either"])
async def test_other_logins(original, latchkey, login):
    methods = ["email"] if login == "email" else ["email", "username"]
    theirs = {
        "ACCOUNT_LOGIN_METHODS": methods,
        "ACCOUNT_SIGNUP_FIELDS": ["email*", "username", "password1*", "password2*"],
        "REST_AUTH": WITHOUT_SESSIONS,
    }
    steps = [
        ("POST", "/registration/", {}, ""),
        ("POST", "/registration/", ADA, ""),
        *[("POST", "/login/", body, "") for body in LOGINS],
        ("POST", "/registration/resend-email/", {}, ""),
        ("POST", "/logout/", {}, ""),
        ("POST", "/logout/", {}, MINE),
    ]
    options = {"login": login, "email_required": True, "username_required": False}
    await compare(original, latchkey, steps, theirs, logout_requires_token=True, **options)


async def test_the_old_password(original, latchkey):
    steps = [
        ("POST", "/registration/", ADA, ""),
        *[
            ("POST", "/password/change/", body, MINE)
            for body in (
                {},
                {"old_password": "x", "new_password1": "1"},
                new("x" * 129, old_password="y" * 129),
                new("1", "2", old_password="x"),
                new("1", "2", old_password=PASSWORD),
                new(old_password=f" {PASSWORD}"),
            )
        ],
    ]
    theirs = {"REST_AUTH": {**WITHOUT_SESSIONS, "OLD_PASSWORD_FIELD_ENABLED": True}}
    await compare(original, latchkey, steps, theirs, old_password_field_enabled=True)


async def test_sessions_as_the_first_authenticator(original, latchkey):
    classes = [
        f"rest_framework.authentication.{each}Authentication" for each in ("Session", "Token")
    ]
    theirs = {
        "REST_FRAMEWORK": {
            "DEFAULT_AUTHENTICATION_CLASSES": classes,
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        },
        "REST_AUTH": WITHOUT_SESSIONS,
    }
    steps = [
        ("GET", "/user/", None, ""),
        ("DELETE", "/user/", None, ""),
        ("OPTIONS", "/user/", None, ""),
        *[("GET", "/user/", None, header) for header in ("Token", "Token a b", "Token x")],
        ("POST", "/password/change/", {}, ""),
        *[("POST", path, {}, "Token x") for path in PATHS],
    ]
    await compare(original, latchkey, steps, theirs, unauthenticated_status="403")


BEARER = "Bearer <access>"
JWT = {"USE_JWT": True, "SESSION_LOGIN": False}
JWT_PATHS = ("/token/verify/", "/token/refresh/")
REFRESHES: list[Any] = [
    [],
    {"refresh": None},
    {"refresh": ""},
    {"refresh": []},
    {"refresh": "x"},
    {"refresh": "<access>"},
]
JWT_SCRIPT: list[Step] = [
    ("POST", "/registration/", {**ADA, "password2": "x"}, ""),
    ("POST", "/registration/", ADA, ""),
    *[("POST", "/login/", body, "") for body in LOGINS],
    ("POST", "/login", {"username": "ada", "password": PASSWORD}, ""),
    *[
        ("GET", "/user/", None, header)
        for header in (
            BEARER,
            "bearer <access>",
            "Token x",
            "Bearer",
            "Bearer a b",
            "Bearer x",
            "Bearer <access>x",
        )
    ],
    *[
        (method, path, {"x": 1}, "Bearer x")
        for path in (*PATHS, *JWT_PATHS)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    ],
    ("PATCH", "/user/", {"first_name": "Ada"}, BEARER),
    ("POST", "/password/change/", new("12345"), BEARER),
    *[
        ("POST", "/token/verify/", body, "Bearer x")
        for body in ({}, [], {"token": ""}, {"token": None}, {"token": "x"}, {"token": "<access>"})
    ],
    *[("POST", "/token/refresh/", body, "Bearer x") for body in REFRESHES],
]
ROTATION = {"ROTATE_REFRESH_TOKENS": True, "BLACKLIST_AFTER_ROTATION": True}


async def test_jwts(original, latchkey):
    """Where refresh tokens are not in the responses, and have no cookies."""
    steps = [
        ("GET", "/user/", None, ""),
        *JWT_SCRIPT,
        ("POST", "/token/refresh/", {}, ""),
        ("POST", "/token/refresh/", {"refresh": "<refresh>"}, ""),
        ("POST", "/token/verify/", {"token": "<refresh>"}, ""),
        ("POST", "/logout/", {}, ""),
        ("POST", "/logout/", {"refresh": "<refresh>"}, ""),
    ]
    await compare(original, latchkey, steps, {"REST_AUTH": JWT}, use_jwt=True, token_blacklist=True)


async def test_jwts_that_rotate(original, latchkey):
    steps = [
        *JWT_SCRIPT,
        ("POST", "/token/refresh/", {}, ""),
        LOGIN,
        ("POST", "/token/refresh/", {"refresh": "<refresh>"}, ""),
        ("POST", "/token/verify/", {"token": "<refresh>"}, ""),
        *[
            ("POST", "/logout/", body, "")
            for body in ({}, {"refresh": "x"}, {"refresh": "<access>"})
        ],
        ("POST", "/logout/", {"refresh": "<refresh>"}, ""),
        ("POST", "/logout/", {"refresh": "<refresh>"}, ""),
        ("POST", "/token/refresh/", {"refresh": "<refresh>"}, ""),
        ("POST", "/token/verify/", {"token": "<refresh>"}, ""),
    ]
    auth = {**JWT, "JWT_AUTH_HTTPONLY": False, "JWT_AUTH_RETURN_EXPIRATION": True}
    await compare(
        original,
        latchkey,
        steps,
        {"REST_AUTH": auth, "SIMPLE_JWT": ROTATION},
        use_jwt=True,
        token_blacklist=True,
        jwt_auth_httponly=False,
        jwt_auth_return_expiration=True,
        rotate_refresh_tokens=True,
    )


COOKIES = {"JWT_AUTH_COOKIE": "access", "JWT_AUTH_REFRESH_COOKIE": "refresh"}
OTHER_COOKIES = {
    "JWT_AUTH_HTTPONLY": False,
    "JWT_AUTH_SAMESITE": "Strict",
    "JWT_AUTH_REFRESH_COOKIE_PATH": "/token",
}


@pytest.mark.parametrize("more", [{}, OTHER_COOKIES], ids=["defaults", "others"])
@pytest.mark.parametrize("rotates", [False, True])
async def test_cookies(original, latchkey, more, rotates):
    """The client keeps and sends them, as a browser does."""
    steps = [
        ("POST", "/login/", {"username": "ada", "password": "x"}, ""),
        LOGIN,
        ("GET", "/user/", None, ""),
        ("GET", "/user/", None, "Bearer x"),
        ("GET", "/user/", None, "Token x"),
        ("PATCH", "/user/", {"last_name": "King"}, ""),
        ("POST", "/token/refresh/", {}, ""),
        ("POST", "/token/refresh/", {"refresh": "x"}, ""),
        ("POST", "/token/verify/", {"token": "<access>"}, ""),
        ("POST", "/password/change/", new("12345"), ""),
        LOGIN,
        ("POST", "/logout/", {"refresh": "<refresh>"}, ""),
        ("GET", "/user/", None, ""),
        ("POST", "/token/refresh/", {}, ""),
    ]
    auth = {**JWT, **COOKIES, **more}
    theirs = {"REST_AUTH": auth, **({"SIMPLE_JWT": ROTATION} if rotates else {})}
    options = {name.lower(): value for name, value in {**COOKIES, **more}.items()}
    servers = {"use_jwt": True, "token_blacklist": True, "rotate_refresh_tokens": rotates}
    before = [("POST", "/registration/", ADA, "")]  # it sets cookies here
    await compare(original, latchkey, steps, theirs, before=before, **servers, **options)


ACCOUNTS = """select id, username, email, first_name, last_name, password, is_active, is_staff,
    is_superuser, date_joined, last_login, exists (select * from account_emailaddress e
    where e.user_id = auth_user.id and e.email = auth_user.email and e.verified)
    as email_verified_at from auth_user order by id"""
TOKENS = "select key, user_id from authtoken_token"


async def test_accounts_and_tokens_that_were_moved(original, latchkey, settings, tmp_path):
    """As docs/migrating.md says: the same passwords, ids, verified e-mails and tokens."""
    hashers = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    theirs = await original(PASSWORD_HASHERS=hashers)
    async with ClientSession() as session:
        side = Side(session, *theirs)
        await side.send(("POST", "/registration/", ADA, ""))
        await side.send(("POST", "/registration/verify-email/", {"<mailed key>": 1}, ""))
        eve = {**ADA, "username": "eve", "email": "eve@example.org"}
        await side.send(("POST", "/registration/", eve, ""))
        before = await side.send(("GET", "/user/", None, MINE))
        for name, query in (("accounts", ACCOUNTS), ("tokens", TOKENS)):
            (tmp_path / f"{name}.csv").write_text(_csv(tmp_path / "db", query))
        ours = await latchkey()
        for command in (
            ["account", "import", str(tmp_path / "accounts.csv")],
            ["sessions", "import", str(tmp_path / "tokens.csv"), "--dialect", NAME],
        ):
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                status = await asyncio.to_thread(commands.run, command, settings)
            assert (status, "2 " in printed.getvalue()) == (0, True), printed.getvalue()
        side._url, side._mail = ours
        assert await side.send(("GET", "/user/", None, MINE)) == before
        for name in ("ada", "eve"):
            login = {"username": name, "password": PASSWORD}
            assert (await side.send(("POST", "/login/", login, "")))[0] == 200
        await side.send(("POST", "/registration/resend-email/", {"email": "ada@example.org"}, ""))
        await side.send(("POST", "/registration/resend-email/", {"email": "eve@example.org"}, ""))
        verified = await side.send(("POST", "/registration/verify-email/", {"<mailed key>": 1}, ""))
        assert verified[0] == 200
        assert "To: eve@example.org" in ours[1]()
        assert "To: ada@example.org" not in ours[1]()


async def test_jwts_that_were_moved(original, latchkey, settings, tmp_path):
    """With the old signing key, a browser stays logged in: its old cookie gets new tokens."""
    options = {name.lower(): value for name, value in COOKIES.items()}
    theirs = await original(REST_AUTH={**JWT, **COOKIES})
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        side = Side(session, *theirs)
        await side.send(("POST", "/registration/", ADA, ""))
        await side.send(LOGIN)
        before = await side.send(("GET", "/user/", None, ""))
        assert before[0] == 200
        with contextlib.closing(sqlite3.connect(tmp_path / "db")) as connection:
            connection.execute("update auth_user set password = '!'")
            connection.commit()
        (tmp_path / "accounts.csv").write_text(_csv(tmp_path / "db", ACCOUNTS))
        moved = {
            "jwt_signing_keys": ("only for this test, on this machine",),
            "jwt_moved_at": time.time() + 60,
        }
        ours = await latchkey(moved, use_jwt=True, rotate_refresh_tokens=True, **options)
        command = ["account", "import", str(tmp_path / "accounts.csv")]
        with contextlib.redirect_stdout(io.StringIO()):
            assert await asyncio.to_thread(commands.run, command, settings) == 0
        side._url = ours[0]
        assert (await side.send(("GET", "/user/", None, "")))[0] == 401
        refreshed = await side.send(("POST", "/token/refresh/", {}, ""))
        assert (refreshed[0], [*refreshed[1]]) == (200, ["access", "access_expiration"])
        assert len(refreshed[3]) == 2
        assert await side.send(("GET", "/user/", None, "")) == before
        await side.send(("POST", "/logout/", None, ""))
        assert (await side.send(("GET", "/user/", None, "")))[0] == 401


def _csv(database: Path, query: str) -> str:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        cursor = connection.execute(query)
        lines = [[each[0] for each in cursor.description], *cursor.fetchall()]
    return "".join(",".join("" if c is None else str(c) for c in line) + "\n" for line in lines)
