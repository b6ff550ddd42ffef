"""`account`: what an operator sees, makes, changes and deletes of one account; the list of all."""

import asyncio
import datetime
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest

import commands
from store.accounts import Accounts
from tests.handlers.contract import Row, play
from tests.handlers.dialects.drf_messages import (
    CANNOT_LOG_IN,
    CHALLENGE,
    INACTIVE,
    INVALID_TOKEN,
)
from tests.handlers.dialects.kust_rows import (
    KUST2,
    KUST3,
    LOG_IN,
    LOGIN,
    SIGN_UP,
    log_in,
    me,
    register,
    token,
    user,
)
from tests.program import KEY, PATIENCE, ROOT, Program

SECOND = {**SIGN_UP.response, "id": 2}
SIGN_UP_KUST3 = register(KUST3, "kust3", "kust3@gmail.com", 2)

PREVIEW_CHARS = {
    "username": "kust2",
    "email": "kust2@gmail.com",
    "first_name": None,
    "last_name": None,
    "is_active": True,
    "is_staff": False,
    "is_superuser": False,
    "is_admin": False,
    "group": None,
    "days_count": 3,
    "towns": [1, 3],
    "groups": [],
    "user_permissions": [],
    "cellar": [],
    "wants": [],
    "address": "",
    "address2": "",
    "city": "",
    "state": "",
    "zipcode": "",
}
"""What can be set, as it is after SIGN_UP; docs/contracts/index.md#fields-that-no-endpoint-sets."""


@pytest.fixture
def start(stores):
    """Start `account …` beside the server that the tests ask."""
    where = {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS": KEY}
    with ExitStack() as stack:
        yield lambda *words, **other: stack.enter_context(
            Program("account", *words, **(where | other))
        )


@pytest.fixture
def account(run):
    """Run `account …`; return what it has printed: the account."""

    async def account(*words):
        status, out, err = await run(*words)
        assert (status, err) == (0, "")
        assert "$2" not in out  # no hash
        return json.loads(out)

    return account


def settable(shown):
    return {field: shown[field] for field in PREVIEW_CHARS}


def is_one_line(text, *words):
    """Only one line is said, and these words are in it."""
    [line] = text.splitlines()
    assert text == f"{line}\n"
    assert [word for word in words if word not in line] == [], line


async def test_show_prints_the_account_by_username_or_email(client, account):
    await play(
        client, [register(KUST3, "kust3", "kust3@gmail.com"), replace(SIGN_UP, response=SECOND)]
    )
    by_username, by_email = [await account("show", name) for name in ("KUST2", "Kust2@gmail.com")]
    assert settable(by_username) == PREVIEW_CHARS
    assert by_username["id"] == 2
    assert by_username["last_login"] is None
    assert by_username == by_email


async def test_an_address_is_verified_by_an_operator_until_it_changes(client, account):
    await play(client, [SIGN_UP])
    begun = datetime.datetime.now(datetime.UTC)
    shown = await account("set", "kust2", "email_verified_at=true")
    assert begun <= datetime.datetime.fromisoformat(shown["email_verified_at"])
    moment = "2021-01-09T12:00:00Z"
    shown = await account("set", "kust2", "email=new@gmail.com", f"email_verified_at={moment}")
    assert shown["email_verified_at"] == "2021-01-09 12:00:00+00:00"
    shown = await account("set", "kust2", "first_name=Ku")
    assert shown["email_verified_at"] == "2021-01-09 12:00:00+00:00"
    shown = await account("set", "kust2", "email=newer@gmail.com")
    assert shown["email_verified_at"] is None
    await account("set", "kust2", "email_verified_at=yes")
    assert (await account("set", "kust2", "email_verified_at="))["email_verified_at"] is None


async def test_set_shows_in_the_dialects_at_once_and_ends_no_session(client, account):
    names = await play(client, [SIGN_UP, LOG_IN])
    changed = {
        "first_name": "Ku St",
        "last_name": "",
        "is_staff": True,
        "is_superuser": True,
        "is_admin": True,
        "group": "tasters",
        "days_count": -7,
        "towns": [],
        "groups": [4, 1],
        "user_permissions": [9],
        "cellar": [2**63 - 1],
        "wants": [3, 1, 3],
        "address": "123 N Main St.",
        "address2": "a=b",
        "city": "Åre 🔑",
        "state": "",
        "zipcode": "01234",
    }
    shown = await account(
        "set",
        "kust2",
        *[f"{field}={value}" for field, value in changed.items() if not isinstance(value, list)],
        "towns=",
        "groups=4,1",
        "user_permissions=9",
        f"cellar=[{2**63 - 1}]",
        "wants=3, 1, 3",
    )
    assert settable(shown) == {**PREVIEW_CHARS, **changed, "last_name": shown["last_name"]}
    assert not shown["last_name"]
    assert await account("show", "kust2") == shown
    seen = {"first_name": "Ku St", "is_staff": True, "is_superuser": True, "days_count": -7}
    lists = {"groups": [4, 1], "user_permissions": [9], "towns": []}
    by_token = token()
    who = {"id": 1, "first_name": "Ku St", "last_name": None, "email": "kust2@gmail.com"}
    group = {"group": "tasters", "is_admin": True, "is_staff": True}
    profile = {"user": {**who, **group}}
    rows = [
        user(**seen, **lists),
        me(),
        log_in("kust2", "k12345678", "<token>"),
        Row("GET /fardel/api/auth/profile/", None, 200, profile, by_token),
    ]
    await play(client, rows, names)
    answer = await client.post("/cellars/api/login/", json=LOGIN)
    cellar = (await answer.json())["user"]
    for field in ("cellar", "wants", "address", "address2", "city", "state", "zipcode"):
        assert cellar[field] == changed[field]


async def test_set_renames_and_the_new_names_log_in(client, account):
    await play(client, [SIGN_UP])
    shown = await account("set", "kust2@gmail.com", "username=Åsa", "email=ASA@Åsa.example")
    assert (shown["username"], shown["email"]) == ("Åsa", "ASA@Åsa.example")
    rows = [
        log_in("åSA", "k12345678", "<token = 40 hex>"),
        me("Åsa", "ASA@Åsa.example"),
        Row("POST /auth/token/login", LOGIN, 400, CANNOT_LOG_IN),
    ]
    await play(client, rows)
    shown = await account("set", "åsa", "email=")
    assert shown["email"] is None


def ended(name, answer):
    return Row("GET /auth/users/me", None, 401, answer, token(f"<{name}>"), CHALLENGE)


async def test_disabling_ends_every_session_at_once_and_enabling_revives_none(client, account):
    wicare = {"expiry": "<text>", "token": "<wicare = 64 hex>"}
    by_wicare = Row("POST /wicare/api/auth/login", LOGIN, 200, wicare)
    others = log_in("kust3", "k12345678", "<other = 40 hex>")
    names = await play(client, [SIGN_UP, SIGN_UP_KUST3, LOG_IN, by_wicare, others, me()])
    assert (await account("set", "KUST2", "is_active=false"))["is_active"] is False
    rows = [
        ended("token", INACTIVE),
        ended("wicare", INACTIVE),
        Row("POST /auth/users/", KUST2, 401, INACTIVE, token(), CHALLENGE),
        Row("POST /auth/token/login", LOGIN, 400, CANNOT_LOG_IN),
        user(is_active=False, name="<other>"),
        me("kust3", "kust3@gmail.com", name="<other>", id=2),
    ]
    await play(client, rows, names)
    assert (await account("set", "kust2", "is_active=true"))["is_active"] is True
    rows = [
        ended("token", INVALID_TOKEN),
        ended("wicare", INVALID_TOKEN),
        log_in("kust2", "k12345678", "<new token = 40 hex>"),
        me(name="<new token>"),
        ended("token", INVALID_TOKEN),
    ]
    await play(client, rows, names)


REFUSED = {
    ("set", "kust2", os.fsdecode(b"city=\xff")): ["city"],
    ("show", "nobody"): ["nobody"],
    ("show", ""): [],
    ("show", os.fsdecode(b"\xff")): [],
    ("show", "n" * 10_000): [],
    ("set", "nobody", "is_staff=true"): ["nobody"],
    ("set", "kust2", "username=KUST3"): ["username"],
    ("set", "kust2", "username=KUST3", "email=KUST3@gmail.com"): ["username", "email"],
    ("set", "kust2", "username= KUST3 "): ["username"],
    ("set", "kust2", "username=ad\u200bmin"): ["username", "invisible"],
    ("set", "kust2", "username=", "email="): ["neither username nor email"],
    ("show", "id:99"): ["no account 'id:99'"],
    ("show", "id:x"): ["no account 'id:x'"],
    ("show", f"id:{'9' * 5000}"): ["no account"],
    ("show", "email:kust2"): ["no account 'email:kust2'"],
    ("show", "username:kust2@gmail.com"): ["no account"],
}
UNREADABLE = {
    ("set", "kust2", f"city={'c' * 10_001}"): ["city must be", "got 10001 characters", "10000"],
    ("set", "kust2", "email=kust2@\u202egmail.com"): ["email"],
    ("create", "username=kim", "days_count=x"): ["days_count must be a whole number (got 'x')"],
    ("create", "username=kim", "password=secret"): ["'password' is not a field; the fields are"],
    ("set", "kust2", "is_stuff=true"): ["is_stuff", "is_staff"],
    ("set", "kust2", "password=x"): ["password"],
    ("set", "kust2", "id=7"): ["id"],
    ("set", "kust2", "session_epoch=1"): ["session_epoch"],
    ("set", "kust2", "group_name=x"): ["group_name"],
    ("set", "kust2", "is_staff"): ["is_staff"],
    ("set", "kust2", "=true"): ["=true"],
    ("set", "kust2", "is_active=maybe"): ["is_active", "maybe", "true or false"],
    ("set", "kust2", "is_staff="): ["is_staff"],
    ("set", "kust2", "days_count=many"): ["days_count", "many"],
    ("set", "kust2", f"days_count={2**31}"): ["days_count"],
    ("set", "kust2", "towns=1,x"): ["towns", "1,x"],
    ("set", "kust2", f"groups={2**63}"): ["groups", str(2**63)],
    ("set", "kust2", "email=no"): ["email", "no"],
    ("set", "kust2", f"first_name={'n' * 255}"): ["first_name", "254"],
    # One that can't be read, and nothing is changed.
    ("set", "kust2", "is_staff=true", "days_count=x"): ["days_count"],
}
"""What argparse refuses, as any other argument that can't be used."""


@pytest.fixture
async def accounts(client):
    """kust2 and kust3."""
    await play(client, [SIGN_UP, SIGN_UP_KUST3])


def test_what_can_not_be_done_changes_nothing(accounts, settings, capsys):
    def run(*words):
        status = commands.run(["account", *words], settings)
        return status, *capsys.readouterr()

    before = run("show", "kust2")
    assert before[0] == 0
    for words, said in REFUSED.items():
        status, out, err = run(*words)
        assert (status, out) == (1, ""), words
        is_one_line(err, *said)
    for words, said in UNREADABLE.items():
        with pytest.raises(SystemExit) as ended:
            run(*words)
        out, err = capsys.readouterr()
        assert (ended.value.code, out) == (2, ""), words
        assert "secret" not in err
        is_one_line(err, *said)
    assert run("show", "kust2") == before


NOWHERE = {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}

EXIT_1 = {
    "unknown name": (("set", "nobody", "is_active=false"), {}, "nobody"),
    "store away": (("show", "kust2"), NOWHERE, "postgresql"),
}


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(("words", "where", "said"), EXIT_1.values(), ids=EXIT_1)
@pytest.mark.slow
def test_exit_status_1(start, words, where, said):
    ran = start(*words, **where)
    assert (ran.wait(), ran.out) == (1, "")
    is_one_line(ran.err, said)


@pytest.fixture
def empty_database(database, settings):
    """A database that no server has prepared."""
    with database.cursor() as cursor:
        cursor.execute("create database empty")
        yield settings.database_url.replace("/postgres?", "/empty?")
        cursor.execute("drop database empty")


@pytest.mark.slow
def test_there_is_nobody_before_the_server_has_run(start, empty_database):
    ran = start("show", "nobody", DATABASE_URL=empty_database)
    assert (ran.wait(), ran.out) == (1, "")
    is_one_line(ran.err, "nobody")


USAGES = [
    [],
    ["show"],
    ["set", "kust2"],
    ["disable", "kust2"],
    ["create"],
    ["password"],
    ["password", "kust2", "secret"],
    ["delete"],
    ["list", "--limit", "-1"],
    ["list", "--after", "x"],
    ["list", "--after", str(2**63)],
]


@pytest.mark.parametrize("words", USAGES)
def test_too_few_words_are_a_usage(settings, capsys, words):
    with pytest.raises(SystemExit) as ended:
        commands.run(["account", *words], settings)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("latchkey: ")


@pytest.fixture
def run(settings, capsys, monkeypatch):
    """Run `account …` with a line on standard input; return the exit status and what it says."""

    async def run(*words, given="", **other):
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        arguments, where = ["account", *words], replace(settings, **other)
        status = await asyncio.to_thread(commands.run, arguments, where)
        return status, *capsys.readouterr()

    return run


async def test_create_makes_an_account_that_logs_in(client, run):
    """By no dialect's rules: the operator may give any name and any password."""
    fields = ["username=kust 2!", "email=Kust2@gmail.com", "towns=3,1", "is_staff=true", "city=Åre"]
    status, out, err = await run("create", *fields, given="x\n")
    assert (status, out, err) == (0, "account 1 (kust 2!, Kust2@gmail.com) was created\n", "")
    [shown] = json.loads((await run("list", "--json"))[1])
    wanted = {"username": "kust 2!", "towns": [3, 1], "is_staff": True, "city": "Åre"}
    assert {field: shown[field] for field in wanted} == wanted
    login = {"username": "KUST 2!", "password": "x"}
    await play(client, [Row("POST /auth/token/login", login, 200, {"auth_token": "<a = 40 hex>"})])


async def test_create_makes_a_superuser(client, run):
    made = json.loads((await run("create", "--superuser", "--json", "username=a", given="x"))[1])
    assert (made["username"], made["is_superuser"], made["is_staff"]) == ("a", True, False)


async def test_create_prints_json(client, run):
    made = json.loads((await run("create", "--json", "username=a", "zipcode=1", given="x"))[1])
    assert made == json.loads((await run("show", "--json", "a"))[1])
    assert made == json.loads((await run("show", "a"))[1])
    assert (made["id"], made["username"], made["email"], made["zipcode"]) == (1, "a", None, "1")


NOT_MADE = {
    "no name": (["first_name=Kim"], "x\n", "username or an email"),
    "no password": (["username=kim"], "", "no password was given"),
    "an empty password": (["username=kim"], "\n", "no password was given"),
    "no text for a password": (["username=kim"], "\udcff\n", "password cannot be stored"),
    "a taken name": (["username=KUST2"], "x\n", "another account has this username"),
    "taken names": (["username=KUST2", "email=KUST2@gmail.com"], "x\n", "email and this username"),
    "NUL": (["username=a\0b"], "x\n", "username cannot be stored"),
}


@pytest.mark.parametrize(("words", "given", "said"), NOT_MADE.values(), ids=NOT_MADE)
async def test_what_can_not_be_made(client, run, words, given, said):
    await play(client, [SIGN_UP])
    status, out, err = await run("create", *words, given=given)
    assert (status, out) == (1, "")
    is_one_line(err, said, "latchkey: ")
    assert len(json.loads((await run("list", "--json"))[1])) == 1


NEW = "another pass word \t"
NEW_LOGIN = {**LOGIN, "password": NEW}
GONE = Row("POST /auth/token/login", LOGIN, 400, CANNOT_LOG_IN)


async def test_a_new_password_ends_every_session(client, run, redis_client):
    names = await play(client, [SIGN_UP, LOG_IN])
    status, out, err = await run("password", "KUST2", given=NEW + "\n")
    said = "account 1 (kust2, kust2@gmail.com) has a new password; its sessions have ended\n"
    assert (status, out, err) == (0, said, "")
    assert redis_client.get(f"session:{names['token'][:20]}") == b"revoked"
    again = Row("POST /auth/token/login", NEW_LOGIN, 200, {"auth_token": "<new token = 40 hex>"})
    await play(client, [ended("token", INVALID_TOKEN), GONE, again], names)
    _, out, _ = await run("password", "--json", "kust2", given="x")
    assert json.loads(out) == {"id": 1, "password": "changed"}


async def test_delete_takes_the_account_and_its_sessions(client, run, redis_client):
    names = await play(client, [SIGN_UP, SIGN_UP_KUST3, LOG_IN])
    status, out, err = await run("delete", "kust2@gmail.com", "--yes")
    assert (status, out, err) == (0, "account 1 (kust2, kust2@gmail.com) was deleted\n", "")
    assert redis_client.get(f"session:{names['token'][:20]}") == b"revoked"
    await play(client, [ended("token", INVALID_TOKEN), GONE], names)
    status, _, err = await run("delete", "kust2", "--yes")
    assert status == 1
    is_one_line(err, "there is no account 'kust2'")
    assert json.loads((await run("delete", "--json", "--yes", "kust3"))[1])["deleted"] is True
    assert json.loads((await run("list", "--json"))[1]) == []


@pytest.mark.parametrize("words", [["password", "kust2"], ["delete", "--yes", "kust2"]])
async def test_sessions_end_though_redis_is_away(client, run, words):
    """PostgreSQL decides."""
    names = await play(client, [SIGN_UP, LOG_IN])
    status, out, _ = await run(*words, given=NEW, redis_url="redis://127.0.0.1:1")
    assert (status, out[:9]) == (0, "account 1")
    await play(client, [ended("token", INVALID_TOKEN), GONE], names)


@pytest.mark.parametrize(("times", "status"), [(1, 0), (100, 1)])
async def test_somebody_ends_the_sessions_while_the_account_is_deleted(
    client, run, monkeypatch, times, status
):
    """The epoch that the deletion goes by is another one then: it takes that, for a few rounds."""
    await play(client, [SIGN_UP])
    delete, left = Accounts.delete, list(range(times))

    async def meanwhile(self, account_id, epoch):
        if left and left.pop() is not None:
            await self.raise_epoch(account_id)
        return await delete(self, account_id, epoch)

    monkeypatch.setattr(Accounts, "delete", meanwhile)
    ended_with, _, err = await run("delete", "--yes", "kust2")
    assert ended_with == status
    if status:
        is_one_line(err, "the operation timed out")
    assert len(json.loads((await run("list", "--json"))[1])) == status


async def test_a_session_that_is_opened_while_the_account_is_deleted_ends(
    client, run, monkeypatch, redis_client
):
    """It bears the epoch that the deletion has raised; what Redis keeps of it is revoked, too."""
    await play(client, [SIGN_UP])
    delete, loop, tokens = Accounts.delete, asyncio.get_running_loop(), []

    async def log_in():
        answer = await client.post("/auth/token/login", json=LOGIN)
        tokens.append((await answer.json())["auth_token"])

    async def meanwhile(self, *whose):
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(log_in(), loop))
        return await delete(self, *whose)

    monkeypatch.setattr(Accounts, "delete", meanwhile)
    assert (await run("delete", "--yes", "kust2"))[0] == 0
    assert redis_client.get(f"session:{tokens[0][:20]}") == b"revoked"


@pytest.mark.parametrize("words", [["password", "nobody"], ["delete", "--yes", "nobody"]])
async def test_nobody_has_no_password_and_is_not_deleted(client, run, words):
    status, out, err = await run(*words, given=NEW)
    assert (status, out) == (1, "")
    is_one_line(err, "there is no account 'nobody'")


async def test_delete_does_not_go_on_unasked(client, run):
    await play(client, [SIGN_UP])
    status, out, err = await run("delete", "kust2", given="y\n")
    assert (status, out) == (2, "")
    is_one_line(err, "kust2", "--yes")
    assert len(json.loads((await run("list", "--json"))[1])) == 1


def at_a_terminal(stores, words, *typed):
    """Run `account …` at a terminal; type each line, or send each signal, once it asks.

    Return the exit status and what it prints.
    """
    where = {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS": KEY}
    environment = {**os.environ, **where, "BCRYPT_ROUNDS": "4"}
    ours, its = pty.openpty()
    ran = subprocess.Popen(
        [sys.executable, "server.py", "account", *words],
        cwd=ROOT,
        env=environment,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    said, asked, left = b"", 0, list(typed)
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up and select.select([ours], [], [], PATIENCE)[0]:
        try:
            said += os.read(ours, 4096)
        except OSError:  # it has ended
            break
        if left and said[asked:].endswith((b": ", b"] ")):
            asked = len(said)
            answer = left.pop(0)
            if isinstance(answer, signal.Signals):
                ran.send_signal(answer)
            else:
                os.write(ours, f"{answer}\n".encode())
    os.close(ours)
    return ran.wait(PATIENCE), said.decode()


@pytest.mark.slow
async def test_at_a_terminal_a_password_is_typed_twice_and_not_shown(client, stores):
    await play(client, [SIGN_UP])
    ask = ["password", "kust2"]
    status, said = await asyncio.to_thread(at_a_terminal, stores, ask, NEW_WORD, NEW_WORD)
    assert status == 0, said
    assert NEW_WORD not in said
    login = {**LOGIN, "password": NEW_WORD}
    await play(client, [Row("POST /auth/token/login", login, 200, {"auth_token": "<b = 40 hex>"})])
    status, said = await asyncio.to_thread(at_a_terminal, stores, ask, "one", "other")
    assert status == 1
    assert said.endswith("latchkey: the two passwords differ\r\n")


NEW_WORD = "another-word"


@pytest.mark.parametrize(("typed", "status"), [("y", 0), ("", 1)])
@pytest.mark.slow
async def test_at_a_terminal_delete_asks(client, stores, run, typed, status):
    await play(client, [SIGN_UP])
    ended_with, said = await asyncio.to_thread(at_a_terminal, stores, ["delete", "kust2"], typed)
    assert ended_with == status, said
    assert "This deletes account 1 (kust2, kust2@gmail.com) permanently. Continue? [y/N] " in said
    assert len(json.loads((await run("list", "--json"))[1])) == status


@pytest.mark.parametrize("command", ["delete", "password"])
@pytest.mark.slow
async def test_at_a_terminal_ctrl_c_ends_a_question(client, stores, run, command):
    """At once: asyncio alone would wait for the answer."""
    await play(client, [SIGN_UP])
    ask = [command, "kust2"]
    status, said = await asyncio.to_thread(at_a_terminal, stores, ask, signal.SIGINT)
    assert (status, said.splitlines()[-1].endswith("latchkey: stopped")) == (1, True), said
    await play(client, [LOG_IN])


async def test_list(client, run, database):
    people = [("kim", "kim@x.example"), ("KIMBERLY", None), (None, "Kim@y.example"), ("%", None)]
    for username, email in people:
        names = [f"username={username}"] if username else []
        await run("create", *names, *([f"email={email}"] if email else []), given="x")
    await run("set", "kimberly", "is_active=false")
    with database.cursor() as cursor:
        cursor.execute("update account set created = '2021-01-09 12:00:00+00'")

    async def ids(*words):
        status, out, err = await run("list", "--json", *words)
        assert (status, err) == (0, "")
        return [each["id"] for each in json.loads(out)]

    assert await ids() == [1, 2, 3, 4]
    assert await ids("--limit", "2") == [1, 2]
    assert await ids("--limit", "2", "--after", "2") == [3, 4]
    assert await ids("--match", "Kim") == [1, 2, 3]
    assert await ids("--match", "kimb") == [2]
    assert await ids("--match", "KIM@") == [1, 3]
    assert await ids("--match", "%") == [4]
    assert await ids("--match", "x") == []
    assert await ids("--match", "n" * 10_000) == []
    assert await ids("--match", "\udcff") == []
    assert (await run("list"))[1].splitlines() == [
        "ID  USERNAME  E-MAIL         CREATED (UTC)",
        " 1  kim       kim@x.example  2021-01-09 12:00:00",
        " 2  KIMBERLY                 2021-01-09 12:00:00  disabled",
        " 3            Kim@y.example  2021-01-09 12:00:00",
        " 4  %                        2021-01-09 12:00:00",
    ]


NAMING = {
    "show": ("account", "show"),
    "set": ("account", "set", "city=x"),
    "password": ("account", "password"),
    "delete": ("account", "delete", "--yes"),
    "sessions list": ("sessions", "list"),
    "sessions end": ("sessions", "end"),
}


async def test_no_command_acts_on_an_account_that_an_attacker_chose(client, settings, capsys):
    """Anybody may register somebody else's e-mail as a username."""
    for username, email in (
        ("victim", "victim@example.com"),
        ("Victim@example.com", "attacker@example.com"),
    ):
        new = {**KUST3, "username": username, "email": email}
        assert (await client.post("/auth/users/", json=new)).status == 200

    async def run(*words):
        status = await asyncio.to_thread(commands.run, [*words], settings)
        return status, *capsys.readouterr()

    both = (
        "account 1 (victim, victim@example.com); "
        "account 2 (Victim@example.com, attacker@example.com)"
    )
    for command, action, *rest in NAMING.values():
        status, out, err = await run(command, action, "VICTIM@example.com", *rest)
        assert (status, out) == (1, ""), action
        is_one_line(err, "names 2 accounts", both, "id:ID")
    for name in ("id:1", "username:VICTIM", "email:VICTIM@example.com", "victim"):
        status, out, _ = await run("account", "show", name)
        assert (status, json.loads(out)["id"]) == (0, 1), name
        status, out, _ = await run("sessions", "list", name, "--json")
        assert (status, json.loads(out)) == (0, []), name
    status, out, _ = await run("account", "delete", "username:victim@example.com", "--yes")
    assert (status, out) == (
        0,
        "account 2 (Victim@example.com, attacker@example.com) was deleted\n",
    )
    assert (await run("account", "set", "victim@example.com", "email="))[0] == 0
    status, _, err = await run("account", "set", "victim", "username=")
    assert status == 1
    is_one_line(err, "account 1 (victim) would have neither username nor email")


HOSTILE = "\x1b]0;owned\x07\x1b[2Jx\n99  admin\u202e\x9b\u3164"
ESCAPED = r"\x1b]0;owned\x07\x1b[2Jx\x0a99  admin\u202e\x9b\u3164"


async def test_a_name_can_not_write_on_the_terminal(client, run, database, tmp_path):
    """Such as accounts may have of before; `--json` and exports are the same value."""
    with database.cursor() as cursor:
        cursor.execute(
            """insert into account (id, session_epoch, password, username, username_folded)
               values (7, 1, '!', %s, 'x')""",
            (HOSTILE,),
        )
    head, line = (await run("list"))[1].splitlines()
    assert head.startswith("ID  USERNAME ")
    assert line.startswith(f" 7  {ESCAPED}  ")
    file = tmp_path / "export"
    for words in (("show", "id:7"), ("list", "--json"), ("export", str(file))):
        status, out, _ = await run(*words)
        assert status == 0
        out = out or file.read_text()
        assert all(line.isprintable() and "\u3164" not in line for line in out.splitlines()), words
        found = json.loads(out)
        assert (found[0] if isinstance(found, list) else found)["username"] == HOSTILE
    assert (await run("delete", "id:7", "--yes"))[1] == f"account 7 ({ESCAPED}) was deleted\n"


async def test_a_command_makes_no_stores(run, tmp_path):
    """It was given other settings than the server: the accounts are elsewhere."""
    nowhere = {"database_url": "", "redis_url": "", "data_dir": str(tmp_path / "data")}
    for words in (("list",), ("export",), ("create", "username=kim")):
        status, out, err = await run(*words, given="x", **nowhere)
        assert (status, out) == (1, "")
        is_one_line(err, "DATABASE_URL", str(tmp_path / "data"), "only `serve` creates new stores")
    assert not (tmp_path / "data").exists()
