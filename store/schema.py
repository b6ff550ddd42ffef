"""Creates the database's schema, or migrates an older one.

When several servers start together, one does it and the others wait. docs/migrations.md has the
rules.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg2
import psycopg2.errors

from store.default_gallery import default_gallery
from store.errors import Unavailable, first_line
from store.fitness import unusable_reason
from store.pictures import insert_gallery_picture
from store.postgresql.database import Database, Row
from store.refold import refold

_log = logging.getLogger("latchkey.schema")

Run = Callable[..., Awaitable[list[Row]]]

SCHEMA = Path(__file__).parent.parent / "schema.sql"
MIGRATIONS = Path(__file__).parent / "migrations"
FIRST = 1
"""The version of the first release's schema, which has no table schema_version."""

MAX_ATTEMPTS = 10
PAUSE = 1.0
"""Seconds between two attempts, when a migration did not get its locks."""

_LOCK = 0x6C61746368  # "latch": any number, as long as all servers use the same

# Overrides settings of the role or the database. A server that waited must see what the others
# committed, and a timeout must not end the wait.
_PATIENTLY = """set transaction isolation level read committed;
set local statement_timeout = 0;
set local lock_timeout = 0;
set local idle_in_transaction_session_timeout = 0"""

# While a migration waits for a lock on a table, all later statements on it wait as well, so the
# wait is short. It is longer than deadlock_timeout, 1 s, after which PostgreSQL cancels an
# autovacuum that holds the lock.
_NOT_FOR_LONG = "set local lock_timeout = '2s'"


async def prepare(database: Database, migrations: Path = MIGRATIONS) -> None:
    """Create the schema and the gallery, or run the missing migrations, in one transaction.

    After that, names that an older release folded are refolded in batches. A newer schema is left
    as it is. Raises Unavailable, also when the role lacks a privilege.
    """
    for left in reversed(range(MAX_ATTEMPTS)):
        try:
            async with database.transaction() as run:
                await _prepare(run, migrations)
        except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected) as error:
            if not left:
                raise _cant(error) from error
            _log.warning("the database cannot be migrated yet: %s", first_line(error))
            await asyncio.sleep(PAUSE)
        except (psycopg2.Error, OSError) as error:
            raise _cant(error) from error
        else:
            await refold(database)
            return


async def version_of(execute: Run) -> int | None:
    """Return the version of the database's schema, None when there is none.

    `execute` runs a statement and returns its rows, as `Database.rows` does. Raises Unavailable
    when another program created it.
    """
    [(says, made)] = await execute(
        "select to_regclass('schema_version') is not null, to_regclass('gallery') is not null"
    )
    if not says:
        return FIRST if made else None
    rows = await execute("select version from schema_version")
    if len(rows) != 1 or not isinstance(rows[0][0], int):
        raise Unavailable("postgresql", "its table schema_version is not one of this server")
    return int(rows[0][0])


def newest(migrations: Path = MIGRATIONS) -> int:
    """Return the version of this program's schema."""
    return max(_by_number(migrations), default=FIRST)


async def _prepare(run: Run, migrations: Path) -> None:
    await run(_PATIENTLY)
    await run("select pg_advisory_xact_lock(%s)", (_LOCK,))
    version = await version_of(run)
    must_migrate = version is not None and version < newest(migrations)
    reason = await unusable_reason(run, is_made=version is not None, must_migrate=must_migrate)
    if reason:
        raise Unavailable("postgresql", reason)
    if version is None:
        await run(SCHEMA.read_text())
        await _hang_gallery(run)
        version = await version_of(run) or FIRST
    if version > newest(migrations):
        _log.warning(
            "the schema version is %d, and this release knows %d: continuing, because newer "
            "releases only add to the schema",
            version,
            newest(migrations),
        )
    await _migrate(run, version, _by_number(migrations))


async def rehearse(database: Database) -> str | None:
    """Create the schema in an empty database and roll back; return why that failed, or None.

    Raises Unavailable.
    """
    try:
        async with database.transaction() as run:
            await run(_PATIENTLY)
            await run(SCHEMA.read_text())
            raise _UndoneError
    except _UndoneError:
        return None
    except (psycopg2.Error, OSError) as error:
        return first_line(error)


class _UndoneError(Exception):
    """Rolls back the transaction of `rehearse`."""


async def _migrate(run: Run, version: int, migrations: dict[int, Path]) -> None:
    for number, file in sorted(migrations.items()):
        if number > version:
            _log.info("migrating the database from %d to %d", number - 1, number)
            await run(_NOT_FOR_LONG)
            await run(file.read_text())
            await run("update schema_version set version = %s", (number,))


async def _hang_gallery(run: Run) -> None:
    for picture in default_gallery():
        await run(*insert_gallery_picture(*picture))


def _by_number(migrations: Path) -> dict[int, Path]:
    return {int(file.name.partition("_")[0]): file for file in migrations.glob("*.sql")}


def _cant(error: Exception) -> Unavailable:
    return Unavailable("postgresql", f"the schema cannot be prepared: {first_line(error)}")
