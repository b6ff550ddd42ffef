"""Pictures in PostgreSQL: the gallery, and which picture an account shows."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from store.connect import Database
from store.errors import NoSuchPicture

SIDES = (512, 256, 64)
"""Pixels a side in which every picture is kept."""

NO_PICTURE = 0
"""The gallery id that takes an account's picture away."""

_MAX_GALLERY_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class GalleryPicture:
    """A picture that any account may choose."""

    id: int
    group: str
    name: str
    picture_id: str


class Pictures:
    """The tables picture and gallery, and the account's `picture_id`. Raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def gallery(self) -> list[GalleryPicture]:
        """List what there is to choose from, in the order of its ids."""
        rows = await self._database.rows(
            'select id, "group", name, picture_id from gallery order by id'
        )
        return [GalleryPicture(*row) for row in rows]

    async def choose(self, account_id: int, gallery_id: int) -> None:
        """Make a gallery picture the account's, or with id 0 none. Raises NoSuchPicture."""
        if gallery_id == NO_PICTURE:
            await self._database.row(
                "update account set picture_id = null where id = %s returning id", (account_id,)
            )
            return
        row = 0 < gallery_id <= _MAX_GALLERY_ID and await self._database.row(
            """update account set picture_id = gallery.picture_id from gallery
                where account.id = %s and gallery.id = %s returning account.id""",
            (account_id, gallery_id),
        )
        if not row:
            raise NoSuchPicture

    async def read(self, picture_id: str, side: int) -> bytes | None:
        """Return a picture's WebP at one of `SIDES`, None when there is no such picture."""
        column = {512: "side_512", 256: "side_256", 64: "side_64"}[side]
        row = await self._database.row(f"select {column} from picture where id = %s", (picture_id,))
        return bytes(row[0]) if row else None


def insert_gallery_picture(
    group: str, name: str, sides: Sequence[bytes]
) -> tuple[str, tuple[object, ...]]:
    """Return the statement, and its parameters, that adds a picture to the gallery.

    `sides` has it as WebP in each of `SIDES`. The statement returns its id in the gallery.
    """
    return (
        """with added as (
               insert into picture (id, side_512, side_256, side_64)
               values (%s, %s, %s, %s) returning id)
           insert into gallery ("group", name, picture_id)
           select %s, %s, id from added returning id""",
        (secrets.token_urlsafe(16), *sides, group, name),
    )
