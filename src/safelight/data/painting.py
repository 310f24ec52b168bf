"""A cut-out thing in another colour: hues are turned, shading stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy
from numpy.typing import NDArray
from PIL import Image

from safelight.data.colour_names import OPAQUE, dominant_colours
from safelight.data.oklab import Array, from_oklab, from_polar, to_oklab, to_polar
from safelight.errors import unknown_name


@dataclass(frozen=True, kw_only=True)
class Paint:
    """A colour to paint with, in OKLCh: hue in degrees, chroma, and the lightnesses at which it still has its name."""

    hue: float
    chroma: float
    darkest: float
    lightest: float


PAINTS = {
    "red": Paint(hue=25, chroma=0.21, darkest=0.50, lightest=0.62),
    "orange": Paint(hue=53, chroma=0.18, darkest=0.68, lightest=0.76),
    "yellow": Paint(hue=95, chroma=0.17, darkest=0.82, lightest=0.90),
    "green": Paint(hue=146, chroma=0.17, darkest=0.50, lightest=0.78),
    "blue": Paint(hue=255, chroma=0.17, darkest=0.45, lightest=0.72),
    "purple": Paint(hue=302, chroma=0.19, darkest=0.42, lightest=0.64),
    "pink": Paint(hue=353, chroma=0.15, darkest=0.70, lightest=0.82),
    "brown": Paint(hue=58, chroma=0.09, darkest=0.36, lightest=0.50),
    "gray": Paint(hue=0, chroma=0, darkest=0.50, lightest=0.75),
    "black": Paint(hue=0, chroma=0, darkest=0.15, lightest=0.26),
    "white": Paint(hue=0, chroma=0, darkest=0.94, lightest=0.98),
}
GRAY = 0.04  # of chroma, the least to which a paint's strength is scaled
PALE = 0.07  # of chroma, up to which a pixel of a white or gray thing takes the paint wholly
BLACK = 0.3  # of lightness, up to which a pixel without colour is a line or a shadow
NEAR, FAR = 45.0, 80.0  # degrees from the dominant hue: up to the one wholly painted, from the other not at all
SPREAD = 0.5  # of the differences in hue that a thing keeps when it is painted
WINDOW = 3  # of 5 degrees, to either side, in which the chroma around a hue is summed
LEAST = 1e-3  # of lightness, below which nothing is divided by it


def painted(picture: Image.Image, colour: str) -> Image.Image:
    """The thing in another of the colours in `PAINTS`: what has its dominant hue is painted, the rest stays.

    A white or gray thing is tinted; what is black has no shading to keep, and stays. Alpha stays as it is. Nothing
    promises that the result is called by that colour: a rainbow stays one. Raises BadInput for an unknown colour.
    """
    if colour not in PAINTS:
        raise unknown_name("colour", colour, PAINTS)
    result = numpy.array(picture.convert("RGBA"))
    seen = result[..., 3] > 0
    lab, opaque = to_oklab(result[seen, :3]), result[seen, 3] >= OPAQUE
    colourless = dominant_colours(picture)[:1] in (["white"], ["gray"])
    result[seen, :3] = from_oklab((_tinted if colourless else _turned)(lab, opaque, PAINTS[colour]))
    return Image.fromarray(result)


def _turned(lab: Array, opaque: NDArray[numpy.bool_], paint: Paint) -> Array:
    """Pixels (n, 3): what has about the dominant hue gets the paint's; its nuances of hue become narrower."""
    lightness, chroma, hue = to_polar(lab)
    colourful = opaque & (chroma > GRAY / 2)
    if not colourful.any():
        return lab
    away = _apart(hue, _dominant_hue(hue[colourful], chroma[colourful]))
    belongs = _falling(numpy.abs(away), NEAR, FAR)
    members = colourful & (belongs > 0.5)
    usual = float(numpy.median(chroma[members]))
    target = _shaded(lightness, float(numpy.median(lightness[members])), paint)
    # Pale pixels, such as the rim of a white spot, keep their lightness.
    target = lightness + numpy.clip(chroma / usual, 0, 1) * (target - lightness)
    strength = paint.chroma / max(usual, GRAY)
    return _mixed(lab, from_polar(target, chroma * strength, paint.hue + SPREAD * away), belongs)


def _tinted(lab: Array, opaque: NDArray[numpy.bool_], paint: Paint) -> Array:
    """Pixels (n, 3): what has no colour gets the paint's, more of it the lighter it is, so that black lines stay."""
    lightness, chroma, _ = to_polar(lab)
    belongs = _falling(chroma, PALE, 1.7 * PALE)
    members = opaque & (belongs > 0.5) & (lightness > BLACK)
    if not members.any():
        return lab
    usual = float(numpy.median(lightness[members]))
    tint = paint.chroma * numpy.clip(lightness / usual, 0, 1)
    target = _shaded(lightness, usual, paint)
    return _mixed(lab, from_polar(target, tint, numpy.full_like(tint, paint.hue)), belongs)


def _shaded(lightness: Array, usual: float, paint: Paint) -> Array:
    """Lightness moved so that the usual one is among the paint's; black stays black, and darker stays darker."""
    wanted = min(max(usual, paint.darkest), paint.lightest)
    below = lightness * (wanted / max(usual, LEAST))
    if wanted <= usual:
        return below
    above = 1 - (1 - lightness) * ((1 - wanted) / max(1 - usual, LEAST))
    return numpy.where(lightness < usual, below, above)


def _dominant_hue(hue: Array, chroma: Array) -> float:
    """The hue in degrees around which most chroma lies."""
    counts, edges = numpy.histogram(hue, bins=72, range=(0, 360), weights=chroma)
    around = numpy.sum([numpy.roll(counts, shift) for shift in range(-WINDOW, WINDOW + 1)], 0)
    middle = float(edges[numpy.argmax(around)])
    away = _apart(hue, middle)
    near = numpy.abs(away) <= NEAR
    return middle + float(numpy.average(away[near], weights=chroma[near]))


def _apart(hue: Array, other: float) -> Array:
    """How far the hues are from another one, in degrees from -180 up to 180."""
    return (hue - other + 180) % 360 - 180


def _falling(values: Array, near: float, far: float) -> Array:
    """1 up to `near`, 0 from `far` on, smooth between."""
    t = numpy.clip((far - values) / (far - near), 0, 1)
    return t * t * (3 - 2 * t)


def _mixed(one: Array, other: Array, share: Array) -> Array:
    """Pixels (n, 3), of which each has its share (n,) of the other."""
    return one + share[:, None] * (other - one)
