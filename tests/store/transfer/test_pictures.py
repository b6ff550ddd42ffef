"""Pictures in a line of an export. They are served unchanged, so each must be a picture."""

import base64
import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from store.images import SIDES
from store.names import MAX_NAME
from store.transfer.pictures import read_gallery_picture, read_picture


def encoded(kind: str, side: int) -> str:
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


SQUARES = {str(side): encoded("WEBP", side) for side in SIDES}
OWN = {"id": "x" * 22, **SQUARES}
HUNG = {"id": 7, "group": "faces", "name": "smile", **SQUARES}


def test_a_picture_is_read_as_it_was_written():
    kept = tuple(base64.b64decode(each) for each in SQUARES.values())
    own, hung = read_picture(OWN), read_gallery_picture(HUNG)
    assert (own.picture_id, own.sides) == ("x" * 22, kept)
    assert (hung.id, hung.group, hung.name, hung.sides) == (7, "faces", "smile", kept)
    assert read_picture({"gallery": 7}).gallery_id == 7


@pytest.mark.parametrize("kept", ["short", 5, None, "x" * 21 + "/"])
def test_a_picture_whose_id_is_none_of_ours_gets_a_new_one(kept):
    ids = {read_picture({**OWN, "id": kept}).picture_id for _ in range(2)}
    assert kept not in ids
    assert [len(each) for each in ids] == [22, 22]


def is_refused(read: Callable[[Any], object], value: Any) -> bool:
    try:
        read(value)
    except ValueError:
        return True
    return False


BAD_SIDES = {
    "missing": None,
    "not text": 5,
    "not base64": "%",
    "not a picture": base64.b64encode(b"RIFF").decode(),
    "another format": encoded("PNG", 256),
    "another size": SQUARES["64"],
}


@pytest.mark.parametrize("side", BAD_SIDES.values(), ids=BAD_SIDES)
def test_a_square_that_is_not_what_it_should_be_is_refused(side):
    for read, value in ((read_picture, OWN), (read_gallery_picture, HUNG)):
        assert is_refused(read, {**value, "256": side})


@pytest.mark.parametrize("value", [None, "x", [], {"gallery": 0}, {"gallery": True}, {}])
def test_what_names_no_picture_is_refused(value):
    assert is_refused(read_picture, value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "x",
        {**HUNG, "id": "7"},
        {**HUNG, "id": 2**31},
        {**HUNG, "group": None},
        {**HUNG, "group": "\0"},
        {**HUNG, "name": 5},
        {**HUNG, "name": "x" * (MAX_NAME + 1)},
    ],
)
def test_what_is_no_picture_of_the_gallery_is_refused(value):
    assert is_refused(read_gallery_picture, value)
