"""What accounts and pictures take in PostgreSQL: tables, indexes, and the write-ahead log."""

import secrets
import statistics
import time
from collections.abc import Callable

import psycopg2.extensions

from bench import photos
from bench.accounts import fill_postgresql, rows
from bench.stores import Stores
from store.foreign_hashes import NATIVE
from store.image_decoder import squares

COUNT = 200_000
COLD = 2_000
"""Logins after a checkpoint, few enough that each finds its page untouched since."""
PICTURES = 20
KEPT = 1_000
MAX_PIXELS = 25_000_000

Cursor = psycopg2.extensions.cursor


def measure_accounts(stores: Stores, name: str) -> list[tuple[str, str]]:
    """Measure a table that was just filled, and the same after logins."""
    hash = f"{NATIVE}$2b$12${secrets.token_urlsafe(40)[:53]}"
    fill_postgresql(stores, name, rows(COUNT, hash, time.time_ns() // 1000), COUNT)
    found = []
    with stores.postgresql(name) as cursor:
        found.append(("an account: its row / its indexes", account_size(cursor)))
        cursor.execute("set synchronous_commit = off")
        cursor.execute("checkpoint")
        cold = wal_of(cursor, lambda: log_in(cursor, COLD)) / COLD
        warm = wal_of(cursor, lambda: log_in(cursor, COUNT)) / COUNT
        found.append(("the same after a login each", account_size(cursor)))
        for _ in range(3):
            cursor.execute("vacuum account")  # as autovacuum does, once a fifth is dead
            log_in(cursor, COUNT)
        found.append(("the same after four logins each", account_size(cursor)))
        found.append(("logins that touched no index (HOT)", hot_share(cursor)))
    what = "write-ahead log of a login: right after a checkpoint / on average of the next 200 000"
    return [*found, (what, f"{cold:,.0f} B / {warm:,.0f} B".replace(",", " "))]


def log_in(cursor: Cursor, count: int) -> None:
    """Write down logins of accounts in any order, each a transaction, as the server does."""
    cursor.execute(
        f"""do $$ declare one bigint; begin
                for one in select n from generate_series(1, {COUNT}) n
                            order by random() limit {count}
                loop
                    update account set last_login = now() where id = one;
                    commit;
                end loop;
            end $$"""
    )


def wal_of(cursor: Cursor, act: Callable[[], None]) -> int:
    """Return the bytes of write-ahead log that something wrote."""
    cursor.execute("select pg_current_wal_insert_lsn()")
    [before] = cursor.fetchone()
    act()
    cursor.execute("select pg_current_wal_insert_lsn() - %s::pg_lsn", (before,))
    return int(cursor.fetchone()[0])


def account_size(cursor: Cursor) -> str:
    """Return the bytes of an account, in its table and in the indexes."""
    cursor.execute("select pg_table_size('account'), pg_indexes_size('account')")
    table, indexes = cursor.fetchone()
    return f"{table / COUNT:.0f} B / {indexes / COUNT:.0f} B"


def hot_share(cursor: Cursor) -> str:
    """Return how many of the updates so far left all indexes alone."""
    cursor.execute("select pg_stat_force_next_flush()")
    cursor.execute(
        """select 100 * n_tup_hot_upd / n_tup_upd from pg_stat_all_tables
            where relid = 'account'::regclass"""
    )
    return f"{cursor.fetchone()[0]} %"


def measure_pictures(stores: Stores, name: str) -> list[tuple[str, str]]:
    """Measure the three sides of pictures, and what one takes in its table."""
    found = []
    for kind, make in photos.KINDS.items():
        made = [squares(make(), MAX_PIXELS) for _ in range(PICTURES)]
        sides = " / ".join(
            f"{statistics.mean(map(len, side)) / 1000:.1f}" for side in zip(*made, strict=True)
        )
        found.append((f"a picture, {kind}: sides of 512 / 256 / 64", f"{sides} kB"))
        found.append((f"a picture, {kind}: in the database", row_size(stores, name, made)))
    return found


def row_size(stores: Stores, name: str, made: list[list[bytes]]) -> str:
    """Return what a picture takes in its table, with everything around it."""
    with stores.postgresql(name) as cursor:
        cursor.execute("truncate picture cascade")
        for number in range(KEPT):
            cursor.execute(
                """insert into picture (id, side_512, side_256, side_64)
                   values (%s, %s, %s, %s)""",
                (secrets.token_urlsafe(16), *made[number % PICTURES]),
            )
        cursor.execute("select pg_total_relation_size('picture')")
        return f"{cursor.fetchone()[0] / KEPT / 1000:.1f} kB"
