"""What an answer's time tells of a login or a reset: not whether there is such an account.

That tokens are compared in constant time is shown in tests/store/test_tokens.py.
"""

import itertools
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import bcrypt
import psycopg2
import pytest
import redis
from argon2 import PasswordHasher

from app import create_app
from mail import sender
from settings import read_settings
from store.foreign_hashes import NATIVE
from store.passwords import Passwords
from store.postgresql.database import Database
from tests.faults.crowd import Line, MakeClient, on, post
from tests.handlers.dialects.each_dialect import DIALECT_CALLS
from tests.program import registration

OUTCOMES = {
    "unknown": ("nobody", "right"),
    "wrong": ("active", "wrong"),
    "inactive": ("gone", "right"),
}
"""Which account asks, with which password."""
DIALECTS = list(DIALECT_CALLS)


@pytest.fixture
async def port(
    aiohttp_client: MakeClient,
    stores: tuple[str, str],
    database: "psycopg2.extensions.connection",
    clean: None,
    rounds: int,
) -> int:
    """A server where one account is active and one is not."""
    settings = read_settings(on(stores, BCRYPT_ROUNDS=f"{rounds}"))
    port = (await aiohttp_client(create_app(settings))).port
    line = await Line.open(port)
    for name in ("active", "gone"):
        new = json.dumps(registration(name, "right")).encode()
        assert (await line.ask(post("/account/register", new))).status == 200
    await line.close()
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false where username = 'gone'")
    return port


def login(dialect: str, outcome: str) -> bytes:
    name, password = OUTCOMES[outcome]
    by = DIALECT_CALLS[dialect].logs_in_by[0]
    fields = {by: registration(name)[by], "password": password}
    return post(DIALECT_CALLS[dialect].login.split()[1], json.dumps(fields).encode())


@pytest.mark.parametrize("rounds", [4])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_refused_logins_do_the_same_work(
    port: int, dialect: str, redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
):
    """Unknown, wrong or inactive: one bcrypt, one statement, and nothing of Redis."""
    line, work = await Line.open(port), {}
    hashed, asked = counted(monkeypatch, bcrypt, "checkpw"), counted(monkeypatch, Database, "_run")
    for outcome in OUTCOMES:
        hashed.clear()
        asked.clear()
        before = redis_client.info()["total_commands_processed"]
        reply = await line.ask(login(dialect, outcome))
        assert reply.status in (400, 401)
        commands = redis_client.info()["total_commands_processed"] - before - 1
        costs = {int(kept.split(b"$")[2]) for _, kept in hashed}
        work[outcome] = len(hashed), costs, [sql for _, sql, *_ in asked], commands
    await line.close()
    [one] = {repr(each) for each in work.values()}
    calls, costs, statements, commands = work["unknown"]
    assert (calls, costs, len(statements), commands) == (1, {4}, 1, 0), one


@pytest.mark.parametrize("rounds", [4])
async def test_reset_requests_do_the_same_work(
    aiohttp_client: MakeClient,
    stores: tuple[str, str],
    port: int,
    redis_client: "redis.Redis",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """With an account or without: one INSERT, and as many commands of Redis. The sender waits."""
    monkeypatch.setattr(sender, "WAKE_SECONDS", (60.0, 60.0))
    monkeypatch.setattr(sender, "POLL_SECONDS", 60.0)
    mail = {"MAIL_URL": f"file:{tmp_path}", "PUBLIC_URL": "https://accounts.example"}
    settings = read_settings(on(stores, RATE_LIMITS="on", **mail))
    line = await Line.open((await aiohttp_client(create_app(settings))).port)
    request = {
        name: post("/v1/password-resets", json.dumps({"email": f"{name}@example.com"}).encode())
        for name in ("warm-up", "active", "nobody", "gone")
    }
    await line.ask(request.pop("warm-up"))
    asked, work = counted(monkeypatch, Database, "_run"), []
    for each in request.values():
        asked.clear()
        before = redis_client.info()["total_commands_processed"]
        reply = await line.ask(each)
        assert reply.status == 202
        commands = redis_client.info()["total_commands_processed"] - before - 1
        work.append((commands, [sql for _, sql, *_ in asked]))
    await line.close()
    commands, [statement] = work[0]
    assert commands > 0
    assert str(statement).startswith("insert into mail")
    assert work == [work[0]] * 3


def counted(patch: pytest.MonkeyPatch, owner: object, name: str) -> list[tuple[object, ...]]:
    """Have the calls of a function counted: return a list to which their arguments go."""
    calls: list[tuple[object, ...]] = []
    really = getattr(owner, name)
    patch.setattr(owner, name, lambda *given: calls.append(given) or really(*given))
    return calls


MOST_TRIES = 300


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [8])
async def test_refused_logins_take_the_same_time(port: int):
    """Medians over a hundred of each, in any order, are within a twentieth of one another.

    Over all dialects; those of each one, where there is a fifth of the tries, within a tenth. More
    are made for as long as they are not: what is left in the end is no noise of the machine's.
    """
    line = await Line.open(port)
    requests = [(name, each, login(name, each)) for name in DIALECTS for each in OUTCOMES]
    seconds: dict[tuple[str, str], list[float]] = {(name, each): [] for name, each, _ in requests}
    for tries in range(1, MOST_TRIES + 1):
        random.shuffle(requests)  # what follows upon what must not matter
        for name, each, request in requests:
            begun = time.perf_counter()
            await line.ask(request)
            seconds[name, each].append(time.perf_counter() - begun)
        if tries >= 100 and tries % 50 == 0:
            in_one = max(spread([name], seconds) for name in DIALECTS)
            in_all = spread(DIALECTS, seconds)
            if in_all < 0.05 and in_one < 0.1:
                break
    await line.close()
    assert in_all < 0.05
    assert in_one < 0.1


def spread(dialects: list[str], seconds: dict[tuple[str, str], list[float]]) -> float:
    """Say what the medians of some dialects are; return how far they are from one another."""
    medians = {
        each: statistics.median(itertools.chain(*(seconds[name, each] for name in dialects)))
        for each in OUTCOMES
    }
    said = ", ".join(f"{each} {1000 * median:.2f}" for each, median in medians.items())
    between = max(medians.values()) / min(medians.values()) - 1
    print(f"{' '.join(dialects)}: {said} ms, {100 * between:.1f} % between them")
    return between


CHEAP = {
    "of a lower cost": lambda: NATIVE + bcrypt.hashpw(b"x", bcrypt.gensalt(6)).decode(),
    "bare bcrypt of a lower cost": lambda: bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode(),
    "pbkdf2": lambda: "pbkdf2_sha256$5000$salt$" + "A" * 43 + "=",
    "scrypt": lambda: "scrypt:1024:8:1$salt$" + "0" * 128,
    "argon2": lambda: "argon2" + PasswordHasher(1, 1024, parallelism=1).hash("x"),
    "unusable": lambda: "!" + "x" * 40,
}


@pytest.mark.slow
@pytest.mark.parametrize("password", ["wrong", "a\0"])
@pytest.mark.parametrize("kept", CHEAP.values(), ids=CHEAP)
async def test_a_cheaper_hash_takes_as_long_as_none(kept: Callable[[], str], password: str):
    """In CPU time of the thread, so that a busy machine decides nothing; at most a tenth apart."""
    passwords, medians = Passwords(9, 1, 1000), []
    for each in (None, kept(), None, kept()):
        spent = []
        for _ in range(15):
            begun = await passwords._queue.run(time.thread_time)
            await passwords.verify(password, each)
            spent.append(await passwords._queue.run(time.thread_time) - begun)
        medians.append(statistics.median(spent))
    passwords.close()
    nobody, known = min(medians[0], medians[2]), min(medians[1], medians[3])
    print(f"nobody {1000 * nobody:.2f}, {1000 * known:.2f} ms")
    assert 0.9 < known / nobody < 1.1
