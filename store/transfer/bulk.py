"""A connection for what takes minutes: accounts by the million, in and out.

It waits in no event loop and has no deadline, and it can COPY, which aiopg can't. It must be a
session of PostgreSQL's own: behind PgBouncer in transaction mode temporary tables come and go.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, parse_dsn

from store.errors import Unavailable, first_line

CONNECT_SECONDS = 10
"""For each host, where the URL does not say."""

# Whatever the role or the database has been given: a long statement must not be cut short.
_PATIENTLY = """set statement_timeout = 0; set lock_timeout = 0;
set idle_in_transaction_session_timeout = 0; set timezone = 'UTC'"""


@contextlib.contextmanager
def bulk_connection(url: str, *, snapshot: bool = False) -> Iterator[Any]:
    """Yield a connection on which each statement is a transaction, or all read one `snapshot`.

    Errors of PostgreSQL, also those that the caller's statements raise, become Unavailable.
    """
    with _as_unavailable():
        connection = psycopg2.connect(
            url,
            application_name="latchkey",
            connect_timeout=parse_dsn(url).get("connect_timeout", CONNECT_SECONDS),
        )
    with contextlib.closing(connection), _as_unavailable():
        connection.set_client_encoding("UTF8")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(_PATIENTLY)
        if snapshot:
            connection.autocommit = False
            connection.set_session(ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        yield connection


@contextlib.contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except psycopg2.Error as error:
        raise Unavailable("postgresql", first_line(error)) from error
