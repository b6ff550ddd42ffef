"""Pictures in the files of an export: those of the accounts, and those of the gallery."""

import base64
import binascii
import io
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from store.images import SIDES
from store.names import MAX_NAME, is_valid_text

PICTURE = "picture"
"""The field of an account in an export."""
GALLERY = "gallery"
"""The only field of a line that is a picture of the gallery; in a picture, its id there."""

_ID = re.compile(r"[\w-]{22}", re.ASCII)

PICTURE_TABLES = """
create temp table incoming_picture (
    line bigint, gallery_id integer, id text, side_512 bytea, side_256 bytea, side_64 bytea);
create temp table incoming_gallery (
    id integer, "group" text, name text, side_512 bytea, side_256 bytea, side_64 bytea)"""
PICTURE_COLUMNS = "line, gallery_id, id, side_512, side_256, side_64"
GALLERY_COLUMNS = 'id, "group", name, side_512, side_256, side_64'

_NEW_ID = """translate(rtrim(encode(uuid_send(gen_random_uuid()), 'base64'), '='), '+/', '-_')"""
"""Of a picture: 22 characters, as store/pictures.py makes them."""

# A picture with the same group and name is the same picture of the gallery; a new one keeps its id
# if that is free. Then the choice of an account is the id of that picture, and an account's own
# picture gets a new id if another picture has its id.
_ADD = """
with shown as (
        select * from incoming_gallery as incoming
         where id = %(id)s and not exists (
               select from gallery
                where gallery."group" = incoming."group" and gallery.name = incoming.name)),
    added as (
        insert into picture (id, side_512, side_256, side_64)
        select %(picture)s, side_512, side_256, side_64 from shown)
insert into gallery (id, "group", name, picture_id)
select case when exists (select from gallery where gallery.id = shown.id)
            then nextval(pg_get_serial_sequence('gallery', 'id')) else shown.id end,
       "group", name, %(picture)s
  from shown;
select setval(pg_get_serial_sequence('gallery', 'id'),
              greatest(max(id), nextval(pg_get_serial_sequence('gallery', 'id')))) from gallery"""
_ASSIGN_IDS = f"""
create index on incoming_picture (line);
update incoming_picture set id = {_NEW_ID}
 where gallery_id is null and (exists (select from picture where picture.id = incoming_picture.id)
    or exists (select from incoming_picture as other
                where other.id = incoming_picture.id and other.line < incoming_picture.line));
update incoming_picture set id = gallery.picture_id
  from incoming_gallery join gallery using ("group", name)
 where incoming_picture.gallery_id = incoming_gallery.id"""


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture of an account: one of the gallery, by its id there, or its own."""

    gallery_id: int | None = None
    picture_id: str = ""
    sides: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class GalleryPicture:
    """A picture of the gallery."""

    id: int
    group: str
    name: str
    sides: tuple[bytes, ...]


def picture_fields(row: tuple[Any, ...]) -> dict[str, Any] | None:
    """Return the field of an account from a gallery id, a picture id and the sides, or None."""
    gallery_id, picture_id, *sides = row
    if gallery_id is not None:
        return {GALLERY: gallery_id}
    return {"id": picture_id, **side_fields(sides)} if picture_id else None


def side_fields(sides: list[Any]) -> dict[str, str]:
    """Return the squares of a picture by their pixels a side, as WebP in base64."""
    named = zip(SIDES, sides, strict=True)
    return {str(side): base64.b64encode(found).decode() for side, found in named}


def read_picture(value: Any) -> Picture:
    """Read the field of an account. Raises ValueError."""
    if not isinstance(value, Mapping):
        raise ValueError  # noqa: TRY004  # a value of a file is wrong, whatever its type
    if GALLERY in value:
        return Picture(gallery_id=_gallery_id(value[GALLERY]))
    picture_id = value.get("id")
    if not (isinstance(picture_id, str) and _ID.fullmatch(picture_id)):
        picture_id = secrets.token_urlsafe(16)
    return Picture(picture_id=picture_id, sides=_sides(value))


def read_gallery_picture(value: Any) -> GalleryPicture:
    """Read a picture of the gallery. Raises ValueError."""
    if not isinstance(value, Mapping):
        raise ValueError  # noqa: TRY004
    group, name = value.get("group"), value.get("name")
    for text in (group, name):
        if not (isinstance(text, str) and len(text) <= MAX_NAME and is_valid_text(text)):
            raise ValueError
    return GalleryPicture(_gallery_id(value.get("id")), str(group), str(name), _sides(value))


def picture_row(of_line: tuple[int, Picture]) -> list[Any]:
    """Return the PICTURE_COLUMNS of a line and its picture, as COPY reads them."""
    line, picture = of_line
    sides = map(_bytea, picture.sides) if picture.sides else (None, None, None)
    return [line, picture.gallery_id, picture.picture_id or None, *sides]


def gallery_row(picture: GalleryPicture) -> list[Any]:
    """Return the GALLERY_COLUMNS of a picture, as COPY reads them."""
    return [picture.id, picture.group, picture.name, *map(_bytea, picture.sides)]


def add_to_gallery(cursor: Any) -> None:
    """Add the pictures that the gallery does not have, and give every incoming picture its id."""
    cursor.execute("select distinct id from incoming_gallery order by id")
    for (gallery_id,) in cursor.fetchall():
        cursor.execute(_ADD, {"id": gallery_id, "picture": secrets.token_urlsafe(16)})
    cursor.execute(_ASSIGN_IDS)


def _bytea(data: bytes) -> str:
    return f"\\x{data.hex()}"


def _gallery_id(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
        raise ValueError
    return value


def _sides(value: Mapping[str, Any]) -> tuple[bytes, ...]:
    return tuple(_side(value.get(str(side)), side) for side in SIDES)


def _side(text: Any, side: int) -> bytes:
    """Read a square, which is served as it is: a WebP of this size. Raises ValueError."""
    from PIL import Image  # noqa: PLC0415  # 25 ms, and most imports have no pictures

    if not isinstance(text, str):
        raise ValueError  # noqa: TRY004
    try:
        data = base64.b64decode(text, validate=True)
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            if image.size != (side, side):
                raise ValueError(side)
    except (binascii.Error, OSError, SyntaxError) as error:
        raise ValueError(side) from error
    return data
