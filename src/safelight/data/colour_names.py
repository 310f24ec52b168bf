"""The basic colour words of a picture: what a person would call it, from how many of its pixels have which colour.

The words are English's eleven basic colour terms (Berlin and Kay 1969) and beige; where one ends and the next begins is
told by thresholds in hue, saturation and value (Smith 1978).
"""

from __future__ import annotations

import numpy
from numpy.typing import NDArray
from PIL import Image

COLOUR_WORDS = (
    *("white", "black", "gray", "brown", "beige", "red"),
    *("orange", "yellow", "green", "blue", "purple", "pink"),
)
OPAQUE = 128  # alpha from which a pixel counts
LEAST_SHARE = 0.25  # of the pixels, for a colour to be named

# From which hue in degrees, and up to the next row, a full colour has which name.
HUES = (
    (0, "red"),
    (12, "orange"),
    (36, "yellow"),
    (68, "green"),
    (173, "blue"),
    (258, "purple"),
    (300, "pink"),
    (345, "red"),
)


def dominant_colours(picture: Image.Image) -> list[str]:
    """At most two of `COLOUR_WORDS`, the most frequent first; none where the picture has every colour a little.

    picture: any mode; of one with transparency, the opaque pixels count, and there may be none.
    """
    pixels = numpy.asarray(picture.convert("RGBA")).reshape(-1, 4)
    names = places_of(pixels[pixels[:, 3] >= OPAQUE, :3])
    counts = numpy.bincount(names, minlength=len(COLOUR_WORDS))
    frequent = [each for each in numpy.argsort(-counts, kind="stable")[:2] if counts[each] >= LEAST_SHARE * len(names)]
    return [COLOUR_WORDS[each] for each in frequent if counts[each]]


def places_of(pixels: NDArray[numpy.uint8]) -> NDArray[numpy.int64]:
    """For n pixels (n, 3) of RGB from 0 to 255, the places of their names in `COLOUR_WORDS`: (n,)."""
    hue, saturation, value = hue_saturation_value(pixels)
    starts = numpy.array([start for start, _ in HUES])
    places = numpy.array([COLOUR_WORDS.index(name) for _, name in HUES])
    names = places[numpy.searchsorted(starts, hue, side="right") - 1]
    # The later a rule stands, the stronger it is.
    rules = (
        ("pink", ((hue < 15) | (hue >= 330)) & (saturation < 0.43) & (value > 0.75)),
        ("brown", (hue >= 6) & (hue < 48) & (value < 0.65)),
        ("beige", (hue >= 13) & (hue < 48) & (saturation < 0.4) & (value >= 0.65)),
        ("gray", saturation < 0.2),
        ("white", (saturation < 0.2) & (value > 0.86)),
        ("black", (value < 0.13) | ((value < 0.3) & (saturation < 0.55))),
    )
    for name, holds in rules:
        names = numpy.where(holds, COLOUR_WORDS.index(name), names)
    return names


def hue_saturation_value(pixels: NDArray[numpy.uint8]) -> tuple[NDArray[numpy.float32], ...]:
    """RGB (n, 3) from 0 to 255 -> hue in degrees from 0 up to 360, saturation and value from 0 to 1; each (n,)."""
    red, green, blue = (pixels.astype(numpy.float32) / 255).T
    value = numpy.maximum(numpy.maximum(red, green), blue)
    chroma = value - numpy.minimum(numpy.minimum(red, green), blue)
    safe = numpy.where(chroma == 0, 1, chroma)
    sixths = numpy.where(
        value == red,
        (green - blue) / safe % 6,
        numpy.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = numpy.where(chroma == 0, 0, sixths * 60 % 360)
    return hue, chroma / numpy.where(value == 0, 1, value), value
