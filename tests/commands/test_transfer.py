"""`account import` and `account export`: accounts move in, and out, and nobody notices."""

import asyncio
import datetime
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from PIL import Image

import commands
from commands import console
from commands.columns import COLUMNS
from commands.console import Progress
from commands.transfer import export_accounts
from commands.transfer.import_accounts import AccountReader
from commands.transfer.reader import Record
from store.names import fold, fold_email, is_askable, is_seen
from tests.program import KEY, PASSWORD, ROOT, Program, wait_for
from tests.store.databases import ask, own_database

DATA = Path(__file__).parent / "files"
UTC = datetime.UTC


@pytest.fixture
def account(settings, capsys, clean):
    """Run `account …`; return the exit status and what it has printed."""

    def run(*words, **other):
        arguments = ["account", *map(str, words)]
        status = commands.run(arguments, replace(settings, **other))
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def run_in(settings, capsys):
    """Run a command on a database beside the server; it must succeed. Return what it says."""

    async def run(url, *words):
        where = replace(settings, database_url=url)
        status = await asyncio.to_thread(commands.run, [*map(str, words)], where)
        out, err = capsys.readouterr()
        assert status == 0, err
        return out

    return run


@pytest.fixture
def check(account, tmp_path):
    """Check lines; return those that have a problem, each with what is said of it."""

    def run(text, *words):
        file = tmp_path / "accounts"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        status, out, err = account("import", "--check", *words, file)
        assert err == ""
        said = [line.partition(": ") for line in out.splitlines() if line.startswith("line")]
        assert status == (1 if said else 0)
        return [(where.removeprefix("line "), what) for where, _, what in said]

    return run


@pytest.fixture
def bring_in(account, tmp_path):
    """Import lines, and return what `account show` has for each of these names."""

    def run(text, *names):
        file = tmp_path / "accounts"
        file.write_text(text)
        status, out, err = account("import", file)
        assert (status, err) == (0, ""), out + err
        listed = json.loads(account("list", "--json", "--limit", "10000")[1])
        by_name = {each["username"]: each for each in listed}
        return [by_name[name] for name in names]

    return run


def is_one_line(text, *words):
    [line] = text.splitlines()
    assert text == f"{line}\n"
    assert line.startswith("latchkey: ")
    assert [word for word in words if word not in line] == [], line


def json_line(**values):
    return json.dumps({"username": "kim", "password": "!", **values}) + "\n"


def count(database):
    with database.cursor() as cursor:
        cursor.execute("select count(*) from account")
        return cursor.fetchone()[0]


KIM = {"username": "Kim", "email": "Kim@Example.com", "is_active": True}
LEE = {"username": "lee", "email": None}
FILES = {
    "django_auth_user.csv": (
        {
            **KIM,
            "id": 41,
            "last_name": "O'Hara, Jr.",
            "is_staff": True,
            "is_superuser": False,
            "created": "2021-01-09 12:00:00+00:00",
            "last_login": "2021-02-03 04:05:06.789000+00:00",
        },
        {**LEE, "id": 42, "is_superuser": True, "is_active": False, "last_login": None},
    ),
    "django_dumpdata.jsonl": (
        {**KIM, "id": 41, "last_name": "O'Hara, Jr.", "is_staff": True, "groups": [1, 2]},
        {**LEE, "id": 42, "first_name": "", "is_active": False, "user_permissions": [7]},
    ),
    "flask_users.csv": (
        {**KIM, "id": 1, "is_admin": False, "created": "2021-01-09 12:00:00+00:00"},
        {**LEE, "id": 2, "is_active": True, "created": "2021-01-09 00:00:00+00:00"},
    ),
}


@pytest.mark.parametrize("name", FILES)
async def test_files_of_other_applications(client, account, name):
    """The old password logs in, in every dialect that asks for what the account has."""
    ignore = ["--ignore-column", "Ratings"] if "flask" in name else []
    run = await asyncio.to_thread(account, "import", *ignore, DATA / name)
    assert (run[0], run[2]) == (0, ""), run
    for wanted in FILES[name]:
        shown = json.loads((await asyncio.to_thread(account, "show", wanted["username"]))[1])
        assert {field: shown[field] for field in wanted} == wanted
    login = {"username": "KIM", "password": PASSWORD}
    for path in ("/account/login", "/wicare/api/auth/login", "/auth/token/login", "/api/login"):
        assert (await client.post(path, json=login)).status == 200, path
    fardel = {"email": "kim@example.com", "password": PASSWORD}
    assert (await client.post("/fardel/api/auth/login", json=fardel)).status == 200
    wrong = {**login, "password": "wrong"}
    assert (await client.post("/account/login", json=wrong)).status == 400
    lee = {"username": "lee", "password": PASSWORD}
    status = 200 if "flask" in name else 400  # unusable, and disabled
    assert (await client.post("/account/login", json=lee)).status == status


NOON = "2021-01-09 12:00:00+00:00"
VALUES = {
    "created": {
        NOON: (
            "2021-01-09T12:00:00Z",
            "2021-01-09 12:00:00+00",
            "2021-01-09 12:00:00",
            "2021-01-09T17:30:00+05:30",
            " 2021-01-09T12:00:00.000Z ",
        ),
        "2021-01-09 12:00:00.123456+00:00": ("2021-01-09 12:00:00.123456+00",),
        "2021-01-09 00:00:00+00:00": ("2021-01-09",),
    },
    "is_staff": {
        True: ("t", "true", "True", "1", "yes", "Y", True, 1),
        False: ("f", "FALSE", "0", "no", "", None, False, 0),
    },
    "is_active": {True: ("", None, "t"), False: ("f",)},
    "days_count": {3: ("", None, "3", " 3 "), -7: ("-7", -7)},
    "address": {"": ("", None), " a\tb\n": (" a\tb\n",)},
    "zipcode": {"1234": ("1234", 1234)},
    "last_login": {None: ("", None)},
    "email_verified_at": {
        None: ("", None, "false", False, "f", "0"),
        NOON: ("2021-01-09T12:00:00Z",),
    },
    "group": {None: (None,), "tasters": ("tasters",)},
}
ARRAYS = {
    (1, 2): ("{1,2}", "[1, 2]", "1,2", " 1 , 2", [1, 2], ["1", "2"]),
    (): ("{}", "[]", "", None, []),
    (-5,): ("-5", "{-5}"),
}
CASES = [
    (field, value, kept)
    for field, values in VALUES.items()
    for kept, forms in values.items()
    for value in forms
] + [("towns", value, list(kept)) for kept, forms in ARRAYS.items() for value in forms]


def csv_line(values):
    quoted = ('"' + str(value).replace('"', '""') + '"' for value in values)
    return ",".join(quoted) + "\n"


def test_every_form_of_a_value(bring_in):
    """In JSON lines, and in CSV where it can stand there."""
    texts = [case for case in CASES if isinstance(case[1], str)]
    lines = (
        json_line(username=f"n{n}", **{field: value}) for n, (field, value, _) in enumerate(CASES)
    )
    for shown, case in zip(
        bring_in("".join(lines), *(f"n{n}" for n in range(len(CASES)))), CASES, strict=True
    ):
        assert shown[case[0]] == case[2], case
    fields = list({field: 0 for field, _, _ in texts})
    head = csv_line(["username", "password", *fields])
    rows = [
        csv_line([f"c{n}", "!", *(value if each == field else "" for each in fields)])
        for n, (field, value, _) in enumerate(texts)
    ]
    names = [f"c{n}" for n in range(len(texts))]
    for shown, case in zip(bring_in(head + "".join(rows), *names), texts, strict=True):
        assert shown[case[0]] == case[2], case


UNKNOWN = "its password cannot be verified:"
BAD = {
    "yesterday": ({"created": "yesterday"}, "created must be a time … (got 'yesterday')"),
    "a date of none": ({"created": "2021-02-30"}, "created must be a time … (got '2021-02-30')"),
    "a number for a date": (
        {"last_login": 1612324800},
        "last_login must be a time … (got '1612324800')",
    ),
    "before the year 1": ({"created": "0001-01-01T00:00+14:00"}, "created must be a time"),
    "maybe": ({"is_active": "maybe"}, "is_active must be true or false, … (got 'maybe')"),
    "a list of words": ({"groups": ["a"]}, "groups must be whole numbers: … (got \"['a']\")"),
    "a hole": ({"groups": "1,,2"}, "groups must be whole numbers: … (got '1,,2')"),
    "too big": ({"towns": [2**63]}, "towns must be whole numbers"),
    "a blank in a list": ({"towns": "1, ,2"}, "towns must be whole numbers: … (got '1, ,2')"),
    "half": ({"days_count": 1.5}, "days_count must be a whole number (got '1.5')"),
    "many days": ({"days_count": 2**31}, "days_count must be a whole number"),
    "true days": ({"days_count": True}, "days_count must be a whole number (got 'True')"),
    "id 0": ({"id": 0}, "id must be a whole number from 1 to 2^62 (got '0')"),
    "no room above": ({"id": 2**62 + 1}, "id must be"),
    "an object": ({"city": {}}, "city must be a text … (got '{}')"),
    "long name": (
        {"username": "n" * 255},
        "username is too long; it must be a text of at most 254 characters",
    ),
    "long when folded": ({"username": "\ufdfa" * 200}, "username is too long"),
    "long e-mail": ({"email": "n" * 255}, "email is too long"),
    "long first name": ({"first_name": "n" * 255}, "first_name is too long"),
    "NUL": ({"username": "a\0b"}, "username is 'a\\\\x00b', which cannot be stored"),
    "half a character": ({"city": "\udc00"}, "city is '\\\\udc00', which cannot be stored"),
    "nobody": ({"username": " ", "email": ""}, "it has neither username nor email"),
    "no hash": ({"password": None}, "its password is missing; give the hash, or !"),
    "plain": ({"password": "correct horse"}, f"{UNKNOWN} its format is not known"),
    "damaged": ({"password": "pbkdf2_sha256$10$salt$AAAA"}, f"{UNKNOWN} it is damaged"),
    "endless hash": ({"password": "!" * 20_000}, "password is too long; it must be a hash"),
    "long address": (
        {"address": "a" * 10_001},
        "address is too long; it must be … 10000 characters",
    ),
    "a list for a hash": ({"password": ["secret"]}, "its password is not a hash; give one as text"),
}


def test_every_bad_value_is_told_with_its_line(check):
    good = json_line(username="good")
    lines = [json_line(**{"username": f"n{n}", **bad}) for n, (bad, _) in enumerate(BAD.values())]
    found = check(good + "".join(lines))
    assert [int(where) for where, _ in found] == list(range(2, len(BAD) + 2)), found
    for (_, what), (name, (_, said)) in zip(found, BAD.items(), strict=True):
        start, _, end = said.partition("…")
        assert what.startswith(start), name
        assert what.endswith(end), name
        assert "secret" not in what
        assert "horse" not in what


@pytest.mark.parametrize("value", [["secret"], {"secret": 1}, "secret\0", "secret", "s" * 20_000])
def test_no_problem_holds_what_was_given_for_a_hash(value):
    account, [problem] = AccountReader().read(Record(1, [("username", "kim"), ("pw_hash", value)]))
    assert "s" not in problem.value.replace("its format is not known", "")
    assert account.values["password"] is None
    assert not account.is_sound


HEAD = "username,email,password\n"


def test_what_can_not_be_read_in_csv(check):
    found = check(
        HEAD
        + "a,,!\n"
        + "b,,!,more\n"
        + "\n"
        + 'c,"two\nlines",!\n'
        + "d\n"
        + 'e,"x"y,!\n'
        + "f,f@x.example,!\n"
        + 'g,"open,!\nh,,!\n'
    )
    assert found[:3] == [
        ("3", "it cannot be read (4 fields, where the header has 3); correct it"),
        ("7", "it cannot be read (1 fields, where the header has 3); correct it"),
        ("8", "it cannot be read (',' expected after '\"'); correct it"),
    ]
    assert found[3][0] == "lines 10 to 11"
    assert "unexpected end of data" in found[3][1]


def test_what_can_not_be_read_in_json_lines(check):
    found = check("\n".join([json_line(), "{", "7", "[" * 100_000, "", '{"id": ' + "9" * 5000]))
    whats = [what for _, what in found]
    assert [where for where, _ in found] == ["3", "4", "5", "7"]
    assert "invalid JSON: Expecting property name" in whats[0]
    assert "not a JSON object" in whats[1]
    assert "invalid JSON" in whats[2]
    assert "no JSON" in whats[3] or "invalid JSON" in whats[3]


@pytest.mark.parametrize("head", [HEAD.encode(), b""])
def test_what_is_no_utf_8_and_what_is_endless(check, head):
    first = 2 if head else 1
    lines = [
        b"a,,!" if head else b'{"username": "a", "password": "!"}',
        b"\xe9,,!" if head else b'{"username": "\xe9", "password": "!"}',
        b"x" * 17_000_000,
        b"b,,!" if head else b'{"username": "b", "password": "!"}',
    ]
    found = check(head + b"\n".join(lines) + b"\n")
    assert found == [
        (str(first + 1), "it is not UTF-8; save the file as UTF-8"),
        (str(first + 2), "it is longer than 16 MiB; shorten it"),
    ]


def test_names_that_stand_twice_name_the_other_line(check):
    found = check(HEAD + "Kim,a@x.example,!\nKIM,b@x.example,!\nlee,A@X.example,!\n")
    assert found == [
        ("3", "username 'KIM' is in line 2, too; remove one of them"),
        ("4", "email 'A@X.example' is in line 2, too; remove one of them"),
    ]


def test_the_summary_counts_lines_and_kinds(account, tmp_path):
    file = tmp_path / "accounts.csv"
    file.write_text(HEAD + "a,,!\nb,,plain\nc,,plain\n,,\n")
    status, out, _ = account("import", "--check", file)
    assert status == 1
    assert out.splitlines()[-4:] == [
        "4 lines: 1 can be imported, 0 already there, 3 with problems",
        "        2  password unknown hash",
        "        1  neither username nor e-mail",
        "        1  no password hash",
    ]


COLUMN = "the column 'Ratings' is unknown; rename it to one of id, username"


def test_an_unknown_column_is_told_once_and_can_be_passed_over(account, tmp_path, database):
    file = tmp_path / "accounts.csv"
    file.write_text("Username,Ratings,password\na,5,!\nb,4,!\n")
    status, out, err = account("import", "--skip", file)
    assert status == 1
    assert out.startswith(f"line 2: {COLUMN}")
    assert out.count(COLUMN) == 1
    is_one_line(err, "nothing was imported")
    assert count(database) == 0
    assert account("import", "--ignore-column", "ratings", file)[0] == 0
    assert count(database) == 2


def test_two_columns_of_one_meaning(check):
    text = "name,username,password\na,x,!\nb,y,!\n"
    told = "two columns mean username; skip one of them with --ignore-column"
    assert check(text) == [("2", told)]
    assert check(text, "--ignore-column", "name") == []
    assert check("username,username,password\na,x,!\n") == [("2", told)]


NO_FILES = {
    "no header": ("kim,kim@example.com,$2b$12$secret\n", "its first line does not name a column"),
    "a list": ('[{"username": "kim"}]', "this is a JSON list"),
    "no text": ("\xff\xfe\n", "its first line"),
    "a bad header": ('"username"x\n', "its first line is not a CSV header"),
}


@pytest.mark.parametrize(("text", "said"), NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_of_accounts(account, tmp_path, text, said):
    file = tmp_path / "accounts"
    file.write_bytes(text.encode("latin-1"))
    status, out, err = account("import", file)
    assert (status, out) == (1, "")
    is_one_line(err, said)
    assert "secret" not in err


def test_a_file_with_no_line_has_no_account(account, tmp_path):
    for text in ("", "\n", HEAD, "\ufeff"):
        (tmp_path / "none").write_text(text)
        status, out, _ = account("import", tmp_path / "none")
        assert (status, out.splitlines()[0].partition(":")[0]) == (0, "0 lines"), text


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_as_spreadsheets_write_it(check, delimiter):
    assert check("\ufeff" + (HEAD + "a,a@x.example,!\n").replace(",", delimiter)) == []


def test_the_format_can_be_given(account, tmp_path):
    file = tmp_path / "accounts"
    file.write_text("{username,password\na,!\n")
    assert account("import", "--check", "--ignore-column", "{username", file)[0] == 1
    status, _, err = account("import", "--format", "csv", "--check", file)
    assert status == 1
    assert err == ""


def test_the_same_names_as_accounts_that_are_there(account, tmp_path, database):
    """The same account is passed over, another's name is a problem; --skip leaves it out."""
    file = tmp_path / "accounts.csv"
    file.write_text(HEAD + "kim,kim@example.com,!\n")
    assert account("import", file)[0] == 0
    file.write_text(HEAD + "KIM,Kim@example.com,!\nkim2,KIM@EXAMPLE.com,!\nlee,,!\n")
    status, out, err = account("import", file)
    assert status == 1
    assert "line 3: email 'KIM@EXAMPLE.com' is taken by account 1; change one" in out
    is_one_line(err, "nothing was imported", "--skip")
    assert count(database) == 1
    status, out, err = account("import", "--skip", file)
    assert (status, err) == (0, "")
    assert out.splitlines()[-1].startswith("1 account imported in ")
    assert out.splitlines()[-1].endswith(" s, 1 already there, 1 left out")
    assert count(database) == 2


@pytest.fixture
def start(stores):
    """Start `account …` as a program."""
    where = {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS": KEY}
    with ExitStack() as stack:
        yield lambda *words, **other: stack.enter_context(
            Program("account", *map(str, words), **(where | other))
        )


def many(tmp_path, how_many=12_000):
    file = tmp_path / "accounts.csv"
    rows = (f"n{n},N{n}@x.example,!\n" for n in range(how_many))
    file.write_text(HEAD + "".join(rows))
    return file


HOLD = """begin; insert into account (id, username, username_folded, password, session_epoch)
    values (10000000, 'n7000', 'n7000', '!', 1)"""
WAITS = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"


@pytest.fixture
def held_up(start, stores, database):
    """Start an import, and hold it up in the second of its three batches."""

    def held_up(file):
        assert start("list").wait() == 0  # there are tables now
        database.cursor().execute(HOLD)
        ran = start("import", file)
        assert wait_for(lambda: ask(stores[0], WAITS) == [(1,)]), ran.err
        return ran

    return held_up


@pytest.mark.usefixtures("clean")
@pytest.mark.slow
def test_killed_in_the_middle_it_is_run_again_and_nothing_is_there_twice(
    held_up, start, tmp_path, database
):
    """PostgreSQL ends the batch that was under way; the second run waits for it."""
    file = many(tmp_path)
    ran = held_up(file)
    ran.process.send_signal(signal.SIGKILL)
    ran.wait()
    again = start("import", file)
    again.say("waiting for another import to finish")
    assert count(database) == 5_001
    database.cursor().execute("rollback")
    assert again.wait() == 0, again.err
    assert "12000 lines: 2000 can be imported, 10000 already there, 0 with problems" in again.out
    with database.cursor() as cursor:
        cursor.execute("select count(*), count(distinct email_folded), max(id) from account")
        assert cursor.fetchone() == (12_000, 12_000, 12_000 + 2_000)  # it had taken its ids


@pytest.mark.usefixtures("clean")
@pytest.mark.slow
def test_a_line_whose_name_is_registered_meanwhile_is_told(held_up, tmp_path, database):
    ran = held_up(many(tmp_path))
    database.cursor().execute("commit")
    assert ran.wait() == 1
    assert "line 7002: its username, email or id was taken during the import" in ran.out
    assert "11999 accounts imported" in ran.out
    is_one_line(ran.err, "not imported because of concurrent changes: 1 line")
    assert count(database) == 12_000


@pytest.mark.usefixtures("clean")
@pytest.mark.slow
def test_stopped_at_a_terminal_it_says_what_stays(held_up, tmp_path, database):
    ran = held_up(many(tmp_path))
    ran.process.send_signal(signal.SIGINT)
    time.sleep(0.5)  # it must be there before what it waits for
    database.cursor().execute("rollback")
    assert ran.wait() == 1
    is_one_line(ran.err, "stopped: what was imported stays; run it again to continue")


def program(stores, *words, **options):
    """Start `account …` with pipes of one's own; it needs no Redis."""
    where = {"DATABASE_URL": stores[0], "REDIS_URL": "redis://127.0.0.1:1", "SECRET_KEYS": KEY}
    return subprocess.Popen(
        [sys.executable, "server.py", "account", *words],
        cwd=ROOT,
        env={**os.environ, **where},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


@pytest.mark.slow
def test_from_standard_output_into_standard_input(account, stores):
    """Neither is a file: it is read once."""
    account("import", DATA / "django_dumpdata.jsonl")
    with (
        program(stores, "export") as exports,
        program(stores, "import", "--check", "-", stdin=exports.stdout) as imports,
    ):
        said = b"2 lines: 0 can be imported, 2 already there, 0 with problems\n"
        assert imports.communicate() == (said, b"")
        err = exports.stderr.read().decode()
    is_one_line(err, "standard output", "password hashes", "pictures are not included")
    assert (imports.returncode, exports.returncode) == (0, 0)


@pytest.mark.parametrize("words", [["import", "--check"], ["export"]])
@pytest.mark.slow
def test_whoever_reads_may_stop(account, stores, tmp_path, words):
    """As `head` does: nothing is said then."""
    file = tmp_path / "accounts.jsonl"
    lines = "".join(json_line(username=f"n{n}", city="x" * 200) for n in range(2_000))
    file.write_text(lines)
    assert account("import", file)[0] == 0
    file.write_text(lines * 2)
    with program(stores, *words, *([file] if "import" in words else [])) as ran:
        assert ran.stdout.readline()
        ran.stdout.close()
        assert ran.stderr.read() == b""
        assert ran.wait() == 1


FULL = r"""insert into account (id, username, username_folded, email, email_folded, password,
    session_epoch, is_active, is_staff, is_superuser, is_admin, first_name, last_name, created,
    last_login, email_verified_at, group_name, towns, days_count, groups, user_permissions, cellar,
    wants, address, address2, city, state, zipcode)
    select n, 'N' || n, 'n' || n, case when n % 2 = 0 then 'N@' || n end,
    case when n % 2 = 0 then 'n@' || n end, '!' || n, 1, n % 2 = 0, n % 3 = 0, n % 5 = 0,
    n % 7 = 0, case n % 3 when 0 then '' when 1 then 'a "b", c' end,
    case n % 2 when 0 then E'two\nlines\t\\' end, now() - interval '1 us' * n,
    case n % 2 when 0 then now() end, case n % 4 when 0 then now() end,
    case n % 4 when 0 then '' when 1 then 'g' end,
    array[3, -1, 9223372036854775807, n], n - 5, '{}', array[n], '{1,1}', '{}',
    ' street ', '', 'Åre 🔑', '{x}', '01234' from generate_series(1, 20) as n"""
SAME = f"""select {", ".join(COLUMNS).replace("group,", "group_name,")}, username_folded,
    email_folded from account order by id"""


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_an_export_makes_the_same_accounts_elsewhere(account, database, tmp_path, format):
    """In an empty database: every column is equal but the epoch, `modified` and the picture."""
    account("list")  # so that there are tables
    with database.cursor() as cursor:
        cursor.execute(FULL)
        cursor.execute(SAME)
        before = cursor.fetchall()
    file = tmp_path / "accounts"
    status, out, err = account("export", "--format", format, file)
    assert (status, out) == (0, "")
    is_one_line(err, "20 accounts", "password hashes", "pictures are not included")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with database.cursor() as cursor:
        cursor.execute("delete from account; alter sequence account_id restart")
        status, out, err = account("import", file)
        assert (status, err) == (0, ""), out
        cursor.execute(SAME)
        assert cursor.fetchall() == before
        cursor.execute("select nextval('account_id'), min(session_epoch) > 1 from account")
        assert cursor.fetchone() == (21, True)


def test_an_export_is_its_owners_alone_whatever_was_there(account, tmp_path):
    """A file of mode 0644 keeps no reader, and a link leads nowhere."""
    account("import", DATA / "django_dumpdata.jsonl")
    file, link, other = (tmp_path / name for name in ("export", "link", "other"))
    file.write_text("old")
    file.chmod(0o644)
    other.write_text("untouched")
    link.symlink_to(other)
    with file.open() as reader:  # somebody has opened it already
        assert account("export", file)[0] == 0
        assert reader.read() == "old"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text().splitlines()) == 2
    status, _, err = account("export", link)
    assert status == 1
    is_one_line(err, "link is a link: name the file itself")
    assert other.read_text() == "untouched"
    assert {each.name for each in tmp_path.iterdir()} == {"export", "link", "other"}


def test_an_export_that_fails_leaves_what_was_there(account, tmp_path, monkeypatch):
    account("import", DATA / "django_dumpdata.jsonl")
    file = tmp_path / "export"
    file.write_text("old")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(export_accounts, "_json_writer", fail)
    status, _, err = account("export", file)
    assert status == 1
    is_one_line(err, "stopped: the export is incomplete")
    assert file.read_text() == "old"
    assert [*tmp_path.iterdir()] == [file]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
LITERALS = st.sampled_from(
    ["\\N", '""', "\\\\N", '\\""', '"', "\r", "a\r\nb", "=1+1", " x ", "[]", "{}", "1"]
)
ANY_TEXT = st.one_of(TEXTS, LITERALS)
NAMES = ANY_TEXT.filter(lambda name: name and is_seen(name) and is_askable(name))
NUMBERS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4)
MANY = [2**62] * 7_000
"""More than what a field of CSV may have by default."""
MOMENTS = st.datetimes(datetime.datetime(1970, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001
ACCOUNTS = st.fixed_dictionaries(
    {
        "username": NAMES,
        "email": st.one_of(
            st.none(), st.sampled_from(['"a,\\"b"@x.example', "a@ex\u00e4mple.com"])
        ),
        "first_name": st.one_of(st.none(), ANY_TEXT),
        "group_name": st.one_of(st.none(), ANY_TEXT),
        "address": ANY_TEXT,
        "zipcode": ANY_TEXT,
        "towns": NUMBERS,
        "cellar": NUMBERS,
        "created": MOMENTS,
        "last_login": st.one_of(st.none(), MOMENTS),
        "email_verified_at": st.one_of(st.none(), MOMENTS),
        "days_count": st.integers(-(2**31) + 1, 2**31 - 1),
        "is_staff": st.booleans(),
    }
)
SOME = st.lists(ACCOUNTS, min_size=1, max_size=20, unique_by=lambda each: fold(each["username"]))


@hypothesis.settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[*hypothesis.HealthCheck],
    derandomize=True,
)
@hypothesis.given(SOME)
def test_whatever_is_exported_can_be_imported(account, database, tmp_path, found):
    """And is the same then, whatever somebody has called himself."""
    account("list")  # so that there are tables
    emails = {None}
    with database.cursor() as cursor:
        cursor.execute("delete from account")
        for number, each in enumerate(found):
            email = None if each["email"] in emails else each["email"]
            emails.add(email)
            row = each | {"email": email, "email_folded": email and fold_email(email)}
            row |= {"username_folded": fold(each["username"]), "password": "!"}
            row |= {"towns": each["towns"] if number else MANY}
            cursor.execute(
                f"""insert into account (id, session_epoch, {", ".join(row)})
                    select nextval('account_id'), 1, {", ".join(f"%({name})s" for name in row)}""",
                row,
            )
        cursor.execute(SAME)
        before = cursor.fetchall()
        for format in ("jsonl", "csv"):
            file = tmp_path / format
            assert account("export", "--format", format, file)[0] == 0
            cursor.execute("delete from account")
            status, out, err = account("import", file)
            assert (status, err) == (0, ""), out
            cursor.execute(SAME)
            assert cursor.fetchall() == before


def test_names_that_no_login_can_ask_for(check):
    """The dialects trim the white space around what is asked for."""
    lines = [json_line(username=f"{white}kim{n}") for n, white in enumerate(" \t\xa0\u3000\x1f")]
    lines += [json_line(username="lee", email="lee@x.example "), json_line(username="no or")]
    found = check("".join(lines))
    assert [line for line, _ in found] == ["1", "2", "3", "4", "5", "6"]
    assert found[0][1] == (
        "username ' kim0' has surrounding white space, which no login can match; trim it"
    )
    assert found[5][1].startswith("email 'lee@x.example ' has surrounding white space")


LEA = ("--group", "cats", "--new-group", "--name", "Lea")


async def test_pictures_move_with_their_accounts_and_the_gallery(client, run_in, stores, tmp_path):
    """Into an empty database of another server; own pictures keep their URLs."""
    new = {"password": PASSWORD, "email": "kim@x.example", "username": "kim"}
    tokens = {}
    for name in ("kim", "lee", "noor", "pia"):
        data = {**new, "username": name, "email": f"{name}@x.example"}
        answer = await client.post("/account/register", json=data)
        tokens[name] = {"Authorization": f"Token {(await answer.json())['token']}"}
    photo = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(photo, "PNG")
    hung = tmp_path / "hung.png"
    hung.write_bytes(photo.getvalue())
    said = await run_in(stores[0], "gallery", "add", hung, *LEA)
    lea = int(said.split()[-1])

    async def show(name, **what):
        answer = await client.post("/account/set_picture", headers=tokens[name], **what)
        assert answer.status == 200, await answer.text()

    answer = await client.post(
        "/account/set_picture",
        headers={**tokens["kim"], "Content-Type": "image/png"},
        data=photo.getvalue(),
    )
    assert answer.status == 200
    await show("lee", json={"id": lea})
    await show("noor", json={"id": 3})
    file = tmp_path / "all.jsonl"
    await run_in(stores[0], "account", "export", "--pictures", file)
    seen = """select username, gallery.name, picture.account_id, side_512, side_256, side_64,
        case when gallery.name is null then account.picture_id end
        from account left join picture on picture.id = picture_id
        left join gallery on gallery.picture_id = account.picture_id order by account.id"""
    before = ask(stores[0], seen)
    try:
        with own_database(stores) as url:
            said = await run_in(url, "account", "import", file)
            assert "4 lines: 4 can be imported" in said
            after = ask(url, seen)
            assert after == before
            assert [row[1] for row in after] == [None, "Lea", before[2][1], None]
            found = ask(url, "select id, \"group\", name from gallery where name = 'Lea'")
            assert found == [(lea, "cats", "Lea")]
            assert ask(url, "select count(*), max(id) from gallery") == [(11, lea)]
            # Into where it is already: accounts are passed over, and nothing is hung twice.
            await run_in(url, "account", "import", file)
            assert ask(url, "select count(*) from picture") == [(12,)]
            # A picture whose id is somebody else's gets another one.
            ask(
                url,
                "update account set username = 'k', username_folded = 'k', email = null, "
                "email_folded = null where id = 1",
            )
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            again = [{**each, "id": None} for each in lines if each.get("username") == "kim"]
            file.write_text("".join(f"{json.dumps(each)}\n" for each in again))
            await run_in(url, "account", "import", file)
            rows = ask(url, seen)
            assert (rows[-1][0], rows[-1][3:6]) == ("kim", before[0][3:6])
            assert rows[-1][6] != rows[0][6]
    finally:
        await run_in(stores[0], "gallery", "remove", lea)


BAD_PICTURES = [
    {"gallery": 0},
    {"gallery": "3"},
    {"id": "x", "512": "", "256": "", "64": ""},
    {"id": "x"},
    7,
    {"512": "%%%", "256": "", "64": ""},
]


def test_what_is_no_picture_of_an_export(check):
    lines = [json_line(username=f"n{n}", picture=each) for n, each in enumerate(BAD_PICTURES)]
    lines += [json.dumps({"gallery": {"id": 3, "group": "cats", "name": "Lea"}})]
    told = "its picture is not as `account export --pictures` writes it; remove it"
    assert check("".join(lines)) == [(str(n + 1), told) for n in range(len(lines))]
    assert check(json_line(username="kim", picture=None)) == []


def test_csv_has_no_pictures(account, tmp_path):
    status, out, err = account("export", "--pictures", "--format", "csv", tmp_path / "x")
    assert (status, out) == (2, "")
    is_one_line(err, "--pictures")


CANT = {
    "no file": (("import", "nowhere.csv"), {}, "nowhere.csv: No such file or directory"),
    "a directory": (("import", "tests"), {}, "tests: Is a directory"),
    "no place": (("export", "nowhere/x"), {}, "nowhere/x: No such file or directory"),
    "a full disk": (("export", "/dev/full"), {}, "No space left on device"),
    "import to nobody": (
        ("import", "tests/commands/files/flask_users.csv"),
        {"database_url": "postgresql://127.0.0.1:1/x"},
        "postgresql: ",
    ),
    "export of nobody": (
        ("export", "/dev/null"),
        {"database_url": "postgresql://127.0.0.1:1/x"},
        "postgresql: ",
    ),
}


@pytest.mark.parametrize(("words", "where", "said"), CANT.values(), ids=CANT)
def test_what_can_not_be_done_is_one_line(account, monkeypatch, words, where, said):
    monkeypatch.chdir(ROOT)
    account("import", "--ignore-column", "ratings", DATA / "flask_users.csv")
    status, out, err = account(*words, **where)
    assert (status, out) == (1, "")
    is_one_line(err, said)


@pytest.mark.parametrize(
    "words", [["import"], ["import", "a", "--check", "--skip"], ["export", "a", "b"]]
)
def test_usages(account, capsys, words):
    with pytest.raises(SystemExit) as ended:
        account(*words)
    assert ended.value.code == 2
    is_one_line(capsys.readouterr().err)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that each look moves on by three seconds."""
    ticks = iter(range(0, 1000, 3))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(ticks))


@pytest.mark.usefixtures("clock")
def test_progress_is_a_line_now_and_then():
    stream = io.StringIO()
    told = Progress(stream, "imported", "of 100 accounts")
    told.report(10, 0.1)
    assert stream.getvalue() == ""  # three seconds are too few
    told.report(20, 0.2)
    said = stream.getvalue()
    told.end()
    assert stream.getvalue() == said
    assert said.startswith("latchkey: imported 20 of 100 accounts, ")
    assert said.endswith(" left\n")
    assert said.count("\n") == 1


@pytest.mark.usefixtures("clock")
def test_at_a_terminal_progress_is_drawn_in_place():
    stream = Terminal()
    told = Progress(stream, "read", "lines")
    told.report(10)
    told.report(20)
    told.end()
    assert "\n" not in stream.getvalue()
    assert stream.getvalue().count("\r\x1b[Klatchkey: read ") == 2
    assert stream.getvalue().endswith("a second\r\x1b[K")
    assert " left" not in stream.getvalue()
