"""Aspect-ratio buckets: pictures of several shapes, each of about the same area, so that little is cropped away.

SDXL (Podell et al. 2023, section 2.3 and appendix I) trains on sizes in multiples of 64 whose area is close to that of
a square; which sizes there are follows the rule of NovelAI (2022, "NovelAI Improvements on Stable Diffusion"): for each
side, the longest other side that stays within the area.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Literal

from PIL import Image

from safelight.errors import BadInput

Size = tuple[int, int]  # width, height in pixels
Window = tuple[float, float, float, float]  # left, top, right, bottom, as shares of a picture's width and height
Crop = Literal["centre", "random"]


def buckets(area_side: int, step: int, longest: int) -> list[Size]:
    """The sizes, narrow ones first, whose sides are multiples of `step` and at most `longest`.

    Each has at most the area of a square of `area_side` pixels, and could not have a longer side within it. Raises
    BadInput where `step` does not divide `area_side`, or `longest` is below it.
    """
    if step < 1 or area_side < step or area_side % step:
        raise BadInput(f"The side of the square bucket is {area_side}; it must be a multiple of the step, {step}.")
    if longest < area_side:
        raise BadInput(
            f"The longest side of a bucket is {longest}; it must be at least that of the square, {area_side}."
        )
    found = set()
    for side in range(step, longest + 1, step):
        other = area_side**2 // side // step * step
        if step <= other <= longest:
            found |= {(side, other), (other, side)}
    return sorted(found, key=lambda size: (size[0] / size[1], size[0]))


def nearest_bucket(size: Size, sizes: Sequence[Size]) -> int:
    """The place among `sizes` of the one whose shape is closest to a picture's; of two, the larger."""
    ratio = math.log(size[0] / size[1])

    def distance(place: int) -> tuple[float, int]:
        width, height = sizes[place]
        return round(abs(math.log(width / height) - ratio), 9), -width * height

    return min(range(len(sizes)), key=distance)


def window(size: Size, target: Size, crop: Crop, random: Random) -> Window:
    """The largest part of a picture of `size` that has the shape of `target`: its centre, or anywhere."""
    scale = min(size[0] / target[0], size[1] / target[1])
    width, height = target[0] * scale / size[0], target[1] * scale / size[1]
    across, down = (0.5, 0.5) if crop == "centre" else (random.random(), random.random())
    left, top = (1 - width) * across, (1 - height) * down
    return left, top, left + width, top + height


def cut(picture: Image.Image, part: Window, target: Size, resample: Image.Resampling) -> Image.Image:
    """That part of a picture, scaled to `target`; NEAREST keeps the numbers of a map as they are."""
    sides = (picture.width, picture.height) * 2
    left, top, right, bottom = (min(share * side, side) for share, side in zip(part, sides, strict=True))
    if picture.size == target and (left, top, right, bottom) == (0, 0, *target):
        return picture
    return picture.resize(target, resample, box=(left, top, right, bottom))


def fit(picture: Image.Image, target: Size, crop: Crop, random: Random) -> Image.Image:
    """A picture scaled and cropped to `target`. Companions take the same `window` and `cut`."""
    return cut(picture, window(picture.size, target, crop, random), target, Image.Resampling.LANCZOS)
