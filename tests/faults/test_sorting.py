"""The operating system under PostgreSQL sorts otherwise from one day to the next.

As after an upgrade of its C library, or under another image. Whatever index is in its order is then
out of order: the first release's lost names.
"""

import contextlib
import os
import random
import shutil
import string
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

import embedded
from embedded.programs import ENVIRONMENT
from store.account import Login, NewAccount
from store.accounts import Accounts
from store.errors import Taken
from store.postgresql.database import connect_database
from store.schema import prepare
from tests.store.databases import RELEASES, ask

PROGRAM = shutil.which("localedef")
NAMES = sorted({"".join(random.Random(n).choices(string.ascii_lowercase, k=8)) for n in range(200)})  # noqa: S311

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PROGRAM or not Path("/usr/share/i18n/locales/et_EE").exists(),
        reason="localedef and its sources are not installed (Debian: locales)",
    ),
]


@pytest.fixture
def system(monkeypatch) -> Iterator[Path]:
    """A directory of locales that PostgreSQL takes for the system's."""
    with tempfile.TemporaryDirectory(prefix="lk-", ignore_cleanup_errors=True) as directory:
        os.chmod(directory, 0o755)  # noqa: S103  # PostgreSQL may be another user
        monkeypatch.setitem(ENVIRONMENT, "LOCPATH", directory)
        yield Path(directory)


def sort_as(language: str, system: Path) -> None:
    """Have en_US sort as another language does: in Estonian, z comes before t."""
    target = system / "en_US.utf8"
    shutil.rmtree(target, ignore_errors=True)
    line = [PROGRAM, "-i", language, "-f", "UTF-8", str(target)]
    subprocess.run(line, check=False, capture_output=True)  # it warns of much
    assert target.exists()


@contextlib.contextmanager
def running(data: Path) -> Iterator[str]:
    """Run PostgreSQL and give the URL of a database in that locale, made at the first time."""
    with embedded.run_postgresql(data, print) as url:
        with contextlib.suppress(psycopg2.errors.DuplicateDatabase):
            ask(url, "create database sorted template template0 locale 'en_US.utf8'")
        yield url.replace("/postgres?", "/sorted?")


@contextlib.asynccontextmanager
async def accounts_at(url: str, *, migrated: bool):
    database = await connect_database(url, 1, 20)
    try:
        if migrated:
            await prepare(database)
        with contextlib.closing(Accounts(database)) as accounts:
            yield accounts
    finally:
        await database.close()


async def register(accounts: Accounts, name: str) -> bool:
    """Register a name; tell whether it was free."""
    try:
        identity = await accounts.new_identity()
        await accounts.insert(identity, NewAccount(name), "no hash", logged_in=False)
    except Taken:
        return False
    return True


@pytest.mark.parametrize("migrated", [True, False], ids=["migrated", "first release"])
async def test_no_name_is_lost_and_none_given_twice(system, migrated):
    with embedded.open_data_directory(system / "data") as data:
        sort_as("en_US", system)
        with running(data) as url:
            ask(url, (RELEASES / "first_release.sql").read_text())
            async with accounts_at(url, migrated=migrated) as accounts:
                assert [await register(accounts, name) for name in NAMES] == [True] * len(NAMES)
        sort_as("et_EE", system)
        with running(data) as url:
            ask(url, "alter database sorted set enable_seqscan = off")  # as on a larger table
            async with accounts_at(url, migrated=migrated) as accounts:
                lost = [n for n in NAMES if not await accounts.credentials(Login(n))]
                twice = [name for name in NAMES if await register(accounts, name)]
    print(f"of {len(NAMES)} names {len(lost)} lost, {len(twice)} given twice")
    assert (not lost, not twice) == (migrated, migrated)
