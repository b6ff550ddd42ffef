"""Floods of an attacker's: junk tokens, logins, bodies too large and bodies made to be slow."""

import asyncio
import json
import secrets
import socket
import time
from collections import Counter
from collections.abc import Iterator

import psycopg2
import pytest
import redis

from tests.faults.crowd import (
    Line,
    Readers,
    Reply,
    accounts,
    ask,
    get,
    megabytes,
    milliseconds,
    on,
    percentile,
    post,
)
from tests.handlers.dialects.each_dialect import DIALECT_CALLS
from tests.program import PASSWORD, Program

OURS = {"info", "client"}


@pytest.fixture(scope="module")
def server(stores: tuple[str, str]) -> Iterator[Program]:
    with Program(**on(stores)) as server:
        yield server.serve()


# Junk tokens


GUARDED = ("/lumotist/account/profile", "/kust/auth/users/me", "/fardel/api/auth/profile")
REFUSALS = {401, 422}
"""The second is fardel's."""


def junk() -> list[str]:
    """Return tokens that nobody was given: malformed, and well-formed but forged."""
    forged = [secrets.token_hex(20), secrets.token_hex(32), "0" * 40, "f" * 64]
    malformed = ["x", "0" * 39, "A" * 40, secrets.token_hex(20).upper(), "%00" * 13, "é" * 40]
    return forged * 2 + malformed


def asked_of_redis(client: "redis.Redis") -> Counter[str]:
    stats = client.info("commandstats").items()
    counts = Counter({name.removeprefix("cmdstat_"): each["calls"] for name, each in stats})
    return Counter({name: count for name, count in counts.items() if name not in OURS})


def asked_of_postgresql(cursor: "psycopg2.extensions.cursor") -> list[tuple[object, ...]]:
    """Return when each of the servers' connections last had anything to do."""
    cursor.execute(
        "select pid, query_start, state_change from pg_stat_activity "
        "where application_name = 'latchkey' order by pid"
    )
    return cursor.fetchall()


@pytest.mark.parametrize(
    "count", [2_000, pytest.param(200_000, marks=pytest.mark.slow)], ids=["some", "very many"]
)
async def test_junk_tokens_reach_neither_store(
    server: Program,
    redis_client: "redis.Redis",
    database: "psycopg2.extensions.connection",
    count: int,
):
    """Each is refused, and neither store was asked anything: both were looked at."""
    token = server.register(f"junk{count}")
    burst = 50

    async def flood(share: int) -> Counter[int]:
        line, answered = await Line.open(server.port), Counter[int]()
        for number in range(share // burst):
            tokens, path = junk(), GUARDED[number % len(GUARDED)]
            requests = (get(path, tokens[turn % len(tokens)]) for turn in range(burst))
            line.writer.write(b"".join(requests))
            answered.update([(await line.read()).status for _ in range(burst)])
        await line.close()
        return answered

    with database.cursor() as cursor:
        before = asked_of_redis(redis_client), asked_of_postgresql(cursor)
        begun = time.perf_counter()
        answered = sum(await asyncio.gather(*(flood(count // 10) for _ in range(10))), Counter())
        seconds = time.perf_counter() - begun
        after = asked_of_redis(redis_client), asked_of_postgresql(cursor)
        assert (await ask(server.port, get("/account/profile", token))).status == 200
        good = asked_of_redis(redis_client), asked_of_postgresql(cursor)
    print(f"{count} junk tokens, {count / seconds:.0f} a second: {dict(answered)}")
    assert answered.total() == count
    assert set(answered) == REFUSALS
    assert after == before
    assert good[0] != before[0]
    assert good[1] != before[1]


# A login storm


@pytest.mark.slow
async def test_a_login_storm_is_shed_and_reads_go_on(stores: tuple[str, str], clean: None):
    """More logins than there are cores for: a 503 that says when to come back, at once."""
    with Program(**on(stores), BCRYPT_ROUNDS="12", PASSWORD_WAIT="1") as server:
        names = accounts(server.serve(), ["stormy", "reader"])
        login = json.dumps({"username": "stormy", "password": PASSWORD}).encode()
        readers = Readers(server.port, names, pause=0.01)

        async def log_in() -> tuple[float, Reply]:
            begun = time.perf_counter()
            reply = await ask(server.port, post("/account/login", login))
            return time.perf_counter() - begun, reply

        async with readers.reading(8):
            await asyncio.sleep(1)
            calm = list(readers.seconds)
            readers.seconds.clear()
            storm = [asyncio.create_task(log_in()) for _ in range(400)]
            answers = await asyncio.gather(*storm)
    shed = [(seconds, reply) for seconds, reply in answers if reply.status == 503]
    done = [seconds for seconds, reply in answers if reply.status == 200]
    print(f"readers before: {milliseconds(calm)}; in the storm: {milliseconds(readers.seconds)}")
    print(f"{len(shed)} shed, p99 {percentile([each for each, _ in shed], 0.99):.2f} s")
    print(f"{len(done)} logged in, the last after {max(done):.2f} s")
    assert readers.failures == []
    assert len(shed) + len(done) == len(answers)
    assert len(done) >= 2
    assert len(shed) > 300
    assert percentile(readers.seconds, 0.99) < 0.5
    for _, reply in shed:
        assert 1 <= int(reply.head.partition(b"Retry-After: ")[2].partition(b"\r\n")[0]) <= 10
    assert max(seconds for seconds, _ in shed) < min(done) + 1


# Bodies that are too large


MEGABYTE = b" " * 2**20
HUGE = 100


@pytest.mark.parametrize("framing", ["a length", "chunks", "a token that is none"])
def test_a_body_over_the_limit_is_not_read_on(server: Program, framing: str):
    """A 413, or a 401, and the connection is closed long before 100 MB have come."""
    before = megabytes(server.process.pid)
    head = b"POST /account/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    size = b"Content-Length: %d\r\n" % (HUGE * len(MEGABYTE))
    part, status = MEGABYTE, b"413"
    if framing == "chunks":
        size = b"Transfer-Encoding: chunked\r\n"
        part = b"%x\r\n" % len(MEGABYTE) + MEGABYTE + b"\r\n"
    if framing == "a token that is none":
        head, status = head + b"Authorization: Token none\r\n", b"401"
    with server.connect() as connection:
        connection.sendall(head + size + b"\r\n")
        sent = send_until_closed(connection, part)
    print(f"{framing}: {sent} MB sent, {megabytes(server.process.pid) - before:.1f} MB more held")
    assert sent < HUGE / 2
    assert megabytes(server.process.pid) < before + 20
    if framing != "chunks":  # that one's length shows only as it comes
        with server.connect() as connection:
            connection.sendall(head + size + b"\r\n" + part[:1000])
            assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)


def send_until_closed(connection: socket.socket, part: bytes) -> int:
    """Send the part again and again, 100 times at most; return how often it went."""
    for number in range(HUGE):
        try:
            connection.sendall(part)
        except OSError:
            return number
    return HUGE


# Bodies that are made to be slow


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
LIMIT = 2**20
PART = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n\r\n'
BOMBS: dict[str, tuple[str, str]] = {
    "100 000 lists in each other": ("application/json", "[" * 100_000 + "]" * 100_000),
    "100 000 objects in each other": (
        "application/json",
        '{"username":' * 80_000 + "1" + "}" * 80_000,
    ),
    "a megabyte of digits": ("application/json", "9" * LIMIT),
    "a name of digits": ("application/json", f'{{"username": {"9" * (LIMIT - 20)}}}'),
    "very many keys": (
        "application/json",
        "{" + ",".join(f'"{n:x}":0' for n in range(110_000)) + "}",
    ),
    "one key again and again": ("application/json", "{" + ",".join(['"a":0'] * 170_000) + "}"),
    "a megabyte of spaces": ("application/json", '{"username": "' + " " * (LIMIT - 20) + '"}'),
    "combining marks": (
        "application/json",
        json.dumps(dict.fromkeys(("username", "email"), "e" + "́" * 85000)),
    ),
    "very many fields": (FORM, "&".join(f"{n:x}=" for n in range(150_000))),
    "very many parts": (MULTIPART, "".join(map(PART.format, range(19_000))) + "--x--\r\n"),
    "escapes": (FORM, "username=" + "%41" * 349_000),
}
DOORS = [
    line.split()[1] for calls in DIALECT_CALLS.values() for line in (calls.register, calls.login)
]
"""Where anybody may send a body: each dialect's register and login."""


async def test_no_body_within_the_limit_takes_long(server: Program):
    """Refused with a 4xx of the dialect's, all of them in far less than a second."""
    slowest: dict[str, float] = {}
    line = await Line.open(server.port)
    for what, (kind, text) in BOMBS.items():
        assert len(text) <= LIMIT, what
        for door in DOORS:
            request = post(door, text.encode(), kind)
            begun = time.perf_counter()
            reply = await line.ask(request)
            seconds = time.perf_counter() - begun
            assert 400 <= reply.status < 416, (what, door, reply)
            assert isinstance(reply.json, dict)
            slowest[what] = max(slowest.get(what, 0), seconds)
            if reply.closes:
                await line.close()
                line = await Line.open(server.port)
    for what, seconds in slowest.items():
        print(f"{what}: {1000 * seconds:.0f} ms at most")
    assert max(slowest.values()) < 1
    million_keys = "{" + ",".join(f'"{n:x}":0' for n in range(1_000_000)) + "}"
    reply = await line.ask(post("/account/login", million_keys.encode()))
    assert (reply.status, reply.closes) == (413, True)
    await line.close()
    assert "Traceback" not in server.err


async def test_a_form_has_only_so_many_escapes(server: Program):
    """Taking a megabyte of them apart held everybody up for a fifth of a second."""
    few, many = b"username=" + b"%41" * 40_000, b"username=" + b"%41" * 60_000
    for body, said in ((few, {"password"}), (many, {"detail"})):
        reply = await ask(server.port, post("/account/login", body, FORM))
        assert (reply.status, set(reply.json)) == (400, said)
