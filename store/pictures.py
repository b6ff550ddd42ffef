"""Pictures in PostgreSQL: the gallery, uploaded pictures, and the one that each account shows.

This module owns the tables picture and gallery, and the account's `picture_id`. A change of an
account's picture is one transaction, sent at once, which first locks the account's row. Of two
concurrent uploads the later one is kept, and no unused row is left.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg2.errors

from store.errors import BadToken, NoSuchPicture, TokenProblem, Unstorable
from store.images import SIDES
from store.names import is_valid_text
from store.postgresql.database import Database

NO_PICTURE = 0
"""The gallery id that stands for no picture."""

_MAX_GALLERY_ID = 2**31 - 1
# An epoch is used once: while the lock is held, each statement sees the same account or none.
_CALLER = """id = %(account)s and (session_epoch = %(epoch)s
    or kept_session = session_epoch || ' ' || %(session)s)"""
_LOCK = f"select from account where {_CALLER} for update"
_COLUMNS = {side: f"side_{side}" for side in SIDES}


@dataclass(frozen=True, slots=True)
class GalleryPicture:
    """A picture that any account may choose."""

    id: int
    group: str
    name: str
    picture_id: str


class Pictures:
    """The pictures in one database. Every method raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def gallery(self) -> list[GalleryPicture]:
        """Return the gallery's pictures in the order of their ids."""
        rows = await self._database.rows(
            'select id, "group", name, picture_id from gallery order by id'
        )
        return [GalleryPicture(*row) for row in rows]

    async def choose(
        self, account_id: int, epoch: int, gallery_id: int, session_id: str | None = None
    ) -> str | None:
        """Set a gallery picture as the account's; with NO_PICTURE, remove the account's.

        Return the picture's id, None for none.

        Raises NoSuchPicture, and BadToken unless the account still has this epoch or keeps the
        session of this public id.
        """
        if not 0 <= gallery_id <= _MAX_GALLERY_ID:
            raise NoSuchPicture
        try:
            row = await self._database.row(
                f"""{_LOCK};
                   delete from picture where account_id = (select id from account where {_CALLER})
                      and (%(gallery)s = 0 or exists (select from gallery where id = %(gallery)s));
                   update account
                      set picture_id = (select picture_id from gallery where id = %(gallery)s)
                    where {_CALLER}
                      and (%(gallery)s = 0 or exists (select from gallery where id = %(gallery)s))
                   returning picture_id""",
                {
                    "account": account_id,
                    "epoch": epoch,
                    "session": session_id,
                    "gallery": gallery_id,
                },
            )
        except psycopg2.errors.ForeignKeyViolation:  # it was removed concurrently
            raise NoSuchPicture from None
        if row is None:
            await self._check_caller(account_id, epoch, session_id)
            raise NoSuchPicture
        picture_id: str | None = row[0]
        return picture_id

    async def keep(
        self, account_id: int, epoch: int, sides: Sequence[bytes], session_id: str | None = None
    ) -> str:
        """Store an uploaded picture, as WebP in each of `SIDES`, as the account's; return its id.

        The previous upload is deleted. Raises BadToken unless the account still has this epoch or
        keeps the session of this public id.
        """
        picture_id = secrets.token_urlsafe(16)
        row = await self._database.row(
            f"""{_LOCK};
               insert into picture (id, account_id, side_512, side_256, side_64)
               select %(picture)s, id, %(large)s, %(middle)s, %(small)s from account
                where {_CALLER};
               delete from picture where account_id = (select id from account where {_CALLER})
                  and id <> %(picture)s;
               update account set picture_id = %(picture)s where {_CALLER} returning id""",
            {
                "account": account_id,
                "epoch": epoch,
                "session": session_id,
                "picture": picture_id,
                **dict(zip(("large", "middle", "small"), sides, strict=True)),
            },
        )
        if row is None:
            raise BadToken(TokenProblem.REVOKED)
        return picture_id

    async def _check_caller(self, account_id: int, epoch: int, session_id: str | None) -> None:
        row = await self._database.row(
            f"select 1 from account where {_CALLER}",
            {"account": account_id, "epoch": epoch, "session": session_id},
        )
        if row is None:
            raise BadToken(TokenProblem.REVOKED)

    async def read(self, picture_id: str, side: int) -> bytes | None:
        """Return a picture's WebP at one of `SIDES`, None when there is no such picture."""
        row = await self._database.row(
            f"select {_COLUMNS[side]} from picture where id = %s", (picture_id,)
        )
        return bytes(row[0]) if row else None

    async def exists(self, picture_id: str) -> bool:
        """Return whether there is such a picture, without reading it."""
        row = await self._database.row("select 1 from picture where id = %s", (picture_id,))
        return row is not None

    async def add_to_gallery(self, group: str, name: str, sides: Sequence[bytes]) -> int:
        """Add a picture, as WebP in each of `SIDES`, to the gallery; return its gallery id.

        Raises Unstorable.
        """
        for field, text in (("group", group), ("name", name)):
            if not is_valid_text(text):
                raise Unstorable(field)
        row = await self._database.one(*insert_gallery_picture(group, name, sides))
        gallery_id: int = row[0]
        return gallery_id

    async def remove_from_gallery(self, gallery_id: int) -> int | None:
        """Remove a picture from the gallery and from the accounts that show it.

        Return the number of those accounts; None when the gallery has no such picture.
        """
        if not 0 < gallery_id <= _MAX_GALLERY_ID:
            return None
        row = await self._database.row(
            """with target as (
                   select picture_id, (select count(*) from account
                           where account.picture_id = gallery.picture_id) as shown
                     from gallery where id = %s),
                 gone as (delete from picture using target where picture.id = target.picture_id)
               select shown from target""",
            (gallery_id,),
        )
        return row[0] if row else None


def insert_gallery_picture(
    group: str, name: str, sides: Sequence[bytes]
) -> tuple[str, tuple[object, ...]]:
    """Return the statement that adds a picture to the gallery, and its parameters.

    `sides` is the picture as WebP in each of `SIDES`. The statement returns the gallery id.
    """
    return (
        """with added as (
               insert into picture (id, side_512, side_256, side_64)
               values (%s, %s, %s, %s) returning id)
           insert into gallery ("group", name, picture_id)
           select %s, %s, id from added returning id""",
        (secrets.token_urlsafe(16), *sides, group, name),
    )
