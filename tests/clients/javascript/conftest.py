"""A server of the tests of @latchkey/client, and the package as npm packs and installs it."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.handlers.conftest import Outages
from tests.mail.mailbox import Mailbox
from tests.mail.smtp import link_of
from tests.pages import ROOT
from tests.program import KEY, Program

PACKAGE = ROOT / "clients/javascript"
FRAMEWORKS = ("express@5", "fastify@5", "typescript@5", "@types/node@20", "@types/express@5")
NO_INDEX = {"ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH", "ETIMEDOUT"}
"""npm's codes of a package index that cannot be reached."""


@dataclass(frozen=True)
class Site:
    """A server, what makes its stores unavailable, and the URL where Node.js asks for that."""

    program: Program
    outages: Outages
    mailbox: Mailbox
    control_url: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.program.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        return {"LATCHKEY_URL": self.url, "CONTROL_URL": self.control_url}


@pytest.fixture(scope="module")
def outages(settings, database, redis_client) -> Iterator[Outages]:
    """Settings of a server whose stores can be made unavailable, and what does that."""
    with tempfile.TemporaryDirectory(prefix="lk-") as directory:
        yield Outages(settings, Path(directory), database, redis_client)


@pytest.fixture(scope="module")
async def site(outages: Outages, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A server for all tests of a file. A third login with a name within 2 s is a 429."""
    mailbox = Mailbox(tmp_path_factory.mktemp("mail"))

    async def change_outage(request: web.Request) -> web.Response:
        change = outages.take_away if request.method == "PUT" else outages.bring_back
        change(request.match_info["store"])
        return web.Response()

    async def take_link(request: web.Request) -> web.Response:
        message = await mailbox.take(request.match_info["kind"])
        while message["To"] != request.match_info["address"]:
            message = await mailbox.take(request.match_info["kind"])
        return web.Response(text=link_of(message).rpartition("#")[2])

    control = web.Application()
    control.router.add_route("*", "/outages/{store}", change_outage)
    control.router.add_get("/mail/{kind}/{address}", take_link)
    with Program(
        DATABASE_URL=outages.settings.database_url,
        REDIS_URL=outages.settings.redis_url,
        SECRET_KEYS=KEY,
        MAIL_URL=f"file:{mailbox.directory}",
        VERIFY_URL="https://app.example/verify#{token}",
        RESET_URL="https://app.example/reset#{token}",
        MAIL_LIMIT="100 per hour",
        STORE_TIMEOUT="0.5",
        RATE_LIMITS="on",
        LOGIN_LIMIT="2 per 2 seconds",
        ADDRESS_LIMIT="10000 per hour",
        REGISTER_LIMIT="10000 per hour",
    ) as program:
        async with TestServer(control) as server:
            yield Site(program.serve(), outages, mailbox, str(server.make_url("/"))[:-1])


async def run(*command: str, cwd: Path, **environment: str) -> tuple[int, str]:
    """Run a command; return its status, and what it prints."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


async def run_tests(directory: Path, file: str, site: Site) -> None:
    """Run a file of the package's tests. None fails, and none is skipped."""
    command = "node", "--test", "--test-reporter=tap", file
    status, printed = await run(*command, cwd=directory, **site.environment)
    counts = dict(re.findall(r"^# (\w+) (\d+)$", printed, re.MULTILINE))
    assert status == 0, printed
    assert int(counts["pass"]) == int(counts["tests"]) > 1, printed


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, as npm publishes it."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node or npm is not installed")
    directory = tmp_path_factory.mktemp("tarball")
    packed = subprocess.run(
        ["npm", "pack", "--json", "--pack-destination", directory],
        cwd=PACKAGE,
        check=True,
        capture_output=True,
    )
    [found] = directory.iterdir()
    found_files = {each["path"] for each in json.loads(packed.stdout)[0]["files"]}
    assert found_files == {
        "package.json",
        "README.md",
        "LICENSE",
        *(f"src/{each.name}" for each in (PACKAGE / "src").iterdir()),
    }
    return found


async def install(directory: Path, *packages: str) -> None:
    """Install packages into an empty directory, with the package's tests beside them."""
    (directory / "package.json").write_text('{"private": true, "type": "module"}')
    options = "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"
    status, printed = await run("npm", "install", *options, *packages, cwd=directory)
    if status and any(f"code {code}" in printed for code in NO_INDEX):
        pytest.skip("no package index can be reached")
    assert status == 0, printed
    for file in (PACKAGE / "test").iterdir():
        shutil.copy(file, directory)


@pytest.fixture(scope="session")
async def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that has the package, and no other one: it has no dependencies."""
    directory = tmp_path_factory.mktemp("installed")
    await install(directory, "--offline", str(tarball))
    installed = {each.name for each in (directory / "node_modules").iterdir()}
    assert installed == {".package-lock.json", "@latchkey"}
    return directory


@pytest.fixture(scope="session")
async def with_frameworks(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that has the package, Express, Fastify and TypeScript."""
    directory = tmp_path_factory.mktemp("frameworks")
    await install(directory, str(tarball), *FRAMEWORKS)
    return directory
