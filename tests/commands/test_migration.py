"""An application moves in by the lines of docs/migrating.md, and can move out again.

The accounts are a real Django's (tests/commands/migration/), or are kept as Flask's werkzeug keeps
them.
"""

import contextlib
import hashlib
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import bcrypt
import psycopg2
import pytest
from werkzeug.security import generate_password_hash

from app import create_app
from handlers import DIALECTS
from handlers.mounts import parse_mounts
from tests.commands.migration import page
from tests.commands.migration.page import DJANGO, OURS, Old, documented, run_ours, run_shell
from tests.commands.migration.people import IN_DJANGO, IN_FLASK, Person
from tests.handlers.dialects.each_dialect import DIALECT_CALLS
from tests.secrecy import WATCH
from tests.store.databases import ask, own_database

INVALID = (401, {"detail": "Invalid token."})
INACTIVE = (401, {"detail": "User inactive or deleted."})
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.4cFqTnGZ6QhJZ0yGzSg5Cv1nq3E4b5m1Xz3yQ2w9RkI"
needs_sqlite3 = pytest.mark.skipif(not shutil.which("sqlite3"), reason="sqlite3 is not installed")


@pytest.fixture(scope="module")
def made(stores: tuple[str, str]) -> Iterator[Old]:
    with own_database(stores) as url:
        old = Old.make(url)
        WATCH.tokens |= {
            *old.tokens.values(),
            *old.knox_tokens.values(),
            *old.refresh_tokens.values(),
        }
        yield old


@pytest.fixture
def old(made: Old, stores: tuple[str, str]) -> Iterator[Old]:
    """A copy of the old application."""
    with own_database(stores, copy_of=made.url) as url:
        yield replace(made, url=url)


@pytest.fixture
async def client(aiohttp_client, settings, clean):
    """A client of the new server, which takes imported tokens."""
    return await aiohttp_client(create_app(replace(settings, imported_tokens="on")))


@pytest.fixture
async def off(aiohttp_client, settings, clean):
    """A client of one that does not."""
    return await aiohttp_client(create_app(settings))


Run = Callable[..., Awaitable[str]]


@pytest.fixture
def run(settings, tmp_path, monkeypatch) -> Run:
    """Run a command of the page in an empty directory; it must succeed. Return what it says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manage.py").symlink_to(DJANGO / "manage.py")

    async def run(command: str, url: str = "", status: int = 0) -> str:
        ours = command.startswith(OURS)
        ended, said = await (
            run_ours(command, settings) if ours else run_shell(command, url, settings)
        )
        WATCH.lines.append(said)
        assert ended == status, said
        return said

    return run


async def log_in(client, dialect: str, name: str, password: str):
    """Log in; return the status and the token, if there is one."""
    calls = DIALECT_CALLS[dialect]
    data = {calls.logs_in_by[0]: name, "password": password}
    answer = await client.post(calls.login.split()[1], json=data)
    found = await answer.json()
    names = ("token", "auth_token", "access_token")
    return answer.status, next((found[name] for name in names if name in found), None)


async def who_is(client, token: str) -> tuple[int, dict]:
    """Ask who a token stands for, as an endpoint of the old application would."""
    headers = {"Authorization": f"Token {token}"}
    answer = await client.get("/kust/auth/users/me/", headers=headers)
    return answer.status, await answer.json()


async def id_of(client, token: str) -> int:
    return (await who_is(client, token))[1]["id"]


async def everybody_logs_in(client, people, dialects, database) -> None:
    """Each one by the right password alone, in every dialect; then the hash is ours."""
    for person in people:
        for dialect in dialects * 2:
            refused = DIALECT_CALLS[dialect].wrong[0]
            name = person.email if dialect == "fardel" else person.username
            status, token = await log_in(client, dialect, name, person.password)
            assert status == (200 if can_log_in(person) else refused), (person, dialect)
            wrong = person.password + "x"
            assert await log_in(client, dialect, name, wrong) == (refused, None)
            if token:
                assert await id_of(client, token) == ids(database)[person.username]
    hashes = dict(rows(database, "username, password"))
    for person in people:
        is_ours = hashes[person.username].startswith("bcrypt_sha256$$2b$04$")
        assert is_ours == (can_log_in(person) or person.method == "bcrypt_sha256")


def can_log_in(person: Person) -> bool:
    return person.is_active and person.method != "unusable"


def rows(database, columns: str, where: str = "true") -> list[tuple]:
    with database.cursor() as cursor:
        cursor.execute(f"select {columns} from account where {where} order by id")
        return cursor.fetchall()


def ids(database) -> dict[str, int]:
    return dict(rows(database, "username, id"))


@pytest.mark.parametrize("export", [page.TO_CSV, page.TO_JSON], ids=["psql", "dumpdata"])
async def test_from_django(client, old, run, database, export):
    """Every hash of Django's; and the ids, names, flags and times stay."""
    file = "jsonl" if export == page.TO_JSON else "csv"
    check, move = (
        each.replace("accounts.csv", f"accounts.{file}") for each in (page.CHECK, page.IMPORT)
    )
    await run(export, old.url)
    number = len(IN_DJANGO)
    summary = f"{number} lines: {number} can be imported, 0 already there, 0 with problems\n"
    assert await run(check) == summary
    assert rows(database, "id") == []
    assert f"{number} accounts imported" in await run(move)
    columns = "id, username, coalesce(email, ''), is_active, is_superuser, is_staff, last_login"
    moved = rows(database, f"{columns}, created, coalesce(first_name, ''), coalesce(last_name, '')")
    columns = "id, username, email, is_active, is_superuser, is_staff, last_login"
    if export == page.TO_JSON:  # of its times Django writes milliseconds
        ask(old.url, "update auth_user set date_joined = date_trunc('milliseconds', date_joined)")
    there = ask(
        old.url, f"select {columns}, date_joined, first_name, last_name from auth_user order by id"
    )
    assert moved == there
    assert rows(database, "groups", "username = 'kim'") == [([1] if file == "jsonl" else [],)]
    await everybody_logs_in(client, IN_DJANGO, ["lumotist", "kust", "wicare"], database)
    again = f"{number} lines: 0 can be imported, {number} already there, 0 with problems\n"
    assert (await run(move)).startswith(again)
    assert len(rows(database, "id")) == number
    new = {"username": "new", "email": "new@example.com", "password": "correct horse"}
    assert (await client.post("/account/register", json=new)).status == 200
    assert ids(database)["new"] == 1001


@pytest.fixture
async def moved(client, old, run) -> None:
    """All accounts are here."""
    await run(page.TO_CSV, old.url)
    await run(page.IMPORT)


@pytest.mark.usefixtures("moved")
async def test_tokens_of_rest_framework_stay_good(client, off, old, run, database, redis_client):
    await run(page.TOKENS, old.url)
    number = len(IN_DJANGO)
    assert "can be imported, 0 lines with problems" in await run(page.CHECK_TOKENS)
    assert not redis_client.keys("session*")
    said = f"{number} tokens imported, 0 lines with problems\n"
    for _ in range(2):
        assert (await run(page.IMPORT_TOKENS)).startswith(said)
    assert len(redis_client.keys("session:*")) == number
    there = ids(database)
    for name, token in old.tokens.items():
        assert await who_is(off, token) == INVALID
        if name == "gone":
            assert await who_is(client, token) == INACTIVE
        else:
            assert await id_of(client, token) == there[name]
    kims, headers = old.tokens["kim"], {"Authorization": f"Token {old.tokens['kim']}"}
    status, fresh = await log_in(client, "lumotist", "kim", IN_DJANGO[0].password)
    assert (status, fresh == kims) == (200, False)
    assert (await client.post("/account/logout", headers=headers)).status == 200
    assert await who_is(client, kims) == INVALID
    assert await id_of(client, fresh) == there["kim"]
    said = await run(page.IMPORT_TOKENS, status=1)
    assert f"{number - 1} tokens imported, 1 line with problems" in said
    assert await who_is(client, kims) == INVALID


@pytest.mark.usefixtures("moved")
async def test_tokens_of_knox_stay_good_until_they_end(
    client, off, old, run, database, redis_client
):
    """The library has only their digests. One of them has ended, and is not exported."""
    ask(
        old.url,
        "update knox_authtoken set expiry = now() where user_id in "
        "(select id from auth_user where username = 'pia')",
    )
    await run(page.KNOX_TOKENS, old.url)
    number = len(IN_DJANGO) - 1
    assert f"{number} tokens imported" in await run(page.IMPORT_KNOX_TOKENS)
    there = ids(database)
    for name, token in old.knox_tokens.items():
        assert await who_is(off, token) == INVALID
        if name == "pia":
            assert await who_is(client, token) == INVALID
        elif name == "gone":
            assert await who_is(client, token) == INACTIVE
        else:
            assert await id_of(client, token) == there[name]
    digest = hashlib.sha512(old.knox_tokens["kim"].encode()).hexdigest()
    assert 35_000 < redis_client.ttl(f"session:{digest}") <= 36_000  # knox's ten hours
    headers = {"Authorization": f"Token {old.knox_tokens['kim']}"}
    assert (await client.post("/wicare/api/auth/logout/", headers=headers)).status == 204
    assert await who_is(client, old.knox_tokens["kim"]) == INVALID


SIGNING_KEY = "the secret key of the old application, of 50 characters"


@pytest.mark.usefixtures("moved")
async def test_refresh_tokens_of_simple_jwt_stay_good(aiohttp_client, settings, old, run, database):
    """With the key of the old application, whose other endpoints accept the new tokens."""
    await run(page.BLACKLIST, old.url)
    assert await run(page.IMPORT_BLACKLIST) == "1 token refused, 0 lines with problems\n"
    text = "simplejwt=/?rotate-refresh-tokens=on&rotation-grace=0 kust=/"
    moved = replace(
        settings,
        dialects=parse_mounts(text, DIALECTS),
        jwt_signing_keys=(SIGNING_KEY,),
        jwt_moved_at=time.time(),
    )
    client = await aiohttp_client(create_app(moved))

    async def refresh(token: str) -> tuple[int, dict]:
        response = await client.post("/api/token/refresh/", json={"refresh": token})
        return response.status, await response.json()

    there, found = ids(database), {}
    for name, token in old.refresh_tokens.items():
        status, found[name] = await refresh(token)
        assert status == (401 if name == "noor" else 200), name
    assert found.pop("noor")["detail"] == "Token is blacklisted"
    access = {name: tokens["access"] for name, tokens in found.items()}
    for name, token in access.items():
        headers = {"Authorization": f"Bearer {token}"}
        answer = await client.get("/kust/auth/users/me/", headers=headers)
        assert (await answer.json())["id"] == there[name]
    assert old.owners([*access.values(), "x"]) == [*(there[name] for name in access), None]
    kims = {"refresh": found["kim"]["refresh"]}
    assert (await client.post("/api/token/blacklist/", json=kims)).status == 200
    assert (await refresh(kims["refresh"]))[0] == 401
    assert (await refresh(old.refresh_tokens["kim"]))[0] == 401
    headers = {"Authorization": f"Bearer {access['kim']}"}
    assert (await client.get("/kust/auth/users/me/", headers=headers)).status == 401
    assert old.owners([access["kim"]]) == [there["kim"]]  # the price of the old key


async def test_accounts_of_djoser_that_wait_for_their_activation(client, old, run, database):
    """An inactive account that has logged in was disabled by staff."""
    ask(
        old.url,
        "update auth_user set is_active = false, last_login = now() where username = 'pia'",
    )
    await run(page.WITH_ACTIVATION, old.url)
    assert f"{len(IN_DJANGO)} accounts imported" in await run(page.IMPORT)
    found = rows(database, "username, is_active, activated", "not (is_active and activated)")
    assert sorted(found) == [("gone", True, False), ("pia", False, True)]


async def test_verified_addresses_of_django_allauth(client, old, run, database):
    """One counts only for the address that the account has."""
    await run(page.WITH_ADDRESSES, old.url)
    assert f"{len(IN_DJANGO)} accounts imported" in await run(page.IMPORT)
    found = rows(database, "username, email", "email_verified_at is not null")
    assert found == [("kim", "Kim@example.com"), ("pia", "pia@example.com")]
    [(email,)] = rows(database, "email", "username = 'max@example.com'")
    assert email == "max@example.com"


async def test_who_shares_an_email_and_who_is_there_already(client, old, run, database):
    """Django lets accounts share an e-mail; and a second import changes nothing that is here."""
    ask(old.url, "update auth_user set email = 'KIM@example.com' where username in ('lee', 'noor')")
    ask(old.url, "update auth_user set last_login = now() where username = 'lee'")
    await run(page.TO_CSV, old.url)
    said = await run(page.CHECK, status=1)
    assert said.count("KIM@example.com' is in line ") == 2
    await run(page.ONE_EMAIL_EACH, old.url)
    await run(page.IMPORT)
    shared = rows(database, "username, email", "username in ('kim', 'lee', 'noor')")
    assert shared == [("kim", None), ("lee", "KIM@example.com"), ("noor", None)]
    before = rows(database, "account")
    ask(old.url, "update auth_user set password = 'scrypt$16384$x$8$5$x', is_staff = true")
    await run(page.ONE_EMAIL_EACH, old.url)
    assert "its password cannot be verified" in await run(page.IMPORT, status=1)
    ask(
        old.url,
        f"update auth_user set password = '{generate_password_hash('x', 'pbkdf2:sha256:9')}'",
    )
    await run(page.ONE_EMAIL_EACH, old.url)
    assert "0 accounts imported" in await run(page.IMPORT)
    ask(old.url, "update auth_user set email = 'new@example.com' where username = 'lee'")
    ask(old.url, "update auth_user set email = '' where username <> 'lee'")
    await run(page.ONE_EMAIL_EACH, old.url)
    assert "username 'lee' is taken by account" in await run(page.IMPORT, status=1)
    assert rows(database, "account") == before


TABLE = """create table users (
    id {id}, username varchar(80) not null unique, email varchar(120), password_hash varchar(256),
    is_active boolean not null, is_admin boolean not null, created_at timestamp)"""
ROW = """insert into users (id, username, email, password_hash, is_active, is_admin, created_at)
    values ({})"""
CREATED = "2021-01-09 12:00:00.5"


def flask_rows() -> Iterator[tuple]:
    for number, each in enumerate(IN_FLASK, 1):
        hash = generate_password_hash(each.password, each.method)
        names = (each.id or number, each.username, each.email)
        yield (*names, hash, each.is_active, each.is_superuser, CREATED)


@pytest.fixture(params=["psql", pytest.param("sqlite3", marks=needs_sqlite3)])
def flask(request, stores, tmp_path) -> Iterator[tuple[str, str]]:
    """A table of users as Flask-SQLAlchemy makes it; the command that exports it, and its URL."""
    export = documented(request.param, "password_hash")
    if request.param == "sqlite3":
        with contextlib.closing(sqlite3.connect(tmp_path / "app.db")) as base:
            base.execute(TABLE.format(id="integer primary key"))
            base.executemany(ROW.format(",".join("?" * 7)), flask_rows())
            base.commit()
        yield export, ""
        return
    with own_database(stores) as url, contextlib.closing(psycopg2.connect(url)) as base:
        cursor = base.cursor()
        cursor.execute(TABLE.format(id="serial primary key"))
        cursor.executemany(ROW.format(",".join(["%s"] * 7)), [*flask_rows()])
        base.commit()
        yield export, url


async def test_from_flask(client, flask, run, database):
    """Every hash of werkzeug's; e-mails log in to fardel, usernames to the others."""
    await run(*flask)
    assert "0 with problems" in await run(page.CHECK)
    assert f"{len(IN_FLASK)} accounts imported" in await run(page.IMPORT)
    columns = "id, username, email, is_active, is_admin, created at time zone 'UTC' = %s"
    found = rows(database, columns.replace("%s", f"'{CREATED}'"))
    wanted = [(*row[:3], *row[4:6], True) for row in flask_rows()]
    assert found == sorted(wanted)
    await everybody_logs_in(client, IN_FLASK, ["fardel", "lumotist"], database)


async def test_back_in_flask_a_hash_of_ours_is_checked_by_the_line_shown(client, database):
    new = {"username": "kim", "email": "kim@example.com", "password": "correct horse"}
    assert (await client.post("/account/register", json=new)).status == 200
    [(kept,)] = rows(database, "password")
    for password, is_right in (("correct horse", True), ("wrong", False)):
        names = {"hashlib": hashlib, "bcrypt": bcrypt, "password": password, "kept": kept}
        exec(page.IN_FLASK_AGAIN, names)  # noqa: S102  # the page's own
        assert names["is_right"] == is_right


async def test_what_an_app_sees_that_comes_with_an_old_token(client):
    """A JWT in fardel: 422, and never a word that it has run out. A knox token in wicare: 401."""
    headers = {"Authorization": f"Bearer {JWT}"}
    wrong = {"message": "Signature verification failed"}
    for method, path in (("GET", "profile"), ("POST", "refresh-token"), ("POST", "logout")):
        answer = await client.request(method, f"/fardel/api/auth/{path}/", headers=headers)
        assert (answer.status, await answer.json()) == (422, wrong)
    headers = {"Authorization": f"Token {'0123456789abcdef' * 4}"}
    answer = await client.post("/wicare/api/auth/logout/", headers=headers)
    assert (answer.status, await answer.json()) == INVALID


async def test_the_way_back(client, old, run, database, tmp_path):
    """Who logged in here, changed the password, came new or is gone: Django has it so, too.

    Accounts that did not move, and e-mails that were taken away before, stay as they were.
    """
    right = IN_DJANGO[0].password
    ask(
        old.url,
        """insert into auth_user select (jsonb_populate_record(auth_user, jsonb_build_object(
               'id', 2000 + n, 'username', (array['KIM', 'shares'])[n], 'email',
               (array['other@example.com', 'Shared@example.com'])[n]))).*
           from auth_user, generate_series(1, 2) as n where username = 'kim';
           update auth_user set email = 'shared@example.com', last_login = now()
            where username = 'lee'""",
    )
    await run(page.ONE_EMAIL_EACH, old.url)  # takes the e-mail of `shares`
    skipped = await run(f"{page.IMPORT} --skip")
    assert "1 left out" in skipped
    await run(page.MOVED)
    _, kims = await log_in(client, "fardel", IN_DJANGO[0].email, right)
    changes = {"password": "a new password", "first_name": "Kim", "email": "kim2@example.com"}
    headers = {"Authorization": f"Bearer {kims}"}
    answer = await client.put("/fardel/api/auth/profile/", json=changes, headers=headers)
    assert answer.status == 200
    assert (await log_in(client, "kust", "Åsa.Öberg", IN_DJANGO[1].password))[0] == 200
    new = {"email": "new@example.com", "password": "correct horse"}
    assert (await client.post("/fardel/api/auth/register/", json=new)).status == 200
    _, noors = await log_in(client, "lumotist", "noor", right)
    headers = {"Authorization": f"Token {noors}"}
    assert (await client.post("/account/delete", headers=headers)).status == 200
    await run(page.EXPORT)
    (tmp_path / "back.sql").write_text(page.BACK_SQL)
    await run(page.BACK, old.url)
    logins = {
        ("kim", "a new password"): 1,
        ("kim", right): None,
        ("Åsa.Öberg", IN_DJANGO[1].password): 2,
        ("pia", right): ids(database)["pia"],
        ("noor", right): None,
        ("new@example.com", "correct horse"): 2003,
        ("new@example.com", "wrong"): None,
    }
    found = old.log_in([*logins])
    assert dict(zip(logins, found, strict=True)) == logins
    names = "email, first_name, last_name, is_superuser"
    [kim, odd] = ask(
        old.url, f"select {names} from auth_user where username in ('kim', 'odd') order by id"
    )
    assert (kim, odd[1:3]) == (
        ("kim2@example.com", "Kim", "", True),
        (IN_DJANGO[6].first_name, IN_DJANGO[6].last_name),
    )
    kept = ask(old.url, "select id, email, is_active from auth_user where id > 2000 order by id")
    assert kept[:2] == [(2001, "other@example.com", True), (2002, "Shared@example.com", True)]
    assert [row[0] for row in kept] == [2001, 2002, 2003]  # the last came new, here
    assert ask(old.url, "select nextval('auth_user_id_seq')") == [(2004,)]
    assert ask(old.url, "select count(*) from authtoken_token") == [(0,)]
