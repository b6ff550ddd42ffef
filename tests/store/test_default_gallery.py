"""The files of the default gallery are what tools/draw_gallery.py draws."""

import io

import pytest
from PIL import Image, ImageChops, ImageStat

from store.default_gallery import default_gallery
from store.image_cost import SIDES
from tools.draw_gallery import PORTRAITS, draw


def test_each_picture_has_a_file_of_each_size():
    pictures = list(default_gallery())
    assert [picture[:2] for picture in pictures] == [(each.group, each.name) for each in PORTRAITS]
    for picture in pictures:
        for side, content in zip(SIDES, picture.sides, strict=True):
            with Image.open(io.BytesIO(content)) as image:
                assert (image.format, image.size) == ("WEBP", (side, side))


@pytest.mark.parametrize("number", [0, 9])
def test_the_files_show_what_is_drawn(number: int):
    """Within what WebP loses, so that another version of its encoder may draw them."""
    content = list(default_gallery())[number].sides[0]
    with Image.open(io.BytesIO(content)) as image:
        difference = ImageChops.difference(image.convert("RGB"), draw(PORTRAITS[number]))
    assert max(ImageStat.Stat(difference).mean) < 2
