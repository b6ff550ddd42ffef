"""`sessions`: which an account has, ending them, and ending all that there are."""

import asyncio
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

import commands
import commands.sessions
from tests.handlers.contract import Row, play
from tests.handlers.dialects.drf_messages import CHALLENGE, INVALID_TOKEN
from tests.handlers.dialects.each_dialect import (
    PASSWORD,
    account_of,
    log_in,
    log_out,
    over,
    refresh_is_over,
    register,
    renew,
)
from tests.handlers.dialects.lumotist_rows import LOGIN, SIGN_UP, profile, token
from tests.program import KEY, ROOT, Program

DAY = 86_400
HEAD = ["SESSION", "DIALECT", "KIND", "CREATED (UTC)", "LAST USED (UTC)", "ENDS (UTC)", "DEVICE"]
TIME = r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)"
LINE = re.compile(rf"([0-9a-f]{{16}}) +(\w+) +(\w+) +{TIME}  {TIME}  {TIME} *(.*)")
LIFETIMES = {"token": 14 * DAY, "fresh": 900, "access": 900, "refresh": 30 * DAY}
ADA = account_of("lumotist")["username"]
NOWHERE = "redis://127.0.0.1:1"
CLOCK = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"


@pytest.fixture
def where(stores):
    return {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS": KEY}


@pytest.fixture
def start(where):
    """Start `sessions …` beside the server that the tests ask."""
    with ExitStack() as stack:
        yield lambda *words, **other: stack.enter_context(
            Program("sessions", *words, **(where | other))
        )


@pytest.fixture
def sessions(settings, capsys):
    """Run `sessions …` beside the server; return what it has printed."""

    async def run(*words, **other):
        # In a thread, for it has an event loop of its own.
        where = replace(settings, **other)
        status = await asyncio.to_thread(commands.run, ["sessions", *words], where)
        out, err = capsys.readouterr()
        assert status == 0, err
        return out

    return run


async def listed(sessions, name=ADA):
    """Return an account's live sessions, as JSON has them; the table must have the same."""
    found = json.loads(await sessions("list", name, "--json"))
    head, *lines = (await sessions("list", name.upper())).splitlines()
    assert re.split("  +", head) == HEAD
    rows = [LINE.fullmatch(line).groups() for line in lines]
    for row, each in zip(rows, found, strict=True):
        times = [
            each[which].replace("T", " ").rstrip("Z") for which in ("created", "last_used", "ends")
        ]
        device = each["device"] or ""
        assert row == (each["session"], each["dialect"], each["kind"], *times, device)
    return found


def public_id(token):
    return hashlib.sha256(token[: len(token) // 2].encode()).hexdigest()[:16]


def kinds(found):
    return {(each["dialect"], each["kind"]) for each in found}


EVERYWHERE = [
    register("lumotist"),
    log_in("wicare", "username"),
    log_in("kust", "username"),
    log_in("fardel", "email"),
    renew(),
]
ALL_KINDS = {
    ("lumotist", "token"),
    ("wicare", "token"),
    ("kust", "token"),
    ("fardel", "fresh"),
    ("fardel", "refresh"),
    ("fardel", "access"),
}


async def test_list_shows_what_an_account_has_in_every_dialect(client, sessions):
    begun = int(time.time())
    names = await play(client, EVERYWHERE)
    found = await listed(sessions)
    assert kinds(found) == ALL_KINDS
    assert len(found) == len(ALL_KINDS)
    assert {each["session"] for each in found} == {public_id(name) for name in names.values()}
    assert not [name for name in names.values() if name[:7] in json.dumps(found)]
    for each in found:
        opened, ends = (
            time.mktime(time.strptime(each[which], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
            for which in ("created", "ends")
        )
        assert begun <= opened <= time.time()
        assert 0 <= ends - opened - LIFETIMES[each["kind"]] <= time.time() - begun + 1
    assert [each["ends"] for each in found] == sorted(each["ends"] for each in found)


async def test_one_session_is_ended_by_its_id(client, sessions):
    """Devices are shown, and the other sessions of the account stay."""
    names = await play(client, [register("lumotist")])
    fields = {"login": ADA, "password": PASSWORD, "device": "Ada's \N{MOBILE PHONE}"}
    response = await client.post("/v1/sessions", json=fields)
    assert response.status == 201
    found = await listed(sessions)
    by_device = {each["device"]: each["session"] for each in found}
    assert set(by_device) == {None, fields["device"]}
    out = await sessions("end", ADA, "--session", by_device[fields["device"]])
    assert out == f"ended 1 session of {ADA}\n"
    [left] = await listed(sessions)
    assert left["session"] == public_id(names["lumotist"])


async def test_a_session_that_the_account_does_not_have_is_not_ended(client, settings, capsys):
    await play(client, [register("lumotist")])
    words = ["sessions", "end", ADA, "--session", "0" * 16]
    assert await asyncio.to_thread(commands.run, words, settings) == 1
    assert f"{ADA} has no live session {'0' * 16}" in capsys.readouterr().err


def test_a_session_belongs_to_an_account(settings, capsys):
    words = ["sessions", "end", "--all", "--session", "0" * 16, "--yes"]
    assert commands.run(words, settings) in (1, 2)
    assert "--session goes with NAME" in capsys.readouterr().err


async def test_list_by_email(client, sessions):
    await play(client, EVERYWHERE)
    assert kinds(await listed(sessions, account_of("lumotist")["email"])) == ALL_KINDS


async def test_list_shows_only_what_is_live(client, sessions, redis_client, database):
    names = await play(client, [*EVERYWHERE, log_out("wicare", "wicare")])
    assert kinds(await listed(sessions)) == ALL_KINDS - {("wicare", "token")}
    redis_client.delete(f"session:{names['kust'][:20]}")  # as when it has run out
    left = ALL_KINDS - {("wicare", "token"), ("kust", "token")}
    assert kinds(await listed(sessions)) == left
    cursor = database.cursor()
    cursor.execute("update account set is_active = false")
    assert await listed(sessions) == []
    cursor.execute("update account set is_active = true")
    assert kinds(await listed(sessions)) == left
    cursor.execute("update account set session_epoch = session_epoch + 1")
    assert await listed(sessions) == []


async def test_end_ends_all_that_an_account_has_and_says_how_many(client, sessions, database):
    names = await play(client, [*EVERYWHERE, SIGN_UP, log_out("wicare", "wicare")])
    # Ada's token of lumotist is called <lumotist>, the other account's is <token>.
    assert await sessions("end", ADA.upper()) == f"ended 5 sessions of {ADA.upper()}\n"
    rows = [row for name in ("lumotist", "kust", "fardel", "access") for row in over(name)]
    await play(client, [*rows, *refresh_is_over()], names)
    assert await listed(sessions) == []
    await play(client, [profile(id=2)], names)
    assert await sessions("end", ADA) == f"ended 0 sessions of {ADA}\n"
    await play(client, [log_in("wicare", "username")])
    assert await sessions("end", ADA) == f"ended 1 session of {ADA}\n"


async def test_end_needs_no_redis(client, sessions):
    """The records are still in Redis when it is back, and of no use."""
    names = await play(client, [SIGN_UP])
    said = "test has no sessions now; Redis is unavailable, so their number is unknown\n"
    assert await sessions("end", "test", redis_url=NOWHERE) == said
    await play(client, [INVALID], names)


def epochs(database):
    with database.cursor() as cursor:
        cursor.execute(f"select id, session_epoch, {CLOCK} from account order by id")
        return cursor.fetchall()


def other(number):
    fields = {"username": f"n{number}", "email": f"n{number}@test.com", "password": "x"}
    answer = {"success": True, "token": f"<n{number} = 40 hex>"}
    return Row("POST /account/register", fields, 200, answer)


INVALID = Row("GET /account/profile", None, 401, INVALID_TOKEN, token("<token>"), CHALLENGE)


async def test_end_all_ends_everybodys(client, sessions, database):
    """Redis is not needed; logging in works as before, with a new token."""
    names = await play(client, [SIGN_UP, *map(other, range(4))])
    cursor = database.cursor()
    cursor.execute(f"update account set session_epoch = {CLOCK} + 86400000000 where id = 2")
    before = epochs(database)
    said = await sessions("end", "--all", "--yes", redis_url=NOWHERE)
    assert said == "the sessions of 5 accounts have ended\n"
    after = epochs(database)
    assert len(after) == 5
    for (_, old, _), (account_id, new, clock) in zip(before, after, strict=True):
        if account_id == 2:
            assert new == old + 1  # the clock was behind
        else:
            assert before[0][2] < new < clock
    await play(client, [INVALID], names)
    again = Row("POST /account/login", LOGIN, 200, {"token": "<another = 40 hex>"})
    await play(client, [again], names)


async def test_end_all_goes_in_batches(client, settings, database, capsys, monkeypatch):
    await play(client, list(map(other, range(7))))
    cursor = database.cursor()
    cursor.execute("delete from account where id in (2, 5)")
    cursor.execute("update account set city = 'moved' where id = 1")  # to the end of the table
    before = epochs(database)
    monkeypatch.setattr(commands.sessions, "BATCH", 2)

    words = ["sessions", "end", "--all", "--yes"]
    assert await asyncio.to_thread(commands.run, words, settings) == 0
    out, err = capsys.readouterr()
    assert out == "the sessions of 5 accounts have ended\n"
    assert err == "".join(f"latchkey: {n} of 5 accounts\n" for n in (2, 4, 5))
    assert all(new[1] > old[1] for old, new in zip(before, epochs(database), strict=True))


@pytest.mark.slow
async def test_as_a_program(client, start):
    names = await play(client, [SIGN_UP])
    lists, again = start("list", "test"), start("list", "test", "--json")
    assert (lists.wait(), again.wait(), lists.err) == (0, 0, "")
    assert lists.out.splitlines()[0] == HEAD
    assert json.loads(again.out)[0]["session"] == names["token"][:6]
    ends = start("end", "test")
    assert (ends.wait(), ends.out) == (0, "ended 1 session of test\n"), ends.err
    ends = start("end", "--all", "--yes", REDIS_URL=NOWHERE)
    assert (ends.wait(), ends.out) == (0, "the sessions of 1 account have ended\n"), ends.err
    assert ends.err == "latchkey: 1 of 1 account\n"


async def test_end_all_of_nobody(client, sessions):
    assert await sessions("end", "--all", "--yes") == "the sessions of 0 accounts have ended\n"


async def test_end_all_does_not_go_on_unasked(client, settings, database, capsys, monkeypatch):
    await play(client, [SIGN_UP])
    before = epochs(database)[0][:2]
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert await asyncio.to_thread(commands.run, ["sessions", "end", "--all"], settings) == 2
    out, err = capsys.readouterr()
    assert out == ""
    is_one_line(err, "--yes")
    assert epochs(database)[0][:2] == before


def end_all_at_a_terminal(where, said):
    ours, its = os.openpty()
    try:
        os.write(ours, f"{said}\n".encode())
        return subprocess.run(
            [sys.executable, "server.py", "sessions", "end", "--all"],
            check=False,
            cwd=ROOT,
            env={**os.environ, **where},
            stdin=its,
            capture_output=True,
            text=True,
            timeout=30,
        )
    finally:
        os.close(ours)
        os.close(its)


@pytest.mark.parametrize(("said", "status"), [("y", 0), ("YES", 0), ("n", 1), ("", 1)])
@pytest.mark.slow
async def test_end_all_asks_on_a_terminal(client, where, database, said, status):
    await play(client, [SIGN_UP])
    before = epochs(database)[0][1]
    ran = end_all_at_a_terminal(where, said)
    assert ran.returncode == status, ran.stderr
    assert "This ends every session of 1 account. Continue? [y/N] " in ran.stderr
    assert (epochs(database)[0][1] > before) is (status == 0)
    if status:
        assert ran.stderr.endswith("latchkey: no session was ended\n")


def is_one_line(text, *words):
    [line] = text.splitlines()
    assert text == f"{line}\n"
    assert line.startswith("latchkey: ")
    assert [word for word in words if word not in line] == [], line


EXIT_1 = {
    "list nobody's": (("list", "nobody"), {}, "there is no account 'nobody'"),
    "end nobody's": (("end", "nobody"), {}, "nobody"),
    "no name": (("end", ""), {}, "''"),
    "no text": (("list", os.fsdecode(b"\xff")), {}, "udcff"),
    "no Redis": (("list", "nobody"), {"REDIS_URL": NOWHERE}, "redis"),
    "no PostgreSQL": (
        ("end", "--all", "--yes"),
        {"DATABASE_URL": "postgresql://127.0.0.1:1/x"},
        "postgresql",
    ),
}


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(("words", "other", "said"), EXIT_1.values(), ids=EXIT_1)
@pytest.mark.slow
def test_exit_status_1(start, words, other, said):
    ran = start(*words, **other)
    assert (ran.wait(), ran.out) == (1, "")
    is_one_line(ran.err, said)


USAGES = [[], ["list"], ["end"], ["end", "mika", "--all"], ["stop"], ["list", "mika", "--all"]]


@pytest.mark.parametrize("words", USAGES)
def test_too_few_or_too_many_words_are_a_usage(settings, capsys, words):
    with pytest.raises(SystemExit) as ended:
        commands.run(["sessions", *words], settings)
    assert ended.value.code == 2
    is_one_line(capsys.readouterr().err)


@pytest.fixture
def data_dir() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="lk-", ignore_cleanup_errors=True) as directory:
        yield directory


@pytest.mark.slow
def test_with_embedded_stores(data_dir):
    """Beside the server that runs them, and without one."""
    where = {"DATA_DIR": data_dir}
    with Program(**where) as server:
        mika = server.serve().register("mika")
        with Program("sessions", "list", "mika", "--json", **where) as lists:
            assert lists.wait() == 0, lists.err
            [found] = json.loads(lists.out)
            assert found["session"] == mika[:6]
    with Program("sessions", "end", "--all", "--yes", **where) as ends:
        assert (ends.wait(), ends.out) == (0, "the sessions of 1 account have ended\n")
