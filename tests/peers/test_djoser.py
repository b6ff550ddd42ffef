"""The released djoser and the dialect get the same requests, and give the same responses.

What differs on purpose is in docs/contracts/djoser.md#differences-from-djoser; its requests are not
in the script, but in tests/handlers/dialects/test_djoser.py.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient

import handlers
from app import create_app
from handlers.mounts import Mount
from mail import sender
from mail.transport import stored
from tests.pages import ROOT, free_port
from tests.program import wait_for_async

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PASSWORD, OTHER = "Difference-Engine-1822", "Bernoulli-Numbers-1842"
USERS, ME = "/auth/users/", "/auth/users/me/"
ADA = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
RETYPES = ("user_create_password_retype", "set_password_retype", "password_reset_confirm_retype")
LINKS = {
    "activation_url": "https://app.example/activate/{uid}/{token}",
    "password_reset_confirm_url": "https://app.example/reset/{uid}/{token}",
    "username_reset_confirm_url": "https://app.example/username/{uid}/{token}",
}
LINK = re.compile(r"/(?:activate|reset|username)/([\w-]+)/([\w-]+)")
TOKEN = re.compile(r"[0-9a-f]{40}")

Step = tuple[str, str, Any, str]
"""A method, a path, a body, and a header: the caller's token, another text, or none."""


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The Python of an environment that has djoser."""
    environment = tmp_path_factory.mktemp("djoser") / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pinned = ROOT / "bench/peers/djoser/requirements.txt"
    install = [environment / "bin/pip", "install", "--quiet", "--requirement", pinned]
    subprocess.run(install, check=True, timeout=170)
    return environment / "bin/python"


@pytest.fixture
async def djoser(python, tmp_path):
    """Run djoser; return a function that starts it with settings and returns its URL and mail."""
    processes = []

    async def start(**settings: Any) -> tuple[str, Callable[[], str]]:
        port = free_port()
        arguments = [HERE / "djoser_project.py", str(port), tmp_path, json.dumps(settings)]
        processes.append(
            await asyncio.create_subprocess_exec(
                python, *arguments, stderr=asyncio.subprocess.DEVNULL
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
    return file.stat().st_mtime


def text_of(messages: list[Path]) -> str:
    """Return the text of all messages, the newest first."""
    return "".join(each.read_text().replace("=\n", "") for each in messages)


@pytest.fixture
async def latchkey(settings, aiohttp_client, clean, tmp_path, monkeypatch):
    """Run the dialect; return a function that starts it with options."""
    monkeypatch.setattr(sender, "WAKE_SECONDS", (0.0, 0.01))
    directory = tmp_path / "latchkey"

    async def start(**options: Any) -> tuple[str, Callable[[], str]]:
        mount = Mount("/", replace(handlers.DIALECTS["djoser"].options, **LINKS, **options))
        own = replace(
            settings,
            mail_url=f"file:{directory}",
            verify_url="https://app.example/#{token}",
            reset_url="https://app.example/#{token}",
            dialects={"djoser": mount},
        )
        client: TestClient = await aiohttp_client(create_app(own))
        return str(client.make_url("")).rstrip("/"), lambda: text_of(stored(directory))

    return start


class Side:
    """One of the two servers, and what a client keeps of its responses."""

    def __init__(self, session: ClientSession, url: str, mail: Callable[[], str]) -> None:
        self._session, self._url, self._mail = session, url, mail
        self._token = ""

    async def send(self, step: Step) -> tuple[int, Any, str]:
        """Send a request; return the status, the body and the Allow header."""
        method, path, body, header = step
        if "<link>" in json.dumps(body):
            body = {**body, **await self._link()}
            body.pop("<link>")
        headers = {"Authorization": header.replace("<token>", self._token)} if header else {}
        content = {"json": body} if body is not None else {}
        request = self._session.request(method, self._url + path, headers=headers, **content)
        async with request as response:
            text = await response.text()
        if found := re.search(r'"auth_token": ?"(\w+)"', text):
            self._token = found[1]
        shown = TOKEN.sub("<token>", text.replace(self._url, "<url>"))
        challenge = response.headers.get("WWW-Authenticate", "")
        return response.status, json.loads(shown) if shown else "", challenge

    async def _link(self) -> dict[str, str]:
        found = await wait_for_async(lambda: LINK.search(self._mail()))
        return {"uid": found[1], "token": found[2]}


async def compare(djoser, latchkey, steps: list[Step], **options: Any) -> None:
    theirs = await djoser(**{name.upper(): value for name, value in options.items()})
    ours = await latchkey(**options)
    async with ClientSession() as session:
        sides = [Side(session, *each) for each in (theirs, ours)]
        different = []
        for step in steps:
            one, other = [await side.send(step) for side in sides]
            if one != other:
                different.append(f"{step}\n  djoser {one}\n  here   {other}")
    assert not different, "\n".join(map(str, different))


def user(action: str, body: Any, header: str = "") -> Step:
    return "POST", f"{USERS}{action}/", body, header


MINE = "Token <token>"
BAD_BODIES: list[Any] = [
    {},
    [],
    {"username": "", "password": "", "email": ""},
    {"username": None, "password": None, "email": None},
    {"username": "a b", "email": "x", "password": "y"},
    {"username": [], "password": {}, "email": 1},
    {"username": {}, "password": True, "email": []},
    {"username": "a" * 151, "password": "x"},
    {"username": "bob", "password": "12345"},
    {"username": "adalovelace", "password": "adalovelace1"},
    {"username": "bob", "email": "countess@example.org", "password": "countess1"},
    {"username": "bob", "password": "Differ\0ence"},
    {"username": "ada", "password": "12345"},
    {"username": "ada", "password": PASSWORD},
]
CHANGE = {"new_password": OTHER, "current_password": PASSWORD}
ACTIONS = (
    "activation",
    "resend_activation",
    "reset_password",
    "reset_password_confirm",
    "set_password",
    "set_username",
    "reset_username",
    "reset_username_confirm",
)
LINK_BODIES: list[Any] = [
    {},
    {"uid": "", "token": ""},
    {"uid": "!", "token": "x"},
    {"uid": "Mg", "token": "x"},
    {"uid": "MQ", "token": "x"},
    {"uid": "MQ", "token": "x", "new_password": "12345", "new_username": "a b"},
    {"uid": "MQ", "token": "x", "new_password": OTHER, "new_username": "lovelace"},
    {"uid": "Mg", "token": "x", "new_password": OTHER, "new_username": "lovelace"},
]
SCRIPT: list[Step] = [
    ("POST", USERS, ADA, ""),
    *[("POST", USERS, body, "") for body in BAD_BODIES],
    *[("POST", "/auth/token/login/", body, "") for body in BAD_BODIES[:5]],
    ("POST", "/auth/token/login/", {"username": "ada", "password": f" {PASSWORD} "}, ""),
    ("POST", "/auth/token/login", {"username": "ada", "password": PASSWORD}, ""),
    ("GET", "/auth/", None, MINE),
    ("GET", USERS, None, MINE),
    *[
        ("GET", ME, None, header)
        for header in (MINE, "", "Token", "Token a b", "Token x", "Bearer x", "token <token>")
    ],
    *[
        (method, path, None, header)
        for path in (
            USERS,
            ME,
            f"{USERS}1/",
            "/auth/",
            "/auth/token/logout/",
            *(f"{USERS}{each}/" for each in ACTIONS),
        )
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        for header in ("", "Token x")
    ],
    *[("PUT", path, None, MINE) for path in (USERS, *(f"{USERS}{each}/" for each in ACTIONS))],
    *[("OPTIONS", path, None, "") for path in (USERS, ME, f"{USERS}1/", f"{USERS}activation/")],
    *[
        (method, path, body, MINE)
        for path in (ME, f"{USERS}1/")
        for method in ("PUT", "PATCH")
        for body in (
            {},
            {"email": "x"},
            {"email": None},
            {"username": "x", "id": 9},
            {"email": "other@example.org"},
            {"email": ""},
            {"email": "ada@example.org"},
        )
    ],
    *[
        user("set_password", body, MINE)
        for body in (
            {},
            {"new_password": "1", "current_password": "x"},
            {**CHANGE, "new_password": "12345"},
            {**CHANGE, "new_password": "ada@example.org"},
            CHANGE,
        )
    ],
    ("GET", ME, None, MINE),
    *[
        user("set_username", body, MINE)
        for body in (
            {},
            {"new_username": "ada", "current_password": "x"},
            {"new_username": "ada", "current_password": OTHER},
            {"new_username": "a b", "current_password": OTHER},
            {"new_username": "countess", "current_password": OTHER},
        )
    ],
    ("GET", ME, None, MINE),
    *[
        user(action, body)
        for action in ("activation", "reset_password_confirm", "reset_username_confirm")
        for body in LINK_BODIES
    ],
    *[
        user(action, body)
        for action in ("resend_activation", "reset_password", "reset_username")
        for body in (
            {},
            {"email": "x"},
            {"email": ""},
            {"email": None},
            {"email": True},
            {"email": "nobody@example.org"},
        )
    ],
    user("reset_password", {"email": "ada@example.org"}),
    user("reset_password_confirm", {"<link>": 1, "new_password": PASSWORD}),
    user("reset_password_confirm", {"<link>": 1, "new_password": OTHER}),
    ("POST", "/auth/token/login/", {"username": "countess", "password": PASSWORD}, ""),
    *[("DELETE", ME, body, MINE) for body in ({}, {"current_password": "x"})],
    ("POST", "/auth/token/logout/", None, MINE),
    ("GET", ME, None, MINE),
    ("POST", "/auth/token/login/", {"username": "countess", "password": PASSWORD}, ""),
    ("DELETE", ME, {"current_password": PASSWORD}, MINE),
    ("GET", ME, None, MINE),
    ("POST", "/auth/token/login/", {"username": "countess", "password": PASSWORD}, ""),
]


async def test_the_default_options(djoser, latchkey):
    await compare(djoser, latchkey, SCRIPT)


async def test_activation(djoser, latchkey):
    login = ("POST", "/auth/token/login/", {"username": "ada", "password": PASSWORD}, "")
    steps = [
        ("POST", USERS, ADA, ""),
        login,
        user("activation", {"<link>": 1}),
        user("activation", {"uid": "MQ", "token": "x"}),
        login,
        ("GET", ME, None, MINE),
    ]
    await compare(djoser, latchkey, steps, send_activation_email=True)


async def test_passwords_typed_twice(djoser, latchkey):
    new = {"new_password": OTHER, "current_password": PASSWORD}
    steps = [
        *[
            ("POST", USERS, {**ADA, **more}, "")
            for more in (
                {},
                {"re_password": "x"},
                {"password": "12345", "re_password": "x"},
                {"re_password": PASSWORD},
            )
        ],
        ("POST", "/auth/token/login/", {"username": "ada", "password": PASSWORD}, ""),
        *[
            user("set_password", {**new, **more}, MINE)
            for more in ({}, {"re_new_password": "x"}, {"re_new_password": OTHER})
        ],
        *[
            user(
                "reset_password_confirm", {"uid": "MQ", "token": "x", "new_password": OTHER, **more}
            )
            for more in ({}, {"re_new_password": "x"}, {"re_new_password": OTHER})
        ],
    ]
    await compare(djoser, latchkey, steps, **dict.fromkeys(RETYPES, True))


async def test_usernames_typed_twice(djoser, latchkey):
    new = {"new_username": "countess", "current_password": PASSWORD}
    again = "re_new_username"
    steps = [
        ("POST", USERS, ADA, ""),
        ("POST", "/auth/token/login/", {"username": "ada", "password": PASSWORD}, ""),
        *[
            user("set_username", body, MINE)
            for body in (
                {},
                new,
                {**new, again: ""},
                {**new, again: "Countess"},
                {**new, again: "x", "new_username": "ada"},
                {**new, again: "x", "current_password": "x"},
                {**new, again: " countess "},
            )
        ],
        ("GET", ME, None, MINE),
        *[
            user("reset_username_confirm", {"uid": "MQ", "token": "x", **body})
            for body in (
                {},
                {"new_username": "bob"},
                {"new_username": "bob", again: "x", "uid": "x"},
                {"new_username": "bob", again: "bob"},
            )
        ],
        user("reset_username", {"email": "ada@example.org"}),
        user("reset_username_confirm", {"<link>": 1, "new_username": "bob", again: "x"}),
        user("reset_username_confirm", {"<link>": 1, "new_username": "bob", again: "bob"}),
        ("GET", ME, None, MINE),
    ]
    retypes = ("set_username_retype", "username_reset_confirm_retype")
    await compare(djoser, latchkey, steps, **dict.fromkeys(retypes, True))


BY_EMAIL: list[Step] = [
    *[
        ("POST", USERS, body, "")
        for body in (
            {},
            {"email": "x", "password": ""},
            {"username": "ada", "password": PASSWORD},
            {"email": "ada@example.org", "password": "12345"},
            {"email": "ada@example.org", "password": "ada@example.org"},
            {"email": "ada@example.org", "password": PASSWORD, "first_name": "Ada"},
            {"email": "bob@example.org", "password": PASSWORD},
        )
    ],
    *[
        ("POST", "/auth/token/login/", body, "")
        for body in (
            {},
            {"username": "ada@example.org", "password": PASSWORD},
            {"email": "nobody@example.org", "password": PASSWORD},
            {"email": "", "password": ""},
            {"email": "ada@example.org", "password": PASSWORD},
        )
    ],
    ("GET", USERS, None, MINE),
    ("GET", ME, None, MINE),
    *[
        ("PATCH", ME, body, MINE)
        for body in ({"email": "x"}, {"email": "y@example.org"}, {"first_name": "Augusta"})
    ],
    *[
        user("set_email", body, MINE)
        for body in (
            {},
            {"new_email": "x", "current_password": "x"},
            {"new_email": "countess@example.org", "current_password": "x"},
            {"new_email": "countess@example.org", "current_password": PASSWORD},
        )
    ],
    user("set_email", {}),
    ("GET", ME, None, MINE),
    *[user("reset_email", body) for body in ({}, {"email": "x"}, {"email": "nobody@example.org"})],
    user("reset_email", {"email": "countess@example.org"}),
    *[
        user("reset_email_confirm", body)
        for body in (
            {},
            {"new_email": "x"},
            {"new_email": "king@example.org"},
            {"new_email": "king@example.org", "uid": "!", "token": "x"},
            {"new_email": "king@example.org", "uid": "MQ", "token": "x"},
            {"new_email": "king@example.org", "<link>": 1},
            {"new_email": "lovelace@example.org", "<link>": 1},
        )
    ],
    ("GET", ME, None, MINE),
    ("POST", "/auth/token/login/", {"email": "king@example.org", "password": PASSWORD}, ""),
    user("reset_password", {"email": "king@example.org"}),
]


async def test_accounts_that_log_in_with_their_email(djoser, latchkey):
    await compare(djoser, latchkey, BY_EMAIL, login="email", user_fields=("first_name",))


async def test_emails_typed_twice(djoser, latchkey):
    new, again = {"new_email": "b@example.org", "current_password": PASSWORD}, "re_new_email"
    account = {"email": "ada@example.org", "password": PASSWORD}
    steps = [
        ("POST", USERS, account, ""),
        ("POST", "/auth/token/login/", account, ""),
        *[
            user("set_email", body, MINE)
            for body in ({}, new, {**new, again: "x"}, {**new, again: "b@example.org"})
        ],
        *[
            user(
                "reset_email_confirm",
                {"uid": "MQ", "token": "x", "new_email": "c@example.org"} | more,
            )
            for more in ({}, {again: "x"}, {again: "c@example.org"})
        ],
        ("GET", ME, None, MINE),
    ]
    retypes = dict.fromkeys(("set_username_retype", "username_reset_confirm_retype"), True)
    await compare(djoser, latchkey, steps, login="email", user_fields=("first_name",), **retypes)
