"""`account show` and `account set`: what an operator sees and changes of one account."""

import json
import os
from contextlib import ExitStack
from dataclasses import replace

import pytest

import commands
from server import create_app
from tests.handlers.contract import Row, play
from tests.handlers.drf_sentences import (
    CANNOT_LOG_IN,
    CHALLENGE,
    INACTIVE,
    INVALID_TOKEN,
)
from tests.handlers.kust_rows import (
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
from tests.program import KEY, Program

SECOND = {**SIGN_UP.answer, "id": 2}
SIGN_UP_KUST3 = register(KUST3, "kust3", "kust3@gmail.com", 2)

SHOWN = {
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
"""What can be set, as it is after SIGN_UP; some dialects' documents have no other way to set it."""


@pytest.fixture
def start(stores):
    """Start `account …` beside the server that the tests ask."""
    where = {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS": KEY}
    with ExitStack() as stack:
        yield lambda *words, **other: stack.enter_context(
            Program("account", *words, **(where | other))
        )


@pytest.fixture
def account(start):
    """Run `account …`; return what it has printed: the account."""

    def run(*words):
        ran = start(*words)
        assert ran.wait() == 0, ran.err
        assert ran.err == ""
        assert "$2" not in ran.out  # no hash
        return json.loads(ran.out)

    return run


def settable(shown):
    return {field: shown[field] for field in SHOWN}


def is_one_line(text, *words):
    """Only one line is said, and these words are in it."""
    [line] = text.splitlines()
    assert text == f"{line}\n"
    assert [word for word in words if word not in line] == [], line


async def test_show_prints_the_account_by_username_or_email(client, account):
    await play(
        client, [register(KUST3, "kust3", "kust3@gmail.com"), replace(SIGN_UP, answer=SECOND)]
    )
    by_username, by_email = account("show", "KUST2"), account("show", "Kust2@gmail.com")
    assert settable(by_username) == SHOWN
    assert by_username["id"] == 2
    assert by_username["last_login"] is None
    assert by_username == by_email


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
    shown = account(
        "set",
        "kust2",
        *[f"{field}={value}" for field, value in changed.items() if not isinstance(value, list)],
        "towns=",
        "groups=4,1",
        "user_permissions=9",
        f"cellar=[{2**63 - 1}]",
        "wants=3, 1, 3",
    )
    assert settable(shown) == {**SHOWN, **changed, "last_name": shown["last_name"]}
    assert not shown["last_name"]
    assert account("show", "kust2") == shown
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
    shown = account("set", "kust2@gmail.com", "username=Åsa", "email=ASA@Åsa.example")
    assert (shown["username"], shown["email"]) == ("Åsa", "ASA@Åsa.example")
    rows = [
        log_in("åSA", "k12345678", "<token = 40 hex>"),
        me("Åsa", "ASA@Åsa.example"),
        Row("POST /auth/token/login", LOGIN, 400, CANNOT_LOG_IN),
    ]
    await play(client, rows)
    shown = account("set", "åsa", "email=")
    assert shown["email"] is None


def ended(name, answer):
    return Row("GET /auth/users/me", None, 401, answer, token(f"<{name}>"), CHALLENGE)


async def test_disabling_ends_every_session_at_once_and_enabling_revives_none(client, account):
    wicare = {"expiry": "<text>", "token": "<wicare = 64 hex>"}
    by_wicare = Row("POST /wicare/api/auth/login", LOGIN, 200, wicare)
    others = log_in("kust3", "k12345678", "<other = 40 hex>")
    names = await play(client, [SIGN_UP, SIGN_UP_KUST3, LOG_IN, by_wicare, others, me()])
    assert account("set", "KUST2", "is_active=false")["is_active"] is False
    rows = [
        ended("token", INACTIVE),
        ended("wicare", INACTIVE),
        Row("POST /auth/users/", KUST2, 401, INACTIVE, token(), CHALLENGE),
        Row("POST /auth/token/login", LOGIN, 400, CANNOT_LOG_IN),
        user(is_active=False, name="<other>"),
        me("kust3", "kust3@gmail.com", name="<other>", id=2),
    ]
    await play(client, rows, names)
    assert account("set", "kust2", "is_active=true")["is_active"] is True
    rows = [
        ended("token", INVALID_TOKEN),
        ended("wicare", INVALID_TOKEN),
        log_in("kust2", "k12345678", "<new token = 40 hex>"),
        me(name="<new token>"),
        ended("token", INVALID_TOKEN),
    ]
    await play(client, rows, names)


REFUSED = {
    ("show", "nobody"): ["nobody"],
    ("show", ""): [],
    ("show", os.fsdecode(b"\xff")): [],
    ("show", "n" * 10_000): [],
    ("set", "nobody", "is_staff=true"): ["nobody"],
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
    ("set", "kust2", os.fsdecode(b"city=\xff")): ["city"],
    ("set", "kust2", "username=KUST3"): ["username"],
    ("set", "kust2", "username=KUST3", "email=KUST3@gmail.com"): ["username", "email"],
    # One that can't be read, and nothing is changed.
    ("set", "kust2", "is_staff=true", "days_count=x"): ["days_count"],
}


@pytest.fixture
async def accounts(client):
    """kust2 and kust3."""
    await play(client, [SIGN_UP, SIGN_UP_KUST3])


def test_what_can_not_be_done_changes_nothing(accounts, settings, capsys):
    def run(*words):
        status = commands.run(["account", *words], settings, create_app)
        return status, *capsys.readouterr()

    before = run("show", "kust2")
    assert before[0] == 0
    for words, said in REFUSED.items():
        status, out, err = run(*words)
        assert (status, out) == (1, ""), words
        is_one_line(err, *said)
    assert run("show", "kust2") == before


NOWHERE = {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}

EXIT_1 = {
    "unknown name": (("set", "nobody", "is_active=false"), {}, "nobody"),
    "unknown field": (("set", "kust2", "is_stuff=true"), {}, "is_stuff"),
    "bad value": (("set", "kust2", "is_active=maybe"), {}, "maybe"),
    "store away": (("show", "kust2"), NOWHERE, "postgresql"),
}


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(("words", "where", "said"), EXIT_1.values(), ids=EXIT_1)
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


def test_there_is_nobody_before_the_server_has_run(start, empty_database):
    ran = start("show", "nobody", DATABASE_URL=empty_database)
    assert (ran.wait(), ran.out) == (1, "")
    is_one_line(ran.err, "nobody")


@pytest.mark.parametrize("words", [[], ["show"], ["set", "kust2"], ["disable", "kust2"]])
def test_too_few_words_are_a_usage(settings, capsys, words):
    with pytest.raises(SystemExit) as ended:
        commands.run(["account", *words], settings, create_app)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("latchkey: ")
