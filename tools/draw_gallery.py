"""Draw the ten pictures of the default gallery from one table, with a row for each person.

`python -m tools.draw_gallery` writes them as WebP files, in three sizes, into
store/default_gallery, where new databases get them from. Run it after a change of the table, and
commit the files.

Shapes are written like the points of an SVG polygon, in units whose x is 0 on the face's axis and
whose y grows downwards. A smooth closed curve runs through the points; one with a `!` is a corner.
`both` wants the right half only, from top to bottom.
"""

import math
import sys
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image, ImageColor, ImageDraw

from store.default_gallery import DIRECTORY, file_name
from store.image_cost import SIDES
from store.image_decoder import webp_sides

SIZE = 512
OVERSAMPLING = 4

UNIT = 1.08 * OVERSAMPLING
"""Pixels of the canvas in one unit of the shapes: the picture shows 474 of them."""

TOP = 4
"""The y of the picture's upper edge."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """A person of the gallery: four colours, then the names of the parts drawn in them."""

    group: str
    name: str
    backdrop: str
    skin: str
    hair: str
    cloth: str
    style: str
    clothes: str
    face: str


TABLE = """
    male    Leo    #5FB7B0  #F6CDAE  #7A4A32  #F2B544  quiff     tee        grin
    male    Kofi   #F4A261  #7D4B33  #2B1D20  #2F7377  flat-top  hoodie     goatee+grin
    male    Kenji  #8FA8E0  #F3CFA6  #2A2834  #FBF6EC  fringe    shirt      smile+glasses
    male    Ravi   #E9788A  #B97A50  #33232A  #34466B  topknot   blazer     beard+grin
    male    Finn   #7DB58A  #FADBC6  #C8622F  #F1E4CB  curls     roll-neck  freckles+beard+grin
    female  Mia    #EF8D7E  #FBDCC4  #F0C66B  #3F7FA6  bob       tee        smile+clip
    female  Amara  #F3C04F  #6F422E  #3A2429  #C8486B  afro      roll-neck  grin+hoops
    female  Yuna   #9ED0C2  #F8D8B8  #2A2834  #F28C6A  straight  shirt      smile
    female  Sofia  #A88BC9  #DBA06F  #6E3F2E  #FBF3E4  waves     blazer     grin+hoops
    female  Nora   #6C9BD1  #FCE0CE  #B84E35  #F4D35E  bun       hoodie     freckles+smile+glasses
"""

PORTRAITS: tuple[Portrait, ...] = tuple(
    Portrait(*row.split()) for row in TABLE.strip().splitlines()
)

Shapes = list[list[complex]]
"""Outlines or lines; a point is x + yj."""


class Layer(NamedTuple):
    """Shapes of one colour of the palette: filled, or lines when they have a width."""

    colour: str
    shapes: Shapes
    width: float = 0


def draw(portrait: Portrait) -> Image.Image:
    """Draw the portrait: RGB, 512 by 512, the same every time."""
    canvas = Image.new("RGB", (SIZE * OVERSAMPLING, SIZE * OVERSAMPLING), portrait.backdrop)
    pen = ImageDraw.Draw(canvas)
    colours = palette(portrait)
    for layer in layers(portrait):
        paint(pen, layer, colours[layer.colour])
    return canvas.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def layers(who: Portrait) -> list[Layer]:
    """Stack what makes the portrait, the backmost first."""
    body = HALO + BEHIND.get(who.style, []) + SHOULDERS[who.group] + NECK + CLOTHES[who.clothes]
    head = CHIN_SHADOW + EARS + HEADS[who.group] + HAIR[who.style] + FACE + EYES[who.group]
    return body + head + [layer for feature in who.face.split("+") for layer in FEATURES[feature]]


def palette(who: Portrait) -> dict[str, str]:
    """Name the colours that layers ask for: each of the portrait's has a light and a dark one."""
    colours = {"ink": "#2B2030", "white": "#FFFFFF", "gold": "#F2C14E", "lips": "#A93D4A"}
    colours["blush"] = mix(who.skin, "#F0506A", 0.26)
    colours["freckle"] = mix(who.skin, "#8A3A20", 0.45)
    own = {"backdrop": who.backdrop, "skin": who.skin, "hair": who.hair, "cloth": who.cloth}
    for role, colour in own.items():
        # Red stays longest: shadows towards plain black make skin grey and blond hair olive.
        shadow = f"#{ImageColor.getrgb(colour)[0] * 2 // 5:02x}0000"
        colours[role] = colour
        colours[f"light {role}"] = mix(colour, "#FFFFFF", 0.2)
        colours[f"dark {role}"] = mix(colour, shadow, 0.22)
    return colours


def mix(colour: str, other: str, share: float) -> str:
    """Return the colour with a share of the other in it."""
    pairs = zip(ImageColor.getrgb(colour), ImageColor.getrgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def paint(pen: ImageDraw.ImageDraw, layer: Layer, colour: str) -> None:
    """Put a layer onto the oversampled canvas."""
    middle, wide = SIZE * OVERSAMPLING / 2, layer.width * UNIT
    for shape in layer.shapes:
        points = [(middle + point.real * UNIT, (point.imag - TOP) * UNIT) for point in shape]
        if not wide:
            pen.polygon(points, fill=colour)
            continue
        pen.line(points, fill=colour, width=round(wide))
        # Pillow has neither round ends nor joints as smooth as these.
        for point in points:
            pen.circle(point, wide / 2, fill=colour)


def outline(points: str) -> Shapes:
    """Run a closed Catmull-Rom curve through the points."""
    knots: list[complex] = []
    for point in points.split():
        x, y = map(float, point.rstrip("!").split(","))
        # A doubled knot has no curve between its two halves: that is the corner.
        knots += [complex(x, y)] * (2 if point.endswith("!") else 1)
    curve: list[complex] = []
    for i, b in enumerate(knots):
        a, c, d = (knots[(i + step) % len(knots)] for step in (-1, 1, 2))
        bend, twist = 2 * a - 5 * b + 4 * c - d, 3 * b - a - 3 * c + d
        steps = [step / 12 for step in range(12)] if b != c else []
        curve += [b + t / 2 * (c - a + t * (bend + t * twist)) for t in steps]
    return [curve]


def both(half: str) -> Shapes:
    """Close a right half with its mirror image."""
    points = half.split()
    left = ["-" + point for point in reversed(points) if not point.startswith("0,")]
    return outline(" ".join(points + left))


def pair(shapes: Shapes) -> Shapes:
    """Return the shapes and their mirror images."""
    return shapes + [[-point.conjugate() for point in shape] for shape in shapes]


def line(start: complex, end: complex) -> Shapes:
    """Go straight from point to point."""
    return [[start, end]]


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> Shapes:
    """Go from angle to angle around an ellipse: 0 is right, 90 is down."""
    turns = [math.radians(start + (end - start) * step / 48) for step in range(49)]
    return [[complex(x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns]]


def disc(x: float, y: float, rx: float, ry: float | None = None) -> Shapes:
    """Return an ellipse, a circle when it has one radius."""
    return arc(x, y, rx, rx if ry is None else ry, 0, 360)


def locks(count: int, radius: float, y: float, rx: float, ry: float, spread: float) -> Shapes:
    """Set round locks on an arc about the head, `spread` degrees to each side of its top."""
    (places,) = arc(0, y, rx, ry, -90 - spread, -90 + spread)
    spots = [places[round(step * 48 / (count - 1))] for step in range(count)]
    return [shape for spot in spots for shape in disc(spot.real, spot.imag, radius)]


def glints(*spots: tuple[float, float]) -> Shapes:
    """Set highlights on round locks."""
    return [shape for x, y in spots for shape in arc(x, y, 23, 23, 190, 290)]


def hair(front: Shapes, shine: Shapes) -> list[Layer]:
    """Lay the light that falls on the hair over it."""
    return [Layer("hair", front), Layer("light hair", shine)]


HALO = [Layer("light backdrop", disc(0, 262, 204))]
SHOULDERS = {
    "male": [Layer("cloth", both("0,364 48,370 128,402 180,446 204,560 0,560"))],
    "female": [Layer("cloth", both("0,368 44,376 112,406 156,448 178,560 0,560"))],
}
NECK = [Layer("skin", both("0,290 38,290! 38,366 28,396 0,404"))]
CHIN_SHADOW = [Layer("dark skin", both("0,290 37,290 37,346 0,372"))]
EARS = [
    Layer("skin", pair(disc(90, 240, 16, 23))),
    Layer("dark skin", pair(arc(94, 240, 6, 11, 200, 330)), 4),
]
HEADS = {
    "male": [Layer("skin", both("0,112 58,126 88,180 87,254 70,312 34,344 0,348"))],
    "female": [Layer("skin", both("0,112 58,126 88,180 86,246 64,304 30,336 0,342"))],
}
FACE = [
    Layer("blush", pair(disc(58, 270, 17, 12))),
    Layer("dark skin", arc(0, 256, 11, 10, 30, 150), 5),
    Layer("dark hair", pair(arc(38, 211, 22, 13, 215, 325)), 6),
    Layer("ink", pair(disc(37, 235, 8.5, 10.5))),
    Layer("white", disc(40, 231, 3) + disc(-34, 231, 3)),
]
EYES: dict[str, list[Layer]] = {
    "male": [],
    "female": [Layer("ink", pair(arc(37, 237, 13, 12, 285, 350)), 4)],
}

HAIR = {
    "quiff": hair(
        outline(
            "-90,230! -100,162 -88,112 -40,84 30,58 88,66 112,108 106,160 92,230! 82,186 72,160"
            " 20,164 -40,146 -72,166 -82,192"
        ),
        outline("-58,122! -10,96 66,90! -4,108"),
    ),
    "flat-top": hair(
        both("0,60 74,56 98,72 99,140 90,222! 82,172 64,152 0,148"),
        outline("-80,82! -20,76 52,78! -20,88"),
    ),
    "fringe": hair(
        outline(
            "-92,238! -110,156 -74,90 0,70 74,90 110,156 92,238! 86,196 70,160! 52,186! 34,162!"
            " 6,190! -12,162! -42,190! -56,164! -84,196"
        ),
        outline("-66,126! -30,100 40,96! -20,114"),
    ),
    "topknot": hair(
        both("0,92 60,102 98,160 92,236! 80,182 48,148 0,138"),
        outline("-58,134! -30,114 20,110! -20,122"),
    ),
    "curls": hair(
        locks(8, 32, 164, 96, 80, spread=100) + locks(3, 38, 150, 56, 30, spread=50),
        glints((-52, 104), (4, 92), (-84, 146), (54, 112)),
    ),
    "bob": hair(
        outline(
            "-104,318! -116,220 -84,102 0,72 84,102 116,220 104,318! 84,262 80,200 40,164 -20,124!"
            " -50,170 -80,216 -84,262"
        ),
        outline("-84,176! -72,128 -30,98! -56,134"),
    ),
    "afro": hair(
        locks(13, 30, 176, 104, 84, spread=108),
        glints((-84, 96), (-34, 62), (26, 58)),
    ),
    "straight": hair(
        both("0,72 80,96 114,180 122,300 132,500! 82,500! 80,300 78,262 84,190! 0,184"),
        both("0,114 50,122 84,156! 50,136 0,128"),
    ),
    "waves": hair(
        outline(
            "-104,330! -118,250 -114,180 -84,98 0,68 84,98 114,180 118,250 104,330! 84,262 80,200"
            " 26,128! -30,180 -80,220 -84,262"
        ),
        outline("-80,150! -50,112 0,98! -36,124"),
    ),
    "bun": hair(
        both("0,84 72,100 104,174 92,250! 82,198 44,160 0,132!"),
        outline("-64,140! -44,116 -8,104! -36,126"),
    ),
}

BEHIND = {
    "topknot": [Layer("dark hair", disc(0, 66, 42, 38))],
    "bob": [Layer("dark hair", both("0,76 84,100 122,190 130,290 116,356 60,360 0,340"))],
    "afro": [Layer("dark hair", locks(15, 46, 174, 122, 112, spread=134) + disc(0, 180, 136))],
    "straight": [Layer("dark hair", both("0,70 88,96 124,190 128,330 131,500! 0,500!"))],
    "waves": [
        Layer(
            "dark hair",
            both("0,66 92,92 128,170 122,230 144,280 130,336 152,390 138,440 110,476 0,450"),
        )
    ],
    "bun": [Layer("dark hair", disc(0, 64, 52, 46))],
}

CLOTHES = {
    "tee": [
        Layer("dark cloth", both("0,364 39,340! 54,356 50,386 28,408 0,414")),
        Layer("skin", both("0,364 38,336! 42,366 26,394 0,402")),
    ],
    "hoodie": [
        Layer("dark cloth", both("0,372 44,350! 44,396 0,456!")),
        Layer("skin", both("0,372 34,352! 36,388 0,428")),
        Layer("light cloth", pair(outline("38,350! 70,354 98,388 84,426 0,480! 0,448! 36,410"))),
        Layer("white", pair(line(34 + 446j, 36 + 490j)), 5),
    ],
    "shirt": [
        Layer("skin", both("0,372 38,362! 0,424!")),
        Layer("dark cloth", pair(outline("38,364! 64,382! 54,445! 0,431!"))),
        Layer("light cloth", pair(outline("38,354! 64,374! 54,438! 0,424!"))),
        Layer("dark cloth", line(440j, 540j), 3),
        Layer("dark cloth", disc(10, 458, 4)),
    ],
    "blazer": [
        Layer("white", both("0,372 38,366! 50,420 0,540")),
        Layer("skin", both("0,372 38,360! 40,400 0,430")),
        Layer("dark cloth", pair(outline("38,358! 66,382! 84,432! 66,442! 76,454! 0,540!"))),
    ],
    "roll-neck": [
        Layer("light cloth", both("0,364 42,352 50,364 58,398 0,414")),
        Layer("dark cloth", arc(0, 386, 60, 28, 24, 156), 4),
    ],
}

FEATURES = {
    "smile": [Layer("lips", arc(0, 286, 26, 18, 25, 155), 6)],
    "grin": [
        Layer("lips", arc(0, 290, 32, 27, 0, 180)),
        Layer("white", both("0,290! 29,290! 24,301 0,304")),
    ],
    "beard": [
        Layer("hair", both("0,278 28,276 50,296 72,276 82,236 91,190! 92,280 74,336 36,366 0,370"))
    ],
    "goatee": [Layer("hair", both("0,278 30,278 44,300 38,334 20,358 0,361"))],
    "freckles": [
        Layer("freckle", pair(disc(x, y, 2.6)))
        for x, y in ((24, 267), (40, 262), (50, 270), (60, 261), (70, 269))
    ],
    "glasses": [
        Layer("ink", pair(disc(38, 236, 28) + line(66 + 230j, 86 + 226j)), 5),
        Layer("ink", arc(0, 234, 10, 6, 180, 360), 5),
    ],
    "clip": [Layer("cloth", line(62 + 154j, 88 + 182j), 8)],
    "hoops": [Layer("gold", pair(disc(98, 280, 17)), 5)],
}


def main() -> int:
    """Write the files; return the exit status."""
    for file in DIRECTORY.glob("*.webp"):
        file.unlink()
    for number, portrait in enumerate(PORTRAITS, 1):
        for side, content in zip(SIDES, webp_sides(draw(portrait)), strict=True):
            name = file_name(number, portrait.group, portrait.name, side)
            (DIRECTORY / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
