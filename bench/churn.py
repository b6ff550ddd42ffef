"""Reads of some accounts while others log out and in, each answer held against its token.

Look-ups share round trips, so a fault of one client could become another's. Of every
answer the username must be the one whose token was sent; a session that has ended must be refused,
and nobody else may be. Some clients hang up in the middle, which must harm nobody.
"""

import asyncio
import itertools
import random
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from bench.accounts import LOW_COST, Accounts, name_of
from bench.client import LOGOUT, Connection, Response
from bench.figures import Figure, Result
from bench.servers import PROFILE
from bench.stage import Stage

CHURN = Figure(
    "churn",
    "wrong answers to reads beside logout + login of others",
    "wrong answers",
    0,
    0,
    lower_is_better=True,
)
SETTINGS = {"BCRYPT_ROUNDS": str(LOW_COST), "PASSWORD_WAIT": "3600", "RATE_LIMITS": "off"}
READERS = 48
CHURNERS = 24
STRANGERS = 8
OF_STRANGERS = "strangers refused"
SECONDS = 4
"""For each second of the other figures' short runs."""


def churn(stage: Stage) -> list[Result]:
    """Count the wrong answers. The bcrypt cost is low here, so that logins are many."""
    accounts = stage.accounts["mixed"]
    with stage.latchkey("mixed", **SETTINGS) as server:
        mix = Mix(server.port, accounts)
        asyncio.run(mix.run(SECONDS * stage.seconds))
    for example in mix.wrong[:3]:
        print(f"\nwrong: {example}")
    checked = ", ".join(f"{count} {what}" for what, count in sorted(mix.checked.items()))
    wrong = len(mix.wrong)
    return [Result(CHURN, wrong, wrong, wrong, note=f"answers checked: {checked}")]


class Mix:
    """Clients of three kinds, and what they have seen."""

    def __init__(self, port: int, accounts: Accounts) -> None:
        self._port = port
        self._tokens = dict(enumerate(accounts.tokens))
        self._steady = range(len(accounts.tokens) // 2)
        self._until = 0.0
        self.checked: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def run(self, seconds: float) -> None:
        """Run them all side by side."""
        self._until = time.monotonic() + seconds
        restless = range(len(self._steady), len(self._tokens))
        clients = [self._repeat(self._read) for _ in range(READERS)]
        clients += [self._repeat(self._be_refused) for _ in range(STRANGERS)]
        clients += [self._hang_up() for _ in range(STRANGERS)]
        for number in range(CHURNERS):
            clients.append(self._churn(restless[number::CHURNERS]))
        await asyncio.gather(*clients)

    def _check(self, what: str, answer: Response, status: int, part: str) -> None:
        self.checked[what] += 1
        if answer.status != status or part.encode() not in answer.body:
            self.wrong.append(f"{what}: {answer}, not {status} with {part}")

    async def _repeat(self, step: Callable[[Connection], Awaitable[None]]) -> None:
        connection = await Connection.open(self._port)
        while time.monotonic() < self._until:
            await step(connection)
        connection.close()

    async def _read(self, connection: Connection) -> None:
        await self._read_of(connection, random.choice(self._steady))

    async def _read_of(self, connection: Connection, number: int) -> None:
        answer = await connection.ask("GET", PROFILE, self._tokens[number])
        self._check("reads", answer, 200, f'"username":"{name_of(number)}"')

    async def _churn(self, numbers: range) -> None:
        """Log accounts of one's own out and in again, and look at every step."""
        connection = await Connection.open(self._port)
        for number in itertools.cycle(numbers):
            if time.monotonic() > self._until:
                break
            over = self._tokens[number]
            answer = await connection.ask("POST", LOGOUT, over)
            self._check("logouts", answer, 200, '"success":true')
            answer = await connection.ask("GET", PROFILE, over)
            self._check("reads with a token that has ended", answer, 401, "Invalid token.")
            answer = await connection.log_in(name_of(number))
            self._check("logins", answer, 200, '"token"')
            self._tokens[number] = answer.json.get("token", "")
            if self._tokens[number] == over:
                self.wrong.append(f"the token of {name_of(number)} came back after its logout")
            await self._read_of(connection, number)
        connection.close()

    async def _be_refused(self, connection: Connection) -> None:
        """Come with a token that nobody made, with a wrong password, as nobody."""
        answer = await connection.ask("GET", PROFILE, secrets.token_hex(20))
        self._check(OF_STRANGERS, answer, 401, "Invalid token.")
        answer = await connection.log_in(name_of(random.choice(self._steady)), "wrong")
        self._check(OF_STRANGERS, answer, 400, "Unable to log in")
        answer = await connection.log_in(secrets.token_hex(8))
        self._check(OF_STRANGERS, answer, 400, "Unable to log in")

    async def _hang_up(self) -> None:
        """Ask, and go away before the answer comes."""
        while time.monotonic() < self._until:
            connection = await Connection.open(self._port)
            connection.send("GET", PROFILE, self._tokens[random.choice(self._steady)])
            await asyncio.sleep(random.uniform(0, 0.003))
            connection.close()
            self.checked["hung up"] += 1
