"""Backgrounds for pictures with transparency: named colours, so that caption and picture agree.

A caption that names no background goes with white.
"""

from __future__ import annotations

from random import Random

from PIL import Image

from safelight.data.captions import article
from safelight.data.record import BadSample, Record

# Soft enough that no drawing drowns in them, far enough apart to be told by name.
COLOURS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "black": (24, 24, 27),
    "gray": (156, 163, 175),
    "red": (220, 60, 60),
    "orange": (249, 146, 60),
    "yellow": (250, 214, 80),
    "green": (90, 180, 100),
    "blue": (70, 130, 230),
    "purple": (150, 100, 210),
    "pink": (245, 160, 195),
}


def is_cut_out(picture: Image.Image) -> bool:
    """Whether an RGBA picture has a transparent part, and so needs a background."""
    return picture.getchannel("A").getextrema() != (255, 255)


def shows_cut_out(record: Record) -> bool:
    """Whether a sample's picture is a thing without a background; of one that cannot be read nobody knows: False."""
    try:
        return is_cut_out(record.picture())
    except BadSample:
        return False


def with_background(caption: str, name: str) -> str:
    """The caption of a picture laid over the colour of that name."""
    return caption if name == "white" else f"{caption} on {article(name)} {name} background"


def on_colour(picture: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """An RGBA picture laid over one colour, as RGB."""
    backdrop = Image.new("RGBA", picture.size, (*colour, 255))
    return Image.alpha_composite(backdrop, picture).convert("RGB")


def on_random_colour(picture: Image.Image, random: Random) -> Image.Image:
    """Over white a third of the time, else over any colour at all: what an autoencoder should see."""
    colour = (255, 255, 255) if random.random() < 0.33 else tuple(random.randrange(256) for _ in range(3))
    return on_colour(picture, (colour[0], colour[1], colour[2]))


def to_square(picture: Image.Image, size: int) -> Image.Image:
    """The centre square of a picture, scaled to `size` pixels."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    if (left, top, side) != (0, 0, picture.width) or side != picture.height:
        picture = picture.crop((left, top, left + side, top + side))
    return picture if side == size else picture.resize((size, size), Image.Resampling.LANCZOS)
