"""Separate databases for tests, and their contents."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg2
from psycopg2.extensions import parse_dsn

RELEASES = Path(__file__).parent / "releases"
FIRST_RELEASE = ("first_release.sql", "first_release_rows.sql")
"""The first release's schema, and rows that it may hold."""
TABLES = (
    "account",
    "event",
    "event_retention",
    "gallery",
    "idempotent_request",
    "mail",
    "picture",
    "webhook",
)

_numbers = itertools.count()

# Everything that the catalog says of our tables, one query for each kind of thing. A column's place
# is left out: what a migration adds stands last.
_CATALOG = {
    "relations": """select relname, relkind, relpersistence, reloptions from pg_class
        where relnamespace = 'public'::regnamespace""",
    "columns": """select attrelid::regclass::text, attname, format_type(atttypid, atttypmod),
            attnotnull, attidentity, attgenerated, attstorage, attcompression,
            attcollation::regcollation::text, attoptions, pg_get_expr(adbin, adrelid)
        from pg_attribute join pg_class on pg_class.oid = attrelid
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped""",
    "constraints": """select conrelid::regclass::text, conname, contype, convalidated,
            pg_get_constraintdef(oid)
        from pg_constraint where connamespace = 'public'::regnamespace""",
    "indexes": """select indexrelid::regclass::text, indisvalid, indisunique, indisprimary,
            pg_get_indexdef(indexrelid)
        from pg_index join pg_class on pg_class.oid = indexrelid
        where relnamespace = 'public'::regnamespace""",
    "sequences": """select seqrelid::regclass::text, seqtypid::regtype::text, seqstart,
            seqincrement, seqmax, seqmin, seqcache, seqcycle from pg_sequence""",
    "functions": "select proname from pg_proc where pronamespace = 'public'::regnamespace",
    "triggers": "select tgname, tgrelid::regclass::text from pg_trigger where not tgisinternal",
}


@contextlib.contextmanager
def own_database(
    stores: tuple[str, str],
    *scripts: str,
    options: Sequence[str] = (),
    copy_of: str = "",
    encoding: str = "",
) -> Iterator[str]:
    """Make a database, run scripts of `releases/` in it, and give its URL. It goes in the end.

    `options` are settings of the database, each as `a = b`; `copy_of` is another one's URL.
    """
    name = f"own_{next(_numbers)}"
    with contextlib.closing(psycopg2.connect(stores[0])) as connection:
        connection.autocommit = True
        administrator = connection.cursor()
        template = parse_dsn(copy_of)["dbname"] if copy_of else "template1"
        if encoding:
            template = f"template0 encoding '{encoding}' locale 'C'"
        administrator.execute(f"create database {name} template {template}")
        url = stores[0].replace("/postgres?", f"/{name}?")
        try:
            for script in scripts:
                ask(url, (RELEASES / script).read_text())
            for option in options:
                administrator.execute(f"alter database {name} set {option}")
            yield url
        finally:
            administrator.execute(f"drop database {name} with (force)")


def ask(url: str, sql: str) -> list[tuple]:
    """Run statements on a separate connection; return the last one's rows."""
    with contextlib.closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def catalog(url: str) -> dict[str, list[str]]:
    """Return all that there is in a database but rows, in an order that is always the same."""
    return {what: sorted(map(repr, ask(url, sql))) for what, sql in _CATALOG.items()}


def rows(url: str) -> dict[str, list[tuple]]:
    """Return every row of every table without its null values: migrations may add such columns."""
    tables = [table for (table,) in ask(url, f"select to_regclass(unnest(array{[*TABLES]}))::text")]
    return {
        table: sorted(ask(url, f"select jsonb_strip_nulls(to_jsonb({table}))::text from {table}"))
        for table in tables
        if table
    }
