"""Bytes to pixels: every kind of picture that people have, turned into one that a network can be shown."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy
from PIL import Image, ImageOps

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # Pillow hands some of the others to outside programs
ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = 1
SIXTEEN_BITS = 65535


def opened(content: bytes) -> Image.Image:
    """The picture in these bytes, whose pixels are not decoded yet; the first one of an animation.

    What Pillow raises where it is damaged comes through: any kind of exception, as its readers go.
    """
    return Image.open(io.BytesIO(content), formats=FORMATS)


def decoded(content: bytes) -> Image.Image:
    """The picture in these bytes, turned upright by its EXIF tag, in its own mode."""
    with opened(content) as picture:
        return ImageOps.exif_transpose(picture)


def to_rgba(picture: Image.Image) -> Image.Image:
    """Any mode -> RGBA; 16 bits are scaled to 8, where Pillow would clip them. Raises ValueError for other ranges."""
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _eight_bits(picture)
    return picture.convert("RGBA")


def _eight_bits(picture: Image.Image) -> Image.Image:
    values = numpy.asarray(picture)
    if picture.mode == "F" or values.min() < 0 or values.max() > SIXTEEN_BITS:
        raise ValueError(f"its {picture.mode} values are beyond 16 bits, so that nothing says which of them is white")
    return Image.fromarray((values / 257).round().astype("uint8"))


# What a picture file can hold beside 8-bit RGB. All of these are read; some of them are rarely meant.
ODDITIES: Mapping[str, Callable[[Image.Image], bool]] = {
    "cmyk": lambda picture: picture.mode == "CMYK",
    "16-bit": lambda picture: picture.mode.startswith("I") or picture.mode == "F",
    "animated": lambda picture: getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO",
    "rotated": lambda picture: picture.getexif().get(ORIENTATION, UPRIGHT) != UPRIGHT,
    "palette": lambda picture: picture.mode in ("P", "PA"),
    "1-bit": lambda picture: picture.mode == "1",
    "grey": lambda picture: picture.mode in ("L", "LA", "La"),
}


def oddities(picture: Image.Image) -> tuple[str, ...]:
    """In what a picture, as `opened` gives it, differs from 8-bit RGB: names of `ODDITIES`."""
    return tuple(name for name, holds in ODDITIES.items() if holds(picture))
