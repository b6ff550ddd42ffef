"""Every account with its hash, out of one snapshot."""

import contextlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from store.account import Details
from store.images import SIDES
from store.transfer.bulk import bulk_connection
from store.transfer.pictures import GALLERY, PICTURE, picture_fields, side_fields

AT_A_TIME = 1_000
PICTURES_AT_A_TIME = 50

_SIDES = ", ".join(f"side_{side}" for side in SIDES)
_WITH_PICTURES = """left join gallery on gallery.picture_id = account.picture_id
    left join picture on picture.id = account.picture_id and picture.account_id = account.id"""

KEPT = tuple(each.name for each in fields(Details) if each.name != "modified")
"""The columns of an account that a file has, besides its hash."""


@contextlib.contextmanager
def export_accounts(
    url: str, *, pictures: bool = False
) -> Iterator[tuple[int, Iterator[dict[str, Any]], Iterator[dict[str, Any]]]]:
    """Yield the number of accounts, all of them by column in the order of ids, and the gallery.

    `password` is the hash. They are read from one snapshot and are never all in memory. With
    `pictures` each has its `picture`; without, the gallery is empty. Raises Unavailable.
    """
    with bulk_connection(url, snapshot=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from account")
            [(count,)] = cursor.fetchall()
        gallery = _gallery(connection) if pictures else iter(())
        yield count, _stream(connection, pictures=pictures), gallery


def _stream(connection: Any, *, pictures: bool) -> Iterator[dict[str, Any]]:
    columns = (*KEPT, "password")
    shown = f", gallery.id, picture.id, {_SIDES}" if pictures else ""
    joined = _WITH_PICTURES if pictures else ""
    with connection.cursor("export") as cursor:
        cursor.itersize = PICTURES_AT_A_TIME if pictures else AT_A_TIME
        cursor.execute(
            f"""select {", ".join(f"account.{name}" for name in columns)}{shown}
                  from account {joined} order by account.id"""
        )
        for row in cursor:
            found = dict(zip(columns, row[: len(columns)], strict=True))
            if pictures:
                found[PICTURE] = picture_fields(row[len(columns) :])
            yield found


def _gallery(connection: Any) -> Iterator[dict[str, Any]]:
    with connection.cursor("gallery") as cursor:
        cursor.itersize = PICTURES_AT_A_TIME
        cursor.execute(
            f"""select gallery.id, "group", name, {_SIDES}
                  from gallery join picture on picture.id = picture_id order by gallery.id"""
        )
        for gallery_id, group, name, *sides in cursor:
            shown = {"id": gallery_id, "group": group, "name": name, **side_fields(sides)}
            yield {GALLERY: shown}
