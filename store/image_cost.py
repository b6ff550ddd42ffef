"""The cost of decoding a picture, computed from the file's structure before it is decoded.

A few bytes can cause hours of decoding: a JPEG may refine its blocks any number of times, a PNG may
unpack a profile from each of a million chunks. This module computes the work that a file requires,
and rejects files that require more than any real one. Figures are CPU seconds on a two-core machine
at 2.5 GHz, measured with the most expensive file that was found for each.
"""

import re
import struct
from typing import NamedTuple

from store.errors import BadPicture, PictureProblem

SIDES = (512, 256, 64)
"""The sides in pixels of the squares that are stored of each picture."""

SQUARES, LARGE = b"squares", b"large"
"""The first message of a decoder's reply: the squares follow; the picture needs the large lane."""

MAX_SCANS = 64
"""Scans of a JPEG. Encoders write up to about fifteen."""
MAX_BLOCKS = 20_000_000
"""Blocks in all scans of a JPEG together, at 40 ns each. A progressive JPEG of 25 megapixels has at
most 12 million."""
MAX_SEGMENTS = 2_000
"""Segments of a JPEG: an Extended XMP or a profile of 5 MiB has 80."""
MAX_PADDING = 65_536
"""Fill bytes between the segments of a JPEG."""
MAX_CHUNKS = 10_000
"""Chunks of a PNG: twice as many as 5 MiB in chunks of 1 KiB."""
PNG_BYTES_PER_PIXEL = 6
"""Bytes that a PNG may unpack to, for each allowed pixel: 16 bits a colour at the maximum size, or
with transparency at three quarters of it."""
_NS = 1e-9
_PIXEL = {"JPEG": 5 * _NS, "PNG": 5 * _NS, "WEBP": 30 * _NS, "GIF": 12 * _NS}
_JPEG_BLOCK, _PNG_BYTE, _PNG_ROW = 40 * _NS, 10 * _NS, 40 * _NS

_HEIF = re.compile(rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1|avi[fs])", re.DOTALL)
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""A marker of a JPEG other than a restart marker. Coded data contains none."""
_TEM, _SOI, _EOI, _SOS = 0x01, 0xD8, 0xD9, 0xDA
_FRAMES = {0xC0, 0xC1, 0xC2}
_OTHER_FRAMES = {*range(0xC3, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Lossless, hierarchical and arithmetic-coded JPEGs, which browsers do not show either."""

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


class Shape(NamedTuple):
    """A picture's format, its size in pixels, and the CPU seconds that decoding should take."""

    format: str
    width: int
    height: int
    seconds: float


def read_shape(sent: bytes, max_pixels: int) -> Shape:
    """Return the shape of a picture of at most `max_pixels`. Raises BadPicture."""
    try:
        shape = _shape(sent, max_pixels)
    except (IndexError, struct.error):
        raise BadPicture(PictureProblem.DAMAGED, max_pixels) from None
    except _TooCostly:
        raise BadPicture(PictureProblem.COSTLY, max_pixels) from None
    if shape.width * shape.height > max_pixels:
        raise BadPicture(PictureProblem.PIXELS, max_pixels)
    return shape


class _TooCostly(Exception):
    pass


def _shape(sent: bytes, max_pixels: int) -> Shape:
    if sent.startswith(b"\xff\xd8\xff"):
        return _jpeg(sent, max_pixels)
    if sent.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(sent, max_pixels)
    if sent[:4] == b"RIFF" and sent[8:12] == b"WEBP":
        return _webp(sent, max_pixels)
    if sent.startswith((b"GIF87a", b"GIF89a")):
        return _gif(sent, max_pixels)
    if _HEIF.match(sent):
        raise BadPicture(PictureProblem.HEIF, max_pixels)
    raise BadPicture(PictureProblem.UNKNOWN_FORMAT, max_pixels)


def _jpeg(sent: bytes, max_pixels: int) -> Shape:
    width = height = segments = padding = scans = blocks = 0
    by_component: dict[int, int] = {}
    position, in_scan = 2, False
    while marker := _MARKER.search(sent, position):
        if not in_scan:
            padding += marker.start() - position
        segments += 1
        code, position, in_scan = sent[marker.end() - 1], marker.end(), False
        if segments > MAX_SEGMENTS or padding > MAX_PADDING:
            raise _TooCostly
        if code == _EOI:
            break
        if code in (_TEM, _SOI):
            continue
        if code in _OTHER_FRAMES:
            raise BadPicture(PictureProblem.UNKNOWN_FORMAT, max_pixels)
        if code in _FRAMES and not by_component:
            height, width = struct.unpack_from(">HH", sent, position + 3)
            by_component = _blocks_of(sent, position + 7, width, height)
        elif code == _SOS:
            scans, in_scan = scans + 1, True
            components = sent[position + 3 : position + 3 + 2 * sent[position + 2] : 2]
            blocks += sum(by_component.get(each, 0) for each in components)
            if scans > MAX_SCANS or (blocks > MAX_BLOCKS and width * height <= max_pixels):
                raise _TooCostly
        [length] = struct.unpack_from(">H", sent, position)
        position += length
    seconds = width * height * _PIXEL["JPEG"] + blocks * _JPEG_BLOCK
    return Shape("JPEG", width, height, seconds)


def _blocks_of(sent: bytes, position: int, width: int, height: int) -> dict[int, int]:
    """Return the blocks of each component of a JPEG, whose table is at `position`."""
    table = sent[position + 1 : position + 1 + 3 * sent[position]]
    sampling = {
        table[i]: (table[i + 1] >> 4 or 1, table[i + 1] & 15 or 1)
        for i in range(0, len(table) - 2, 3)
    }
    across = max((each for each, _ in sampling.values()), default=1)
    down = max((each for _, each in sampling.values()), default=1)
    units = -(-width // (8 * across)) * -(-height // (8 * down))
    return {component: units * x * y for component, (x, y) in sampling.items()}


def _png(sent: bytes, max_pixels: int) -> Shape:
    width, height, depth, colours = struct.unpack_from(">IIBB", sent, 16)
    row = -(-width * depth * _PNG_CHANNELS.get(colours, 1) // 8)
    if width * height <= max_pixels and row * height > PNG_BYTES_PER_PIXEL * max_pixels:
        raise _TooCostly
    position, chunks, profiles = 8, 0, 0
    while position + 8 <= len(sent):
        length, kind = struct.unpack_from(">I4s", sent, position)
        position, chunks, profiles = (
            position + 12 + length,
            chunks + 1,
            profiles + (kind == b"iCCP"),
        )
        if chunks > MAX_CHUNKS or profiles > 1:
            raise _TooCostly
        if kind == b"IEND":
            break
    seconds = width * height * _PIXEL["PNG"] + row * height * _PNG_BYTE + height * _PNG_ROW
    return Shape("PNG", width, height, seconds)


def _webp(sent: bytes, max_pixels: int) -> Shape:
    match sent[12:16]:
        case b"VP8X":
            width, height = (int.from_bytes(sent[i : i + 3], "little") + 1 for i in (24, 27))
        case b"VP8L":
            [bits] = struct.unpack_from("<I", sent, 21)
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", sent, 26))
        case _:
            raise BadPicture(PictureProblem.DAMAGED, max_pixels)
    return Shape("WEBP", width, height, width * height * _PIXEL["WEBP"])


def _gif(sent: bytes, max_pixels: int) -> Shape:
    width, height = struct.unpack_from("<HH", sent, 6)
    return Shape("GIF", width, height, width * height * _PIXEL["GIF"])
