"""Updates folded names after a change of the folding, and surveys unusual names for operators.

Folding is in Python (store/names.py), so an SQL migration cannot do it. `schema_version` has the
version of the folding of a database's names.
"""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import psycopg2.errors

from store.errors import Unavailable, first_line
from store.names import FOLD, FOLDING, REFOLDED, UNSEEN, WHITE, is_askable, is_seen
from store.postgresql.database import Database, Row

_log = logging.getLogger("latchkey.names")

BATCH = 1_000
"""Accounts in one transaction."""
MAX_ATTEMPTS = 10
SURVEY_SECONDS = 60.0
"""The timeout of one statement of a survey."""

_LOCK = 0x666F6C64  # "fold"
_FIELDS = ("username", "email")
_LOOK = """select id, username, username_folded, email, email_folded from account
    where id > %s and (username_folded ~ %s or email_folded ~ %s) order by id limit %s"""
_REFOLD = """update account set {0}_folded = form
    from unnest(%s::bigint[], %s::text[]) as fresh (account_id, form)
    where id = account_id and not exists (select from account where {0}_folded = form)
    returning id"""
_PATIENTLY = """set transaction isolation level read committed;
set local statement_timeout = 0; set local lock_timeout = 0"""


@dataclass
class Survey:
    """Accounts with unusual names, by their ids."""

    unseen: list[int] = field(default_factory=list)
    """Names that could not be registered now: they contain an invisible character."""
    unasked: list[int] = field(default_factory=list)
    """Names with white space around them, which the dialects trim from a login's name."""
    twins: list[tuple[int, int]] = field(default_factory=list)
    """Accounts whose name, folded as in this release, is another account's."""
    stale: list[int] = field(default_factory=list)
    """Accounts with a name that an older release folded."""
    borrowed: list[tuple[int, int]] = field(default_factory=list)
    """Accounts whose username is another account's e-mail."""


async def refold(database: Database, *, again: bool = False) -> int:
    """Fold the names that an older release folded; return how many were changed.

    A database in which this was done is skipped, unless `again`: a server of an older release may
    have written since. If another account has the new form of a name, the name keeps its old form,
    and its account can still log in by it. Raises Unavailable.
    """
    [(folding,)] = await database.rows("select folding from schema_version")
    if folding >= FOLDING and not again:
        return 0
    changed, last, pattern = 0, 0, _pattern(REFOLDED)
    while (done := await _refold_batch(database, last, pattern)) is not None:
        last, changed = done[0], changed + done[1]
    await database.rows(
        "update schema_version set folding = greatest(folding, %s) returning folding", (FOLDING,)
    )
    if changed:
        _log.info("names folded as in this release: %d", changed)
    return changed


async def survey(database: Database) -> Survey:
    """Survey all accounts, which may take seconds for a million of them. Raises Unavailable."""
    found, last = Survey(), 0
    pattern = _pattern(f"{UNSEEN}|^{WHITE}|{WHITE}$")
    while rows := await _rows(
        database,
        """select id, username, email from account
            where id > %s and (username ~ %s or email ~ %s) order by id limit %s""",
        (last, pattern, pattern, BATCH),
    ):
        last = rows[-1][0]
        for account_id, *names in rows:
            if not all(is_seen(name) for name in names if name):
                found.unseen.append(account_id)
            elif not all(is_askable(name) for name in names if name):
                found.unasked.append(account_id)
    await _look_at_forms(database, found)
    found.borrowed = await _rows(
        database,
        """select one.id, other.id from account one join account other
               on other.email_folded = one.username_folded and other.id <> one.id
            where position('@' in one.username_folded) > 0 order by one.id limit %s""",
        (BATCH,),
    )
    return found


async def _look_at_forms(database: Database, found: Survey) -> None:
    last, pattern = 0, _pattern(REFOLDED)
    while rows := await _rows(database, _LOOK, (last, pattern, pattern, BATCH)):
        last = rows[-1][0]
        for row in rows:
            for name, form in _changes(row):
                asked = f"select id from account where {name}_folded = %s and id <> %s"
                others = await _rows(database, asked, (form, row[0]))
                pairs = [(row[0], other) for (other,) in others]
                found.twins += [pair for pair in pairs if pair not in found.twins[-1:]]
                found.stale += [] if others else [row[0]]


async def _refold_batch(database: Database, after: int, pattern: str) -> tuple[int, int] | None:
    """Refold the next accounts; return the last id and the number of names, None for no more."""
    for _ in range(MAX_ATTEMPTS):
        try:
            async with database.transaction() as run:
                await run(_PATIENTLY)
                await run("select pg_advisory_xact_lock(%s)", (_LOCK,))
                rows = await run(_LOOK, (after, pattern, pattern, BATCH))
                changed = [
                    await run(_REFOLD.format(name), (list(ids.values()), list(ids)))
                    for name, ids in _by_form(rows).items()
                ]
        except psycopg2.errors.UniqueViolation:
            continue  # a name was registered concurrently: try again
        except (psycopg2.Error, OSError) as error:
            reason = f"names cannot be folded: {first_line(error)}"
            raise Unavailable("postgresql", reason) from error
        return (rows[-1][0], sum(map(len, changed))) if rows else None
    raise Unavailable("postgresql", "names cannot be folded because of concurrent registrations")


async def _rows(database: Database, sql: str, parameters: tuple[Any, ...]) -> list[Row]:
    return await database.rows(sql, parameters, asyncio.get_running_loop().time() + SURVEY_SECONDS)


def _pattern(python: str) -> str:
    """Return a regular expression in PostgreSQL's syntax."""
    return "".join(
        each if each.isascii() and each.isprintable() else f"\\U{max(1, ord(each)):08x}"
        for each in python
    )


def _by_form(rows: list[Row]) -> dict[str, dict[str, int]]:
    """Return by field the account of each new form: of several, the one with the lowest id."""
    found: dict[str, dict[str, int]] = {name: {} for name in _FIELDS}
    for row in rows:
        for name, form in _changes(row):
            found[name].setdefault(form, row[0])
    return found


def _changes(row: Row) -> Iterator[tuple[str, str]]:
    """Yield the fields of a row whose names this release folds differently, with the new forms."""
    for field_name, name, kept in zip(_FIELDS, row[1::2], row[2::2], strict=True):
        if name is not None and (form := FOLD[field_name](name)) != kept:
            yield field_name, form
