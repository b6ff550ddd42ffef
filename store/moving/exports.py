"""Every account as a line of an export has it, hash included, out of one snapshot."""

import contextlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from store.account import Details
from store.moving.bulk import bulk_connection

AT_A_TIME = 1_000

KEPT = tuple(each.name for each in fields(Details) if each.name != "modified")
"""The columns that move with an account, besides its hash."""


@contextlib.contextmanager
def export_accounts(url: str) -> Iterator[tuple[int, Iterator[dict[str, Any]]]]:
    """Give how many accounts there are, and all of them, by column, lowest ids first.

    `password` is the hash. They are all of one moment, and never in memory together. Raises
    Unavailable.
    """
    with bulk_connection(url, snapshot=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from account")
            [(count,)] = cursor.fetchall()
        yield count, _stream(connection)


def _stream(connection: Any) -> Iterator[dict[str, Any]]:
    columns = (*KEPT, "password")
    with connection.cursor("export") as cursor:
        cursor.itersize = AT_A_TIME
        cursor.execute(f"select {', '.join(columns)} from account order by id")
        for row in cursor:
            yield dict(zip(columns, row, strict=True))
