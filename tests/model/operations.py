"""The operations of the session protocol, step by step, as docs/session-protocol.md has them.

Each is a generator: it yields one command at a time, is sent the reply, and returns a Result. It
may be stopped between any two commands, by other operations or for good (a crash).
`Rules` has a switch for each rule that an invariant depends on; its defaults are the protocol.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from tests.model import stores
from tests.model.stores import (
    LIFETIMES,
    MOVED_AT,
    REVOKED,
    SINGLE_KINDS,
    Account,
    Command,
    Name,
    Record,
    record_key,
    set_key,
)

MAX_ATTEMPTS = 8


@dataclass(frozen=True)
class Rules:
    """The rules of the protocol. Each but `cap` can be switched off, to see what it is for."""

    cap: int = 100
    """Sessions for each account."""
    every_server_stops: bool = True
    """PostgreSQL is restored only while no operation is under way."""
    all_epochs_are_raised: bool = True
    """After that, every account's epoch is raised before the next operation."""

    record_before_name: bool = True
    """Opening writes the record first and registers its name second."""
    one_name_per_kind: bool = True
    """The script that registers a name looks for another one of its dialect and kind."""
    extending_creates_nothing: bool = True
    """Extending is EXPIRE, which does not change a missing or an ended record."""
    revoke_before_name: bool = True
    """A logout marks the record first and takes its name out second."""
    logout_leaves_tombstone: bool = True
    """A logout marks the record as revoked; else it deletes it."""
    surplus: Literal["brief tombstone", "tombstone", "deleted", "dropped in the script"] = (
        "brief tombstone"
    )
    """What becomes of sessions past the cap."""
    new_session_is_spared: bool = True
    """Sessions past the cap are never the one that was opened just now."""
    older_record_is_replaced: bool = True
    """A login that meets the record of an older epoch takes its name out and opens another."""
    newer_record_restarts: bool = True
    """A login that meets the record of a newer epoch reads the account again."""
    login_verifies_again: bool = True
    """A login that reads the account again goes on only if the password is still the one it had."""
    drops_newer_after_restore: bool = True
    """If the account read again is still older, PostgreSQL went back: the name is taken out."""
    epoch_decides: bool = True
    """A session is live only if it has the account's present epoch."""
    early_row_refuses: bool = False
    """A row that was read before the record also refuses; else it is read again then."""
    early_row_is_compared: bool = True
    """A row that was read before the record is compared with it."""
    early_row_of_known: bool = True
    """The row is read first only for a session whose record was there before the request."""
    names_taken_out: Literal["dead", "all"] = "dead"
    """What ends all sessions takes out the names of dead records; else all that it read."""
    change_compares_epoch: bool = True
    """A new password is written only under the epoch that the request was authenticated under."""
    kept_session_is_live: bool = True
    """The session that the account's row keeps under its present epoch is live."""
    kept_under_one_epoch: bool = True
    """It is kept under the epoch that it is named with, and under no later one."""
    keeping_compares_epoch: bool = True
    """A session is kept only under the epoch that the request was authenticated under."""
    kept_session_may_write: bool = True
    """The session that is kept may write under an epoch that was raised to keep it."""
    login_returns_kept: bool = True
    """A login that meets the record of the session that is kept returns it."""
    kept_record: Literal["moved", "written", "left", "revoked"] = "moved"
    """What the clean-up does to the record of the session that was kept: give it the new epoch."""
    epoch_from_clock: bool = True
    """Epochs come from PostgreSQL's clock; else they are counted from 0."""

    strict: bool = True
    """A superseded refresh token is refused (`blacklist_after_rotation`); an option, no rule."""
    rotation: Literal["script", "read, then written", "creates", "revives"] = "script"
    """A rotation is one script, which changes only a record that exists and is not revoked."""
    grace: Literal["same", "another", "none"] = "same"
    """What the token that was rotated last gets within the grace: the same successor."""
    superseded_rotates: bool = False
    """A token of an older generation is rotated like the current one."""
    superseded_repeats: bool = False
    """A token of an older generation gets the newest successor, whenever it comes."""
    reuse_ends_family: bool = True
    """A superseded token ends its family; else it is only refused."""
    refresh_reads_generation: bool = True
    """A refresh without rotation refuses a superseded token."""
    newer_rotates: bool = True
    """A token that is newer than the record, from which Redis lost a rotation, is rotated."""
    rotation_extends_name: bool = True
    """A rotation extends the name in the set, and the set, before the record."""
    sid_from_jti: bool = True
    """The family of an old back end's token is derived from the token's id; else it is random."""
    take_over_is_new: bool = True
    """Taking over writes the record only where there is none."""
    take_over_compares_epoch: bool = True
    """An old back end's token counts only while its account's epoch is from before the move."""
    epoch_refuses_family: bool = False
    """A family that was taken over is refused, too, once its account's epoch was raised."""
    take_over_ends: bool = True
    """Such tokens are accepted for one lifetime after the move."""
    take_over_registers: bool = True
    """A refresh with such a token registers the name, also where the record was there."""
    blacklist_opens: bool = True
    """The end of an old back end's token opens its family first, so that it has a tombstone."""
    surplus_of_old: Literal["tombstone", "brief tombstone"] = "tombstone"
    """What becomes of families past the cap that were taken over."""

    def __str__(self) -> str:
        return "the rules"


PROTOCOL = Rules()


class Token(NamedTuple):
    """A token that a client has: its session's name, and the account."""

    dialect: str
    kind: str
    sid: str
    account_id: int

    @property
    def name(self) -> Name:
        return Name(self.dialect, self.kind, self.sid)


@dataclass(frozen=True)
class Step:
    """An operation of a scenario, and what it is given. Not every operation looks at everything."""

    operation: str
    dialect: str = "A"
    kind: str = "token"
    password: int = 0
    username: str = "ann"
    account_id: int = 1
    token: Token | None = None
    ticks: tuple[int, ...] = ()
    generation: int = 0
    """Of the refresh token of a family of JWTs."""

    @property
    def account(self) -> int:
        """The id of the account that it works on."""
        return self.token.account_id if self.token else self.account_id


class Result(NamedTuple):
    """What an operation returned. With `sid`, which session it is about."""

    outcome: str
    sid: str = ""
    account_id: int = 0
    rotation: tuple[int, int, int] | None = None
    """The generation that was rotated, and that of its successor, with its time."""


OLD = Token("A", "jwt", "old1", 1)
"""What an old back end's refresh token stands for: the family whose sid is derived from its id."""
OLD_B = Token("B", "jwt", "old2", 1)
OLD_TOKENS = (OLD, OLD_B)
OLD_SIDS = frozenset(token.sid for token in OLD_TOKENS)
PERSONS = {1: "ann"}
"""Whom the old back end issued its tokens to, by id."""

REFUSED = Result("refused")
UNAUTHORIZED = Result("401")
ALL_ENDED = Result("all ended")
OTHERS_ENDED = Result("others ended")
BUSY = Result("busy")
OK = Result("ok")
NEW_IDENTITY = "new identity"
"""The result from which an open starts again when its account does not exist yet."""

Operation = Generator[Command, Any, Result]
Reading = Generator[Command, Any, Any]


def is_kept(rules: Rules, sid: str, account: Account) -> bool:
    """Return whether an account's row keeps this session under its present epoch."""
    if account.kept is None or not rules.kept_session_is_live:
        return False
    epoch, kept = account.kept
    return kept == sid and (epoch == account.epoch or not rules.kept_under_one_epoch)


def verdict(rules: Rules, sid: str, record: Any, account: Account | None) -> str:
    """Return "live", "inactive" or "401" for a session. Activity is judged before the epoch."""
    if record is None or record == REVOKED or account is None:
        return "401"
    if not account.is_active:
        return "inactive"
    if record.epoch == account.epoch or not rules.epoch_decides:
        return "live"
    return "live" if is_kept(rules, sid, account) else "401"


def looked_up(rules: Rules, token: Token) -> Reading:
    """Read the record, then the row. Return both and the verdict."""
    record = yield (stores.get, record_key(token.sid))
    if record is None or record == REVOKED:
        return record, None, "401"
    account = yield (stores.account_by_id, record.account_id)
    return record, account, verdict(rules, token.sid, record, account)


def authenticated(rules: Rules, token: Token) -> Reading:
    """Return the account of a token and the verdict. Either of record and row is read first.

    A row that was read first only accepts. If it does not, it is read again, after the record.
    """
    first, found = yield (stores.read_either, token.sid, token.account_id)
    record = found if first == "record" else (yield (stores.get, record_key(token.sid)))
    if record is None or record == REVOKED:
        return None, "401"
    if first == "row":
        compares = rules if rules.early_row_is_compared else replace(rules, epoch_decides=False)
        early = verdict(compares, token.sid, record, found)
        if early == "live" or rules.early_row_refuses:
            return found, early
    account = yield (stores.account_by_id, record.account_id)
    return account, verdict(rules, token.sid, record, account)


def confirmed(rules: Rules, token: Token) -> Reading:
    """Authenticate a request, and its session again directly before a statement."""
    account, found = yield from authenticated(rules, token)
    if found == "live":
        _, account, found = yield from looked_up(rules, token)
    return account, found


# Opening


def open_session(
    rules: Rules,
    pid: str,
    step: Step,
    account: Account,
    read_again: Callable[[], Reading],
    *,
    reuse: bool = True,
) -> Operation:
    """Return the account's session of this dialect and kind, or a new one.

    `read_again` reads once more what entitles to it, and returns None when nothing does.
    """
    dialect, kind, lifetime = step.dialect, step.kind, LIFETIMES[step.kind]
    unique = reuse and kind in SINGLE_KINDS
    for attempt in range(1, MAX_ATTEMPTS + 1):
        key, registered = set_key(account.id), None
        if unique:
            names = yield (stores.list_names, key)
            alike = [(ends, name) for name, ends in names if name[:2] == (dialect, kind)]
            registered = max(alike)[1] if alike else None
        if registered is None:
            own = Name(dialect, kind, f"{pid}.{attempt}")
            registered = yield from _write_and_register(rules, account, own, unique)
            if registered == own:
                return Result("token", own.sid, account.id)
            yield (stores.delete, record_key(own.sid))
        yield (stores.extend_name, key, registered, lifetime)
        record = yield (stores.get_and_extend, record_key(registered.sid), lifetime)
        if record is not None and record != REVOKED:
            if record.epoch == account.epoch or not rules.older_record_is_replaced:
                return Result("token", registered.sid, account.id)
            if record.epoch > account.epoch and rules.newer_record_restarts:
                again = yield from read_again()
                if again is None:
                    return REFUSED
                if again == NEW_IDENTITY:
                    return Result(NEW_IDENTITY)
                account = again
                if not (rules.drops_newer_after_restore and record.epoch > account.epoch):
                    continue
            if rules.login_returns_kept and is_kept(rules, registered.sid, account):
                return Result("token", registered.sid, account.id)
        yield (stores.take_out, key, (registered,))
    return BUSY


def _write_and_register(rules: Rules, account: Account, own: Name, unique: bool) -> Reading:
    """Write a new session; return the set's name of its kind, its own or another's."""
    key, lifetime = set_key(account.id), LIFETIMES[own.kind]
    record = Record(account.id, account.epoch, account.person)
    write = (stores.set_new, record_key(own.sid), record, lifetime)
    if rules.record_before_name:
        yield write
    unique = unique and rules.one_name_per_kind
    registered, surplus = yield _register(rules, key, own, unique)
    if not rules.record_before_name:
        yield write
    yield from _end_surplus(rules, key, surplus)
    return registered


def _register(rules: Rules, key: str, name: Name, unique: bool) -> Command:
    return (
        stores.register,
        key,
        name,
        LIFETIMES[name.kind],
        rules.cap,
        unique,
        rules.new_session_is_spared,
        rules.surplus == "dropped in the script",
    )


def _end_surplus(rules: Rules, key: str, surplus: tuple[Name, ...]) -> Reading:
    """Revoke the sessions past the cap, then take their names out."""
    for name in surplus:
        if rules.surplus_of_old == "tombstone" and name.sid in OLD_SIDS:
            yield (stores.revoke, record_key(name.sid), None)
        elif rules.surplus == "brief tombstone":
            yield (stores.revoke_briefly, record_key(name.sid))
        elif rules.surplus == "deleted":
            yield (stores.delete, record_key(name.sid))
        else:
            yield (stores.revoke, record_key(name.sid), None)
    if surplus and rules.surplus != "dropped in the script":
        yield (stores.take_out, key, surplus)


def log_in(rules: Rules, pid: str, step: Step, *, reuse: bool = True) -> Operation:
    """Verify the password and open a session under the epoch that was read with the hash."""

    def verify() -> Reading:
        account = yield (stores.account_by_username, step.username)
        right = account is not None and account.is_active and account.password == step.password
        return account if right else None

    def read_again() -> Reading:
        if rules.login_verifies_again:
            return (yield from verify())
        return (yield (stores.account_by_username, step.username))

    account = yield from verify()
    if account is None:
        return REFUSED
    return (yield from open_session(rules, pid, step, account, read_again, reuse=reuse))


def log_in_again(rules: Rules, pid: str, step: Step) -> Operation:
    """Log in under `sessions=per-login`: each login opens one more session."""
    return (yield from log_in(rules, pid, step, reuse=False))


def refresh(rules: Rules, pid: str, step: Step) -> Operation:
    """Open a session on the strength of a refresh token."""
    assert step.token is not None

    def read_again() -> Reading:
        account, found = yield from authenticated(rules, step.token)
        return account if found == "live" else None

    account = yield from read_again()
    if account is None:
        return UNAUTHORIZED
    return (yield from open_session(rules, pid, step, account, read_again))


def register_account(rules: Rules, pid: str, step: Step) -> Operation:
    """Take an id and an epoch, open the session, insert the account last."""

    def read_again() -> Reading:
        return NEW_IDENTITY
        yield

    for attempt in "abcd":
        account_id, epoch = yield (stores.new_identity, rules.epoch_from_clock)
        person = f"{step.username}@{pid}{attempt}"
        account = Account(account_id, step.username, epoch, True, step.password, person)
        opened = yield from open_session(rules, pid + attempt, step, account, read_again)
        if opened.outcome == NEW_IDENTITY:
            continue
        if opened.outcome != "token":
            return opened
        if (yield (stores.insert, account)) != "OK":
            return Result("taken")
        yield (stores.respond,)
        return opened
    return BUSY


# Reading


def use(rules: Rules, pid: str, step: Step) -> Operation:
    """Authenticate a request, then extend the session: its name first, its record second."""
    account, found = yield from authenticated(rules, step.token)
    if found != "live":
        return Result(found, step.token.sid)
    if step.token.kind == "token":
        lifetime, key = LIFETIMES["token"], record_key(step.token.sid)
        yield (stores.extend_name, set_key(account.id), step.token.name, lifetime)
        if rules.extending_creates_nothing:
            yield (stores.expire, key, lifetime)
        else:
            record = Record(account.id, account.epoch, account.person)
            yield (stores.set_again, key, record, lifetime)
    return Result("used", step.token.sid)


def authenticate(rules: Rules, pid: str, step: Step) -> Operation:
    """Authenticate a request."""
    _, found = yield from authenticated(rules, step.token)
    return Result("used" if found == "live" else found, step.token.sid)


# Families of JWTs


def refresh_jwt(rules: Rules, pid: str, step: Step) -> Operation:
    """Refresh without rotation: a new access token of the family. It writes nothing."""
    record, _, found = yield from looked_up(rules, step.token)
    if found == "live" and _is_superseded(rules, step, record):
        found = "superseded"
    return Result("used" if found == "live" else found, step.token.sid)


def _is_superseded(rules: Rules, step: Step, record: Record) -> bool:
    """Return whether a refresh token that is not rotated was rotated before, be it just now."""
    return rules.strict and rules.refresh_reads_generation and step.generation < record.generation


def rotate(rules: Rules, pid: str, step: Step) -> Operation:
    """Refresh with rotation: authenticate, extend the name, then rotate the record."""
    record, account, found = yield from looked_up(rules, step.token)
    if found != "live":
        return UNAUTHORIZED
    if rules.rotation_extends_name:
        name = step.token.name
        yield (stores.extend_name, set_key(account.id), name, LIFETIMES["jwt"])
    return (yield from _rotate(rules, step, step.token, record))


def _rotate(rules: Rules, step: Step, token: Token, read: Record) -> Operation:
    key = record_key(token.sid)
    reply = yield (stores.rotate, key, step.generation, LIFETIMES["jwt"], rules, read)
    if reply is None or reply == "reused":
        yield (stores.take_out, set_key(token.account_id), (token.name,))
        return UNAUTHORIZED
    return Result("rotated", token.sid, token.account_id, (step.generation, *reply))


def rotate_twice(rules: Rules, pid: str, step: Step) -> Operation:
    """Rotate, hand the successor out, rotate that."""
    first = yield from rotate(rules, pid, step)
    if first.outcome != "rotated":
        return first
    yield (stores.respond, step.token, first.rotation)
    return (yield from rotate(rules, pid, replace(step, generation=first.rotation[1])))


def take_over(rules: Rules, pid: str, step: Step) -> Operation:
    """Refresh by an old back end's token, with rotation."""
    token = step.token if rules.sid_from_jti else step.token._replace(sid=pid)
    record, account, found = yield from _opened(rules, token)
    if found != "live":
        return Result(found)
    yield from _enter(rules, token, account)
    return (yield from _rotate(rules, step, token, record))


def refresh_old(rules: Rules, pid: str, step: Step) -> Operation:
    """Refresh by an old back end's token, without rotation: the client keeps it."""
    record, account, found = yield from _opened(rules, step.token)
    if found != "live":
        return Result(found)
    yield from _enter(rules, step.token, account)
    if _is_superseded(rules, step, record):
        return Result("superseded")
    return Result("token", step.token.sid, account.id)


def _opened(rules: Rules, token: Token) -> Reading:
    """Open the family of an old back end's token if there is none; authenticate the token.

    The sid is derived from the token's own id, so all requests with it meet in one record. The
    account is read before that: if it has changed since the move, a family that counts has its
    record already.
    """
    account = yield (stores.account_by_id, token.account_id)
    if account is None:
        return None, None, "401"
    changed = account.epoch > MOVED_AT
    if not (changed and rules.take_over_compares_epoch):
        record = Record(account.id, account.epoch, PERSONS[token.account_id])
        yield (
            stores.take_over,
            record_key(token.sid),
            record,
            LIFETIMES["jwt"],
            rules.take_over_ends,
            rules.take_over_is_new,
        )
    if changed and rules.epoch_refuses_family:
        return None, account, "401"
    return (yield from looked_up(rules, token))


def _enter(rules: Rules, token: Token, account: Account) -> Reading:
    """Register the name of an old token's family: the request that opened it may have crashed."""
    key = set_key(account.id)
    if rules.take_over_registers:
        _, surplus = yield _register(rules, key, token.name, unique=False)
        yield from _end_surplus(rules, key, surplus)
    else:
        yield (stores.extend_name, key, token.name, LIFETIMES["jwt"])


def blacklist(rules: Rules, pid: str, step: Step) -> Operation:
    """End a family by its refresh token; that of an old back end's is opened first."""
    if step.token.sid in OLD_SIDS and rules.blacklist_opens:
        found = (yield from _opened(rules, step.token))[2]
        if found != "live":
            return Result(found)
    return (yield from log_out(rules, pid, step))


# Ending


def log_out(rules: Rules, pid: str, step: Step) -> Operation:
    """End one session: mark its record, then take its name out."""
    token, key = step.token, record_key(step.token.sid)
    mark = (stores.revoke, key, None) if rules.logout_leaves_tombstone else (stores.delete, key)
    forget = (stores.take_out, set_key(token.account_id), (token.name,))
    first, second = (mark, forget) if rules.revoke_before_name else (forget, mark)
    yield first
    yield second
    return Result("logged out", token.sid)


def log_in_and_out(rules: Rules, pid: str, step: Step) -> Operation:
    """Log in, hand the token out, log out."""
    opened = yield from log_in(rules, pid, step)
    if opened.outcome != "token":
        return opened
    token = Token(step.dialect, step.kind, opened.sid, opened.account_id)
    yield (stores.respond, token)
    return (yield from log_out(rules, pid, Step("log_out", token=token)))


def _clean_up(rules: Rules, account_id: int, epoch: int, keeper: Account | None = None) -> Reading:
    """Revoke what the set names if its epoch is older, and take out the names of dead records.

    `keeper` is the row that was written to keep a session: its record gets the new epoch instead.
    """
    kept = keeper.kept[1] if keeper and keeper.kept and rules.kept_record != "revoked" else None
    names, dead = (yield (stores.list_names, set_key(account_id))), []
    if kept and rules.kept_record == "moved":
        yield (stores.move, record_key(kept), epoch)
    elif kept and rules.kept_record == "written":
        record = Record(account_id, epoch, keeper.person)
        yield (stores.set_again, record_key(kept), record, LIFETIMES["token"])
    for name, _ in names:
        if name.sid == kept:
            continue
        reply = yield (stores.revoke, record_key(name.sid), epoch)
        if reply != "not older" or rules.names_taken_out == "all":
            dead.append(name)
    if dead:
        yield (stores.take_out, set_key(account_id), tuple(dead))


def _raise(
    rules: Rules,
    account: Account,
    token: Token,
    password: int | None = None,
    is_active: bool | None = None,
    *,
    compares: bool = True,
    keeps: bool = False,
) -> Reading:
    """Raise the epoch of a caller's account, under what its session was authenticated under."""
    return (
        yield (
            stores.raise_epoch,
            account.id,
            account.epoch if compares else None,
            password,
            is_active,
            rules.epoch_from_clock,
            token.sid if rules.kept_session_may_write else None,
            token.sid if keeps else None,
        )
    )


def _end_all(rules: Rules, account_id: int) -> Operation:
    row = yield (stores.raise_epoch, account_id, None, None, None, rules.epoch_from_clock)
    if row is None:
        return UNAUTHORIZED
    yield from _clean_up(rules, account_id, row.epoch)
    return ALL_ENDED


def end_all(rules: Rules, pid: str, step: Step) -> Operation:
    """End all sessions of an account, as an operator."""
    return (yield from _end_all(rules, step.account_id))


def log_out_everywhere(rules: Rules, pid: str, step: Step) -> Operation:
    """End all sessions of the caller (logoutall), under the epoch of the caller's session."""
    account, found = yield from authenticated(rules, step.token)
    if found != "live":
        return UNAUTHORIZED
    row = yield from _raise(rules, account, step.token)
    if row is None:
        return UNAUTHORIZED
    yield from _clean_up(rules, row.id, row.epoch)
    return ALL_ENDED


def end_others(rules: Rules, pid: str, step: Step) -> Operation:
    """End all sessions of the account but the caller's, with another password if one is given."""
    read = confirmed if step.password else authenticated
    account, found = yield from read(rules, step.token)
    if found != "live":
        return UNAUTHORIZED
    row = yield from _raise(
        rules,
        account,
        step.token,
        step.password or None,
        compares=rules.keeping_compares_epoch,
        keeps=True,
    )
    if row is None:
        return UNAUTHORIZED
    yield from _clean_up(rules, row.id, row.epoch, row)
    return OTHERS_ENDED


def disable(rules: Rules, pid: str, step: Step) -> Operation:
    """Disable an account, as an operator or as its caller. Its records do not change."""
    if step.token:
        account, found = yield from confirmed(rules, step.token)
        if found != "live":
            return UNAUTHORIZED
        row = yield from _raise(rules, account, step.token, is_active=False)
    else:
        clock = rules.epoch_from_clock
        row = yield (stores.raise_epoch, step.account_id, None, None, False, clock)
    return ALL_ENDED if row else UNAUTHORIZED


def enable(rules: Rules, pid: str, step: Step) -> Operation:
    """Enable an account, which raises its epoch too."""
    yield (stores.raise_epoch, step.account_id, None, None, True, rules.epoch_from_clock)
    return OK


def delete_account(rules: Rules, pid: str, step: Step) -> Operation:
    """Delete an account, then revoke what its set names."""
    yield (stores.delete_account, step.account_id)
    yield from _clean_up(rules, step.account_id, 10**9)
    return ALL_ENDED


def change_password(rules: Rules, pid: str, step: Step) -> Operation:
    """Set a password and raise the epoch in one statement, clean up, and open a session."""
    account, found = yield from confirmed(rules, step.token)
    if found != "live":
        return Result(found)
    compares = rules.change_compares_epoch
    row = yield from _raise(rules, account, step.token, step.password, compares=compares)
    if row is None:
        return UNAUTHORIZED
    yield from _clean_up(rules, row.id, row.epoch)
    yield (stores.say_all_ended,)

    def read_again() -> Reading:
        again = yield (stores.account_by_id, row.id)
        own = again is not None and again.is_active and again.password == step.password
        return again if own else None

    opened = yield from open_session(rules, pid, step, row, read_again)
    return Result("changed, no session") if opened == REFUSED else opened


def end_unlisted(rules: Rules, pid: str, step: Step) -> Operation:
    """End the set's sessions under a key that is no longer listed, after a login.

    Here these are the sessions of one dialect.
    """
    key = set_key(step.account_id)
    for name, _ in (yield (stores.list_names, key)):
        if name.dialect == step.dialect:
            record = yield (stores.get, record_key(name.sid))
            if record is not None and record != REVOKED:
                yield (stores.revoke, record_key(name.sid), None)
                yield (stores.take_out, key, (name,))
    return OK


# What happens around them


def wait(rules: Rules, pid: str, step: Step) -> Operation:
    for ticks in step.ticks:
        yield (stores.wait, ticks)
    return OK


def fail_over(rules: Rules, pid: str, step: Step) -> Operation:
    yield (stores.fail_over,)
    return OK


def restore_postgresql(rules: Rules, pid: str, step: Step) -> Operation:
    yield (stores.restore_postgresql, rules.all_epochs_are_raised)
    return OK


def set_clock_back(rules: Rules, pid: str, step: Step) -> Operation:
    yield (stores.set_clock_back, *step.ticks)
    return OK


def repeat_write(rules: Rules, pid: str, step: Step) -> Operation:
    yield (stores.repeat_write,)
    return OK


OPERATIONS: dict[str, Callable[[Rules, str, Step], Operation]] = {
    operation.__name__: operation
    for operation in (
        log_in,
        log_in_again,
        refresh,
        register_account,
        use,
        authenticate,
        refresh_jwt,
        rotate,
        rotate_twice,
        take_over,
        refresh_old,
        blacklist,
        log_out,
        log_in_and_out,
        end_all,
        end_others,
        log_out_everywhere,
        disable,
        enable,
        delete_account,
        change_password,
        end_unlisted,
        wait,
        fail_over,
        restore_postgresql,
        set_clock_back,
        repeat_write,
    )
}
ENDING_ALL = frozenset(
    {"end_all", "end_others", "log_out_everywhere", "disable", "delete_account", "change_password"}
)
"""They end all sessions of an account; `end_others` all but one."""
OPENING = frozenset(
    {
        "log_in",
        "log_in_again",
        "refresh",
        "register_account",
        "change_password",
        "take_over",
        "refresh_old",
    }
)
HANDING_OUT = OPENING | {"rotate", "rotate_twice"}
"""What returns a token of a session that it opens or rotates."""
DISTURBING = ENDING_ALL | {
    "enable",
    "log_out",
    "log_in_and_out",
    "blacklist",
    "end_unlisted",
    "wait",
    "fail_over",
    "restore_postgresql",
    "set_clock_back",
    "repeat_write",
}
"""What may end a session while it is opened, so that the token may rightly be dead."""


def start(rules: Rules, pid: str, step: Step) -> Operation:
    return OPERATIONS[step.operation](rules, pid, step)


def may_end(rules: Rules, step: Step, token: Token) -> bool:
    """Return whether an operation may end the session of a token."""
    if step.operation == "end_others" and step.token == token:
        return False
    if step.operation in ENDING_ALL or step.operation == "enable":
        return token.account_id == step.account
    if step.operation in ("log_out", "blacklist"):
        return token == step.token
    if step.operation == "log_in_and_out":
        return token.name[:2] == (step.dialect, step.kind)
    if step.operation == "end_unlisted":
        return token.dialect == step.dialect
    if step.operation in OPENING and rules.cap < 50:
        return True
    return step.operation in ("wait", "fail_over", "restore_postgresql")


def disturbs(rules: Rules, step: Step) -> bool:
    small = rules.cap < 50
    return step.operation in DISTURBING or (step.operation in OPENING and small)
