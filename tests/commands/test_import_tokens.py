"""`sessions import`: tokens of another application go on being good, and are never shown."""

import asyncio
import datetime
import hashlib
import json
import os
import secrets
from dataclasses import replace

import pytest

import commands
from app import create_app
from tests.program import KEY, Program
from tests.secrecy import WATCH

OFF = "latchkey: they are valid once the server has IMPORTED_TOKENS=on\n"
LOGIN = {"username": "kim", "password": "correct horse"}


@pytest.fixture
def token():
    return new_token()


def new_token():
    token = secrets.token_hex(20)
    WATCH.tokens.add(token)
    return token


@pytest.fixture
async def client(aiohttp_client, settings, clean):
    """A client of a server that takes imported tokens; there are kim (1) and Åsa (2)."""
    client = await aiohttp_client(create_app(replace(settings, imported_tokens="on")))
    for name, email in (("kim", "kim@example.com"), ("Åsa", "ASA@example.com")):
        new = {**LOGIN, "username": name, "email": email}
        assert (await client.post("/account/register", json=new)).status == 200
    return client


@pytest.fixture
def adopt(settings, capsys, tmp_path):
    """Import what a file holds; return exit status, stdout and stderr, which show no token."""

    async def run(text, *words, dialect="lumotist", **other):
        file = tmp_path / "tokens"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        where = replace(settings, **{"imported_tokens": "on", **other})
        arguments = ["sessions", "import", str(file), "--dialect", dialect, *words]
        status = await asyncio.to_thread(commands.run, arguments, where)
        out, err = capsys.readouterr()
        WATCH.lines += [out, err]
        assert not [each for each in WATCH.tokens if each in out + err]
        return status, out, err

    return run


def csv(*rows, header="key,created,user_id"):
    return "\n".join([header, *rows]) + "\n"


async def name_of(client, token):
    """Return whose profile a token opens, or the answer that it gets."""
    headers = {"Authorization": f"Token {token}"}
    answer = await client.get("/account/profile", headers=headers)
    found = await answer.json()
    return found["data"]["username"] if answer.status == 200 else found["detail"]


def kept(redis_client):
    return sorted(key.decode() for key in redis_client.scan_iter())


def names(redis_client):
    """In any order: sessions that end in the same second have none."""
    return set(redis_client.zrange("sessions:1", 0, -1))


DONE, INVALID = (0, "1 token imported, 0 lines with problems\n", ""), "Invalid token."

FORMS = {
    "Django's table": "key,created,user_id\n{},2021-01-09 12:00:00+00,2\n",
    "spreadsheet": "\ufeffUser_ID;Key\r\n2;{}\r\n",
    "by username": "username,token\nåSA,{}\n",
    "by e-mail": "token\temail\n{}\tasa@EXAMPLE.com\n",
    "account": "account,token\n2,{}\n",
    "id": "id,key\n2,{}\n",
    "id of the row": "id,user_id,key\n1,2,{}\n",
    "name where the id is empty": "user_id,username,key\n,Åsa,{}\n",
    "JSON lines": '{{"key": "{}", "user_id": 2}}\n\n',
    "JSON lines, by name": '{{"username": "Åsa", "token": "{}", "email": null}}',
    "dumpdata": '{{"model": "authtoken.token", "pk": "{}", "fields": {{"user": 2}}}}',
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_a_token_stands_for_its_account(client, adopt, token, form):
    assert await name_of(client, token) == INVALID
    assert await adopt(form.format(token)) == DONE
    assert await name_of(client, token) == "Åsa"


EXPIRY = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
KNOX_FORMS = {
    "knox's table": "digest,user_id,expiry\n{digest},2,{expiry}\n",
    "a time without an offset": "digest,user_id,expiry\n{digest},2,{utc}\n",
    "dumpdata": '{{"model": "knox.authtoken", "pk": "{digest}", "fields": {{"user": 2, '
    '"token_key": "0123456789abcde", "expiry": "{json}"}}}}',
    "tokens that never end": "digest,user_id,expiry\n{digest},2,\n",
    "the token itself": "key,user_id\n{token},2\n",
}


@pytest.mark.parametrize("form", KNOX_FORMS)
async def test_a_token_of_knox_stands_for_its_account(client, adopt, redis_client, form):
    """The library has only the digest; the app has the token."""
    token = secrets.token_hex(32)
    WATCH.tokens.add(token)
    digest = hashlib.sha512(token.encode()).hexdigest()
    utc = EXPIRY.replace(tzinfo=None)
    line = KNOX_FORMS[form].format(
        digest=digest, token=token, expiry=f"{utc}+00", utc=utc, json=f"{utc.isoformat()}Z"
    )
    assert await adopt(line, dialect="knox") == DONE
    assert await name_of(client, token) == "Åsa"
    assert await name_of(client, digest) == INVALID
    lasts = redis_client.ttl(f"session:{digest}")
    assert (lasts <= 3600) == ("never" not in form and "itself" not in form)


@pytest.mark.parametrize("expiry", ["2021-01-09 12:00:00+00", "soon", "1", "2021-13-01"])
async def test_a_token_that_has_ended_is_a_problem(client, adopt, expiry):
    digest = hashlib.sha512(b"x").hexdigest()
    status, out, _ = await adopt(f"digest,user_id,expiry\n{digest},1,{expiry}\n", dialect="knox")
    assert status == 1
    assert out.splitlines()[0] == "line 2: its token has ended, or its expiry is not a time"


@pytest.mark.parametrize("dialect", ["wicare", "kust", "cellars", "fardel", "authtoken"])
async def test_it_is_of_the_dialect_that_is_named(client, adopt, token, settings, capsys, dialect):
    assert await adopt(csv(f"{token},,1"), dialect=dialect) == DONE
    words = ["sessions", "list", "kim", "--json"]
    assert await asyncio.to_thread(commands.run, words, settings) == 0
    found = {(each["dialect"], each["kind"]) for each in json.loads(capsys.readouterr().out)}
    assert found == {("lumotist", "token"), (dialect, "imported")}
    assert await name_of(client, token) == "kim"


LONG = "0" * 5_000
PROBLEMS = {
    "{bad},,1": "its token (key or token) is not 40 or 64 hex digits, nor a digest of 128",
    ",,1": "its token (key or token) is not 40 or 64 hex digits, nor a digest of 128",
    "{token},,": "it does not name an account; give user_id, username or email",
    "{token},,3": "no account has id '3'",
    "{token},,0": "no account has id '0'",
    "{token},,9999999999999999999": "no account has id '9999999999999999999'",
    "{token},,kim": "its user_id is not an account's id, which is a whole number",
    "{token},,-1": "its user_id is not an account's id, which is a whole number",
    f"{{token}},,{LONG}": "its user_id is not an account's id, which is a whole number",
    "1,,{token}": "its user_id is not an account's id, which is a whole number",
    "{token}": "it cannot be read (1 fields, where the header has 3); correct it",
    '{token},"x"y,1': "it cannot be read (',' expected after '\"'); correct it",
}


async def test_every_problem_is_told_with_its_line_and_the_rest_is_imported(client, adopt, token):
    other, bad = new_token(), [each.format(token=token, bad=token.upper()) for each in PROBLEMS]
    status, out, err = await adopt(csv(*bad, f"{other},,2"))
    assert (status, err) == (1, "")
    assert out.splitlines() == [
        *(f"line {line}: {said}" for line, said in enumerate(PROBLEMS.values(), 2)),
        f"1 token imported, {len(PROBLEMS)} lines with problems",
    ]
    assert [await name_of(client, each) for each in (token, other)] == [INVALID, "Åsa"]


JSON_PROBLEMS = {
    "{": "it cannot be read (invalid JSON: Expecting property name enclosed in double quotes "
    "at character 3); correct it",
    "7": "it cannot be read (not a JSON object); correct it",
    '{"user_id": [1], "key": "TOKEN"}': "its user_id is not an account's id, "
    "which is a whole number",
    '{"user_id": true, "key": "TOKEN"}': "its user_id is not an account's id, "
    "which is a whole number",
    '{"user_id": 1, "key": ["TOKEN"]}': "its token (key or token) is not 40 or "
    "64 hex digits, nor a digest of 128",
    '{"username": "", "key": "TOKEN"}': "no account has username ''",
    '{"username": "k\\u0000", "key": "TOKEN"}': "no account has username 'k\\x00'",
    '{"username": "\\ud800", "key": "TOKEN"}': "no account has username '\\ud800'",
    '{"email": "kim", "key": "TOKEN"}': "no account has email 'kim'",
    '{"username": "%s", "key": "TOKEN"}' % ("k" * 300): f"no account has username '{'k' * 80}'",
}


async def test_every_problem_of_json_lines(client, adopt, token):
    bad = [each.replace("TOKEN", new_token()) for each in JSON_PROBLEMS]
    status, out, err = await adopt("\n".join([json.dumps({"user_id": 1, "key": token}), *bad]))
    assert (status, err) == (1, "")
    assert out.splitlines() == [
        *(f"line {line}: {said}" for line, said in enumerate(JSON_PROBLEMS.values(), 2)),
        f"1 token imported, {len(JSON_PROBLEMS)} lines with problems",
    ]
    assert await name_of(client, token) == "kim"


async def test_a_line_that_is_no_utf_8(client, adopt, token):
    rows = b"username,key\n\xe5sa," + token.encode() + b"\n"
    status, out, _ = await adopt(rows)
    assert (status, out.splitlines()[0]) == (1, "line 2: it is not UTF-8; save the file as UTF-8")


NO_FILES = {
    "no header": ("{token},,1\n", "its first line does not name a column of an account"),
    "a JSON list": ('[{{"key": "{token}"}}]', "this is a JSON list"),
}


@pytest.mark.parametrize(("text", "said"), NO_FILES.values(), ids=NO_FILES)
async def test_what_is_no_file_of_tokens(client, adopt, token, redis_client, text, said):
    before = kept(redis_client)
    status, out, err = await adopt(text.format(token=token))
    assert (status, out) == (1, "")
    assert err.startswith(f"latchkey: {said}")
    assert err.count("\n") == 1
    assert kept(redis_client) == before


async def test_check_writes_nothing_and_says_what_is_wrong(client, adopt, token, redis_client):
    before = kept(redis_client)
    can = (0, "1 token can be imported, 0 lines with problems\n", "")
    assert await adopt(csv(f"{token},,1"), "--check", imported_tokens="off") == can
    status, out, _ = await adopt(csv(f"{token},,1", f"{token},,7", "x,,1"), "--check")
    assert (status, out.splitlines()) == (
        1,
        [
            "line 3: no account has id '7'",
            "line 4: its token (key or token) is not 40 or 64 hex digits, nor a digest of 128",
            "1 token can be imported, 2 lines with problems",
        ],
    )
    assert kept(redis_client) == before
    assert await name_of(client, token) == INVALID


async def test_run_twice_it_makes_nothing_twice(client, adopt, token, redis_client):
    rows = csv(f"{token},,1")
    assert await adopt(rows) == DONE
    before = kept(redis_client), names(redis_client)
    assert await adopt(rows) == DONE
    assert await adopt(rows, dialect="kust") == DONE  # as which it stands already
    assert (kept(redis_client), names(redis_client)) == before


ENDED = "its token was revoked here, or belongs to another account"


@pytest.mark.parametrize("path", ["/account/logout", "/wicare/api/auth/logoutall"])
async def test_one_that_was_ended_stays_so(client, adopt, token, path):
    other = new_token()
    rows = csv(f"{token},,1", f"{other},,2")
    assert (await adopt(rows))[0] == 0
    headers = {"Authorization": f"Token {token}"}
    assert (await client.post(path, headers=headers)).status < 300
    said = f"line 2: {ENDED}\n1 token imported, 1 line with problems\n"
    assert await adopt(rows) == (1, said, "")
    assert [await name_of(client, each) for each in (token, other)] == [INVALID, "Åsa"]


async def test_one_that_the_epoch_has_ended_is_not_called_imported(client, adopt, token, database):
    """Redis was away when all sessions of the account ended: the record is still there."""
    assert await adopt(csv(f"{token},,1")) == DONE
    with database.cursor() as cursor:
        cursor.execute("update account set session_epoch = session_epoch + 1 where id = 1")
    said = f"line 2: {ENDED}\n0 tokens imported, 1 line with problems\n"
    assert await adopt(csv(f"{token},,1")) == (1, said, "")
    assert await name_of(client, token) == INVALID


async def test_it_is_the_account_s_that_came_first(client, adopt, token):
    status, out, _ = await adopt(csv(f"{token},,1", f"{token},,2"))
    assert (status, out.splitlines()[0]) == (1, f"line 3: {ENDED}")
    assert await name_of(client, token) == "kim"


async def test_of_a_disabled_account(client, adopt, token, database):
    """Its token is kept, and told so; enabled later, it logs in again."""
    with database.cursor() as cursor:
        cursor.execute("update account set is_active = false where id = 1")
    assert await adopt(csv(f"{token},,1")) == DONE
    assert await name_of(client, token) == "User inactive or deleted."


async def test_a_login_gives_a_token_of_ours_and_leaves_the_imported_one(client, adopt, token):
    assert await adopt(csv(f"{token},,1")) == DONE
    ours = (await (await client.post("/account/login", json=LOGIN)).json())["token"]
    assert ours != token
    assert [await name_of(client, each) for each in (token, ours)] == ["kim", "kim"]


async def test_more_than_one_batch(client, adopt, monkeypatch, redis_client):
    monkeypatch.setattr("commands.transfer.import_tokens.BATCH", 3)
    tokens = [new_token() for _ in range(7)]
    rows = [f"{each},,{1 + n % 2}" for n, each in enumerate(tokens)]
    assert (await adopt(csv(*rows[:5], "x,,1", *rows[5:])))[1].splitlines() == [
        "line 7: its token (key or token) is not 40 or 64 hex digits, nor a digest of 128",
        "7 tokens imported, 1 line with problems",
    ]
    assert [await name_of(client, each) for each in tokens] == ["kim", "Åsa"] * 3 + ["kim"]
    assert not [key for key in kept(redis_client) if any(each in key for each in tokens)]


@pytest.fixture
async def off(aiohttp_client, settings):
    """A client of a server that takes no imported tokens, as by default."""
    return await aiohttp_client(create_app(settings))


async def test_off_it_says_what_is_missing_and_they_are_no_tokens(client, off, adopt, token):
    assert await adopt(csv(f"{token},,1"), imported_tokens="off") == (*DONE[:2], OFF)
    assert [await name_of(each, token) for each in (client, off)] == ["kim", INVALID]
    assert (await adopt(csv("x,,1"), imported_tokens="off"))[2] == ""


@pytest.fixture
def pipe(monkeypatch):
    """The other end of standard input."""
    reads, writes = os.pipe()
    with open(reads) as stdin, open(writes, "w") as pipe:
        monkeypatch.setattr("sys.stdin", stdin)
        yield pipe


async def test_from_standard_input(client, settings, capsys, pipe, token):
    pipe.write(csv(f"{token},,1"))
    pipe.close()
    words = ["sessions", "import", "-", "--dialect", "kust"]
    assert await asyncio.to_thread(commands.run, words, settings) == 0
    assert capsys.readouterr() == (DONE[1], OFF)
    assert await name_of(client, token) == "kim"


@pytest.mark.slow
async def test_as_a_program(client, stores, token, tmp_path):
    """The exit status and both streams, as a shell has them; and which file is not there."""
    where = {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS": KEY}
    (tmp_path / "tokens").write_text(csv(f"{token},,1", "x,,1"))
    words = ("sessions", "import", "--dialect", "kust")
    with (
        Program(*words, str(tmp_path / "tokens"), **where) as ran,
        Program(*words, "nowhere", **where) as missing,
    ):
        assert await asyncio.to_thread(ran.wait) == 1
        assert ran.out.splitlines()[1:] == ["1 token imported, 1 line with problems"]
        assert ran.err == OFF
        assert await asyncio.to_thread(missing.wait) == 1
        no_file = "latchkey: nowhere: No such file or directory\n"
        assert (missing.out, missing.err) == ("", no_file)
    assert await name_of(client, token) == "kim"


async def test_without_redis_nothing_is_imported(client, adopt, token):
    status, out, err = await adopt(csv(f"{token},,1"), redis_url="redis://127.0.0.1:1")
    assert (status, out) == (1, "")
    assert err.startswith("latchkey: redis")


@pytest.mark.parametrize("words", [[], ["tokens"], ["tokens", "--dialect", "django"]])
def test_too_few_words_are_a_usage(settings, capsys, words):
    with pytest.raises(SystemExit) as ended:
        commands.run(["sessions", "import", *words], settings)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("latchkey: ")
