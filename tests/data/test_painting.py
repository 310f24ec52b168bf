"""Painting: a thing takes the colour, and keeps its shape, shading, black lines, and what has another colour."""

from __future__ import annotations

import numpy
import pytest
from PIL import Image, ImageDraw

from safelight.data.colour_names import dominant_colours
from safelight.data.oklab import to_oklab
from safelight.data.painting import PAINTS, painted
from safelight.errors import BadInput

SIDE = 32


def shaded(colour: tuple[int, int, int]) -> Image.Image:
    """A ball that is darker below, with a black line around it and a leaf of another colour, on nothing."""
    shades = numpy.linspace(1, 0.8, SIDE)[:, None, None] * numpy.array(colour)
    picture = Image.fromarray(numpy.broadcast_to(shades, (SIDE, SIDE, 3)).astype(numpy.uint8)).convert("RGBA")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((2, 2, 29, 29), outline=(5, 5, 5, 255))
    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).ellipse((2, 2, 29, 29), fill=255)
    picture.putalpha(mask)
    ImageDraw.Draw(picture).rectangle((14, 10, 17, 13), fill=(30, 160, 60, 255))
    return picture


RED, GRAY, WHITE = (215, 40, 40), (140, 140, 140), (245, 245, 245)


@pytest.mark.parametrize("own", [RED, GRAY, WHITE])
@pytest.mark.parametrize("colour", PAINTS)
def test_a_thing_is_then_called_by_the_colour(own: tuple[int, int, int], colour: str) -> None:
    assert dominant_colours(painted(shaded(own), colour))[0] == colour


@pytest.mark.parametrize("colour", ["blue", "yellow", "pink", "gray"])
@pytest.mark.parametrize("own", [RED, WHITE])
def test_shape_shading_lines_and_other_colours_stay(own: tuple[int, int, int], colour: str) -> None:
    before, after = shaded(own), painted(shaded(own), colour)
    assert after.getchannel("A").tobytes() == before.getchannel("A").tobytes()
    lightness = to_oklab(numpy.asarray(after)[6:27, 10, :3])[:, 0]
    assert (numpy.diff(lightness) <= 0.004).all()
    assert lightness[0] - lightness[-1] > 0.05
    line = after.getpixel((2, 16))[:3]
    assert max(line) < 30
    assert max(line) - min(line) < 10
    assert after.getpixel((15, 11)) == pytest.approx(before.getpixel((15, 11)), abs=2)


def test_hues_beside_each_other_do_not_fall_apart() -> None:
    picture = Image.new("RGBA", (SIDE, SIDE), (240, 90, 30, 255))
    picture.paste((240, 150, 30, 255), (0, 0, SIDE, 12))
    assert dominant_colours(painted(picture, "blue")) == ["blue"]


def test_what_is_black_or_gone_stays() -> None:
    for picture in (Image.new("RGBA", (4, 4), (10, 10, 10, 255)), Image.new("RGBA", (4, 4), (200, 0, 0, 0))):
        assert painted(picture, "red").tobytes() == picture.tobytes()


def test_an_unknown_colour_is_refused() -> None:
    with pytest.raises(BadInput, match=r"colour 'blu' is unknown. Did you mean 'blue'\? Allowed: black, blue"):
        painted(shaded(RED), "blu")
