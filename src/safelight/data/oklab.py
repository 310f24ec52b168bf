"""OKLab: lightness and two axes of colour, as an eye tells them apart.

There a hue can turn and a chroma can grow without the lightness seeming to change, which is not so in HSV
(Ottosson 2020, "A perceptual color space for image processing").
"""

from __future__ import annotations

import numpy
from numpy.typing import NDArray

Array = NDArray[numpy.float32]
HALVINGS = 8  # of the interval in which the largest chroma of a screen is searched
SLACK = 1e-4  # of linear light, by which rounding may leave a screen

# Ottosson's matrices, from linear sRGB to cone responses, and from their cube roots to OKLab.
TO_CONES = numpy.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    numpy.float32,
)
TO_LAB = numpy.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    numpy.float32,
)
FROM_CONES, FROM_LAB = numpy.linalg.inv(TO_CONES), numpy.linalg.inv(TO_LAB)


def to_oklab(pixels: NDArray[numpy.uint8]) -> Array:
    """sRGB (n, 3) from 0 to 255 -> OKLab (n, 3), lightness from 0 to 1."""
    values = pixels.astype(numpy.float32) / 255
    linear = numpy.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    lab: Array = numpy.cbrt(linear @ TO_CONES.T) @ TO_LAB.T
    return lab


def from_oklab(lab: Array) -> NDArray[numpy.uint8]:
    """OKLab (n, 3) -> sRGB (n, 3) from 0 to 255; what no screen shows keeps lightness and hue, and loses chroma."""
    linear = _linear(numpy.concatenate([lab[:, :1].clip(0, 1), lab[:, 1:]], -1))
    beyond = ~_shown(linear)
    linear[beyond] = _paler(lab[beyond])
    linear = linear.clip(0, 1)
    values = numpy.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (values * 255).round().astype(numpy.uint8)


def _paler(lab: Array) -> Array:
    """OKLab (n, 3) -> linear sRGB (n, 3) of the largest share of the chroma that a screen shows, by halving."""
    gray, colour = lab.clip(0, 1), lab.copy()
    gray[:, 1:], colour[:, 0] = 0, 0
    share = numpy.zeros_like(lab[:, :1])
    for step in 2.0 ** -numpy.arange(1, HALVINGS + 1, dtype=numpy.float32):
        fits = _shown(_linear(gray + (share + step) * colour))
        share[fits] += step
    return _linear(gray + share * colour)


def _linear(lab: Array) -> Array:
    """OKLab (n, 3) -> linear sRGB (n, 3), beyond 0 to 1 where no screen shows it."""
    result: Array = ((lab @ FROM_LAB.T) ** 3) @ FROM_CONES.T
    return result


def _shown(linear: Array) -> NDArray[numpy.bool_]:
    """Whether a screen shows each pixel: (n,)."""
    shown: NDArray[numpy.bool_] = numpy.all((linear >= -SLACK) & (linear <= 1 + SLACK), axis=-1)
    return shown


def to_polar(lab: Array) -> tuple[Array, Array, Array]:
    """OKLab (n, 3) -> lightness, chroma, and hue in degrees; each (n,)."""
    lightness, a, b = lab.T
    return lightness, numpy.hypot(a, b), numpy.degrees(numpy.arctan2(b, a)) % 360


def from_polar(lightness: Array, chroma: Array, hue: Array) -> Array:
    """Lightness, chroma, and hue in degrees, each (n,) -> OKLab (n, 3)."""
    angle = numpy.radians(hue)
    return numpy.stack([lightness, chroma * numpy.cos(angle), chroma * numpy.sin(angle)], -1)
