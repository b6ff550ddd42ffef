"""The sample code for apps: what can run here runs, against a 429 and a 503 too.

The commands of curl on docs/own-api.md are run by tests/test_readme.py.
"""

import asyncio
import json
import shutil
from dataclasses import replace

import pytest

from app import create_app
from store.limits import parse_limit
from tests.pages import ROOT

CLIENT = ROOT / "examples/clients/latchkey.mjs"
PASSWORD = "first engine 1843"

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")


@pytest.fixture
def node():
    """Run Node.js with these arguments; return the lines that it prints."""

    async def run(*arguments: str) -> list[str]:
        process = await asyncio.create_subprocess_exec(
            "node", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0, printed.decode()
        return printed.decode().splitlines()

    return run


@pytest.fixture
def script(node):
    """Run statements with a client of this server; return what they give to `show`."""

    async def run(client, statements: str) -> list[object]:
        program = f"""
            import {{ Latchkey }} from {json.dumps(CLIENT.as_uri())};
            const shown = [];
            const show = (...values) => shown.push(...values);
            const saved = [];
            const latchkey = new Latchkey("{client.make_url("/")}".slice(0, -1), null,
              (token) => saved.push(token));
            const caught = (promise) => promise.then(() => null, (problem) => problem);
            const PASSWORD = "{PASSWORD}";
            {statements}
            console.log(JSON.stringify(shown));
        """
        [line] = await node("--input-type=module", "--eval", program)
        return json.loads(line)

    return run


async def test_the_example_runs(aiohttp_client, settings, clean, node):
    client = await aiohttp_client(create_app(settings))
    printed = await node(str(CLIENT), str(client.make_url("/"))[:-1])
    assert printed[:3] == [
        "Some fields are not valid.",
        "  password: Use at least 8 characters.",
        "  password: This password is one of the most common.",
    ]
    assert printed[3].startswith("Logged in as guest-")
    assert printed[4:] == ["The request has no token.", "  Show the login."]


async def test_an_ended_session_shows_the_login(aiohttp_client, settings, clean, script):
    """The token is deleted, but not one that replaced it while the request was under way."""
    client = await aiohttp_client(create_app(settings))
    shown = await script(
        client,
        """
        await latchkey.register({ username: "ada", password: PASSWORD });
        const other = new Latchkey(latchkey.server, latchkey.token);
        await other.logOut();
        const late = caught(latchkey.account());
        latchkey.token = "newer";
        const first = await late;
        show(first.code, first.endsSession, latchkey.token);
        show((await caught(latchkey.account())).code, latchkey.token, saved.length, saved[1]);
        await latchkey.logOut();  // has nothing left to end
        """,
    )
    assert shown == ["token_revoked", True, "newer", "token_unknown", None, 2, None]


async def test_a_wrong_password_keeps_the_token(aiohttp_client, settings, clean, script):
    client = await aiohttp_client(create_app(settings))
    shown = await script(
        client,
        """
        await latchkey.register({ username: "ada", password: PASSWORD });
        const problem = await caught(latchkey.logIn("ada", "wrong"));
        show(problem.code, problem.endsSession, saved.length, latchkey.token === saved[0]);
        """,
    )
    assert shown == ["invalid_credentials", False, 1, True]


async def test_a_short_wait_after_a_429(aiohttp_client, settings, clean, script):
    """It is served in the next window."""
    limited = replace(settings, rate_limits="on", login_limit=parse_limit("1 per 2 seconds"))
    client = await aiohttp_client(create_app(limited))
    shown = await script(
        client,
        """
        await latchkey.register({ username: "ada", password: PASSWORD });
        const logins = [1, 2].map(() => latchkey.logIn("ada", PASSWORD));
        show(...(await Promise.all(logins)).map((account) => account.username));
        """,
    )
    assert shown == ["ada", "ada"]


async def test_a_long_wait_after_a_429(aiohttp_client, settings, clean, script):
    limited = replace(settings, rate_limits="on", login_limit=parse_limit("1 per hour"))
    client = await aiohttp_client(create_app(limited))
    shown = await script(
        client,
        """
        await latchkey.register({ username: "ada", password: PASSWORD });
        await latchkey.logIn("ada", PASSWORD);
        const problem = await caught(latchkey.logIn("ada", PASSWORD));
        show(problem.code, problem.endsSession, problem.retryAfter, latchkey.token === saved[1]);
        show((await latchkey.account()).username);
        """,
    )
    code, ends_session, retry_after, is_kept, username = shown
    assert (code, ends_session, is_kept, username) == ("rate_limited", False, True, "ada")
    assert 3000 < retry_after <= 3600


async def test_an_outage(aiohttp_client, outages, clean, script):
    """A 503 is repeated after Retry-After; if the outage lasts, the token is kept."""
    client = await aiohttp_client(create_app(outages.settings))
    await client.post("/v1/accounts", json={"username": "ada", "password": PASSWORD})
    opened = await client.post("/v1/sessions", json={"login": "ada", "password": PASSWORD})
    token = (await opened.json())["token"]
    outages.take_away("redis")
    lasting = await script(
        client,
        f"""
        latchkey.token = "{token}";
        const problem = await caught(latchkey.account());
        show(problem.code, problem.endsSession, problem.retryAfter, latchkey.token, saved.length);
        """,
    )
    assert lasting == ["unavailable", False, 1, token, 0]
    asyncio.get_running_loop().call_later(0.5, outages.bring_back, "redis")
    short = await script(
        client,
        f"""
        latchkey.token = "{token}";
        show((await latchkey.account()).username);
        """,
    )
    assert short == ["ada"]
