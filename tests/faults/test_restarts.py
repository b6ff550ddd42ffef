"""The server killed under load: what it acknowledged is there, and nothing half-made is."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable

import aiohttp
import pytest

from tests.faults.breakage import site
from tests.faults.ledger import Ledger
from tests.program import PASSWORD, Program, Response, registration

IN_FLIGHT = 1000
AT_ONCE = 32
"""Requests of the check afterwards that are under way at once."""


class Crowd:
    """Clients of a server that all ask at once; what they are answered is in the ledger."""

    def __init__(self, port: int, ledger: Ledger) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self.ledger = ledger

    async def __aenter__(self) -> "Crowd":
        timeout = aiohttp.ClientTimeout(total=60)
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(self._base, connector=connector, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(
        self, what: str, name: str, method: str, path: str, data: object = None, token: str = ""
    ) -> Response:
        asked = time.monotonic()
        headers = {"Authorization": f"Token {token}"} if token else {}
        try:
            async with self._session.request(method, path, json=data, headers=headers) as response:
                answer = Response(response.status, response.headers, await response.read())
        except aiohttp.ClientError:
            answer = Response(0, {}, b"")
        return self.ledger.note(what, name, asked, answer).answer

    async def register(self, name: str) -> Response:
        return await self.ask("register", name, "POST", "/account/register", registration(name))

    async def log_in(self, name: str) -> Response:
        login = {"username": name, "password": PASSWORD}
        return await self.ask("login", name, "POST", "/account/login", login)


@pytest.mark.slow
@pytest.mark.parametrize("answered", [1, 200, 500])
def test_a_killed_server_keeps_what_it_acknowledged_and_blocks_no_retry(answered: int):
    """SIGKILL with a thousand registrations in flight, after so many of them were answered."""
    names = [f"n{secrets.token_hex(6)}" for _ in range(IN_FLIGHT)]
    with site() as place:
        with place.run() as killed:
            ledger = asyncio.run(register_until_killed(killed.serve(), names, answered))
            killed.wait()
        assert {0} < {entry.status for entry in ledger.entries} <= {200, 0, 503}
        done = [entry for entry in ledger.entries if entry.status == 200]
        tokens = {entry.name: entry.answer.json["token"] for entry in done}
        cut = ledger.names("register", 0, 503)
        assert len(tokens) > answered / 2
        with place.run() as server:
            asyncio.run(check_acknowledged(server.serve(), tokens))
            made = asyncio.run(retry(server, cut))
            assert "Traceback" not in server.err
    print(f"{len(tokens)} acknowledged, {len(cut)} cut off, of which {made} were made already")


async def register_until_killed(server: Program, names: list[str], answered: int) -> Ledger:
    async with Crowd(server.port, ledger := Ledger()) as crowd:
        asking = [asyncio.ensure_future(crowd.register(name)) for name in names]
        for next_one in asyncio.as_completed(asking):
            await next_one
            if len(ledger.entries) >= answered:
                server.process.kill()
        return ledger


async def check_acknowledged(server: Program, tokens: dict[str, str]) -> None:
    """Everybody who was told that it is registered can log in, and its token is good."""
    async with Crowd(server.port, Ledger()) as crowd:

        async def check(name: str, token: str) -> None:
            login = await crowd.log_in(name)
            assert (login.status, login.json) == (200, {"token": token})
            profile = await crowd.ask("read", name, "GET", "/account/profile", None, token)
            assert profile.json["data"]["username"] == name

        await some_at_once(check, tokens.items())


async def retry(server: Program, names: list[str]) -> int:
    """Register again whoever got no answer; return how many were registered already.

    Those log in. A name is either free or its owner's: nobody is shut out.
    """
    made = []
    async with Crowd(server.port, Ledger()) as crowd:

        async def register(name: str) -> None:
            login = await crowd.log_in(name)
            again = await crowd.register(name)
            made.append(login.status == 200)
            assert (login.status, again.status) in {(200, 400), (400, 200)}
            assert (await crowd.log_in(name)).status == 200

        await some_at_once(register, [(name,) for name in names])
    return sum(made)


async def some_at_once(
    check: Callable[..., Awaitable[None]], rows: Iterable[tuple[str, ...]]
) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(row: tuple[str, ...]) -> None:
        async with places:
            await check(*row)

    async with asyncio.TaskGroup() as group:
        for row in rows:
            group.create_task(one(row))
