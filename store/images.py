"""Pictures as they are kept: square, WebP, at each of three sizes."""

import io

from PIL import Image

from store.pictures import SIDES

QUALITY = 85


def webp_sides(image: Image.Image) -> list[bytes]:
    """Return a square image as WebP, once for each of `SIDES`."""
    return [_webp(image.resize((side, side), Image.Resampling.LANCZOS)) for side in SIDES]


def _webp(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY, method=4)
    return file.getvalue()
