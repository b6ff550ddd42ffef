"""Random schedules: longer histories than can be explored, with faults at random moments.

Up to five operations run beside each other. A schedule is given by its seed alone.
"""

import random
from dataclasses import dataclass, field, replace
from typing import Any

from tests.model import stores
from tests.model.exploration import begin, first_reads
from tests.model.invariants import (
    History,
    Invariant,
    Run,
    Violation,
    check,
    check_at_rest,
    check_result,
    conclude,
    remember,
)
from tests.model.operations import (
    OLD_SIDS,
    OLD_TOKENS,
    PROTOCOL,
    Operation,
    Result,
    Rules,
    Step,
    Token,
    disturbs,
    start,
)
from tests.model.stores import Account, Command, State, execute

MOST_COMMANDS = 3000


@dataclass(frozen=True)
class Faults:
    """What goes wrong, each as a probability before every command."""

    crash: float = 0.0
    repeated_write: float = 0.0
    failover: float = 0.0
    by_key: bool = False
    """Redis is a cluster: at a failover each key goes back on its own."""
    restore: float = 0.0
    """PostgreSQL goes back; every server is stopped and every epoch raised before one starts."""
    cap: int = 100
    several: bool = False
    """Every other login opens one more session."""


CONFIGURATIONS = {
    "no faults": Faults(),
    "crashes": Faults(crash=0.03),
    "a cap of 3": Faults(crash=0.02, cap=3),
    "repeated writes": Faults(repeated_write=0.08),
    "failovers": Faults(failover=0.03, crash=0.02),
    "failovers of a cluster": Faults(failover=0.03, by_key=True, repeated_write=0.03, cap=3),
    "PostgreSQL restored": Faults(restore=0.05, crash=0.02),
    "one session per login": Faults(crash=0.02, several=True),
    "one session per login, failovers": Faults(failover=0.03, crash=0.02, several=True),
}
_OFTEN = {
    "log_in": 6,
    "log_out": 3,
    "end_all": 1,
    "log_out_everywhere": 1,
    "change_password": 2,
    "end_others": 2,
    "use": 4,
    "authenticate": 2,
    "refresh": 2,
    "rotate": 4,
    "refresh_jwt": 1,
    "take_over": 2,
    "refresh_old": 1,
    "blacklist": 1,
    "register_account": 2,
    "wait": 1,
}


@dataclass
class _Running:
    index: int
    step: Step
    operation: Operation
    command: Command | None = None


@dataclass
class Schedule:
    """One random schedule."""

    seed: int
    faults: Faults
    rules: Rules = PROTOCOL
    commands: int = 0
    log: list[str] = field(default_factory=list)

    def play(self) -> list[Violation]:
        """Run it; return what the first violating command violated."""
        self.random = random.Random(self.seed)  # noqa: S311
        self.rules = replace(self.rules, cap=self.faults.cap)
        ann = Account(1, "ann", 5, True, 0, "ann")
        self.state, self.history = State({}, (ann,), 2, 5, 0), History()
        self.run = Run(self.rules, [], crashes=1, several=self.faults.several)
        self.running: list[_Running] = []
        self.earlier: list[dict[str, Any]] = [{}]
        self.rows = [(self.state.accounts, self.state.next_id)]
        self.writes: list[Command] = []
        self.usernames, self.passwords = ["ann"], [0]
        self.menu = [name for name, often in _OFTEN.items() for _ in range(often)]
        self.menu += ["disable"] * (self.random.random() < 0.3)
        self.menu += ["delete_account"] * (self.random.random() < 0.08)
        left = 7 + self.random.randrange(4)
        while left > 0 or self.running:
            few = len(self.running) < 2
            if left > 0 and (few or (len(self.running) < 5 and self.random.random() < 0.25)):
                left -= self._spawn()
                continue
            self.commands += 1
            if self.commands > MOST_COMMANDS:
                return [(Invariant.BOUNDED, "it did not end")]
            if found := self._turn():
                return found
        return check_at_rest(self.run, self.state, self.history)

    def _spawn(self) -> int:
        """Start an operation, unless it needs a token and there is none; return how many."""
        step = self._choose()
        if step is None:
            return 0
        self._start(step)
        if step.operation == "disable":
            self._start(Step("enable", account_id=step.account))
        return 1

    def _start(self, step: Step) -> None:
        index = len(self.run.steps)
        self.run.steps.append(step)
        self.running.append(_Running(index, step, start(self.rules, f"P{index}", step)))

    def _choose(self) -> Step | None:
        pick = self.random.choice
        name, tokens = pick(self.menu), sorted(self.history.handed_out)
        if name == "log_in":
            return self._login()
        if name == "register_account":
            self.usernames.append(pick(["bob", "cat", "ann"]))
            return Step(name, pick("AB"), username=self.usernames[-1])
        if name == "wait":
            return Step(name, ticks=tuple(pick((1, 1, 2, 4, 9)) for _ in range(pick((1, 2)))))
        if name in ("end_all", "delete_account"):
            ids = [row.id for row in self.state.accounts] or [1]
            return Step(name, account_id=pick(ids))
        if name == "disable" and pick((True, False)):
            return Step(name)
        if name in ("take_over", "refresh_old"):
            token = pick(OLD_TOKENS)
            return Step(name, token.dialect, token.kind, token=token)
        if name in ("rotate", "refresh_jwt", "blacklist"):
            return self._family_step(name, [token for token in tokens if token.kind == "jwt"])
        if name == "refresh":
            tokens = [token for token in tokens if token.kind == "refresh"]
        if not tokens:
            return None
        token = pick(tokens)
        if name == "refresh":
            return Step(name, pick("AB"), pick(("access", "token")), token=token)
        if name == "change_password" or (name == "end_others" and pick((True, False))):
            self.passwords.append(len(self.passwords))
            return Step(name, pick("AB"), password=self.passwords[-1], token=token)
        return Step(name, token=token)

    def _family_step(self, name: str, tokens: list[Token]) -> Step | None:
        """Use a refresh token of a family that was handed out, most often the newest."""
        known = [(token, 0) for token in tokens if token.sid not in OLD_SIDS]
        known += [
            (token, successor[1])
            for token in tokens
            for _, _, successor in sorted(self.history.successors)
            if successor[0] == token.sid
        ]
        if name == "blacklist":
            known += [(token, 0) for token in OLD_TOKENS]
        if not known:
            return None
        token, generation = self.random.choice(known)
        if self.random.random() < 0.7:
            generation = max(each for other, each in known if other == token)
        return Step(name, token.dialect, token.kind, token=token, generation=generation)

    def _login(self) -> Step:
        pick, row = self.random.choice, None
        if self.state.accounts:
            row = pick(self.state.accounts)
        right = row and self.random.random() < 0.8
        known = row and self.random.random() < 0.9
        return Step(
            pick(("log_in", "log_in_again")) if self.faults.several else "log_in",
            pick("AAB"),
            pick(("token", "token", "token", "refresh", "access", "jwt", "jwt")),
            password=row.password if right else pick(self.passwords),
            username=row.username if known else pick(self.usernames),
        )

    def _turn(self) -> list[Violation]:
        """Let one operation do one command; return what that, or a fault before it, violated."""
        one, chance = self.random.choice(self.running), self.random.random
        found: list[Violation] = []
        if chance() < self.faults.failover:
            self._fail_over()
            found += check(self.run, self.state, self.history)
        if chance() < self.faults.restore:
            self._restore()
            return found + check(self.run, self.state, self.history)
        if self.writes and chance() < self.faults.repeated_write:
            found += self._apply(0, self.random.choice(self.writes))[1]
        if one.command is None:
            self._begin(one)
        elif chance() < self.faults.crash:
            self.running.remove(one)
            if disturbs(self.rules, one.step):
                self._overlap(other.index for other in self.running)
            self.log.append(f"{one.index} {one.step.operation} crashes")
            return found
        reply, violated = self._apply(one.index, one.command)
        found += violated
        try:
            one.command = one.operation.send(reply)
        except StopIteration as end:
            self.running.remove(one)
            found += self._conclude(one, end.value)
        return found + check(self.run, self.state, self.history)

    def _begin(self, one: _Running) -> None:
        one.command = next(one.operation)
        beside = (other.index for other in self.running if other is not one and other.command)
        self.history = begin(self.run, self.state, self.history, one.index, beside)

    def _conclude(self, one: _Running, result: Result) -> list[Violation]:
        self.log.append(f"{one.index} {one.step.operation} => {result}")
        found = check_result(self.run, self.state, self.history, one.index, result)
        self.history = conclude(self.run, self.history, one.index, result)
        return found

    def _apply(self, index: int, command: Command) -> tuple[Any, list[Violation]]:
        before = self.state
        if command[0] is stores.read_either:
            command = self.random.choice(first_reads(self.rules, self.history, command))
        self.state, reply = execute(before, command)
        self.log.append(f"{index} {command[0].__name__} {command[1:]} -> {reply}")
        if command[0] in stores.REDIS_WRITES:
            self.writes.append(command)
        if self.state.time != before.time:
            self.writes = []  # nothing is on its way for so long
        if self.state.redis is not before.redis:
            self.earlier.append(self.state.redis)
        self.rows.append((self.state.accounts, self.state.next_id))
        self.history, found = remember(self.run, before, self.state, self.history, index, command)
        return reply, found

    def _fail_over(self) -> None:
        self.log.append("failover")
        one, other = (self.random.choice(self.earlier) for _ in range(2))
        redis = dict(one)
        if self.faults.by_key:
            now, redis = self.state.redis, {}
            for key in sorted({*now, *one, *other}):
                source = self.random.choice((now, one, other))
                if key in source:
                    redis[key] = source[key]
        self.state = self.state._replace(redis=redis)
        self.history = self.history._replace(redis_lost_writes=True)

    def _restore(self) -> None:
        self.log.append("PostgreSQL restored")
        accounts, next_id = self.random.choice(self.rows)
        restored = self.state._replace(accounts=accounts, next_id=next_id)
        self.state = stores.raise_all_epochs(restored)
        self.running.clear()

    def _overlap(self, indices: Any) -> None:
        overlapped = self.history.overlapped.union(indices)
        self.history = self.history._replace(overlapped=overlapped)
