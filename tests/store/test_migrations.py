"""A first release's database, brought up to date: in every detail, by one of many, or not."""

import asyncio
import contextlib
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest

import commands
from app import create_app
from store import refold
from store.errors import Unavailable
from store.names import FOLDING
from store.postgresql.database import connect_database
from store.schema import MIGRATIONS, newest
from tests.program import KEY, PASSWORD, Program
from tests.store.databases import FIRST_RELEASE, ask, catalog, own_database, rows
from tests.store.test_schema import LONG_TIMEOUT, prepare_at, version_at

SERVERS = 10
ONCE = "create table done_once (number integer); insert into done_once values (1)"
"""Fails when it is run twice."""
HALF = "create table half (id integer); update account set address = 'half'; select 1 / 0"
REPEATABLE = "default_transaction_isolation = 'repeatable read'"
"""With which a server that waited does not see what the others committed."""


@pytest.fixture
def old(stores) -> Iterator[str]:
    """A database as the first release has left it."""
    with own_database(stores, *FIRST_RELEASE) as url:
        yield url


@pytest.fixture(scope="module")
def fresh_catalog(stores):
    with own_database(stores) as url:
        asyncio.run(prepare_at(url))
        yield catalog(url)


@pytest.fixture
def migrations(tmp_path) -> Path:
    """A copy of the migrations, to add some to."""
    return Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))


def add(migrations: Path, sql: str) -> int:
    """Add one more migration; return its number."""
    number = newest(migrations) + 1
    (migrations / f"{number:04d}_more.sql").write_text(sql)
    return number


async def test_a_first_release_becomes_what_a_fresh_database_is(old, fresh_catalog):
    before = rows(old)
    assert await version_at(old) == 1
    assert await prepare_at(old) == newest()
    assert catalog(old) == fresh_catalog
    retention = [('{"event_id": 0, "only_row": true, "transaction": "0"}',)]
    new = {
        "event": [],
        "event_retention": retention,
        "idempotent_request": [],
        "mail": [],
        "webhook": [],
    }
    after = rows(old)
    added = {"activated": True, "second_factor": False}
    accounts = [{**json.loads(row), **added} for [row] in before.pop("account")]
    assert [json.loads(row) for [row] in after.pop("account")] == accounts
    assert after == {**before, **new}
    assert ask(old, "select nextval('account_id'), count(*) from account") == [(8, 3)]


async def test_the_comparison_sees_every_kind_of_change(old, fresh_catalog):
    await prepare_at(old)
    for change in (
        "alter table account alter is_staff set default true",
        "alter table account alter username type varchar(254)",
        "alter table account alter address drop not null",
        "alter table picture alter side_64 set storage external",
        "alter table account set (fillfactor = 80)",
        'alter table account alter city type text collate "C"',
        "alter table account rename constraint account_email_taken to taken",
        "drop index account_picture",
        "create index more on account (created)",
        "alter sequence account_id increment 2",
        "alter table gallery alter id drop identity",
    ):
        before = catalog(old)
        ask(old, change)
        assert catalog(old) != before, change
    assert catalog(old) != fresh_catalog


async def test_the_server_serves_on_it(old, settings, aiohttp_client, clean, caplog):
    caplog.set_level(logging.INFO)
    client = await aiohttp_client(create_app(replace(settings, database_url=old)))
    assert "migrating the database from 1 to 2" in caplog.messages
    login = {"username": "MIKA", "password": PASSWORD}
    answer = await client.post("/account/login", json=login)
    assert answer.status == 200
    token = (await answer.json())["token"]
    answer = await client.get("/account/profile", headers={"Authorization": f"Token {token}"})
    data = (await answer.json())["data"]
    assert (data["id"], data["username"], data["created"]) == (1, "Mika", "09-01-2021")
    picture = await client.session.get(data["picture"])
    assert await picture.read() == bytes.fromhex("524946461256")
    new = {"username": "new", "email": "new@example.com", "password": PASSWORD}
    assert (await client.post("/account/register", json=new)).status == 200


@pytest.mark.parametrize("scripts", [FIRST_RELEASE, ()], ids=["old", "empty"])
@pytest.mark.parametrize("options", [(), (REPEATABLE,)], ids=["", "repeatable read"])
@pytest.mark.slow
async def test_of_ten_that_start_at_once_one_migrates(stores, migrations, scripts, options, caplog):
    caplog.set_level(logging.INFO)
    last = add(migrations, ONCE)
    with own_database(stores, *scripts, options=options) as url:
        starts = (prepare_at(url, migrations) for _ in range(SERVERS))
        assert await asyncio.gather(*starts) == [last] * SERVERS
        assert ask(url, "select number from done_once") == [(1,)]
        assert ask(url, "select count(*) from gallery") == [(2 if scripts else 10,)]
    steps = range(1 if scripts else newest(), last)
    said = [each for each in caplog.messages if each.startswith("migrating")]
    assert said == [f"migrating the database from {n} to {n + 1}" for n in steps]


@pytest.mark.slow
def test_of_processes_too(stores, old, fresh_catalog):
    with ExitStack() as stack:
        where = {"DATABASE_URL": old, "REDIS_URL": stores[1], "SECRET_KEYS": KEY}
        ran = [stack.enter_context(Program("gallery", "list", **where)) for _ in range(4)]
        assert [each.wait() for each in ran] == [0] * 4, [each.err for each in ran]
        assert len({each.out for each in ran}) == 1
        assert catalog(old) == fresh_catalog


async def test_a_failed_migration_leaves_everything_as_it_was(old, migrations):
    """Also what those before it had done already."""
    before = catalog(old), rows(old)
    last = add(migrations, HALF)
    with pytest.raises(Unavailable, match="cannot be prepared: division by zero"):
        await prepare_at(old, migrations)
    assert (catalog(old), rows(old)) == before
    assert await version_at(old) == 1
    (migrations / f"{last:04d}_more.sql").write_text(ONCE)
    assert await prepare_at(old, migrations) == last


def test_a_server_that_can_not_migrate_says_so_in_one_line(stores, old):
    """Something else has the name of its table."""
    ask(old, "create sequence schema_version")
    where = {"DATABASE_URL": old, "REDIS_URL": stores[1], "SECRET_KEYS": KEY}
    with Program(**where) as ran:
        assert ran.wait() == 1
        last = ran.err.splitlines()[-1]
    assert last.startswith("latchkey: postgresql: the schema cannot be prepared: ")


async def test_a_migration_runs_once(old, migrations):
    last = add(migrations, ONCE)
    assert await prepare_at(old, migrations) == last
    assert await prepare_at(old, migrations) == last


OLD_NAMES = [
    # id, username and its form, e-mail and its form: as the first release has kept them
    (11, "admin", "admin", "victim@example.com", "victim@example.com"),
    (12, "admin\u3164", "admin\u1160", "victim@exam\xadple.com", "victim@exam\xadple.com"),
    (13, None, None, "kim@xn--exmple-cua.com", "kim@xn--exmple-cua.com"),
    (14, "lee\u2764\ufe0f", "lee\u2764\ufe0f", None, None),
    (15, None, None, "noor@XN--EXMPLE-CUA.com", "noor@xn--exmple-cua.com"),
    (16, None, None, "NOOR@ex\u00e4mple.com", "noor@ex\u00e4mple.com"),
    (17, "victim@example.com", "victim@example.com", None, None),
    (18, " pia ", " pia ", None, None),
    (19, "esc\x1b[2J", "esc\x1b[2j", None, None),
]
NEW_FORMS = {
    11: ("admin", "victim@example.com"),
    12: ("admin\u1160", "victim@exam\xadple.com"),  # another account has what they are now
    13: (None, "kim@ex\u00e4mple.com"),
    14: ("lee\u2764", None),
    15: (None, "noor@xn--exmple-cua.com"),
    16: (None, "noor@ex\u00e4mple.com"),
    17: ("victim@example.com", None),
    18: (" pia ", None),
    19: ("esc\x1b[2j", None),
}


def keep(url, rows):
    with contextlib.closing(psycopg2.connect(url)) as connection, connection:
        connection.cursor().executemany(
            """insert into account (id, username, username_folded, email, email_folded, password,
                   session_epoch)
               select %s, %s, %s, %s, %s, password, 1 from account where username = 'Mika'""",
            rows,
        )


def forms_of(url):
    found = ask(url, "select id, username_folded, email_folded from account where id > 10")
    return {row[0]: row[1:] for row in found}


LATE = [(20, "late\u2764\ufe0f", "late\u2764\ufe0f", None, None)]
"""An account that a server of the first release has registered beside this one."""


async def refold_at(url):
    database = await connect_database(url, 1, LONG_TIMEOUT)
    try:
        return await refold.refold(database, again=True)
    finally:
        await database.close()


async def test_a_name_that_is_registered_while_names_are_refolded_is_left_to_its_account(old):
    """The other account is not committed when the form is looked for, and is when it is written."""
    await prepare_at(old)
    keep(old, LATE)
    with contextlib.closing(psycopg2.connect(old)) as other:
        other.cursor().execute(
            """insert into account (id, username, username_folded, password, session_epoch)
               values (21, 'late\u2764', 'late\u2764', '!', 1)"""
        )
        refolding = asyncio.create_task(refold_at(old))
        done, _ = await asyncio.wait([refolding], timeout=0.5)
        assert not done
        other.commit()
    assert await refolding == 0
    assert forms_of(old) == {20: (LATE[0][2], None), 21: ("late\u2764", None)}


async def test_a_role_that_may_not_write_is_told_that_names_cannot_be_refolded(old):
    await prepare_at(old)
    keep(old, LATE)
    ask(old, "create role reader login; grant select on all tables in schema public to reader")
    try:
        with pytest.raises(Unavailable, match="names cannot be folded: permission denied"):
            await refold_at(old.replace("user=postgres", "user=reader"))
    finally:
        ask(old, "drop owned by reader; drop role reader")
    assert forms_of(old) == {20: (LATE[0][2], None)}


async def test_names_are_refolded_in_batches_and_no_account_is_lost(
    old, settings, aiohttp_client, clean, monkeypatch, caplog, capsys
):
    """Each account can still log in by the same name; names that clash are reported."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(refold, "BATCH", 2)
    keep(old, OLD_NAMES)
    await prepare_at(old)
    assert forms_of(old) == NEW_FORMS
    assert "names folded as in this release: 2" in caplog.messages
    assert ask(old, "select folding from schema_version") == [(FOLDING,)]
    client = await aiohttp_client(create_app(replace(settings, database_url=old)))
    logins = [(row[0], {"username": row[1]}) for row in OLD_NAMES if row[1]]
    logins += [(row[0], {"email": row[3]}) for row in OLD_NAMES if row[3]]
    logins += [(13, {"email": "kim@EX\u00c4MPLE.com"}), (14, {"username": "LEE\u2764"})]
    for account_id, login in logins:
        if account_id == 18:
            continue  # the dialects trim a login's name
        data = {**login, "password": PASSWORD}
        answer = await client.post("/wicare/api/auth/login/", json=data)
        assert answer.status == 200, ascii(login)
        headers = {"Authorization": f"Token {(await answer.json())['token']}"}
        answer = await client.get("/kust/auth/users/me/", headers=headers)
        assert (await answer.json())["id"] == account_id, ascii(login)

    async def run(*words):
        where = replace(settings, database_url=old)
        status = await asyncio.to_thread(commands.run, [*words], where)
        return status, *capsys.readouterr()

    status, out, _ = await run("check")
    for line in (
        "2 accounts have a name with an invisible character, which new names cannot contain "
        "(ids 12, 19)",
        "1 account has a name with surrounding white space: most dialects cannot match it (ids 18)",
        "2 accounts have a name that another account has as well: rename one of the two "
        "(ids 12 and 11, 15 and 16)",
        "1 account has a username that is another account's e-mail: check who owns it "
        "(ids 17 and 11)",
    ):
        assert f"\nwarning  {line}\n" in out
    # A server of the older release goes on for a while.
    keep(old, [(20, "late\u2764\ufe0f", "late\u2764\ufe0f", None, None)])
    said = "1 account has a name folded by an older release: run `account refold` (ids 20)"
    assert said in (await run("check"))[1]
    status, out, _ = await run("account", "refold")
    assert (status, out.splitlines()[0]) == (0, "1 name refolded")
    assert "account 15 has a name that account 16 has: rename one" in out
    for words in (("id:12", "username=boss", "email="), ("id:15", "email=noor2@x.example")):
        assert (await run("account", "set", *words))[0] == 0
    for words in (
        ("id:17", "username=seventeen"),
        ("id:18", "username=pia"),
        ("id:19", "username=e"),
    ):
        assert (await run("account", "set", *words))[0] == 0
    assert "\nok       the names of all accounts are valid" in (await run("check"))[1]
