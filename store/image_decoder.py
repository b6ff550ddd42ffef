"""Decodes uploaded pictures in a separate process: `python -m store.image_decoder`.

A decoder reads untrusted files. The kernel ends this process at its limits of CPU time and memory,
and a decoder cannot hold the server's interpreter lock. `store/image_processes.py` starts it.

The result is encoded from decoded pixels: it has no metadata, no colour profile and no appended or
hidden data. Formats are recognized by content, never by a name or a declared type.
"""

import contextlib
import io
import os
import resource
import signal
import sys
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

from PIL import ExifTags, Image, ImageCms, ImageOps

from store.errors import BadPicture, PictureProblem
from store.image_cost import LARGE, SIDES, SQUARES, Shape, read_shape

QUALITY = 85
MAX_PROFILE_BYTES = 4 * 1024 * 1024
"""A printer's CMYK profile may have 2.5 MB. A larger profile is ignored."""

MAX_ANIMATION = 40
"""All frames together may have this many times `max_pixels`, although only the first is used."""

SMALL_ESTIMATE = 0.2
"""A picture that should take more CPU seconds than this is large."""

# This module counts pixels before decoding. Pillow's limit would only warn.
Image.MAX_IMAGE_PIXELS = None
_SRGB = ImageCms.createProfile("sRGB")


def squares(sent: bytes, max_pixels: int) -> list[bytes]:
    """Decode a picture, turn it upright, crop it to its middle square, and encode it.

    Return WebP for each of `SIDES`. Raises BadPicture.
    """
    return _squares(sent, read_shape(sent, max_pixels), max_pixels)


def webp_sides(image: Image.Image) -> list[bytes]:
    """Return a square image as WebP for each of `SIDES`."""
    return [_webp(image.resize((side, side), Image.Resampling.LANCZOS)) for side in SIDES]


def jpeg(webp: bytes) -> bytes:
    """Return a stored square as JPEG, on white where it is transparent."""
    with Image.open(io.BytesIO(webp), formats=["WEBP"]) as image:
        image.load()
        if image.mode == "RGBA":
            backdrop = Image.new("RGBA", image.size, "white")
            flat = Image.alpha_composite(backdrop, image).convert("RGB")
        else:
            flat = image.convert("RGB")
    flat.info = {}
    file = io.BytesIO()
    flat.save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()


def _squares(sent: bytes, shape: Shape, max_pixels: int) -> list[bytes]:
    try:
        with Image.open(io.BytesIO(sent), formats=[shape.format]) as image:
            _check_size(image, max_pixels)
            return webp_sides(_upright_square(image))
    except BadPicture:
        raise
    except MemoryError:
        raise BadPicture(PictureProblem.COSTLY, max_pixels) from None
    except Exception as error:  # decoders raise many kinds of errors for broken files
        raise BadPicture(PictureProblem.DAMAGED, max_pixels) from error


def _check_size(image: Image.Image, max_pixels: int) -> None:
    pixels = image.width * image.height  # a GIF's first frame may be larger than its screen
    if pixels > max_pixels:
        raise BadPicture(PictureProblem.PIXELS, max_pixels)
    if pixels * getattr(image, "n_frames", 1) > MAX_ANIMATION * max_pixels:
        raise BadPicture(PictureProblem.ANIMATION, max_pixels)


def _upright_square(image: Image.Image) -> Image.Image:
    largest = SIDES[0]
    image.draft("RGB", (2 * largest, 2 * largest))  # a JPEG is decoded at a fraction of its size
    image.load()
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    profile = _profile(image)
    square = _plain(image, profile).resize(
        (largest, largest),
        Image.Resampling.LANCZOS,
        box=(left, top, left + side, top + side),
        reducing_gap=3.0,
    )
    square = _srgb(square, profile)
    square.info = {}  # the metadata of the original
    square.getexif()[ExifTags.Base.Orientation] = _orientation(image)
    return ImageOps.exif_transpose(square)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; 1, upright, when the EXIF data cannot be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # the picture itself is intact
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """Return the colour profile, None when there is none or it cannot be read."""
    profile = image.info.get("icc_profile")
    if isinstance(profile, bytes) and 0 < len(profile) <= MAX_PROFILE_BYTES:
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return None


_NATIVE = {"CMYK": ["CMYK"], "GRAY": ["L"], "RGB ": ["RGB", "RGBA"]}
"""The modes to which a profile of each colour space can be applied."""


def _plain(image: Image.Image, profile: ImageCms.ImageCmsProfile | None) -> Image.Image:
    """Return the picture as RGB, or RGBA if parts of it are transparent.

    A picture whose profile fits its mode keeps the mode, because the profile defines its colours.
    """
    if image.mode.startswith("I"):  # 16 bits of grey, which a plain conversion would clip
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    space = profile.profile.xcolor_space if profile else ""
    native = image.mode in ("L", "CMYK") and image.mode in _NATIVE.get(space, ())
    return image if native else image.convert("RGB")


def _srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile | None) -> Image.Image:
    """Convert the colours of a picture with a profile to sRGB."""
    if profile and image.mode in _NATIVE.get(profile.profile.xcolor_space, ()):
        mode = image.mode if image.mode == "RGBA" else "RGB"
        with contextlib.suppress(ImageCms.PyCMSError, OSError):  # a broken profile is ignored
            converted = ImageCms.profileToProfile(image, profile, _SRGB, outputMode=mode)
            return cast("Image.Image", converted)  # None only if it converts in place
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGB")


def _webp(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY, method=4, exif=b"", icc_profile=b"")
    return file.getvalue()


def serve(connection: Connection, max_pixels: int, small: float, large: float) -> None:
    """Reply to requests until the server ends the connection.

    `small` and `large` are the CPU seconds that a picture may take in the small and in the large
    lane. A request is one byte, 1 for the large lane and 0 for the small one, and the picture. The
    reply is `SQUARES` and a message for each of `SIDES`, or `LARGE` for a picture that needs the
    large lane, or the name of a PictureProblem.
    """
    with contextlib.suppress(EOFError, OSError):
        while True:
            request = connection.recv_bytes()
            is_large, sent = request[0], request[1:]
            # There is no handler, so the signal ends the process inside any library.
            signal.setitimer(signal.ITIMER_PROF, large if is_large else small)
            try:
                shape = read_shape(sent, max_pixels)
                if not is_large and shape.seconds > SMALL_ESTIMATE:
                    reply = [LARGE]
                else:
                    reply = [SQUARES, *_squares(sent, shape, max_pixels)]
            except BadPicture as problem:
                reply = [problem.problem.name.encode()]
            signal.setitimer(signal.ITIMER_PROF, 0)
            for part in reply:
                connection.send_bytes(part)


def _limit_process(max_pixels: int) -> None:
    """Limit this process, as far as the system supports it."""
    for stop in (signal.SIGINT, signal.SIGTERM):  # sent to the server, which ends this process
        signal.signal(stop, signal.SIG_IGN)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        os.nice(max(0, 10 - os.nice(0)))
    with contextlib.suppress(OSError, ValueError):
        # When memory runs out, the kernel ends this process first.
        Path("/proc/self/oom_score_adj").write_text("1000")
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + 24 * max_pixels + 128 * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> None:
    """Serve on standard input, which is a socket. The arguments are those of `serve`."""
    warnings.simplefilter("ignore")  # Pillow warns of each wrong entry of EXIF
    max_pixels = int(sys.argv[1])
    _limit_process(max_pixels)
    serve(Connection(os.dup(0)), max_pixels, float(sys.argv[2]), float(sys.argv[3]))


if __name__ == "__main__":
    main()
