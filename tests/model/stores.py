"""Both stores as values: PostgreSQL's rows, Redis's keys, and what each command does to them.

A command is a tuple of a function of this module and its arguments. `execute` applies it to a state
and returns the next state and the reply. A state is never changed in place, so a schedule can be
continued from any state in every possible way. One command is one round trip, and is atomic.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

LIFETIMES = {"token": 4, "refresh": 8, "access": 4, "jwt": 8}
"""In ticks of Redis's clock, by kind of session."""
SINGLE_KINDS = frozenset({"token", "refresh"})
"""Kinds of which an account has one session in each dialect; of the other it has any number."""
SET_LIFETIME = max(LIFETIMES.values()) + 8
REVOKED = "revoked"
BRIEFLY = 1
"""Ticks for which a surplus session is remembered as ended; 120 s in the product."""

GRACE = 1
"""Ticks after a rotation in which the token that it was made with returns the same successor."""
MOVED_AT = 5
"""The epoch that PostgreSQL's clock gave last when the accounts moved in from an old back end."""
TAKE_OVER_ENDS = LIFETIMES["jwt"]
"""The tick from which no refresh token of the old back end is accepted; the move was at 0."""

Command = tuple[Any, ...]


class Account(NamedTuple):
    """A row. `person` is whom the account belongs to: only the invariants look at it."""

    id: int
    username: str
    epoch: int
    is_active: bool
    password: int
    person: str
    kept: tuple[int, str] | None = None
    """An epoch, and the session that is live under it although its record may be older."""


class Record(NamedTuple):
    """A session's record in Redis. `person` as in the account."""

    account_id: int
    epoch: int
    person: str
    generation: int = 0
    """Of a family of JWTs: that of its newest refresh token."""
    rotated_at: int = 0
    """The tick of the last rotation."""


class Name(NamedTuple):
    """A member of an account's set."""

    dialect: str
    kind: str
    sid: str


class State(NamedTuple):
    """Both stores. Redis is a dict from key to (value, the tick at which it ends)."""

    redis: dict[str, tuple[Any, int]]
    accounts: tuple[Account, ...]
    next_id: int
    clock: int
    """PostgreSQL's, which epochs are taken from."""
    time: int
    """Redis's, which lifetimes are counted by."""


def record_key(sid: str) -> str:
    return f"session:{sid}"


def set_key(account_id: int) -> str:
    return f"sessions:{account_id}"


def execute(state: State, command: Command) -> tuple[State, Any]:
    """Apply a command; return the next state and the reply."""
    do: Callable[..., tuple[State, Any]] = command[0]
    return do(state, *command[1:])


# Redis


def value_at(state: State, key: str) -> Any:
    """Return the value of a key, None when it is gone or has expired."""
    found = state.redis.get(key)
    return None if found is None or found[1] <= state.time else found[0]


def names_at(state: State, account_id: int) -> dict[Name, int]:
    """Return the names in an account's set, each with its score."""
    return dict(value_at(state, set_key(account_id)) or ())


def _put(state: State, key: str, value: Any, ends: int) -> State:
    return state._replace(redis={**state.redis, key: (value, ends)})


def _remove(state: State, key: str) -> State:
    if key not in state.redis:
        return state
    return state._replace(redis={k: v for k, v in state.redis.items() if k != key})


def _put_set(state: State, key: str, names: dict[Name, int], ends: int) -> State:
    return _put(state, key, frozenset(names.items()), ends) if names else _remove(state, key)


def get(state: State, key: str) -> tuple[State, Any]:
    return state, value_at(state, key)


def get_and_extend(state: State, key: str, lifetime: int) -> tuple[State, Any]:
    """GETEX."""
    value = value_at(state, key)
    return expire(state, key, lifetime)[0], value


def set_new(state: State, key: str, value: Any, lifetime: int) -> tuple[State, Any]:
    """SET NX EX."""
    if value_at(state, key) is not None:
        return state, None
    return _put(state, key, value, state.time + lifetime), "OK"


def set_again(state: State, key: str, value: Any, lifetime: int) -> tuple[State, Any]:
    """SET EX, which creates a missing key: the protocol never does this, a mutation does."""
    return _put(state, key, value, state.time + lifetime), None


def expire(state: State, key: str, lifetime: int) -> tuple[State, Any]:
    """EXPIRE: it creates nothing."""
    value = value_at(state, key)
    return (state if value is None else _put(state, key, value, state.time + lifetime)), None


def revoke(state: State, key: str, epoch: int | None) -> tuple[State, Any]:
    """Mark a record as ended and keep its time; with an epoch, only a record of an older one."""
    value = value_at(state, key)
    if value is None or value == REVOKED:
        return state, "gone"
    if epoch is not None and value.epoch >= epoch:
        return state, "not older"
    return _put(state, key, REVOKED, state.redis[key][1]), "OK"


def move(state: State, key: str, epoch: int) -> tuple[State, Any]:
    """Give a record a newer epoch and keep its time: it creates nothing."""
    value = value_at(state, key)
    if value is None or value == REVOKED:
        return state, "gone"
    if value.epoch >= epoch:
        return state, "not older"
    return _put(state, key, value._replace(epoch=epoch), state.redis[key][1]), "OK"


def rotate(
    state: State, key: str, generation: int, lifetime: int, rules: Any, read: Record
) -> tuple[State, Any]:
    """Rotate the refresh token of this generation; return its successor's generation and time.

    One script. None when the family is gone or ended, "reused" when the token was superseded.
    `read` is the record that authenticated the request: only a mutation looks at it.
    """
    value = value_at(state, key)
    if rules.rotation == "creates" and value is None:
        value = read
    if rules.rotation == "revives" and value == REVOKED:
        value = read
    if rules.rotation == "read, then written" and value not in (None, REVOKED):
        value = read
    if value is None or value == REVOKED:
        return state, None
    current, now = value.generation, state.time
    in_grace = generation == current - 1 and now - value.rotated_at <= GRACE
    if generation < current and rules.strict and not rules.superseded_rotates:
        if (in_grace and rules.grace == "same") or rules.superseded_repeats:
            return state, (current, value.rotated_at)
        if not (in_grace and rules.grace == "another"):
            if rules.reuse_ends_family:
                state = _put(state, key, REVOKED, state.redis[key][1])
            return state, "reused"
    elif in_grace:
        return state, (current, value.rotated_at)
    elif generation > current and not rules.newer_rotates:
        return state, "reused"
    following = max(generation, current) + 1
    record = value._replace(generation=following, rotated_at=now)
    return _put(state, key, record, now + lifetime), (following, now)


def take_over(
    state: State, key: str, value: Any, lifetime: int, ends: bool, new: bool
) -> tuple[State, Any]:
    """SET NX EX of what an old back end's token opens (or ends), while such are accepted.

    The real server looks at its clock just before: here both are one command.
    """
    if ends and state.time >= TAKE_OVER_ENDS:
        return state, "too late"
    return set_new(state, key, value, lifetime) if new else set_again(state, key, value, lifetime)


def revoke_briefly(state: State, key: str) -> tuple[State, Any]:
    """Mark a surplus record as ended, for a short fixed time."""
    if value_at(state, key) is None:
        return state, "gone"
    return _put(state, key, REVOKED, state.time + BRIEFLY), "OK"


def delete(state: State, key: str) -> tuple[State, Any]:
    return _remove(state, key), None


def list_names(state: State, key: str) -> tuple[State, Any]:
    """ZRANGE with scores."""
    names = value_at(state, key)
    return state, tuple(sorted(names)) if names else ()


def take_out(state: State, key: str, names: tuple[Name, ...]) -> tuple[State, Any]:
    """ZREM."""
    found = value_at(state, key)
    if not found:
        return state, None
    kept = {name: score for name, score in found if name not in names}
    return _put_set(state, key, kept, state.redis[key][1]), None


def extend_name(state: State, key: str, name: Name, lifetime: int) -> tuple[State, Any]:
    """ZADD XX GT and EXPIRE of the set, in one script: it creates nothing."""
    found = dict(value_at(state, key) or ())
    if not found:
        return state, None
    if name in found:
        found[name] = max(found[name], state.time + lifetime)
    return _put_set(state, key, found, state.time + SET_LIFETIME), None


def register(
    state: State,
    key: str,
    name: Name,
    lifetime: int,
    cap: int,
    unique: bool,
    spares_new: bool,
    drops_surplus: bool,
) -> tuple[State, Any]:
    """Enter a name into a set; return the set's name of that kind, and the names past the cap."""
    found = dict(value_at(state, key) or ())
    if unique:
        for _, other in sorted((score, other) for other, score in found.items()):
            if other[:2] == name[:2] and other != name:
                return state, (other, ())
    found[name] = state.time + lifetime
    surplus: tuple[Name, ...] = ()
    if len(found) > cap:
        ending = sorted((score, n) for n, score in found.items() if n != name or not spares_new)
        surplus = tuple(n for _, n in ending[: len(found) - cap])
        if drops_surplus:
            for other in surplus:
                del found[other]
    return _put_set(state, key, found, state.time + SET_LIFETIME), (name, surplus)


REDIS_WRITES = frozenset(
    {
        set_new,
        get_and_extend,
        expire,
        revoke,
        move,
        rotate,
        take_over,
        revoke_briefly,
        delete,
        take_out,
        extend_name,
        register,
    }
)
"""What a client may send twice, because the reply to the first was lost."""


# PostgreSQL


def find_id(state: State, account_id: int) -> Account | None:
    return next((row for row in state.accounts if row.id == account_id), None)


def find_username(state: State, username: str) -> Account | None:
    return next((row for row in state.accounts if row.username == username), None)


def account_by_id(state: State, account_id: int) -> tuple[State, Any]:
    return state, find_id(state, account_id)


def account_by_username(state: State, username: str) -> tuple[State, Any]:
    return state, find_username(state, username)


def with_row(state: State, row: Account) -> State:
    others = [other for other in state.accounts if other.id != row.id]
    return state._replace(accounts=tuple(sorted([*others, row])))


def new_identity(state: State, from_clock: bool) -> tuple[State, Any]:
    """Take an id that no account has had, and the epoch that its account begins with."""
    clock = state.clock + 1
    taken = state._replace(next_id=state.next_id + 1, clock=clock)
    return taken, (state.next_id, clock if from_clock else 0)


def insert(state: State, row: Account) -> tuple[State, Any]:
    if find_id(state, row.id) or find_username(state, row.username):
        return state, "taken"
    return with_row(state, row), "OK"


def raise_epoch(
    state: State,
    account_id: int,
    under: int | None,
    password: int | None,
    is_active: bool | None,
    from_clock: bool,
    session: str | None = None,
    keeps: str | None = None,
) -> tuple[State, Any]:
    """Raise an account's epoch; set its password and activity when they are given.

    One statement. With `under`, only where the epoch is this one or `session` is the one that is
    kept. Name the session that it `keeps`; else what stands there stays. Return the row, None for
    none.
    """
    row = find_id(state, account_id)
    if row is None:
        return state, None
    if under not in (None, row.epoch) and (session is None or row.kept != (row.epoch, session)):
        return state, None
    clock = state.clock + 1
    epoch = max(row.epoch + 1, clock) if from_clock else row.epoch + 1
    row = row._replace(
        epoch=epoch,
        kept=(epoch, keeps) if keeps else row.kept,
        is_active=row.is_active if is_active is None else is_active,
        password=row.password if password is None else password,
    )
    return with_row(state, row)._replace(clock=clock), row


def delete_account(state: State, account_id: int) -> tuple[State, Any]:
    rows = tuple(row for row in state.accounts if row.id != account_id)
    return state._replace(accounts=rows), None


def raise_all_epochs(state: State) -> State:
    """`sessions end --all`."""
    clock = state.clock + 1
    rows = tuple(row._replace(epoch=max(row.epoch + 1, clock)) for row in state.accounts)
    return state._replace(accounts=rows, clock=clock)


# The first read of a request: the row's only if the server knows the session's account.


def read_either(state: State, sid: str, account_id: int) -> tuple[State, Any]:
    """Read a session's record or its account's row, whichever is first: a choice."""
    return record_first(state, sid, account_id)


def record_first(state: State, sid: str, account_id: int) -> tuple[State, Any]:
    return state, ("record", value_at(state, record_key(sid)))


def row_first(state: State, sid: str, account_id: int) -> tuple[State, Any]:
    return state, ("row", find_id(state, account_id))


# What happens around the stores, and what only the invariants need to know. `exploration` and
# `random_schedules` carry out those whose outcome is a choice.


def wait(state: State, ticks: int) -> tuple[State, Any]:
    """Let Redis's clock go on."""
    return state._replace(time=state.time + ticks), None


def set_clock_back(state: State, ticks: int) -> tuple[State, Any]:
    """Set PostgreSQL's clock to an earlier time."""
    return state._replace(clock=state.clock - ticks), None


def fail_over(state: State) -> tuple[State, Any]:
    """Go on with a Redis that is any earlier one."""
    return state, None


def restore_postgresql(state: State, raises_epochs: bool) -> tuple[State, Any]:
    """Go on with a PostgreSQL that is any earlier one."""
    return state, None


def repeat_write(state: State) -> tuple[State, Any]:
    """Let any write to Redis arrive a second time, or none."""
    return state, None


def respond(state: State, *token: Any) -> tuple[State, Any]:
    """Send a response in the middle of an operation: the token in it is handed out."""
    return state, None


def say_all_ended(state: State) -> tuple[State, Any]:
    """Mark the point from which everything that was handed out before has ended."""
    return state, None
