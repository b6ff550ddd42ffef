"""Statements that connections keep prepared, and what becomes of them when they do not."""

import asyncio
import logging
from collections.abc import AsyncIterator

import psycopg2.errors
import pytest

from store.errors import Unavailable
from store.postgresql.database import Database, connect_database
from store.postgresql.prepared import Prepared
from tests.store.test_accounts import add

SQL = "select id, name from cellar where id = %s"
KEPT = "select name from pg_prepared_statements where name like 'latchkey%'"
COMPLAINT = "statements are no longer prepared"


@pytest.fixture
async def table(settings) -> AsyncIterator[str]:
    """The URL of a database with a table of our own, which may be altered."""
    admin = await connect_database(settings.database_url, 1, 20.0)
    await admin.rows("create table cellar (id bigint primary key, name text)")
    await admin.rows("insert into cellar values (7, 'kim')")
    yield settings.database_url
    await admin.rows("drop table cellar")
    await admin.close()


@pytest.fixture
async def single(table) -> AsyncIterator[Database]:
    """A pool of one connection, which the next statement uses again."""
    single = await connect_database(table, 1, 20.0)
    yield single
    await single.close()


async def look_up(database: Database, statement: Prepared) -> list[tuple]:
    return await database.rows(statement, ("7",))


async def test_each_connection_prepares_it_once(table):
    database = await connect_database(table, 3, 20.0)
    statement = Prepared(SQL + " and pg_sleep(0.05) is not null", "bigint")
    for _ in range(3):
        found = await asyncio.gather(*[look_up(database, statement) for _ in range(3)])
        assert found == [[(7, "kim")]] * 3
    asked = [database.rows(f"{KEPT} and pg_sleep(0.05) is not null") for _ in range(3)]
    assert [len(names) for names in await asyncio.gather(*asked)] == [1, 1, 1]
    await database.close()


async def test_two_statements_have_two_names(single):
    one, other = Prepared(SQL, "bigint"), Prepared(f"{SQL} and name = 'lee'", "bigint")
    for _ in range(2):
        assert await look_up(single, one) == [(7, "kim")]
        assert await look_up(single, other) == []
    assert len(await single.rows(KEPT)) == 2


async def forget(database: Database, statement: Prepared) -> None:
    """Do what a pooler does that hands out another connection."""
    await database.rows("deallocate all")


async def have_already(database: Database, statement: Prepared) -> None:
    """Do what a pooler does that hands out a connection which another process had."""
    statement._having.clear()


async def change_the_table(database: Database, statement: Prepared) -> None:
    """Do what a migration does."""
    await database.rows("alter table cellar alter name type varchar(300)")


@pytest.mark.parametrize("happens", [forget, have_already, change_the_table])
async def test_where_it_is_not_kept_it_is_sent_as_any_other(single, caplog, happens):
    caplog.set_level(logging.INFO)
    statement = Prepared(SQL, "bigint")
    await look_up(single, statement)
    await happens(single, statement)
    kept = await single.rows(KEPT)
    for each in (statement, Prepared(f"{SQL} and id > 0", "bigint"), statement):
        assert await look_up(single, each) == [(7, "kim")]
    assert await single.rows(KEPT) == kept  # nothing was added
    assert [COMPLAINT in record.message for record in caplog.records] == [True]


async def test_all_statements_that_fail_at_once_are_sent_again(table, monkeypatch):
    """Not the first alone, who gives it up: the others had been sent the same."""
    database = await connect_database(table, 3, 20.0)
    statement = Prepared(f"{SQL} and pg_sleep(0.05) is not null", "bigint")
    await asyncio.gather(*[look_up(database, statement) for _ in range(3)])
    gone = [database.rows("select pg_sleep(0.05); deallocate all") for _ in range(3)]
    await asyncio.gather(*gone)
    run = database._run

    async def run_slowly(*args):
        try:
            return await run(*args)
        finally:
            await asyncio.sleep(0.05)

    monkeypatch.setattr(database, "_run", run_slowly)
    found = await asyncio.gather(*[look_up(database, statement) for _ in range(3)])
    assert found == [[(7, "kim")]] * 3
    await database.close()


async def test_a_plain_statement_that_names_no_prepared_one_is_raised(single, caplog):
    """The error means nothing for the others, which stay prepared."""
    caplog.set_level(logging.INFO)
    with pytest.raises(psycopg2.errors.InvalidSqlStatementName):
        await single.rows("execute nothing")
    assert await look_up(single, Prepared(SQL, "bigint")) == [(7, "kim")]
    assert len(await single.rows(KEPT)) == 1
    assert [record for record in caplog.records if COMPLAINT in record.message] == []


async def test_what_the_statement_does_wrong_is_raised(single):
    statement = Prepared(SQL, "bigint")
    for _ in range(2):
        with pytest.raises(psycopg2.errors.InvalidTextRepresentation):
            await single.rows(statement, ("kim",))
    assert await look_up(single, statement) == [(7, "kim")]
    assert len(await single.rows(KEPT)) == 1


async def test_a_table_that_is_locked_for_a_moment_ends_no_preparing(single, table, caplog):
    """It is not known whether the statement was prepared before it failed: the connection ends."""
    caplog.set_level(logging.INFO)
    statement = Prepared(SQL, "bigint")
    other = await connect_database(table, 1, 20.0)
    await single.rows("set lock_timeout = '50ms'")
    async with other.transaction() as run:
        await run("lock table cellar")
        with pytest.raises(Unavailable):
            await look_up(single, statement)
    for _ in range(2):
        assert await look_up(single, statement) == [(7, "kim")]
    assert len(await single.rows(KEPT)) == 1
    assert [record for record in caplog.records if COMPLAINT in record.message] == []
    await other.close()


async def test_a_statement_that_is_cancelled_ends_no_preparing(single, table):
    statement = Prepared(f"{SQL} and pg_sleep(30) is not null", "bigint")
    other = await connect_database(table, 1, 20.0)
    cancel = (
        "select pg_cancel_backend(pid) from pg_stat_activity"
        " where query like 'prepare latchkey%' and wait_event = 'PgSleep'"
    )
    slow = asyncio.create_task(look_up(single, statement))
    for _ in range(1000):
        if await other.rows(cancel):
            break
        await asyncio.sleep(0.01)
    with pytest.raises(Unavailable):
        await slow
    quick = Prepared(SQL, "bigint")
    assert await look_up(single, quick) == [(7, "kim")]
    assert len(await single.rows(KEPT)) == 1  # on a connection that never had the slow one
    await other.close()


async def test_one_account_and_many_are_looked_up_alike(core):
    accounts = core.accounts
    ids = [(await add(accounts, username=name)).id for name in ("kim", "lee", "ana")]
    deadline = asyncio.get_running_loop().time() + 20
    for wanted in ([], ids[:1], ids, [*ids, 0, -1, 2**63], [ids[0], 2**80], [2**62]):
        found = await accounts.get_many(wanted, deadline)
        assert set(found) == set(wanted) & set(ids)
        assert all(found[account_id].id == account_id for account_id in found)
