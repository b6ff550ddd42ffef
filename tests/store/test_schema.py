"""Preparing a database: fresh, as it should be, newer than this program, or not to be changed."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

import psycopg2
import pytest

from store import schema
from store.errors import Unavailable
from store.fitness import COLUMNS
from store.postgresql.database import connect_database
from store.schema import MIGRATIONS, newest, prepare, version_of
from tests.program import wait_for
from tests.store.databases import FIRST_RELEASE, RELEASES, TABLES, ask, catalog, own_database, rows

LONG_TIMEOUT = 20.0


async def prepare_at(url, *migrations):
    """Prepare a database on a separate connection; return its version afterwards."""
    database = await connect_database(url, 1, LONG_TIMEOUT)
    try:
        await prepare(database, *migrations)
        return await version_of(database.rows)
    finally:
        await database.close()


@pytest.fixture
def empty(stores) -> Iterator[str]:
    with own_database(stores) as url:
        yield url


@pytest.fixture(scope="module")
def fresh(stores) -> Iterator[str]:
    """A database that this program has prepared."""
    with own_database(stores) as url:
        asyncio.run(prepare_at(url))
        yield url


async def version_at(url):
    database = await connect_database(url, 1, LONG_TIMEOUT)
    try:
        return await version_of(database.rows)
    finally:
        await database.close()


def test_migrations_are_numbered_without_a_gap():
    numbers = sorted(int(file.name[:4]) for file in MIGRATIONS.iterdir())
    assert numbers == list(range(2, newest() + 1))


async def test_an_empty_database_has_no_version(empty):
    assert await version_at(empty) is None


async def test_a_fresh_database_is_of_the_newest_version(fresh):
    assert await version_at(fresh) == newest()
    assert ask(fresh, "select count(*) from gallery") == [(10,)]
    assert ask(fresh, "select count(*) from schema_version") == [(1,)]


def test_every_key_is_in_the_order_of_bytes(fresh):
    """Another order is the operating system's, and changes with it under the index."""
    keys = """select attrelid::regclass::text, attname, attcollation::regcollation::text
        from pg_attribute join pg_index on indexrelid = attrelid
        where attcollation <> 0 and indrelid in ({})"""
    own = ", ".join(f"'{table}'::regclass" for table in TABLES)
    found = ask(fresh, keys.format(own))
    assert {key[1:] for key in found} == {
        ("username_folded", '"C"'),
        ("email_folded", '"C"'),
        ("picture_id", '"C"'),
        ("id", '"C"'),
        ("name", '"C"'),
        ("service", '"C"'),
        ("key", '"C"'),
    }


async def test_what_is_as_it_should_be_stays_so(fresh, caplog):
    before = catalog(fresh), rows(fresh)
    await prepare_at(fresh)
    assert (catalog(fresh), rows(fresh)) == before
    assert caplog.records == []


async def test_a_newer_schema_is_left_as_it_is(stores, fresh, caplog):
    """The way back to an older release."""
    with own_database(stores, copy_of=fresh) as newer:
        ask(newer, "update schema_version set version = 99; alter table account add later text")
        before = catalog(newer), rows(newer)
        caplog.set_level(logging.INFO)
        assert await prepare_at(newer) == 99
        assert (catalog(newer), rows(newer)) == before
    [said] = caplog.records
    assert said.levelname == "WARNING"
    assert f"version is 99, and this release knows {newest()}" in said.getMessage()


async def test_schema_sql_by_hand_says_what_it_has_made(stores, empty, fresh):
    """A role that may create tables may run schema.sql by hand. The server then finds them."""
    ask(empty, schema.SCHEMA.read_text())
    assert await version_at(empty) == newest()
    assert catalog(empty) == catalog(fresh)
    with own_database(stores, *FIRST_RELEASE) as old:
        ask(old, schema.SCHEMA.read_text())
        assert await version_at(old) == 1
        assert await prepare_at(old) == newest()
        assert catalog(old) == catalog(fresh)


async def test_every_column_is_looked_for(fresh):
    """What makes a database one of this server is what schema.sql makes."""
    made = ask(
        fresh,
        """select attrelid::regclass::text, attname from pg_attribute
             join pg_class on pg_class.oid = attrelid
            where relnamespace = 'public'::regnamespace and relkind = 'r' and attnum > 0
              and not attisdropped""",
    )
    assert {(table, name) for table, names in COLUMNS.items() for name in names.split()} == set(
        made
    )


async def test_a_role_that_may_make_nothing_is_told_so(empty):
    ask(empty, "create role nobodys login")
    url = empty.replace("user=postgres", "user=nobodys")
    try:
        with pytest.raises(Unavailable, match="the role may not create tables in the schema"):
            await prepare_at(url)
    finally:
        ask(empty, "drop role nobodys")
    assert catalog(empty)["relations"] == []


async def test_a_rehearsal_returns_why_it_fails_and_leaves_nothing(empty):
    """In a database that only seems to be empty, and then in one that is."""
    database = await connect_database(empty, 1, LONG_TIMEOUT)
    ask(empty, "create type picture as enum ('other')")
    assert await schema.rehearse(database) == 'type "picture" already exists'
    ask(empty, "drop type picture")
    assert await schema.rehearse(database) is None
    assert catalog(empty)["relations"] == []
    await database.close()


@contextlib.contextmanager
def holding(url, sql):
    """Hold a lock in another program's transaction."""
    with contextlib.closing(psycopg2.connect(url)) as connection:
        connection.cursor().execute("set idle_in_transaction_session_timeout = 0")
        connection.cursor().execute(sql)
        yield
        connection.rollback()


TIMEOUTS = (
    "statement_timeout = '100ms'",
    "lock_timeout = '100ms'",
    "idle_in_transaction_session_timeout = '100ms'",
)


@pytest.mark.slow
async def test_waiting_and_drawing_are_not_cut_short(stores, caplog):
    """By what the database has been given for other programs' sake."""
    with own_database(stores, options=TIMEOUTS) as url:
        with holding(url, f"select pg_advisory_xact_lock({schema._LOCK})"):
            preparing = asyncio.create_task(prepare_at(url))
            done, _ = await asyncio.wait([preparing], timeout=0.5)
            assert not done
        assert await preparing == newest()
    assert caplog.records == []


OTHER = "lock table account in access share mode"
"""The lock of every reader. A backup holds it for a long time."""


@pytest.fixture
def old(stores) -> Iterator[str]:
    with own_database(stores, *FIRST_RELEASE) as url:
        yield url


@pytest.mark.slow
async def test_a_migration_that_gets_no_lock_tries_again(old, caplog):
    with holding(old, OTHER):
        preparing = asyncio.create_task(prepare_at(old))
        await asyncio.to_thread(wait_for, lambda: "lock timeout" in caplog.text)
    assert await preparing == newest()
    assert "cannot be migrated yet" in caplog.text


@pytest.mark.slow
async def test_a_migration_that_never_gets_its_lock_gives_up(old, monkeypatch):
    monkeypatch.setattr(schema, "MAX_ATTEMPTS", 1)
    before = catalog(old)
    with holding(old, OTHER), pytest.raises(Unavailable, match="lock timeout"):
        await prepare_at(old)
    assert catalog(old) == before


def test_the_first_release_is_what_it_was():
    """Its schema is kept as it was released; it has no version, and no migration's changes."""
    released = (RELEASES / "first_release.sql").read_text()
    assert "schema_version" not in released
    assert "collate" not in released
