"""What must hold in every state, after every operation, and when everything has come to rest.

ENDED and OWN_ACCOUNT are promised whatever Redis forgets, the others for as long as Redis keeps
what it acknowledged.
"""

from enum import Enum
from typing import Any, NamedTuple

from tests.model import stores
from tests.model.operations import (
    Result,
    Rules,
    Step,
    Token,
    is_kept,
    may_end,
    start,
    verdict,
)
from tests.model.stores import (
    GRACE,
    REVOKED,
    SINGLE_KINDS,
    Account,
    Command,
    Record,
    State,
    execute,
    find_id,
    names_at,
    record_key,
    value_at,
)


class Invariant(Enum):
    """The invariants, by the numbers that docs/session-protocol.md uses."""

    FINDABLE = "I1: a live session that was handed out is named in its account's set"
    LOGGED_OUT = "I2: a session whose logout returned is not live"
    ENDED = "I3: nothing from before a logoutall, new password, disabling or deletion is live"
    ONE_SESSION = "I4: an account has one live session of each dialect and kind"
    USABLE = "I5: a login that nothing interferes with returns a live token"
    BOUNDED = "I6: retries, names in a set and lifetimes are bounded"
    NO_REVIVAL = "I7: a session that has ended or run out does not come back"
    OWN_ACCOUNT = "I8: a session authenticates the account that it was opened for, and no other"
    KEPT = "I9: a session that nothing ended stays live, and no request with it is refused"
    ONE_SUCCESSOR = "I10: a refresh token has one successor at most"
    REUSE = "I11: a superseded refresh token has no successor, and ends its family"
    CURRENT = "I12: a request counts only if its session was live at a moment since it began"


ACCEPTED = frozenset(
    {"used", "rotated", "token", "changed, no session", "all ended", "others ended"}
)
"""What an operation returns only if it has authenticated its token."""

Violation = tuple[Invariant, str]


class History(NamedTuple):
    """What has happened so far, as far as the invariants need to know it."""

    handed_out: frozenset[Token] = frozenset()
    logged_out: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()
    """Sids that an operation which ends all sessions has ended."""
    at_start: tuple[tuple[int, frozenset[str]], ...] = ()
    """For each such operation that has begun, what had been handed out by then."""
    records: frozenset[tuple[str, Any]] = frozenset()
    """Every record that ever stood in Redis: a failover may bring back any of them."""
    not_live: frozenset[int] = frozenset()
    """Operations under way whose session has not been live at any moment since they began."""
    late: frozenset[int] = frozenset()
    """Operations under way whose session had been ended, with all others, before they began."""
    overlapped: frozenset[int] = frozenset()
    """Operations beside which another one ran that may end what they open."""
    redis_lost_writes: bool = False
    postgresql_went_back: bool = False
    redis_before: tuple[frozenset[Any], ...] = ()
    postgresql_before: tuple[tuple[tuple[Account, ...], int], ...] = ()
    writes: tuple[Command, ...] = ()
    rotated: frozenset[tuple[str, int, int]] = frozenset()
    """Of families: each generation that was rotated, and the tick at which it was first."""
    successors: frozenset[tuple[str, int, Any]] = frozenset()
    """Sid and generation of refresh tokens, and the sid, generation and time of what they got."""
    reused: frozenset[str] = frozenset()
    """Families of which a superseded token was rotated."""
    superseded: frozenset[int] = frozenset()
    """Refreshes without rotation that began with a superseded token."""


class Run(NamedTuple):
    """A run: rules, operations, and the facts of the past that the invariants need."""

    rules: Rules
    steps: list[Step]
    crashes: int = 0
    several: bool = False
    """Logins may open one more session each: then ONE_SESSION is not asked for."""

    def has(self, operation: str) -> bool:
        return any(step.operation == operation for step in self.steps)


def is_live(rules: Rules, state: State, sid: str, record: Any) -> bool:
    """Return whether a session would be live if this were its record."""
    if not isinstance(record, Record):
        return False
    return verdict(rules, sid, record, find_id(state, record.account_id)) == "live"


def stands(rules: Rules, state: State, sid: str) -> bool:
    """Return whether a session is live."""
    return is_live(rules, state, sid, value_at(state, record_key(sid)))


def live_tokens(rules: Rules, state: State, history: History) -> list[Token]:
    return [token for token in history.handed_out if stands(rules, state, token.sid)]


def check(run: Run, state: State, history: History) -> list[Violation]:
    """Check a state."""
    found: list[Violation] = []
    rules, sound = run.rules, not history.redis_lost_writes
    live = live_tokens(rules, state, history)
    for token in live:
        if sound and token.name not in names_at(state, token.account_id):
            found.append((Invariant.FINDABLE, f"{token} is in no set"))
        if sound and token.sid in history.logged_out:
            found.append((Invariant.LOGGED_OUT, f"{token} is live after its logout"))
        if sound and token.sid in history.reused:
            found.append((Invariant.REUSE, f"{token} is live after a superseded token was used"))
    parents = {entry[:2] for entry in history.successors}
    if sound and rules.strict and len(history.successors) > len(parents):
        found.append((Invariant.ONE_SUCCESSOR, f"two of one: {sorted(history.successors)}"))
    if sound and not run.several:
        single = [(t.dialect, t.kind, t.account_id) for t in live if t.kind in SINGLE_KINDS]
        if len(single) > len(set(single)):
            found.append((Invariant.ONE_SESSION, f"two of one kind are live: {live}"))
    for sid, record in history.records:
        if record != REVOKED and is_live(rules, state, sid, record):
            row = find_id(state, record.account_id)
            if sid in history.ended:
                found.append((Invariant.ENDED, f"{sid} {record} is good at {row}"))
            if record.person != row.person:
                found.append((Invariant.OWN_ACCOUNT, f"{sid} {record} authenticates {row}"))
    return found


def check_revival(
    before: State, state: State, history: History, command: Command
) -> Violation | None:
    """Return what came back by a command, if anything did."""
    for token in history.handed_out:
        was, now = (value_at(each, record_key(token.sid)) for each in (before, state))
        if now not in (None, REVOKED) and was in (None, REVOKED):
            return (Invariant.NO_REVIVAL, f"{token} came back by {command[0].__name__}")
    return None


def check_loss(
    run: Run, before: State, state: State, history: History, index: int, command: Command
) -> list[Violation]:
    """Return what a command of an operation ended that the operation is not to end."""
    if before.redis is state.redis and before.accounts == state.accounts:
        return []
    return [
        (Invariant.KEPT, f"{token} was ended by {run.steps[index].operation}")
        for token in live_tokens(run.rules, before, history)
        if not stands(run.rules, state, token.sid)
        and not may_end(run.rules, run.steps[index], token)
        and not (token.sid in history.reused and command[0] is stores.rotate)
    ]


def check_result(
    run: Run, state: State, history: History, index: int, result: Result
) -> list[Violation]:
    """Check what an operation returned."""
    step, found = run.steps[index], []
    if result.outcome == "busy":
        found.append((Invariant.BOUNDED, f"{step.operation} used up its rounds"))
    sound = not history.redis_lost_writes
    if step.token and result.outcome in ACCEPTED:
        if index in history.late:
            found.append((Invariant.ENDED, f"{step.operation} began after the end: {result}"))
        if sound and index in history.not_live:
            found.append((Invariant.CURRENT, f"{step.operation} with what was not live: {result}"))
    refused = result.outcome in ("401", "inactive", "refused")
    if refused and sound and step.token and stands(run.rules, state, step.token.sid):
        found.append((Invariant.KEPT, f"{step.operation} is refused, and {step.token} is live"))
    reused = result.outcome in ("used", "token") and index in history.superseded
    if reused and sound and run.rules.strict:
        found.append((Invariant.REUSE, f"a superseded token is refreshed: {step}"))
    if result.outcome not in ("token", "rotated"):
        return found
    record = value_at(state, record_key(result.sid))
    live = is_live(run.rules, state, result.sid, record)
    by_password = step.operation in ("log_in", "log_in_again", "change_password")
    if sound and not live and index not in history.overlapped:
        found.append((Invariant.USABLE, f"{step.operation} returned a dead token {result}"))
    row = find_id(state, record.account_id) if live else None
    # Of a login that ran beside a change of password, the session that this keeps is as good as
    # one that was handed out before it.
    earlier = row and index in history.overlapped and is_kept(run.rules, result.sid, row)
    if sound and row and by_password and row.password != step.password and not earlier:
        found.append((Invariant.ENDED, f"{step.operation} by an old password: {result}"))
    if live and step.operation == "refresh" and step.token.sid in history.ended:
        found.append((Invariant.ENDED, "an ended refresh token opened a live session"))
    return found


def run_alone(rules: Rules, state: State, step: Step, pid: str) -> tuple[State, Result]:
    """Run an operation with nothing beside it."""
    operation, reply = start(rules, pid, step), None
    try:
        while True:
            state, reply = execute(state, operation.send(reply))
    except StopIteration as end:
        return state, end.value


def check_at_rest(run: Run, state: State, history: History) -> list[Violation]:
    """Check what later operations find, once all operations have ended or crashed."""
    found: list[Violation] = []
    kinds = {(token.dialect, token.kind) for token in history.handed_out} | {
        (step.dialect, step.kind)
        for step in run.steps
        if step.operation in ("log_in", "log_in_again", "register_account")
    }
    sound = not (run.crashes or history.redis_lost_writes or history.postgresql_went_back)
    for token in live_tokens(run.rules, state, history) if sound else ():
        record, row = value_at(state, record_key(token.sid)), find_id(state, token.account_id)
        if row and record.epoch != row.epoch:  # an older release goes by this alone
            found.append((Invariant.KEPT, f"{token} is live at {row} and stays as {record}"))
    for row in state.accounts:
        if row.is_active:
            found += _later_logins(run, state, history, row, sorted(kinds))
        names = names_at(state, row.id)
        if len(names) > run.rules.cap and not run.crashes and not history.redis_lost_writes:
            found.append((Invariant.BOUNDED, f"a set above the cap at rest: {sorted(names)}"))
        later, _ = run_alone(run.rules, state, Step("end_all", account_id=row.id), "Q3")
        found += [
            (Invariant.ENDED, f"{token} survives the next end of all sessions")
            for token in live_tokens(run.rules, later, history)
            if token.account_id == row.id
        ]
    return found + _reused_ids(run, state, history, sorted(kinds))


def _later_logins(
    run: Run, state: State, history: History, row: Account, kinds: list[tuple[str, str]]
) -> list[Violation]:
    found: list[Violation] = []
    rules = run.rules
    for dialect, kind in kinds:
        step = Step("log_in", dialect, kind, password=row.password, username=row.username)
        once, first = run_alone(rules, state, step, "Q1")
        if first.outcome != "token" or not stands(rules, once, first.sid):
            found.append((Invariant.USABLE, f"a later login of {row.username}: {first}"))
        if first.outcome != "token" or kind not in SINGLE_KINDS or run.several:
            continue
        twice, second = run_alone(rules, once, step, "Q2")
        if first != second:
            found.append((Invariant.ONE_SESSION, f"two later logins: {first}, {second}"))
        live = {
            token.sid
            for token in live_tokens(rules, state, history)
            if (token.dialect, token.kind, token.account_id) == (dialect, kind, row.id)
        }
        if live and first.sid not in live and not history.redis_lost_writes:
            found.append((Invariant.ONE_SESSION, f"a later login passes over {live}: {first}"))
        names = [name for name in names_at(twice, row.id) if name[:2] == (dialect, kind)]
        if len(names) != 1:
            found.append((Invariant.BOUNDED, f"names of one kind: {names}"))
    return found


def _reused_ids(
    run: Run, state: State, history: History, kinds: list[tuple[str, str]]
) -> list[Violation]:
    """Give each id that records name and no account has to a new account."""
    found: list[Violation] = []
    records = [(sid, record) for sid, record in history.records if record != REVOKED]
    for account_id in {record.account_id for _, record in records}:
        if find_id(state, account_id):
            continue
        earlier = state._replace(next_id=account_id)
        taken, (_, epoch) = stores.new_identity(earlier, run.rules.epoch_from_clock)
        stranger = Account(account_id, "stranger", epoch, True, 0, "stranger")
        later = stores.with_row(taken, stranger)
        for sid, record in records:
            if record.account_id == account_id and is_live(run.rules, later, sid, record):
                found.append((Invariant.OWN_ACCOUNT, f"{sid} {record} lives under a reused id"))
        for dialect, kind in kinds:
            step = Step("log_in", dialect, kind, username="stranger")
            after, opened = run_alone(run.rules, later, step, "Q4")
            if not stands(run.rules, after, opened.sid):
                found.append((Invariant.USABLE, f"a login under a reused id: {opened}"))
    return found


def remember(
    run: Run, before: State, state: State, history: History, index: int, command: Command
) -> tuple[History, list[Violation]]:
    """Return the history after a command, and what it violated."""
    found: list[Violation] = []
    if command[0] is stores.respond and len(command) > 1:
        history = hand_out(history, *command[1:])
    step = run.steps[index] if index < len(run.steps) else None
    reads = command[0] is stores.get and step and step.operation in ("refresh_jwt", "refresh_old")
    if reads and is_superseded(history, step.token.sid, step.generation, state.time):
        history = history._replace(superseded=history.superseded | {index})
    if command[0] is stores.rotate:
        history, found = _rotation(run, before, state, history, command)
    if command[0] is stores.say_all_ended:
        history = _all_ended(history, index)
    if state.redis is not before.redis:
        records = {(key[8:], v[0]) for key, v in state.redis.items() if key.startswith("session:")}
        if not records <= history.records:
            history = history._replace(records=history.records | records)
        if run.has("fail_over") and not history.redis_lost_writes:
            now = frozenset(state.redis.items())
            if now not in history.redis_before:
                history = history._replace(redis_before=(*history.redis_before, now))
    if history.not_live and state is not before:
        not_live = {i for i in history.not_live if not stands(run.rules, state, sid_of(run, i))}
        history = history._replace(not_live=frozenset(not_live))
    if run.has("restore_postgresql") and not history.postgresql_went_back:
        rows = (state.accounts, state.next_id)
        if rows not in history.postgresql_before:
            history = history._replace(postgresql_before=(*history.postgresql_before, rows))
    revived = check_revival(before, state, history, command)
    if revived and not history.redis_lost_writes and command[0] is not stores.fail_over:
        found.append(revived)
    if not history.redis_lost_writes and not history.postgresql_went_back:
        found += check_loss(run, before, state, history, index, command)
    return history, found


def sid_of(run: Run, index: int) -> str:
    """Return the sid of the token of an operation that has one."""
    token = run.steps[index].token
    assert token is not None
    return token.sid


def is_superseded(history: History, sid: str, generation: int, time: int) -> bool:
    """Return whether a refresh token was rotated too long ago, or its successor was as well."""
    rotated = {parent: at for family, parent, at in history.rotated if family == sid}
    late = time - rotated.get(generation, time) > GRACE
    return late or (generation in rotated and generation + 1 in rotated)


def _rotation(
    run: Run, before: State, state: State, history: History, command: Command
) -> tuple[History, list[Violation]]:
    """Return the history after a rotation, judged by what was rotated before, and violations."""
    key, generation = command[1:3]
    sid, was, now = key[8:], value_at(before, key), value_at(state, key)
    if run.rules.strict and is_superseded(history, sid, generation, before.time):
        history = history._replace(reused=history.reused | {sid})
    if not isinstance(was, Record):
        return history, []
    if generation >= was.generation and not (
        isinstance(now, Record) and now.generation > generation
    ):
        return history, [(Invariant.KEPT, f"the newest token of {sid} is not rotated: {was}")]
    if isinstance(now, Record) and now.generation > was.generation:
        mark = (sid, generation, before.time)
        history = history._replace(rotated=history.rotated | {mark})
    return history, []


def _all_ended(history: History, index: int) -> History:
    ended = [sids for other, sids in history.at_start if other == index]
    return history._replace(ended=history.ended.union(*ended))


def hand_out(
    history: History,
    token: Token,
    rotation: tuple[int, int, int] | None = None,
    sid: str | None = None,
) -> History:
    """Return the history after a token was handed out: one of a rotation of `token`, or it.

    `sid` is the family of the successor, where that is another one.
    """
    handed_out = token._replace(sid=sid or token.sid)
    history = history._replace(handed_out=history.handed_out | {handed_out})
    if rotation is None:
        return history
    entry = (token.sid, rotation[0], (handed_out.sid, *rotation[1:]))
    return history._replace(successors=history.successors | {entry})


def conclude(run: Run, history: History, index: int, result: Result) -> History:
    """Return the history after an operation has returned."""
    step = run.steps[index]
    history = history._replace(not_live=history.not_live - {index}, late=history.late - {index})
    if result.outcome == "token":
        return hand_out(history, Token(step.dialect, step.kind, result.sid, result.account_id))
    if result.outcome == "rotated":
        return hand_out(history, step.token, result.rotation, result.sid)
    if result.outcome == "logged out":
        return history._replace(logged_out=history.logged_out | {result.sid})
    if result.outcome in ("all ended", "others ended"):
        return _all_ended(history, index)
    return history
