"""Explores every schedule of a few concurrent operations: every order of their commands.

States that are the same in everything that matters are explored once, level by level, so all
schedules are covered although there are billions of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.model import stores
from tests.model.invariants import (
    History,
    Invariant,
    Run,
    check,
    check_at_rest,
    check_result,
    conclude,
    hand_out,
    remember,
    run_alone,
    stands,
)
from tests.model.operations import (
    ENDING_ALL,
    HANDING_OUT,
    OLD_TOKENS,
    Operation,
    Result,
    Rules,
    Step,
    Token,
    disturbs,
    start,
)
from tests.model.stores import REVOKED, Account, Command, State, execute

NOT_STARTED, RUNNING, RETURNED, CRASHED = range(4)
MOST_STATES = 400_000
CHANGING = ("change_password", "end_others")
CHANGED = ("token", "changed, no session", "others ended")


@dataclass(frozen=True)
class Scenario:
    """Operations that run one by one before, and those that run beside each other then."""

    steps: list[Step]
    before: tuple[Step, ...] = ()
    crashes: int = 0
    """Operations that may stop for good between two of their commands."""
    cap: int | None = None
    """Sessions for each account, where it is not the default."""
    same_token: bool = False
    """All logins must return one token."""
    several: bool = False
    """Logins may open one more session each (`sessions=per-login`)."""
    slow: bool = False
    """Four operations: left out unless `--four` is given."""


@dataclass
class Outcome:
    """What exploring a scenario found. Each violation comes with one schedule that leads to it."""

    states: int = 0
    schedules: int = 0
    violations: dict[Invariant, tuple[str, list[str]]] = field(default_factory=dict)


class Node(NamedTuple):
    """A state of everything. `replies` is all that each operation has been sent."""

    state: State
    history: History
    replies: tuple[tuple[Any, ...], ...]
    phases: tuple[int, ...]
    crashes: int
    results: tuple[Result | None, ...]

    def key(self) -> tuple[Any, ...]:
        return (frozenset(self.state.redis.items()), *self.state[1:], *self[1:])


Path = tuple["Path", str] | None


class TooManyStates(Exception):
    pass


class Explorer:
    """Explores one scenario under some rules."""

    def __init__(self, scenario: Scenario, rules: Rules) -> None:
        self.scenario = scenario
        self.run = Run(rules, scenario.steps, scenario.crashes, scenario.several)
        self.outcome = Outcome()
        self._next: dict[Any, list[Any]] = {}

    def explore(self, until: Invariant | None) -> Outcome:
        self._add(self._first(), 1, None)
        while self._next and until not in self.outcome.violations:
            level, self._next = self._next, {}
            self.outcome.states += len(level)
            if self.outcome.states > MOST_STATES:
                raise TooManyStates
            for node, count, path in level.values():
                if all(phase >= RETURNED for phase in node.phases):
                    self.outcome.schedules += count
                for index, phase in enumerate(node.phases):
                    if phase < RETURNED:
                        self._continue(node, count, path, index)
        return self.outcome

    def _first(self) -> Node:
        ann = Account(1, "ann", 5, True, 0, "ann")
        state, history = State({}, (ann,), 2, 5, 0), History()
        for number, step in enumerate(self.scenario.before):
            state, result = run_alone(self.run.rules, state, step, f"S{number}")
            if result.outcome == "token":
                token = Token(step.dialect, step.kind, result.sid, result.account_id)
                history = hand_out(history, token)
            elif result.rotation:
                rotated = (result.sid, result.rotation[0], result.rotation[2])
                history = hand_out(history, step.token, result.rotation)
                history = history._replace(rotated=history.rotated | {rotated})
        empty, nothing = state._replace(redis={}), (stores.respond,)
        history, _ = remember(self.run, empty, state, history, 0, nothing)
        count = len(self.run.steps)
        phases, results = (NOT_STARTED,) * count, (None,) * count
        return Node(state, history, ((),) * count, phases, self.run.crashes, results)

    def _add(self, node: Node, count: int, path: Path) -> None:
        entry = self._next.setdefault(node.key(), [node, 0, path])
        entry[1] += count

    def _report(self, found: list[tuple[Invariant, str]], path: Path) -> None:
        for invariant, text in found:
            if invariant not in self.outcome.violations:
                self.outcome.violations[invariant] = (text, unwind(path))

    def _resume(self, index: int, replies: tuple[Any, ...]) -> tuple[Operation, Any]:
        """Return an operation after these replies, and its next command or its result."""
        operation = start(self.run.rules, f"P{index}", self.run.steps[index])
        try:
            command: Any = next(operation)
            for reply in replies:
                command = operation.send(reply)
        except StopIteration as end:
            return operation, end.value
        return operation, command

    def _continue(self, node: Node, count: int, path: Path, index: int) -> None:
        """Let one operation do its next command, in every way in which that may turn out."""
        _, command = self._resume(index, node.replies[index])
        step = self.run.steps[index]
        history = node.history
        if node.phases[index] == NOT_STARTED:
            history = begin(self.run, node.state, history, index, self._beside(node, index))
        others = [phase for other, phase in enumerate(node.phases) if other != index]
        restores = command[0] is stores.restore_postgresql
        if restores and self.run.rules.every_server_stops and RUNNING in others:
            return
        for state, after, reply, done, text in turns(self.run, node.state, history, command):
            label = f"{index} {step.operation}: {text or describe(command, reply)}"
            self._done(node, count, (path, label), index, state, after, reply, done)
        if node.crashes and node.phases[index] == RUNNING:
            crashed = node._replace(
                phases=replaced(node.phases, index, CRASHED), crashes=node.crashes - 1
            )
            self._settle(crashed, count, (path, f"{index} {step.operation} crashes"))

    def _beside(self, node: Node, index: int) -> Iterator[int]:
        for other, phase in enumerate(node.phases):
            if other != index and phase in (RUNNING, CRASHED):
                yield other

    def _done(
        self,
        node: Node,
        count: int,
        path: Path,
        index: int,
        state: State,
        history: History,
        reply: Any,
        command: Command,
    ) -> None:
        history, found = remember(self.run, node.state, state, history, index, command)
        replies = (*node.replies[index], reply)
        _, result = self._resume(index, replies)
        if (alike := as_record_first(replies)) and self._resume(index, alike)[1] == result:
            replies = alike
        phase, results = RUNNING, node.results
        if isinstance(result, Result):
            phase, replies = RETURNED, ()
            results = replaced(results, index, result)
            found += check_result(self.run, state, history, index, result)
            history = conclude(self.run, history, index, result)
            path = (path[0], f"{path[1]} => {result}") if path else None
        found += check(self.run, state, history)
        self._report(found, path)
        following = Node(
            state,
            history,
            replaced(node.replies, index, replies),
            replaced(node.phases, index, phase),
            node.crashes,
            results,
        )
        self._settle(following, count, path)

    def _settle(self, node: Node, count: int, path: Path) -> None:
        if all(phase >= RETURNED for phase in node.phases):
            self._report(check_at_rest(self.run, node.state, node.history), path)
            tokens = {result for result in node.results if result and result.outcome == "token"}
            if self.scenario.same_token and len(tokens) > 1:
                self._report([(Invariant.ONE_SESSION, f"logins differ: {tokens}")], path)
            changes = [
                (step.operation, step.token)
                for step, result in zip(self.run.steps, node.results, strict=True)
                if step.operation in CHANGING and result and result.outcome in CHANGED
            ]
            # Each of them ends the session of the other; one that keeps its own may be followed.
            ended = [change for change in changes if change[0] != "end_others"]
            if len(ended) > 1 or len({token for _, token in changes}) > 1:
                self._report([(Invariant.ENDED, f"ended sessions change: {changes}")], path)
        self._add(node, count, path)


def explore(scenario: Scenario, rules: Rules, until: Invariant | None = None) -> Outcome:
    """Explore a scenario, or only until this invariant is violated."""
    return Explorer(scenario, rules).explore(until)


def begin(run: Run, state: State, history: History, index: int, beside: Iterator[int]) -> History:
    """Return the history after an operation has begun beside these others."""
    step = run.steps[index]
    if step.token and not stands(run.rules, state, step.token.sid):
        history = history._replace(not_live=history.not_live | {index})
    if step.token and step.token.sid in history.ended:
        history = history._replace(late=history.late | {index})
    if step.operation in ENDING_ALL:
        sids = {
            token.sid
            for token in history.handed_out.union(OLD_TOKENS)
            if token.account_id == step.account
            and not (step.operation == "end_others" and token == step.token)
        }
        history = history._replace(at_start=(*history.at_start, (index, frozenset(sids))))
    overlapped = set()
    for other in beside:
        if step.operation in HANDING_OUT and disturbs(run.rules, run.steps[other]):
            overlapped.add(index)
        if run.steps[other].operation in HANDING_OUT and disturbs(run.rules, step):
            overlapped.add(other)
    return history._replace(overlapped=history.overlapped | overlapped)


def turns(
    run: Run, state: State, history: History, command: Command
) -> Iterator[tuple[State, History, Any, Command, str]]:
    """Return every way in which a command may turn out; the last is what to call it."""
    if command[0] is stores.fail_over:
        for number, before in enumerate(history.redis_before):
            after = history._replace(redis_lost_writes=True, redis_before=())
            text = f"Redis is as it was at {number} of {len(history.redis_before) - 1}"
            yield state._replace(redis=dict(before)), after, None, command, text
    elif command[0] is stores.restore_postgresql:
        for accounts, next_id in history.postgresql_before:
            after = history._replace(postgresql_went_back=True, postgresql_before=())
            restored = state._replace(accounts=accounts, next_id=next_id)
            if command[1]:
                restored = stores.raise_all_epochs(restored)
            yield restored, after, None, command, f"PostgreSQL is as it was: {accounts}"
    elif command[0] is stores.repeat_write:
        yield state, history, None, command, "no write arrives again"
        for write in set(history.writes):
            after, _ = execute(state, write)
            yield after, history, None, write, f"again: {describe(write, None)}"
    elif command[0] is stores.read_either:
        for read in first_reads(run.rules, history, command):
            following, reply = execute(state, read)
            yield following, history, reply, read, ""
    else:
        following, reply = execute(state, command)
        if run.has("repeat_write") and command[0] in stores.REDIS_WRITES:
            history = history._replace(writes=(*history.writes, command))
        yield following, history, reply, command, ""


def first_reads(rules: Rules, history: History, command: Command) -> list[Command]:
    """Return what may be read first. The row only if the session's record has been there before.

    The server looks whether it has authenticated the session before, which is less.
    """
    _, sid, account_id = command
    known = any(sid == other and record != REVOKED for other, record in history.records)
    first = [stores.record_first]
    if known or not rules.early_row_of_known:
        first.append(stores.row_first)
    return [(read, sid, account_id) for read in first]


def as_record_first(replies: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what a request that has read a row first would know if it had read the record first.

    Where it goes on in the same way, the two are one state. Empty if it has not just read both.
    """
    for count in (2, 3):
        before, read = replies[:-count], replies[-count:]
        if len(read) == count and isinstance(read[0], tuple) and read[0][:1] == ("row",):
            row = read[2] if count == 3 else read[0][1]
            if row is None or isinstance(row, Account):
                return (*before, ("record", read[1]), row)
    return ()


def replaced(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*values[:index], value, *values[index + 1 :])


def describe(command: Command, reply: Any) -> str:
    return f"{command[0].__name__} {' '.join(map(str, command[1:]))} -> {reply}"


def unwind(path: Path) -> list[str]:
    lines: list[str] = []
    while path:
        lines.append(path[1])
        path = path[0]
    return lines[::-1]
