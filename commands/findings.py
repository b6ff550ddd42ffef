"""What `check` reports of settings and stores, and `serve` logs at its start: facts, judged."""

import enum
import re
import resource
import stat
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from app import create_app, mail_options
from handlers import Conflict
from settings import Settings
from store.addresses import Network
from store.diagnostics import DatabaseFacts, RedisFacts
from store.redis.topology import has_credentials, is_on_loopback, is_on_socket
from store.schema import newest

OLDEST_POSTGRESQL = 13
OLDEST_REDIS = (6, 2)
FEWEST_FILES = 10_000
"""Open files: each client takes one."""
MOST_AHEAD = 1.0
"""Seconds between two clocks."""


class Level(enum.StrEnum):
    """How bad it is. Only what is WRONG changes the exit status."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    WRONG = "WRONG"


class Finding(NamedTuple):
    """One line of what is said."""

    level: Level
    what: str


def judge_settings(settings: Settings) -> Iterator[Finding]:
    """Say what the settings mean here."""
    mounted = ", ".join(f"{name} at {each.prefix}" for name, each in settings.dialects.items())
    try:
        create_app(settings)
        yield Finding(Level.OK, f"the dialects do not conflict: {mounted}")
    except Conflict as problem:
        yield Finding(Level.WRONG, f"DIALECTS: {problem}")
    if "kust" in settings.dialects:
        yield Finding(Level.NOTE, "in kust every account can read all accounts")
    yield from judge_secrets(settings)
    keys = len(settings.secret_keys)
    kept = (
        f"SECRET_KEYS: {keys} configured"
        if keys
        else "SECRET_KEYS: generated and stored in DATA_DIR"
    )
    yield Finding(Level.OK, kept)
    if settings.rate_limits == "off":
        yield Finding(Level.WARNING, "RATE_LIMITS is off: attempts are not counted")
    yield either(
        bool(settings.trusted_proxies) or _is_loopback(settings.host),
        "clients are distinguished by their addresses",
        f"TRUSTED_PROXIES is empty and HOST is {settings.host}: behind a load balancer, all "
        "clients would count as one",
    )
    yield from _judge_networks(settings)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield either(
        files == resource.RLIM_INFINITY or files >= FEWEST_FILES,
        f"{files} open files are allowed",
        f"only {files} open files are allowed, and each client takes one: raise `ulimit -n`",
    )


def judge_mail(settings: Settings) -> Finding:
    """Report whether this server sends mail."""
    if not settings.database_url and not settings.mail_url:
        return Finding(Level.OK, "MAIL_URL is not set: mail is written to DATA_DIR/mail")
    problem = mail_options(settings).problem if settings.database_url else None
    return either(
        problem is None,
        "the settings for mail are complete",
        f"no mail is sent, for addresses to verify or passwords to reset: {problem}",
        Level.NOTE,
    )


def judge_secrets(settings: Settings) -> Iterator[Finding]:
    """Report secrets that others may read, and stores that take anybody."""
    for file in (*settings.secret_files, Path(settings.data_dir) / "secret_key"):
        if _is_exposed(file):
            what = f"every user of this machine can read the secrets in {file}: run chmod o-r on it"
            yield Finding(Level.WRONG, what)
    url = settings.redis_url
    if url and not is_on_socket(url) and not has_credentials(url):
        where = (
            "every user of this machine"
            if is_on_loopback(url)
            else "anyone who can connect to Redis"
        )
        yield Finding(
            Level.WARNING if is_on_loopback(url) else Level.WRONG,
            f"REDIS_URL has no password: {where} can open sessions of any account",
        )
    if bool(url) != bool(settings.database_url):
        ours, store = ("DATABASE_URL", "PostgreSQL") if url else ("REDIS_URL", "Redis")
        yield Finding(
            Level.WARNING,
            f"{ours} is not set: the embedded {store} of DATA_DIR ({settings.data_dir}) is used",
        )


def _is_exposed(file: Path) -> bool:
    """Return whether a file is there, and others than its owner and group may read it."""
    try:
        path = file.resolve()
        reachable = all(each.stat().st_mode & stat.S_IXOTH for each in path.parents)
        return reachable and bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _judge_networks(settings: Settings) -> Iterator[Finding]:
    """Report networks that are too wide, and /metrics where a proxy could open it to everybody."""
    for network in settings.trusted_proxies:
        if _is_wide(network):
            yield Finding(
                Level.WRONG,
                f"TRUSTED_PROXIES contains {network}: a client in it can claim any address",
            )
    for network in settings.metrics_allow:
        if _is_wide(network):
            yield Finding(
                Level.WARNING, f"METRICS_ALLOW contains {network}: /metrics is nearly public"
            )
        for proxy in settings.trusted_proxies:
            if proxy.version == network.version and proxy.overlaps(network):
                yield Finding(
                    Level.NOTE,
                    f"METRICS_ALLOW {network} contains the trusted proxy {proxy}: without "
                    "X-Forwarded-For from it, its clients can read /metrics",
                )


def _is_wide(network: Network) -> bool:
    """Return whether a network has more addresses than one organisation."""
    return not network.is_private and network.prefixlen < (8 if network.version == 4 else 16)


def judge_database(facts: DatabaseFacts, settings: Settings) -> Iterator[Finding]:
    """Say whether this PostgreSQL will do."""
    yield either(
        facts.major >= OLDEST_POSTGRESQL,
        f"PostgreSQL {facts.version} responds",
        f"PostgreSQL {facts.version} is too old: {OLDEST_POSTGRESQL} or later is needed",
        Level.WRONG,
    )
    yield either(
        facts.is_primary and facts.is_writable,
        "PostgreSQL is a primary and accepts writes",
        f"PostgreSQL is {'read-only' if facts.is_primary else 'a standby'}: every login fails",
        Level.WRONG,
    )
    yield either(
        facts.is_durable,
        "PostgreSQL's commits are durable",
        "PostgreSQL can lose committed transactions (fsync or synchronous_commit is off): "
        "ended sessions could become valid again",
    )
    yield either(
        facts.isolation == "read committed",
        "PostgreSQL's default isolation level is read committed",
        f"default_transaction_isolation is {facts.isolation}: concurrent statements would fail; "
        "set read committed for this role or database",
        Level.WRONG,
    )
    if facts.problem:
        yield Finding(Level.WRONG, f"PostgreSQL cannot be used: {facts.problem}")
    else:
        yield _judge_schema(facts.schema, newest())
    yield _judge_connections(facts, settings.database_pool * settings.workers)
    yield _judge_clock("PostgreSQL", facts.ahead)


def _judge_connections(facts: DatabaseFacts, needed: int) -> Finding:
    if facts.is_pooled:
        what = f"DATABASE_POOL x WORKERS is {needed}, to a pooler, whose own limits apply"
        return Finding(Level.OK, what)
    return either(
        needed <= facts.connections,
        f"DATABASE_POOL x WORKERS is {needed}, of {facts.connections} connections",
        f"DATABASE_POOL x WORKERS is {needed}, and PostgreSQL allows {facts.connections} "
        "connections for this role",
        Level.WRONG,
    )


def judge_hashes(higher: int, others: int) -> Iterator[Finding]:
    """Say which hashes tell by the time of a refused login that there is an account."""
    tells = "a failed login can take longer than for an unknown name, until the next success"
    if higher:
        what = f"accounts with a hash of a higher cost than BCRYPT_ROUNDS: {higher}; {tells}"
        yield Finding(Level.WARNING, what)
    if others:
        what = f"accounts with another application's hash: {others}; {tells}"
        yield Finding(Level.NOTE, what)


def judge_redis(facts: RedisFacts | None, mode: str = "standalone") -> Iterator[Finding]:
    """Report whether this Redis will do; `mode` is what REDIS_URL takes it for."""
    if facts is None:
        yield Finding(
            Level.WARNING,
            "Redis does not let this user run INFO: its version, its role, its eviction policy "
            "and its append-only file are not checked",
        )
        return
    if facts.mode != mode:
        yield Finding(
            Level.WRONG,
            f"REDIS_URL names a server in {facts.mode} mode, and its scheme is for {mode} mode: "
            "see docs/settings.md for the schemes",
        )
        return
    version = tuple(int(part) for part in re.findall(r"\d+", facts.version)[:2])
    yield either(
        version >= OLDEST_REDIS,
        f"{facts.product} responds",
        f"Redis {facts.version} is too old: {'.'.join(map(str, OLDEST_REDIS))} or later is needed",
        Level.WRONG,
    )
    yield either(
        facts.is_primary,
        "Redis is a primary",
        "Redis is a replica: every login fails, and ended sessions may still be valid",
        Level.WRONG,
    )
    yield either(
        facts.policy == "noeviction",
        "Redis does not evict keys",
        f"Redis has maxmemory-policy {facts.policy}: evicting sessions logs users out; "
        "set noeviction",
    )
    yield either(
        facts.keeps,
        "Redis writes an append-only file",
        "Redis does not write an append-only file: a restart logs users out; set appendonly yes",
    )
    if facts.ahead is not None:
        yield _judge_clock("Redis", facts.ahead)


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


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def either(fits: bool, fine: str, otherwise: str, level: Level = Level.WARNING) -> Finding:
    """Return that all is well when it `fits`, else what is not."""
    return Finding(Level.OK, fine) if fits else Finding(level, otherwise)
