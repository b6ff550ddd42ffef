"""What `check` reports of the stores, and `serve` logs at its start."""

import re
from collections.abc import Iterator

from commands.console import count_of
from commands.findings import Finding, Level, either
from commands.naming import MAX_LISTED
from settings import Settings
from store.diagnostics import DatabaseDiagnostics, RedisDiagnostics
from store.refold import Survey
from store.schema import newest

OLDEST_POSTGRESQL = 13
OLDEST_REDIS = (6, 2)
MOST_AHEAD = 1.0
"""Seconds by which two clocks may differ."""


def judge_database(state: DatabaseDiagnostics, settings: Settings) -> Iterator[Finding]:
    """Report whether this PostgreSQL is fit."""
    yield either(
        state.major >= OLDEST_POSTGRESQL,
        f"PostgreSQL {state.version} responds",
        f"PostgreSQL {state.version} is too old: {OLDEST_POSTGRESQL} or later is needed",
        Level.WRONG,
    )
    yield either(
        state.is_primary and state.is_writable,
        "PostgreSQL is a primary and accepts writes",
        f"PostgreSQL is {'read-only' if state.is_primary else 'a standby'}: every login fails",
        Level.WRONG,
    )
    yield either(
        state.is_durable,
        "PostgreSQL's commits are durable",
        "PostgreSQL can lose committed transactions (fsync or synchronous_commit is off): "
        "ended sessions could become valid again",
    )
    yield either(
        state.isolation == "read committed",
        "PostgreSQL's default isolation level is read committed",
        f"default_transaction_isolation is {state.isolation}: concurrent statements would fail; "
        "set read committed for this role or database",
        Level.WRONG,
    )
    if state.problem:
        yield Finding(Level.WRONG, f"PostgreSQL cannot be used: {state.problem}")
    else:
        yield _judge_schema(state.schema, newest())
    yield _judge_connections(state, settings.database_pool * settings.workers)
    yield _judge_clock("PostgreSQL", state.ahead)


def _judge_connections(state: DatabaseDiagnostics, needed: int) -> Finding:
    if state.is_pooled:
        what = f"DATABASE_POOL x WORKERS is {needed}, to a pooler, whose own limits apply"
        return Finding(Level.OK, what)
    return either(
        needed <= state.connections,
        f"DATABASE_POOL x WORKERS is {needed}, of {state.connections} connections",
        f"DATABASE_POOL x WORKERS is {needed}, and PostgreSQL allows {state.connections} "
        "connections for this role",
        Level.WRONG,
    )


def judge_hashes(higher: int, others: int) -> Iterator[Finding]:
    """Report hashes by which the time of a failed login reveals that an account exists."""
    tells = "a failed login can take longer than for an unknown name, until the next success"
    if higher:
        what = f"accounts with a hash of a higher cost than BCRYPT_ROUNDS: {higher}; {tells}"
        yield Finding(Level.WARNING, what)
    if others:
        what = f"accounts with another application's hash: {others}; {tells}"
        yield Finding(Level.NOTE, what)


def judge_names(found: Survey) -> Iterator[Finding]:
    """Report accounts whose names need attention, and why."""
    odd = (
        (found.unseen, "a name with an invisible character, which new names cannot contain"),
        (found.unasked, "a name with surrounding white space: most dialects cannot match it"),
        (found.stale, "a name folded by an older release: run `account refold`"),
        (found.twins, "a name that another account has as well: rename one of the two"),
        (found.borrowed, "a username that is another account's e-mail: check who owns it"),
    )
    for accounts, what in odd:
        if accounts:
            listed = ", ".join(map(_ids, accounts[:MAX_LISTED]))
            more = ", …" if len(accounts) > MAX_LISTED else ""
            have = f"{count_of(len(accounts), 'account')} {'has' if len(accounts) == 1 else 'have'}"
            yield Finding(Level.WARNING, f"{have} {what} (ids {listed}{more})")
    if not any(accounts for accounts, _ in odd):
        yield Finding(Level.OK, "the names of all accounts are valid")


def _ids(account: int | tuple[int, int]) -> str:
    return str(account) if isinstance(account, int) else f"{account[0]} and {account[1]}"


def judge_redis(state: RedisDiagnostics | None, mode: str = "standalone") -> Iterator[Finding]:
    """Report whether this Redis is fit; `mode` is the mode that REDIS_URL is for."""
    if state is None:
        yield Finding(
            Level.WARNING,
            "Redis does not let this user run INFO: its version, its role, its eviction policy "
            "and its append-only file are not checked",
        )
        return
    if state.mode != mode:
        yield Finding(
            Level.WRONG,
            f"REDIS_URL names a server in {state.mode} mode, and its scheme is for {mode} mode: "
            "see docs/settings.md for the schemes",
        )
        return
    version = tuple(int(part) for part in re.findall(r"\d+", state.version)[:2])
    yield either(
        version >= OLDEST_REDIS,
        f"{state.product} responds",
        f"Redis {state.version} is too old: {'.'.join(map(str, OLDEST_REDIS))} or later is needed",
        Level.WRONG,
    )
    yield either(
        state.is_primary,
        "Redis is a primary",
        "Redis is a replica: every login fails, and ended sessions may still be valid",
        Level.WRONG,
    )
    yield either(
        state.policy == "noeviction",
        "Redis does not evict keys",
        f"Redis has maxmemory-policy {state.policy}: evicting sessions logs users out; "
        "set noeviction",
    )
    yield either(
        state.keeps,
        "Redis writes an append-only file",
        "Redis does not write an append-only file: a restart logs users out; set appendonly yes",
    )
    if state.ahead is not None:
        yield _judge_clock("Redis", state.ahead)


def _judge_schema(there: int | None, ours: int) -> Finding:
    if there is None:
        return Finding(Level.OK, "the database is empty: the first start creates its tables")
    if there < ours:
        return Finding(
            Level.WARNING,
            f"the schema version is {there}: the next start migrates it to {ours}",
        )
    return either(
        there == ours,
        f"the schema version is {there}, as this release requires",
        f"the schema version is {there}, of a newer release; this release's is {ours}",
    )


def _judge_clock(whose: str, ahead: float) -> Finding:
    far = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    return either(
        abs(ahead) <= MOST_AHEAD,
        f"{whose}'s clock agrees with this machine's",
        f"{whose}'s clock is {far}",
    )
