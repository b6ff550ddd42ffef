"""The directory of accounts: what a lookup costs, and that every page comes from an index."""

import asyncio
import re

import pytest

from store.account import NewAccount
from store.directory import Directory

ACCOUNTS = 20_000
"""So many that PostgreSQL does not read the whole table instead of an index."""


@pytest.fixture
async def directory(connect, tap):
    async with connect(database_url=tap[1], database_pool=1) as core:
        yield core.directory


@pytest.fixture
def statements(tap):
    """Return how many statements were sent since the last call."""

    def statements() -> int:
        count, tap[0].statements = tap[0].statements, 0
        return count

    statements()
    return statements


@pytest.fixture
def many(database, directory):
    """Many accounts, every hundredth of which is disabled."""
    with database.cursor() as cursor:
        cursor.execute(
            """insert into account (id, username, email, username_folded, email_folded, password,
                                    session_epoch, is_active)
               select n, name, name || '@example.com', name, name || '@example.com', '!', 1,
                      n %% 100 <> 0
                 from (select n, 'user' || n as name from generate_series(1, %s) n) as made""",
            (ACCOUNTS,),
        )
        cursor.execute("analyze account")
        yield
        cursor.execute("delete from account")
        cursor.execute("vacuum analyze account")


async def test_500_ids_are_one_statement(directory, many, statements):
    statements()
    found = await directory.get_many(range(1, 501))
    assert [account.id for account in found] == list(range(1, 501))
    assert statements() == 1


async def test_concurrent_lookups_share_statements(directory, many, statements):
    statements()
    lists = (directory.get_many(range(n, 500, 10)) for n in range(1, 10))
    singles = (directory.get(account_id) for account_id in range(400, 510))
    found = await asyncio.gather(*lists, *singles)
    assert all(found)
    assert statements() <= 2


async def test_other_lookups_are_one_statement(directory, many, statements):
    for call, count, trips in (
        (directory.find("username", "USER7"), 1, 1),
        (directory.find("email", "user7@EXAMPLE.com"), 1, 1),
        (directory.page(500, 100), 100, 1),
        (directory.page(0, 100, is_active=False), 100, 1),
        (directory.search("user", 0, 100), 100, 1),
        (directory.search("user", 1234, 100), 100, 2),  # where the page begins
        (directory.search("user", 0, 100, is_active=False), 100, 1),
    ):
        statements()
        assert len(await call) == count
        assert statements() == trips


class Explained:
    """A database that keeps the plan of each statement."""

    def __init__(self, database):
        self._database = database
        self.timeout, self.row, self.plans = database.timeout, database.row, []

    async def rows(self, sql, parameters=(), deadline=None):
        plan = await self._database.rows(f"explain (costs off) {sql}", parameters)
        self.plans.append("\n".join(line for (line,) in plan))
        return await self._database.rows(sql, parameters, deadline)


NAMES = {"account_username_taken", "account_email_taken"}


@pytest.mark.parametrize("after", [0, ACCOUNTS // 2, ACCOUNTS - 5])
@pytest.mark.parametrize("is_active", [None, True])
async def test_every_page_is_read_from_an_index(core, many, after, is_active):
    """In its order, so that nothing is sorted but what two indexes give at the same time."""
    database = Explained(core.database)
    directory = Directory(database)
    await directory.page(after, 100, is_active=is_active)
    await directory.search("user", after, 100, is_active=is_active)
    await directory.search("user1", 0, 100, is_active=is_active)
    await directory.search("user12345", 0, 100, is_active=is_active)
    await directory.search("nobody", 0, 100, is_active=is_active)
    directory.close()
    assert not any("Seq Scan" in plan for plan in database.plans)
    used = [set(re.findall(r"(?:using|Scan on) (account_\w+)", plan)) for plan in database.plans]
    assert used[0] <= {"account_pkey", "account_active"}
    assert used[1:] == [NAMES] * 4
    for plan in database.plans[:3]:
        assert not re.search(r"^\W*Sort$", plan, re.MULTILINE), plan


@pytest.mark.parametrize("after", [0, ACCOUNTS // 2])
async def test_disabled_accounts_have_an_index(core, many, after):
    database = Explained(core.database)
    directory = Directory(database)
    found = await directory.page(after, 50, is_active=False)
    directory.close()
    assert [account.id for account in found] == [after + 100 * n for n in range(1, 51)]
    assert "account_active" in database.plans[0]
    assert "Sort" not in database.plans[0]


async def test_names_that_are_not_there(directory):
    assert await directory.get(0) is None
    assert await directory.get(2**63) is None
    assert await directory.get_many([0, -1, 2**63]) == []
    assert await directory.find("username", "a\0") == []
    assert await directory.search("a", 5, 10) is None
    assert await directory.search("a", 0, 10) == []


async def test_a_search_where_all_emails_follow_all_usernames(core):
    """The e-mails are left out, however many there are before the next account."""
    admin = core.admin
    for number in range(30):
        await admin.insert(NewAccount(f"a{number:02}", f"az{number:02}@example.com"), "!")
    await admin.insert(NewAccount("azz"), "!")
    found, after = [], 0
    while page := await core.directory.search("a", after, 4):
        found += [account.id for account in page]
        after = page[-1].id
    assert found == sorted(found)
    assert len(found) == 31
