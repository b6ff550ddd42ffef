"""The examples of docs/authenticate-in-your-code.md in JavaScript, and of the package's README."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientConnectorError, ClientSession

from tests.clients.javascript.conftest import PACKAGE, Site, run
from tests.pages import ROOT, free_port
from tests.secrecy import WATCH

PAGE = (ROOT / "docs/authenticate-in-your-code.md").read_text()
README = (PACKAGE / "README.md").read_text()
HEADINGS = ["Express", "Fastify", "Other servers in Node.js"]
PASSWORD = "Analytical-Engine-1843"

pytestmark = pytest.mark.slow


def code_of(heading: str) -> str:
    """Return the only block of JavaScript below a heading."""
    section = PAGE.partition(f"\n### {heading}\n")[2].partition("\n### ")[0]
    [code] = re.findall(r"```js\n(.*?)```", section, re.DOTALL)
    return code


@asynccontextmanager
async def example(heading: str, directory: Path, site: Site) -> AsyncIterator[str]:
    """Run an example; give the URL of its endpoint. It prints nothing."""
    port = free_port()
    code = code_of(heading).replace("http://127.0.0.1:8000", site.url).replace("3000", str(port))
    file = directory / f"{port}.mjs"
    file.write_text(code)
    process = await asyncio.create_subprocess_exec(
        "node", file, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        yield f"http://127.0.0.1:{port}/me"
    finally:
        process.terminate()
        printed, _ = await process.communicate()
        assert printed == b""


async def get(url: str, token: str = "", **headers: str) -> tuple[int, object, str | None]:
    """Return a response's status, its JSON and its Retry-After, once the example listens."""
    authorization = {"Authorization": f"Bearer {token}"} if token else {}
    async with ClientSession(headers={**authorization, **headers}) as session:
        while True:
            try:
                async with session.get(url) as response:
                    body = json.loads(await response.read())
                    return response.status, body, response.headers.get("Retry-After")
            except ClientConnectorError:
                await asyncio.sleep(0.05)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("heading", HEADINGS)
async def test_an_example(site: Site, with_frameworks: Path, heading: str):
    body = {"username": f"mika-{HEADINGS.index(heading)}", "password": PASSWORD}
    opened = site.program.ask("POST", "/v1/accounts", body).json
    token, account = opened["token"], opened["account"]
    WATCH.tokens.add(token)
    caller = (200, {"id": account["id"], "username": body["username"]}, None)
    missing = {"detail": "Authentication credentials were not provided."}
    async with example(heading, with_frameworks, site) as url:
        forged = {"X-Account-Id": "1", "X_Account_Id": "1"}
        assert await get(url, **forged) == (401, missing, None)
        assert await get(url, token, **forged) == caller
        assert await get(url, token[:-1]) == (401, {"detail": "Invalid token."}, None)
        site.outages.take_away("redis")
        try:
            status, _, retry_after = await get(url, token)
            assert (status, retry_after) == (503, "1")
        finally:
            site.outages.bring_back("redis")
        while (found := await get(url, token))[0] == 503:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert found == caller
        site.program.ask("DELETE", "/v1/sessions/current", None, token)
        assert await get(url, token) == (401, {"detail": "Invalid token."}, None)


@pytest.mark.parametrize("heading", HEADINGS)
def test_examples_are_short(heading: str):
    assert len([line for line in code_of(heading).splitlines() if line]) <= 10


async def test_the_example_of_the_readme(site: Site, installed: Path):
    [code] = re.findall(r"```js\n(.*?)```", README, re.DOTALL)
    imports, _, rest = code.partition("\n\n")
    around = """
        globalThis.localStorage = { getItem: () => null, setItem() {}, removeItem() {} };
        globalThis.showError = (...values) => console.log(values.join(" "));
    """
    file = installed / "readme.mjs"
    file.write_text(f"{imports}\n{around}\n{rest.replace('http://127.0.0.1:8000', site.url)}")
    status, printed = await run("node", file.name, cwd=installed)
    assert (status, printed.splitlines()) == (
        0,
        [
            "password too_short Use at least 8 characters.",
            "password too_common This password is one of the most common.",
        ],
    )
