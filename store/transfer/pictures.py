"""Pictures as an export has them: what an account shows, and the gallery that it chose from."""

import base64
import binascii
import io
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from store.images import SIDES
from store.names import MAX_NAME, is_valid_text

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

# What has the same group and name is the same picture of the gallery; a new one keeps its id if it
# is free. Then what an account chose is the id of that picture, and a picture whose id is another's
# gets a new one.
_HANG = """
with shown as (
        select * from incoming_gallery as incoming
         where id = %(id)s and not exists (
               select from gallery
                where gallery."group" = incoming."group" and gallery.name = incoming.name)),
    hung as (
        insert into picture (id, side_512, side_256, side_64)
        select %(picture)s, side_512, side_256, side_64 from shown)
insert into gallery (id, "group", name, picture_id)
select case when exists (select from gallery where gallery.id = shown.id)
            then nextval(pg_get_serial_sequence('gallery', 'id')) else shown.id end,
       "group", name, %(picture)s
  from shown;
select setval(pg_get_serial_sequence('gallery', 'id'),
              greatest(max(id), nextval(pg_get_serial_sequence('gallery', 'id')))) from gallery"""
_CHOOSE = f"""
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
    """What an account shows: a picture of the gallery, by its id there, or its own."""

    gallery_id: int | None = None
    picture_id: str = ""
    sides: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Hung:
    """A picture of the gallery."""

    id: int
    group: str
    name: str
    sides: tuple[bytes, ...]


def written_picture(row: tuple[Any, ...]) -> dict[str, Any] | None:
    """Return what an export says of a gallery id, a picture id and the sides, None for none."""
    gallery_id, picture_id, *sides = row
    if gallery_id is not None:
        return {"gallery": gallery_id}
    return {"id": picture_id, **written_sides(sides)} if picture_id else None


def written_sides(sides: list[Any]) -> dict[str, str]:
    """Return the squares of a picture by their pixels a side, as base64 of WebP."""
    named = zip(SIDES, sides, strict=True)
    return {str(side): base64.b64encode(found).decode() for side, found in named}


def read_picture(value: Any) -> Picture:
    """Read what an export says of an account's picture. Raises ValueError."""
    if not isinstance(value, Mapping):
        raise ValueError  # noqa: TRY004  # of the file's types there are only wrong values
    if "gallery" in value:
        return Picture(gallery_id=_gallery_id(value["gallery"]))
    picture_id = value.get("id")
    if not (isinstance(picture_id, str) and _ID.fullmatch(picture_id)):
        picture_id = secrets.token_urlsafe(16)
    return Picture(picture_id=picture_id, sides=_sides(value))


def read_hung(value: Any) -> Hung:
    """Read a line of an export that is a picture of the gallery. Raises ValueError."""
    if not isinstance(value, Mapping):
        raise ValueError  # noqa: TRY004
    group, name = value.get("group"), value.get("name")
    for text in (group, name):
        if not (isinstance(text, str) and len(text) <= MAX_NAME and is_valid_text(text)):
            raise ValueError
    return Hung(_gallery_id(value.get("id")), str(group), str(name), _sides(value))


def picture_row(of_line: tuple[int, Picture]) -> list[Any]:
    """Return what PICTURE_COLUMNS have of a line's picture, as COPY reads it."""
    line, shown = of_line
    sides = map(_bytea, shown.sides) if shown.sides else (None, None, None)
    return [line, shown.gallery_id, shown.picture_id or None, *sides]


def gallery_row(hung: Hung) -> list[Any]:
    """Return what GALLERY_COLUMNS have of a picture of the gallery, as COPY reads it."""
    return [hung.id, hung.group, hung.name, *map(_bytea, hung.sides)]


def hang(cursor: Any) -> None:
    """Add to the gallery what is not there, and give every incoming picture its id."""
    cursor.execute("select distinct id from incoming_gallery order by id")
    for (gallery_id,) in cursor.fetchall():
        cursor.execute(_HANG, {"id": gallery_id, "picture": secrets.token_urlsafe(16)})
    cursor.execute(_CHOOSE)


def _bytea(data: bytes) -> str:
    return f"\\x{data.hex()}"


def _gallery_id(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
        raise ValueError
    return value


def _sides(value: Mapping[str, Any]) -> tuple[bytes, ...]:
    return tuple(_side(value.get(str(side)), side) for side in SIDES)


def _side(text: Any, side: int) -> bytes:
    """Read a square; it is served as it is, so it must be what it says. Raises ValueError."""
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
