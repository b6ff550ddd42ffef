"""Random requests with JWTs beside each other in the real Redis, judged by the invariants.

Those are I1, I2, I3, I9, I10 and I11 of docs/session-protocol.md#the-model. Several requests run at
once, round by round. What ended in a round is judged at its end.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from store.account import Account
from store.core import Core
from store.errors import BadToken
from store.jwt_sessions import JwtRules, JwtSessions
from store.session_record import set_key
from tests.store.test_jwt_sessions import (  # noqa: F401  # fixtures among them
    RULES,
    STRICT,
    account,
    core,
    jwts,
    log_in,
    move_after,
    old_refresh,
)

ROUNDS, BESIDE = 25, 5
GRACE = replace(RULES, grace=300)


@dataclass(eq=False)
class Family:
    """What the clients have of a session."""

    refresh: dict[int, str]
    """Its refresh tokens by generation."""
    access: set[str] = field(default_factory=set)
    ended: bool = False
    in_doubt: bool = False
    """Whether it was opened beside something that may have ended it."""


class Clients:
    """The clients of one account, and what they have seen."""

    def __init__(self, server: Core, tokens: JwtSessions, rules: JwtRules, seed: int) -> None:
        self.server, self.tokens, self.rules = server, tokens, rules
        self.random = random.Random(seed)  # noqa: S311
        self.families: list[Family] = []
        self.opened: list[Family] = []
        self.ended: list[Family] = []
        self.refused: list[tuple[Family, int, int]] = []
        """Of this round: what was opened, what was ended, and which generations were refused, with
        the distance to the newest generation from which on that is right."""
        self.all_ended = False
        """Whether others were ended in this round."""

    def choose(self) -> Awaitable[None]:
        """Return one request, which is not sent yet."""
        operations: list[Callable[[], Awaitable[None]]] = [self.log_in] * 2
        operations += [self.refresh] * 14 + [self.end, self.end_others]
        if self.random.random() < 0.3:
            operations.append(self.end_all)
        return self.random.choice(operations)()

    def choose_family(self) -> Family:
        """Return a family, most often one that is live."""
        live = [family for family in self.families if not family.ended]
        return self.random.choice(live if live and self.random.random() < 0.8 else self.families)

    async def log_in(self) -> None:
        pair = await log_in(self.server, self.rules)
        self.opened.append(Family({0: pair.refresh}, {pair.access}))

    async def refresh(self) -> None:
        family = self.choose_family()
        newest = max(family.refresh)
        generation = self.random.choice([newest, newest, newest, *family.refresh])
        too_old = 1 if self.rules.grace < 0 else 2
        superseded = newest - generation >= too_old
        try:
            _, pair = await self.tokens.refresh(self.rules, family.refresh[generation])
        except BadToken:
            self.refused.append((family, generation, too_old))
            return
        assert not superseded
        assert not family.ended
        assert family.refresh.setdefault(generation + 1, pair.refresh) == pair.refresh
        family.access.add(pair.access)

    async def end(self) -> None:
        family = self.choose_family()
        generation = self.random.choice([*family.refresh])
        try:
            await self.tokens.end(self.rules, family.refresh[generation])
        except BadToken:
            self.refused.append((family, generation, 1))
            return
        self.ended.append(family)

    async def end_others(self) -> None:
        await self._end(self.server.access.end_others, keep=True)

    async def end_all(self) -> None:
        await self._end(self.server.access.end_all, keep=False)

    async def _end(self, end: Callable[[Any], Awaitable[None]], *, keep: bool) -> None:
        family = self.choose_family()
        before = [each for each in self.families if not (keep and each is family)]
        if not family.access:
            return
        try:
            access = self.random.choice([*family.access])
            await end(await self.server.access.authenticate(access))
        except BadToken:
            return
        self.ended += before
        self.all_ended = True

    async def play(self) -> set[str]:
        """Send some requests at once, and judge them; return the names of the live sessions."""
        await asyncio.gather(*[self.choose() for _ in range(BESIDE)])
        for family in self.opened:
            family.in_doubt = self.all_ended
        for family in self.ended:
            family.ended = True
        for family, generation, too_old in self.refused:
            family.ended = family.ended or max(family.refresh) - generation >= too_old
        assert all(family.ended or family.in_doubt for family, _, _ in self.refused)
        self.families += self.opened
        self.all_ended = False
        for each in (self.opened, self.ended, self.refused):
            each.clear()
        names = set()
        for family in self.families:
            for token in family.access:
                try:
                    caller = await self.server.access.authenticate(token)
                except BadToken:
                    assert family.ended or family.in_doubt
                    continue
                assert not family.ended
                names.add(caller.session.name)
        return names


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rules", [GRACE, STRICT], ids=["grace", "no grace"])
async def test_random_requests_at_once(
    core: Core,  # noqa: F811
    jwts: JwtSessions,  # noqa: F811
    account: Account,  # noqa: F811
    redis_client,
    seed: int,
    rules: JwtRules,
):
    clients = Clients(core, jwts, rules, seed)
    move_after(jwts, account)
    clients.families = [Family({0: old_refresh(account, jti=jti * 32)}) for jti in "abc"]
    for _ in range(ROUNDS):
        live = await clients.play()
        names = {name.decode() for name in redis_client.zrange(set_key(account.id), 0, -1)}
        assert live <= names
    assert any(len(family.refresh) > 1 for family in clients.families)
    assert any(family.ended for family in clients.families)
