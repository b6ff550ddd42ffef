"""Colour profiles (ICC.1), written by hand: no package brings one of each kind."""

import struct

from PIL import Image, ImageCms

_D50 = struct.pack(">3I", 0xF6D6, 0x1_0000, 0xD32D)
_WHITE = b"XYZ " + bytes(4) + _D50
_IDENTITY = b"".join(struct.pack(">i", (number % 4 == 0) << 16) for number in range(9))


def profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return a profile of a colour space, with these tags."""
    name = b"test\0"
    described = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78)
    tags = {b"desc": described, b"wtpt": _WHITE, **tags}
    table, data, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, value in tags.items():
        table += tag + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI", start + len(data), b"lcms", 0x0240_0000) + b"prtr" + space
    head += connection + bytes(12) + b"acsp" + bytes(28) + _D50
    return head.ljust(128, b"\0") + table + data


def linear_grey() -> bytes:
    """Return a profile whose greys are shares of light, which is not how screens take them."""
    return profile(b"GRAY", b"XYZ ", {b"kTRC": b"curv" + bytes(8)})


def cmyk(colours: list[tuple[int, int, int]]) -> bytes:
    """Return a profile that gives the sixteen mixtures of full inks these colours."""
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    row = Image.new("RGB", (len(colours), 1))
    row.putdata(colours)
    labs = ImageCms.applyTransform(row, to_lab)  # whose `tobytes` has another form of a and b
    mixtures = b"".join(bytes(labs.getpixel((number, 0))) for number in range(len(colours)))
    curve = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + _IDENTITY + curve * 4
    return profile(b"CMYK", b"Lab ", {b"A2B0": table + mixtures + curve * 3})
