"""The worst files that were found for each decoder: none takes more than two seconds of a thread.

Most are rejected by their structure, before they are decoded. `make slow` sends them at the full
size that the default settings allow.
"""

import struct
import time
import zlib
from functools import cache

import pytest
from PIL import Image

from store.errors import BadPicture, PictureProblem
from store.image_decoder import squares
from tests.store.test_images import JPEG, chunk, encode, gif, png, webp

MAX_PIXELS = 25_000_000
MAX_SECONDS = 2.0
KEPT = None


def refining(scans, side, components=1):
    """Return a progressive JPEG whose scans refine nothing, block by block: 42 bytes for each."""
    blocks, bits = (-(-side // 8)) ** 2, ""
    while blocks:
        run = min(blocks, 32_767)
        bits += "0" + format(run - 16_384, "014b") if run > 16_383 else "1" * 15
        blocks -= run
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")

    def huffman(where, symbol):
        return b"\xff\xc4\0\x14" + where + b"\1" + bytes(15) + symbol

    def scan(component, approximation):
        return b"\xff\xda\0\x08\1" + bytes((component, 0, 1, 63, approximation)) + data

    frame = b"".join(bytes((number, 0x11, 0)) for number in range(1, components + 1))
    head = struct.pack(">HBHHB", 8 + len(frame), 8, side, side, components) + frame
    tables = b"\xff\xdb\0\x43\0" + b"\1" * 64 + b"\xff\xc2" + head
    tables += huffman(b"\0", b"\0") + huffman(b"\x10", b"\xe0")
    each = [
        scan(1 + number % components, 0 if number < components else 0x10) for number in range(scans)
    ]
    return b"\xff\xd8" + tables + b"".join(each) + b"\xff\xd9"


def frame_of(code, side=64):
    return (
        JPEG[:2]
        + bytes((0xFF, code))
        + struct.pack(">HBHHB", 11, 8, side, side, 1)
        + b"\1\x11\0"
        + JPEG[2:]
    )


def before_image(kind, inserted):
    """Return a small GIF with something before its first frame."""
    small = encode(Image.new("P", (8, 8)), kind)
    return small[: small.index(b",")] + inserted + small[small.index(b",") :]


def interlaced(width, height, kind, row_bytes):
    data = zlib.compress(bytes(row_bytes * height * 9 // 8 + 8 * height), 1)
    head = chunk(b"IHDR", struct.pack(">II5B", width, height, *kind, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def exif(entries, kind, count):
    table = b"".join(
        struct.pack(">HHII", number % 65_536, kind, count, 8) for number in range(entries)
    )
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", entries) + table + bytes(4_000_000)


@cache
def noise(width, height, mode="RGB"):
    pixels = bytes((number * number * 2_654_435_761 >> 7) & 255 for number in range(100 * 100 * 3))
    small = Image.frombytes("RGB", (100, 100), pixels)
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def bombs(side, count):
    """Yield files of `side` by `side` pixels, or `count` times ten bytes, and why each fails."""

    def row(size):
        return b"\4" + bytes(range(250)) * (size // 250)  # the filter that takes longest

    million = zlib.compress(bytes(1_000_000), 9)
    # JPEG: 15 ms a scan at full size; 5 MiB of scans were half an hour.
    yield "scans, 65", refining(65, 64), PictureProblem.COSTLY
    yield "scans, 10 000", refining(count // 40, 256), PictureProblem.COSTLY
    yield "scans over all blocks", refining(60, 5_000), PictureProblem.COSTLY
    yield "scans of three components", refining(60, 5_000, 3), PictureProblem.COSTLY
    yield "scans within the bound", refining(50, side), KEPT
    yield "scans within the bound, 64", refining(64, side * 7 // 8), KEPT
    yield (
        "comments",
        JPEG[:2] + b"\xff\xfe\0\2" * (count * 10 // 4) + JPEG[2:],
        PictureProblem.COSTLY,
    )
    yield (
        "metadata",
        JPEG[:2] + b"\xff\xe1\0\2" * (count * 10 // 4) + JPEG[2:],
        PictureProblem.COSTLY,
    )
    yield "padding", JPEG[:2] + b"\xff" * (count * 10) + JPEG[2:], PictureProblem.COSTLY
    yield "other padding", JPEG[:2] + b"\xff\0" * (count * 5) + JPEG[2:], PictureProblem.COSTLY
    yield (
        "tables",
        JPEG[:2] + (b"\xff\xc4\0\x14\0\1" + bytes(16)) * (count // 2) + JPEG[2:],
        PictureProblem.COSTLY,
    )
    yield "restarts", JPEG[:-2] + b"\xff\xd0" * (count * 5) + b"\xff\xd9", KEPT
    for code in (0xC3, 0xC5, 0xC9, 0xCA, 0xCB, 0xCF):
        yield f"frame {code:x}", frame_of(code), PictureProblem.UNKNOWN_FORMAT
    yield "dense", encode(noise(side, side), "JPEG", quality=75, subsampling=0), KEPT
    yield (
        "progressive",
        encode(noise(side, side), "JPEG", quality=60, subsampling=0, progressive=True),
        KEPT,
    )
    yield "CMYK", encode(noise(side, side, "CMYK"), "JPEG", quality=50, progressive=True), KEPT
    # PNG: 200 MB of rows were 1.9 s, a profile in each chunk 2.5.
    yield (
        "RGBA, 16 bits",
        png(1, 1, (16, 6), bytes(9)).replace(
            struct.pack(">II", 1, 1), struct.pack(">II", 5_000, 5_000), 1
        ),
        PictureProblem.COSTLY,
    )
    yield "RGB, 16 bits", png(side, side, (16, 2), row(side * 6)), KEPT
    yield "RGBA", png(side, side, (8, 6), row(side * 4)), KEPT
    yield "grey, 16 bits", png(side, side, (16, 0), row(side * 2)), KEPT
    yield "rows of a pixel", png(1, side * side, (8, 0), bytes(2)), KEPT
    yield "interlaced rows of a pixel", interlaced(1, side * side, (8, 0), 1), KEPT
    yield "interlaced", interlaced(side, side, (16, 2), side * 6), KEPT
    yield "a row", png(side * side, 1, (8, 0), bytes(side * side + 1)), KEPT
    yield (
        "chunks",
        png(8, 8, (8, 0), bytes(9), chunk(b"tEXt", b"a\0b") * (count * 10 // 15)),
        PictureProblem.COSTLY,
    )
    yield (
        "chunks of data",
        png(8, 8, (8, 0), bytes(9), chunk(b"IDAT", b"") * (count * 10 // 12)),
        PictureProblem.COSTLY,
    )
    yield (
        "profiles",
        png(8, 8, (8, 0), bytes(9), chunk(b"iCCP", b"a\0\0" + million) * 2),
        PictureProblem.COSTLY,
    )
    yield "texts", png(8, 8, (8, 0), bytes(9), chunk(b"zTXt", b"a\0\0" + million) * 60), KEPT
    yield (
        "more texts",
        png(8, 8, (8, 0), bytes(9), chunk(b"iTXt", b"a\0\1\0\0\0" + million) * 400),
        PictureProblem.DAMAGED,
    )
    for kind in (2, 5):
        yield (
            f"EXIF, {kind}",
            png(
                8, 8, (8, 0), bytes(9), chunk(b"eXIf", exif(min(65_535, count // 4), kind, 500_000))
            ),
            KEPT,
        )
    # GIF: its parts are walked through one by one.
    yield "frames", gif(8, 8, count * 10 // 15), KEPT
    yield "blocks of a comment", before_image("GIF", b"!\xfe" + b"\1a" * (count * 5) + b"\0"), KEPT
    yield "junk", before_image("GIF", b"\1" * (count * 10)), KEPT
    yield "GIF", encode(noise(side, side, "P"), "GIF"), KEPT
    # WebP
    yield "animated", webp(side, side, 40), KEPT
    yield "RIFF", webp(8, 8, 1) + b"abcd\0\0\0\0" * (count * 10 // 8), KEPT
    yield "lossless", encode(noise(side, side), "WEBP", lossless=True, quality=0, method=0), KEPT
    yield "lossy", encode(noise(side, side), "WEBP", quality=50, method=0), KEPT
    yield "transparent", encode(noise(side, side, "RGBA"), "WEBP", quality=5, method=0), KEPT


def spent(sent):
    """Return the CPU seconds that a picture takes, and why it is rejected."""
    begun, refused = time.thread_time(), KEPT
    try:
        squares(sent, MAX_PIXELS)
    except BadPicture as problem:
        refused = problem.problem
    return time.thread_time() - begun, refused


def check(files, seconds):
    for name, sent, refused in files:
        took, outcome = spent(sent)
        if took > seconds:  # on a busy machine other programs evict its caches
            took, outcome = spent(sent)
        print(f"{took:.3f} s  {len(sent):>9}  {name}")
        assert outcome is refused, name
        assert took <= seconds, f"{name}: {took:.2f} s"


@pytest.mark.filterwarnings("ignore")
def test_bombs_at_a_hundredth_of_their_size():
    check(bombs(500, 20_000), 0.3)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")
def test_no_picture_takes_more_than_two_seconds_of_a_thread():
    check(bombs(5_000, 500_000), MAX_SECONDS)
