"""Pictures to measure with: made of noise as photographs are, from a soft portrait to grain.

In a photograph each finer octave of detail has about the contrast of the next, a little less where
the lens or the background is soft. So noise of every scale is laid over each other, and `falloff`
says how much fainter each finer one is. Colours vary slowly, as they do.
"""

import io
from collections.abc import Callable, Mapping
from functools import partial

from PIL import Image, ImageChops

SIDE = 512
CONTRAST = 34
"""The standard deviation of the coarsest noise, of 255."""
GREY = 128


def photograph(falloff: float, colours: float = 0.45) -> bytes:
    """Return a JPEG as a client sends it."""
    light = _plane(falloff, CONTRAST)
    tints = [_plane(colours, CONTRAST / 3) for _ in range(2)]
    return _jpeg(Image.merge("YCbCr", [light, *tints]).convert("RGB"))


def grain() -> bytes:
    """Return noise of the finest scale alone: as much as WebP can ever need."""
    planes = [Image.effect_noise((SIDE, SIDE), 4 * CONTRAST) for _ in range(3)]
    return _jpeg(Image.merge("RGB", planes))


def _plane(falloff: float, contrast: float) -> Image.Image:
    plane, side = Image.new("L", (SIDE, SIDE), GREY), 4
    while side <= SIDE:
        noise = Image.effect_noise((side, side), contrast)
        noise = noise.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        plane = ImageChops.add(plane, noise, offset=-GREY)
        side, contrast = 2 * side, contrast * falloff
    return plane


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    return file.getvalue()


KINDS: Mapping[str, Callable[[], bytes]] = {
    "soft": partial(photograph, 0.65),
    "a portrait": partial(photograph, 0.73),
    "full of detail": partial(photograph, 0.85),
    "nothing but grain": grain,
}
"""By what they are like, how to make one. A real portrait of 512 by 600 pixels took 50.3, 15.2 and
1.8 kB at the three sides, which is what falloff 0.73 gives."""
