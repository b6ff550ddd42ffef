"""What sessions take in Redis: memory, the append-only file, and the time of a restart."""

import contextlib
import hashlib
import secrets
import time
from collections.abc import Iterable, Iterator

import redis

import embedded
from bench.accounts import LIFETIME, SPEC, fill_redis, packed
from bench.stores import Stores
from store.session_record import Session, SessionSpec, record_key, set_key

COUNT = 200_000
MILLION = 1_000_000
OTHER = SessionSpec("cellars")

Rows = list[tuple[str, str]]


def measure_memory(stores: Stores, name: str) -> Rows:
    """Measure records and sets apart, a second session of each account, and a million of all."""
    empty(stores)
    sizes = [memory(stores)]
    for spec in (SPEC, OTHER):
        sids = [secrets.token_hex(spec.sid_bytes) for _ in range(COUNT)]
        for commands in (records(sids, spec), names(sids, spec)):
            fill_redis(stores, name, commands)
            sizes.append(memory(stores))
    at_first, recorded, one, _, two = sizes
    fill_million(stores, name)
    info = patient(stores).info("memory")
    million = f"{(info['used_memory'] - at_first) / MILLION:.0f} B"
    return [
        ("a session: its record", f"{(recorded - at_first) / COUNT:.0f} B"),
        ("an account's set, with one session in it", f"{(one - recorded) / COUNT:.0f} B"),
        ("a further session of the same account", f"{(two - one) / COUNT:.0f} B"),
        ("an account with one session, of a million", million),
        ("the same, as the system sees it", f"{info['used_memory_rss'] / MILLION:.0f} B"),
    ]


def measure_files(stores: Stores, name: str, later: contextlib.ExitStack) -> Rows:
    """Measure the file of a million sessions and a restart from it, as it grew and rewritten."""
    found: Rows = []
    for how in ("as it grows, a command each", "rewritten"):
        client = patient(stores)
        client.config_set("auto-aof-rewrite-percentage", 0)
        begin_file(stores)
        fill_million(stores, name)
        if how == "rewritten":
            found.append(("pause for the fork of a rewrite, a million accounts", rewrite(stores)))
        size = client.info("persistence")["aof_current_size"] / MILLION
        found.append((f"append-only file, {how}: an account with one session", f"{size:.0f} B"))
        found.append(("restart from that, a million accounts: CPU time", restart(stores, later)))
    return found


def begin_file(stores: Stores) -> None:
    """Leave nothing, and begin a new append-only file with it."""
    client = patient(stores)
    client.config_set("appendonly", "no")
    empty(stores)
    client.config_set("appendonly", "yes")
    while _is_rewriting(client.info("persistence")):
        time.sleep(0.1)


def empty(stores: Stores) -> None:
    """Leave nothing; what is freed is freed by the time that this returns."""
    client = patient(stores)
    client.flushall(asynchronous=True)
    while client.info("memory")["lazyfree_pending_objects"]:
        time.sleep(0.1)


def rewrite(stores: Stores) -> str:
    """Have the file rewritten; return how long the fork held everybody up."""
    client = patient(stores)
    client.bgrewriteaof()
    while _is_rewriting(client.info("persistence")):
        time.sleep(0.1)
    return f"{client.info('stats')['latest_fork_usec'] / 1000:.0f} ms"


def _is_rewriting(state: dict[str, int]) -> bool:
    return bool(state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])


def restart(stores: Stores, later: contextlib.ExitStack) -> str:
    """Start Redis again and leave it running; return what reading its file took.

    In CPU time: one thread reads, and others on the machine don't count.
    """
    patient(stores).shutdown()
    later.enter_context(embedded.run_redis(stores.data, lambda _: None))
    used = patient(stores).info("cpu")
    return f"{used['used_cpu_user'] + used['used_cpu_sys']:.1f} s"


def fill_million(stores: Stores, name: str) -> None:
    """Leave a million accounts with a session each, and nothing else."""
    empty(stores)
    sids = [secrets.token_hex(SPEC.sid_bytes) for _ in range(MILLION)]
    fill_redis(stores, name, records(sids, SPEC))
    fill_redis(stores, name, names(sids, SPEC))


def records(sids: Iterable[str], spec: SessionSpec) -> Iterator[bytes]:
    """Write each session's record, as store/sessions.py does."""
    now, epoch = int(time.time()), time.time_ns() // 1000
    key = hashlib.sha256(b"any key").hexdigest()[:8]
    for number, sid in enumerate(sids, start=1):
        session = Session(sid, number, spec.dialect, spec.kind, epoch, key, now)
        yield packed("SET", record_key(sid), session.record(), "EX", str(LIFETIME))


def names(sids: Iterable[str], spec: SessionSpec) -> Iterator[bytes]:
    """Enter each session into its account's set."""
    ends = str(time.time() + LIFETIME)
    for number, sid in enumerate(sids, start=1):
        yield packed("ZADD", set_key(number), ends, spec.name(sid))
        yield packed("EXPIRE", set_key(number), str(LIFETIME + 86_400))


def patient(stores: Stores) -> redis.Redis:
    """Return a client that waits for what a million sessions take."""
    return redis.Redis.from_url(embedded.redis_url(stores.data), socket_timeout=60)


def memory(stores: Stores) -> int:
    """Return what Redis has allocated."""
    return int(patient(stores).info("memory")["used_memory"])
