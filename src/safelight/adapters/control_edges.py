"""The edges of a picture, as ControlNets for edges are shown them: white lines one pixel wide on black (Canny 1986)."""

from __future__ import annotations

import numpy
from PIL import Image, ImageFilter

BLUR = 1.0  # pixels: the deviation of the Gaussian
WEAK, STRONG = 0.03, 0.08  # of the steepest slope that a picture can have
STEEPEST = 4 * 255 * 2**0.5  # of the Sobel operator on 8 bits, both ways

# The step to the next pixel along a slope that runs right, down and right, down, down and left.
ALONG = ((0, 1), (1, 1), (1, 0), (1, -1))

Array = numpy.ndarray


def edges(picture: Image.Image) -> Image.Image:
    """A picture of the same size, RGB: white where the brightness of `picture` changes steeply, else black."""
    grey = numpy.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(BLUR)), dtype=numpy.float64)
    right, down = slopes(grey)
    steepness = numpy.hypot(right, down) / STEEPEST
    ridge = numpy.where(is_ridge(steepness, right, down), steepness, 0)
    lines = connected(ridge >= WEAK, ridge >= STRONG)
    return Image.fromarray((255 * lines).astype(numpy.uint8)).convert("RGB")


def slopes(grey: Array) -> tuple[Array, Array]:
    """How fast (h, w) grows to the right and downwards: the Sobel operator, the border repeated outside."""
    wide = numpy.pad(grey, 1, mode="edge")
    columns = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    rows = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    return columns[:, 2:] - columns[:, :-2], rows[2:] - rows[:-2]


def is_ridge(steepness: Array, right: Array, down: Array) -> Array:
    """Where (h, w) is no less steep than either neighbour along the slope, so that lines become thin."""
    angle = numpy.arctan2(down, right) % numpy.pi
    direction = numpy.rint(angle / (numpy.pi / 4)).astype(int) % 4
    ahead = numpy.choose(direction, [_shifted(steepness, y, x) for y, x in ALONG])
    behind = numpy.choose(direction, [_shifted(steepness, -y, -x) for y, x in ALONG])
    return (steepness > behind) & (steepness >= ahead)


def connected(weak: Array, strong: Array) -> Array:
    """The weak pixels that touch a strong one, directly or through others."""
    found = strong & weak
    while True:
        grown = found.copy()
        for y, x in ((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)):
            grown |= _shifted(found, y, x)
        grown &= weak
        if (grown == found).all():
            return found
        found = grown


def _shifted(values: Array, y: int, x: int) -> Array:
    """What lies y rows below and x columns to the right of each place; nothing outside."""
    height, width = values.shape
    return numpy.pad(values, 1)[1 + y : 1 + y + height, 1 + x : 1 + x + width]
