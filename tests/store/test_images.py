"""The squares that are stored of a picture, and the files that are rejected."""

import contextlib
import io
import random
import struct
import subprocess
import sys
import zipfile
import zlib

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from store.errors import BadPicture, PictureProblem
from store.image_decoder import squares
from store.images import SIDES
from tests.program import ROOT
from tests.store.colour_profiles import cmyk, linear_grey

MAX_PIXELS = 25_000_000
QUADRANTS = ((200, 30, 30), (60, 200, 80), (20, 20, 160), (240, 230, 60))
"""Left and right, above and below: as greys, too, they are far from each other."""
GREYS = ((81,) * 3, (144,) * 3, (36,) * 3, (214,) * 3)
OUTSIDE = (255, 0, 255)  # beside the middle square: to be cropped
TOLERANCE = 20  # of 256: JPEG, WebP and resizing all round


def paint(width: int = 480, height: int = 320) -> Image.Image:
    """Return a picture whose middle square has `QUADRANTS`."""
    image = Image.new("RGB", (width, height), OUTSIDE)
    half = min(width, height) // 2
    for number, colour in enumerate(QUADRANTS):
        x, y = width // 2 - half + number % 2 * half, height // 2 - half + number // 2 * half
        image.paste(colour, (x, y, x + half, y + half))
    return image


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def read(content: bytes, side: int) -> Image.Image:
    """Decode a stored square: a WebP of this size."""
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.size) == ("WEBP", (side, side))
    return image.convert("RGBA")


def shows(content: bytes, side: int, quadrants: tuple[tuple[int, ...], ...] = QUADRANTS) -> None:
    """Assert that a picture that is kept has these quadrants, upright, to its edges."""
    image = read(content, side)
    for number, wanted in enumerate(quadrants):
        for across, down in ((x, y) for x in (1, 4, 7) for y in (1, 4, 7)):
            place = (across + number % 2 * 8) * side // 16, (down + number // 2 * 8) * side // 16
            colour = image.getpixel(place)
            far = max(abs(one - other) for one, other in zip(colour, (*wanted, 255), strict=True))
            assert far <= TOLERANCE, f"{place} of {side} is {colour}, not {wanted}"


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""By EXIF orientation: how what was upright is stored by a camera that was not."""


def turned(orientation: int, kind: str = "JPEG", width: int = 480, height: int = 320) -> bytes:
    image, exif = paint(width, height), Image.Exif()
    exif[0x0112] = orientation
    image = image.transpose(TURNS[orientation]) if orientation in TURNS else image
    return encode(image, kind, quality=95, exif=exif)


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, kind: tuple[int, int], row: bytes, before: bytes = b"") -> bytes:
    """Return a PNG of equal rows: `kind` is its bit depth and colour type."""
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">II5B", width, height, *kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def gif(width: int, height: int, frames: int) -> bytes:
    """Return a GIF of one whole frame and others of a few bytes, though as many pixels."""
    frame = b"," + struct.pack("<4HB", 0, 0, width, height, 0) + b"\2\2\x44\1\0"
    return encode(Image.new("L", (width, height)), "GIF")[:-1] + frame * (frames - 1) + b";"


def webp(width: int, height: int, frames: int) -> bytes:
    """Return an animated WebP that has the same full frame over and over."""

    def part(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    black = bytes.fromhex("071011fd0f4444ff03")  # of any size: its one colour takes no bits
    still = part(b"VP8L", struct.pack("<BI", 0x2F, width - 1 | height - 1 << 14) + black)
    frame = part(b"ANMF", bytes(6) + size + b"\x0a\0\0\2" + still)
    animation = part(b"VP8X", b"\2\0\0\0" + size) + part(b"ANIM", bytes(6)) + frame * frames
    return part(b"RIFF", b"WEBP" + animation)


_PAINTED = paint()
_LEVELS = [level for level in _PAINTED.convert("L").tobytes() for _ in range(2)]
_DEEP = Image.frombytes("I;16", _PAINTED.size, bytes(_LEVELS))
_THEN_ANOTHER = {"save_all": True, "append_images": [Image.new("RGB", (480, 320), OUTSIDE)]}
_PROGRESSIVE = encode(_PAINTED, "JPEG", quality=95, progressive=True)
PNG, JPEG = encode(_PAINTED, "PNG"), encode(_PAINTED, "JPEG", quality=95)
WEBP, GIF = encode(_PAINTED, "WEBP", quality=95), encode(_PAINTED, "GIF", **_THEN_ANOTHER)
_HTML = b"<html><script>alert(document.domain)</script></html>"
SENT = {  # files of every format, and what they show; text in them is no reason to reject one
    "HTML behind a PNG": (PNG + _HTML, QUADRANTS),
    "HTML behind a JPEG": (JPEG + _HTML.upper(), QUADRANTS),
    "JPEG": (JPEG, QUADRANTS),
    "JPEG, progressive": (_PROGRESSIVE, QUADRANTS),
    "JPEG, CMYK": (encode(_PAINTED.convert("CMYK"), "JPEG", quality=95), QUADRANTS),
    "JPEG, with a marker that has no length": (
        b"\xff\x01\xff\xda".join(_PROGRESSIVE.rsplit(b"\xff\xda", 1)),
        QUADRANTS,
    ),
    "JPEG, grey": (encode(_PAINTED.convert("L"), "JPEG", quality=95), GREYS),
    "JPEG, two in one": (encode(_PAINTED, "MPO", quality=95, **_THEN_ANOTHER), QUADRANTS),
    "PNG": (PNG, QUADRANTS),
    "PNG, palette": (encode(_PAINTED.quantize(8), "PNG"), QUADRANTS),
    "PNG, 16 bits of grey": (encode(_DEEP, "PNG"), GREYS),
    "WebP": (WEBP, QUADRANTS),
    "GIF, animated": (GIF, QUADRANTS),
    "PNG, animated": (encode(_PAINTED, "PNG", **_THEN_ANOTHER), QUADRANTS),
    "WebP, animated": (encode(_PAINTED, "WEBP", quality=95, **_THEN_ANOTHER), QUADRANTS),
    "JPEG, with a film behind it": (JPEG + b"\xff\xda\xff\xd8ftypheic" * 10_000, QUADRANTS),
    "PNG, grey and opaque": (encode(_PAINTED.convert("LA"), "PNG"), GREYS),
}

_ZIP = io.BytesIO()
with zipfile.ZipFile(_ZIP, "w") as archive:
    archive.writestr("picture.png", PNG)
_GROWING = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff," + bytes(4) + b"\xff\xff" * 2
_ENDLESS = chunk(b"acTL", struct.pack(">II", 1_000, 0))
_LONG = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(30_000_000)))
HOSTILE = {  # files that are not pictures, or harmful ones, and why they are rejected
    "nothing": (b"", PictureProblem.UNKNOWN_FORMAT),
    "random bytes": (random.Random(4).randbytes(5_000), PictureProblem.UNKNOWN_FORMAT),  # noqa: S311
    "a zip": (_ZIP.getvalue(), PictureProblem.UNKNOWN_FORMAT),
    "a TIFF": (encode(_PAINTED, "TIFF"), PictureProblem.UNKNOWN_FORMAT),
    "HTML": (b"<!DOCTYPE html>" + _HTML, PictureProblem.UNKNOWN_FORMAT),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', PictureProblem.UNKNOWN_FORMAT),
    "HEIC": (b"\0\0\0\x28ftypheic\0\0\0\0mif1heic" + bytes(99), PictureProblem.HEIF),
    "AVIF": (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1" + bytes(99), PictureProblem.HEIF),
    "a JPEG cut off": (JPEG[: len(JPEG) // 2], PictureProblem.DAMAGED),
    "a JPEG cut off at its end": (JPEG[:-2], PictureProblem.DAMAGED),
    "a PNG cut off": (PNG[: len(PNG) // 2], PictureProblem.DAMAGED),
    "a PNG cut off in its header": (PNG[:12], PictureProblem.DAMAGED),
    "a WebP that begins with none of its chunks": (WEBP[:12] + JPEG, PictureProblem.DAMAGED),
    "a WebP cut off": (WEBP[:-2], PictureProblem.DAMAGED),
    "a GIF cut off": (GIF[: len(GIF) // 4], PictureProblem.DAMAGED),
    "a PNG of 900 million pixels": (
        png(30_000, 30_000, (1, 0), bytes(3751)),
        PictureProblem.PIXELS,
    ),
    "a GIF that outgrows its screen": (_GROWING + b"\0\2\2\x44\1\0;", PictureProblem.PIXELS),
    "a WebP of 268 million pixels": (webp(16_383, 16_383, 2), PictureProblem.PIXELS),
    "an animated GIF": (gif(5_000, 5_000, 1_000), PictureProblem.ANIMATION),
    "an animated WebP": (webp(5_000, 5_000, 41), PictureProblem.ANIMATION),
    "an animated PNG": (png(5_000, 5_000, (1, 0), bytes(626), _ENDLESS), PictureProblem.ANIMATION),
    "a text that unpacks to 30 MB": (png(8, 8, (8, 0), bytes(9), _LONG), PictureProblem.DAMAGED),
}


@pytest.mark.parametrize(("sent", "quadrants"), SENT.values(), ids=SENT)
def test_every_format_is_kept_as_three_squares(sent, quadrants):
    for side, content in zip(SIDES, squares(sent, MAX_PIXELS), strict=True):
        shows(content, side, quadrants)


SHAPES = {"JPEG": (480, 320), "large JPEG": (1600, 1200), "PNG": (320, 480), "WEBP": (480, 320)}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright_and_cropped_in_the_middle(orientation, kind):
    sent = turned(orientation, kind.split()[-1], *SHAPES[kind])
    for side, content in zip(SIDES, squares(sent, MAX_PIXELS), strict=True):
        shows(content, side)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_what_is_transparent_stays_transparent(kind):
    image = _PAINTED.convert("RGBA")
    image.paste((0, 0, 0, 0), (80, 0, 240, 160))
    image = image.quantize(8) if kind == "PNG" else image
    for side, content in zip(SIDES, squares(encode(image, kind), MAX_PIXELS), strict=True):
        kept = read(content, side)
        assert kept.getpixel((side // 4, side // 4))[3] <= TOLERANCE
        assert kept.getpixel((side * 3 // 4, side // 4))[3] >= 255 - TOLERANCE


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 7)], ids=str)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_small_and_narrow_pictures_fill_their_squares(kind, size):
    sent = encode(Image.new("RGB", size, QUADRANTS[1]), kind)
    for side, content in zip(SIDES, squares(sent, MAX_PIXELS), strict=True):
        shows(content, side, (QUADRANTS[1],) * 4)


_SECRET = b"51 deg 28 min N"
_EXIF, _TEXTS = Image.Exif(), PngImagePlugin.PngInfo()
_EXIF[0x010E] = _SECRET.decode()
_TEXTS.add_itxt("XML:com.adobe.xmp", _SECRET.decode())
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
WITH_METADATA = {
    "JPEG": encode(_PAINTED, "JPEG", exif=_EXIF, icc_profile=_SRGB, comment=_SECRET, xmp=_SECRET),
    "PNG": encode(_PAINTED, "PNG", exif=_EXIF, icc_profile=_SRGB, pnginfo=_TEXTS),
    "WebP": encode(_PAINTED, "WEBP", exif=_EXIF, icc_profile=_SRGB, xmp=_SECRET),
    "GIF": encode(_PAINTED, "GIF", comment=_SECRET),
}


@pytest.mark.parametrize("sent", WITH_METADATA.values(), ids=WITH_METADATA)
def test_nothing_is_kept_but_pixels(sent):
    assert _SECRET in sent
    for content in squares(sent, MAX_PIXELS):
        # A file with anything else begins with VP8X; and this one chunk is the whole file.
        assert content[12:16] == b"VP8 "
        assert int.from_bytes(content[16:20], "little") == len(content) - 20
        assert _SECRET not in content


def test_colours_are_those_that_the_profile_means():
    """In a picture whose profile exchanges red and blue."""
    swapped = _SRGB.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
    red, green, blue = _PAINTED.split()
    sent = encode(Image.merge("RGB", (blue, green, red)), "PNG", icc_profile=swapped)
    shows(squares(sent, MAX_PIXELS)[0], SIDES[0])


def test_a_grey_picture_is_as_light_as_its_profile_says():
    linear = _PAINTED.convert("L").point(lambda level: round((level / 255) ** 2.2 * 255))
    sent = encode(linear, "JPEG", quality=98, icc_profile=linear_grey())
    shows(squares(sent, MAX_PIXELS)[0], SIDES[0], GREYS)


def test_inks_have_the_colours_that_the_profile_gives_them():
    """Cyan, magenta, yellow and black ink, one a quadrant: here they print as `QUADRANTS`."""
    paper = (255, 255, 255)
    printed = {8: QUADRANTS[0], 4: QUADRANTS[1], 2: QUADRANTS[2], 1: QUADRANTS[3]}
    colours = cmyk([printed.get(mixture, paper) for mixture in range(16)])
    inked = Image.new("CMYK", (480, 320))
    for number in range(4):
        x, y = 80 + number % 2 * 160, number // 2 * 160
        ink = tuple(255 * (each == number) for each in range(4))
        inked.paste(ink, (x, y, x + 160, y + 160))
    sent = encode(inked, "JPEG", quality=98, icc_profile=colours)
    shows(squares(sent, MAX_PIXELS)[0], SIDES[0])


@pytest.mark.parametrize("orientation", [0, 9, 65_535, -1, "6", 6.5])
def test_an_orientation_that_there_is_not_turns_nothing(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    with contextlib.suppress(struct.error):  # what EXIF has no form for
        shows(squares(encode(_PAINTED, "PNG", exif=exif), MAX_PIXELS)[0], SIDES[0])


BROKEN = {
    "profile": encode(_PAINTED, "JPEG", quality=95, icc_profile=b"none"),
    "EXIF that is none": encode(_PAINTED, "JPEG", quality=95, exif=b"Exif\0\0none"),
    "EXIF cut off": encode(_PAINTED, "JPEG", quality=95, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05"),
    "EXIF of a PNG that is none": encode(_PAINTED, "PNG", exif=b"Exif\0\0none"),
    "EXIF of a WebP cut off": encode(_PAINTED, "WEBP", quality=95, exif=b"Exif\0\0MM\0*"),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN)
def test_broken_metadata_are_dropped_and_the_picture_is_kept(sent):
    shows(squares(sent, MAX_PIXELS)[0], SIDES[0])


@pytest.mark.parametrize(("sent", "problem"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_picture_is_refused(sent, problem):
    with pytest.raises(BadPicture) as raised:
        squares(sent, MAX_PIXELS)
    assert (raised.value.problem, raised.value.limit) == (problem, MAX_PIXELS)


def test_limits():
    """Counted before anything is decoded: nothing could decode the second PNG."""
    head = chunk(b"IHDR", struct.pack(">II5B", 100, 51, 8, 0, 0, 0, 0)) + chunk(b"IDAT", b"")
    squares(png(100, 50, (8, 0), bytes(101)), 5_000)
    with pytest.raises(BadPicture, match=PictureProblem.PIXELS.value):
        squares(PNG[:8] + head, 5_000)
    squares(webp(50, 50, 80), 5_000)
    with pytest.raises(BadPicture, match=PictureProblem.ANIMATION.value):
        squares(webp(50, 50, 81), 5_000)


MEASURE = """
import os, pathlib, resource, sys
from store.image_decoder import squares

first, *bombs = map(pathlib.Path, sys.argv[1:])
squares(first.read_bytes(), 25_000_000)  # what is imported late counts for nobody
for path in bombs:
    if os.fork() == 0:  # each has a peak of its own
        before, said = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "kept"
        try:
            squares(path.read_bytes(), 25_000_000)
        except Exception as refusal:
            said = refusal.problem.name
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(grown, said, path.name, flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere peaks have other units")
@pytest.mark.slow
def test_memory_is_bounded(tmp_path):
    """A rejected picture takes almost none, an accepted one less than 20 bytes a pixel."""
    files = {"first": JPEG, **{name: sent for name, (sent, _) in HOSTILE.items()}}
    files["the largest PNG"] = png(5_000, 5_000, (8, 6), bytes(20_001))
    files["the largest GIF"] = gif(5_000, 5_000, 40)
    files["the largest WebP"] = webp(5_000, 5_000, 40)
    for name, sent in files.items():
        (tmp_path / name).write_bytes(sent)
    command = [sys.executable, "-c", MEASURE, *(tmp_path / name for name in files)]
    printed = subprocess.check_output(command, cwd=ROOT, text=True)
    print(printed)
    lines = [line.split(" ", 2) for line in printed.splitlines()]
    grown = {name: (said, int(kilobytes) // 1024) for kilobytes, said, name in lines}
    for name, (said, megabytes) in grown.items():
        if name in HOSTILE:
            assert (said, megabytes < 8) == (HOSTILE[name][1].name, True), name
        else:
            assert (said, 20 < megabytes < 20 * MAX_PIXELS >> 20) == ("kept", True), name
    assert len(grown) == len(files) - 1
