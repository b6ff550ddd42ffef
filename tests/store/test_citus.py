"""deploy/citus.sql on a plain PostgreSQL: its triggers do what the foreign keys did.

Citus itself is not run here. What distributes the pictures is a function that does nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg2
import psycopg2.extensions
import pytest

from settings import Settings
from store.account import NewAccount
from store.accounts import Accounts
from store.errors import BadToken, NoSuchPicture
from store.pictures import Pictures
from store.postgresql.database import Database, connect_database
from store.schema import prepare

SCRIPT = (Path(__file__).parents[2] / "deploy/citus.sql").read_text()
DISTRIBUTE = """create function create_distributed_table(regclass, text) returns void
    language sql as 'select null::void'"""
SIDES = (b"large", b"middle", b"small")
HASH = "no hash"


pytestmark = pytest.mark.slow


@pytest.fixture
def pictures_elsewhere(settings: Settings) -> Iterator[Settings]:
    """Settings with a separate database, which is to be prepared."""
    with closing(psycopg2.connect(settings.database_url)) as connection:
        connection.autocommit = True
        connection.cursor().execute("create database citus")
        url = psycopg2.extensions.make_dsn(settings.database_url, dbname="citus")
        yield replace(settings, database_url=url)
        connection.cursor().execute("drop database citus with (force)")


@pytest.fixture
async def database(pictures_elsewhere: Settings) -> AsyncIterator[Database]:
    """A database whose tables were made, and to which the script was put then."""
    url = pictures_elsewhere.database_url
    database = await connect_database(url, 2, 5)
    await prepare(database)
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        connection.cursor().execute(DISTRIBUTE)
        connection.cursor().execute(SCRIPT)
    yield database
    await database.close()


@pytest.fixture
async def accounts(database: Database) -> AsyncIterator[Accounts]:
    with closing(Accounts(database)) as accounts:
        yield accounts


async def make_account(accounts: Accounts, name: str) -> tuple[int, int]:
    identity = await accounts.new_identity()
    await accounts.insert(identity, NewAccount(name), HASH, logged_in=False)
    return identity


async def count(database: Database, which: str) -> int:
    [number] = await database.one(f"select count(*) from {which}")
    return number


async def shown(accounts: Accounts, account: int) -> str | None:
    found = await accounts.get_many([account], asyncio.get_running_loop().time() + 5)
    return found[account].picture_id


async def test_nothing_refers_to_what_is_elsewhere(database: Database):
    keys = "pg_constraint where contype = 'f' and 'picture'::regclass in (conrelid, confrelid)"
    assert await count(database, keys) == 0


async def test_a_deleted_account_takes_its_picture_along(database: Database, accounts: Accounts):
    account, epoch = await make_account(accounts, "mika")
    await Pictures(database).keep(account, epoch, SIDES)
    assert await count(database, "picture where account_id is not null") == 1
    assert await accounts.delete(account, epoch)
    assert await count(database, "picture where account_id is not null") == 0
    assert await count(database, "picture") == 10


async def test_an_account_that_shows_one_of_the_gallery_leaves_it_there(
    database: Database, accounts: Accounts
):
    account, epoch = await make_account(accounts, "mika")
    await Pictures(database).choose(account, epoch, 6)
    assert await accounts.delete(account, epoch)
    assert await count(database, "picture") == 10


async def test_pictures_are_kept_and_replaced_and_read(database: Database, accounts: Accounts):
    account, epoch = await make_account(accounts, "mika")
    pictures = Pictures(database)
    first = await pictures.keep(account, epoch, SIDES)
    second = await pictures.keep(account, epoch, SIDES)
    assert await pictures.read(first, 64) is None
    assert await pictures.read(second, 512) == b"large"
    await pictures.choose(account, epoch, 6)
    assert await count(database, "picture where account_id is not null") == 0
    await pictures.choose(account, epoch, 0)
    assert await shown(accounts, account) is None
    with pytest.raises(NoSuchPicture):
        await pictures.choose(account, epoch, 99)
    with pytest.raises(BadToken):
        await pictures.choose(account, epoch - 1, 6)
    with pytest.raises(BadToken):
        await pictures.keep(account + 1, epoch, SIDES)


async def test_what_leaves_the_gallery_leaves_the_accounts(database: Database, accounts: Accounts):
    """By the statement that the script gives in the place of `gallery remove`."""
    account, epoch = await make_account(accounts, "mika")
    pictures = Pictures(database)
    added = await pictures.add_to_gallery("male", "Own", SIDES)
    await pictures.choose(account, epoch, added)
    picture = await shown(accounts, account)
    assert picture
    await database.rows("delete from gallery where id = %s", (added,))
    assert await shown(accounts, account) is None
    assert not await pictures.exists(picture)
    assert len(await pictures.gallery()) == 10
