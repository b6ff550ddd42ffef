"""Images: what a client sends is decoded within limits and kept as three small WebP squares.

What comes out is made anew from pixels: no metadata, no colour profile, nothing that was appended
or hidden. Formats are told by content, never by a name or a declared type.
"""

import contextlib
import io
import re

from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from store.errors import BadPicture, Blemish
from store.workers import Workers

SIDES = (512, 256, 64)
"""Pixels a side in which every picture is kept."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
QUALITY = 85
MAX_ANIMATION = 40
"""All frames together may hold this many times `max_pixels`, though only the first is kept."""

# Pixels are counted here, before anything is decoded; Pillow's own limit would only warn.
Image.MAX_IMAGE_PIXELS = None

_MARKUP = re.compile(rb"<(?:!doctype|html|head|body|script|iframe|svg|\?php)[\s>/]", re.IGNORECASE)
_SRGB = ImageCms.createProfile("sRGB")


class Images:
    """Turns what clients send into what is kept, on threads of its own.

    Pictures of more than `max_pixels` are refused before they are decoded.
    """

    def __init__(self, threads: int, patience: float, max_pixels: int) -> None:
        self._workers = Workers("images", threads, patience, 0.1)
        self._max_pixels = max_pixels

    async def square(self, sent: bytes) -> list[bytes]:
        """Return the picture as WebP in each of `SIDES`. Raises BadPicture, Busy."""
        return await self._workers.run(squares, sent, self._max_pixels)

    def close(self) -> None:
        """Stop the threads; what has not begun is dropped."""
        self._workers.close()


def squares(sent: bytes, max_pixels: int) -> list[bytes]:
    """Decode a picture, set it upright, crop it to its middle square, and encode it.

    Raises BadPicture.
    """
    if _MARKUP.search(sent):
        raise BadPicture(Blemish.MARKUP, max_pixels)
    try:
        with Image.open(io.BytesIO(sent), formats=FORMATS) as image:
            _check_size(image, max_pixels)
            return webp_sides(_upright_square(image))
    except BadPicture:
        raise
    except UnidentifiedImageError:
        raise BadPicture(Blemish.UNKNOWN_FORMAT, max_pixels) from None
    except Exception as error:  # decoders raise whatever they like at what is broken
        raise BadPicture(Blemish.DAMAGED, max_pixels) from error


def webp_sides(image: Image.Image) -> list[bytes]:
    """Return a square image as WebP, once for each of `SIDES`."""
    return [_webp(image.resize((side, side), Image.Resampling.LANCZOS)) for side in SIDES]


def _check_size(image: Image.Image, max_pixels: int) -> None:
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise BadPicture(Blemish.PIXELS, max_pixels)
    if pixels * getattr(image, "n_frames", 1) > MAX_ANIMATION * max_pixels:
        raise BadPicture(Blemish.ANIMATION, max_pixels)


def _upright_square(image: Image.Image) -> Image.Image:
    largest = SIDES[0]
    image.draft("RGB", (2 * largest, 2 * largest))  # a JPEG is decoded at a fraction of its size
    image.load()
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    square = _plain(image).resize(
        (largest, largest),
        Image.Resampling.LANCZOS,
        box=(left, top, left + side, top + side),
        reducing_gap=3.0,
    )
    square = _srgb(square, image.info.get("icc_profile"))
    square.info = {}  # all that the original said of itself came along
    square.getexif()[ExifTags.Base.Orientation] = _orientation(image)
    return ImageOps.exif_transpose(square)


def _orientation(image: Image.Image) -> int:
    """Return how the picture is to be turned; 1, not at all, when its EXIF can't be read."""
    try:
        orientation: int = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # whatever the parser stumbles over: the picture itself is whole
        return 1
    return orientation


def _plain(image: Image.Image) -> Image.Image:
    """Return the picture as RGB, or RGBA if parts of it are transparent."""
    if image.mode.startswith("I"):  # 16 bits of grey, which a plain conversion would clip
        return image.convert("I").point(lambda value: value / 256).convert("RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Bring the colours of a picture with a profile of its own to what screens assume."""
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError):  # a broken profile counts as none
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, own, _SRGB, outputMode=image.mode)
            return converted or image
    return image


def _webp(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY, method=4, exif=b"", icc_profile=b"")
    return file.getvalue()
