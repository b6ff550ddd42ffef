"""The ten pictures of a new database's gallery. tools/draw_gallery.py drew the files."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from store.image_cost import SIDES

DIRECTORY = Path(__file__).parent


class GalleryPicture(NamedTuple):
    """A picture: its group, its name, and WebP for each of `SIDES`."""

    group: str
    name: str
    sides: tuple[bytes, ...]


def file_name(number: int, group: str, name: str, side: int) -> str:
    """Return the name of a picture's file of one side; the number is its place in the gallery."""
    return f"{number:02}-{group}-{name}-{side}.webp"


def default_gallery() -> Iterator[GalleryPicture]:
    """Yield the pictures in the order of their numbers."""
    for largest in sorted(DIRECTORY.glob(f"*-{SIDES[0]}.webp")):
        number, group, name, _ = largest.stem.split("-")
        files = (DIRECTORY / file_name(int(number), group, name, side) for side in SIDES)
        yield GalleryPicture(group, name, tuple(file.read_bytes() for file in files))
