"""Colour words: what plain colours are called, and which of them a picture is called by."""

from __future__ import annotations

import numpy
import pytest
from PIL import Image

from safelight.data.backdrop import COLOURS
from safelight.data.colour_names import COLOUR_WORDS, dominant_colours, hue_saturation_value

PLAIN = {
    "red": (200, 30, 30),
    "orange": (250, 130, 20),
    "yellow": (250, 210, 40),
    "green": (40, 160, 60),
    "blue": (40, 90, 220),
    "purple": (130, 50, 190),
    "pink": (250, 150, 190),
    "brown": (120, 70, 30),
    "beige": (235, 210, 170),
    "white": (250, 250, 250),
    "gray": (128, 128, 128),
    "black": (15, 15, 18),
}


@pytest.mark.parametrize("name", COLOUR_WORDS)
def test_plain_colours_have_their_names(name: str) -> None:
    assert dominant_colours(Image.new("RGB", (4, 4), PLAIN[name])) == [name]


def test_our_own_backgrounds_have_their_names() -> None:
    assert {name: dominant_colours(Image.new("RGB", (2, 2), colour)) for name, colour in COLOURS.items()} == {
        name: [name] for name in COLOURS
    }


def test_the_most_frequent_colours_come_first_and_small_ones_not_at_all() -> None:
    picture = Image.new("RGB", (10, 10), PLAIN["red"])
    picture.paste(PLAIN["blue"], (0, 0, 10, 3))
    picture.paste(PLAIN["green"], (0, 3, 10, 5))
    assert dominant_colours(picture) == ["red", "blue"]
    rainbow = Image.new("RGB", (10, 1))
    rainbow.putdata([PLAIN[name] for name in list(PLAIN)[:10]])
    assert dominant_colours(rainbow) == []


def test_only_what_is_opaque_counts() -> None:
    picture = Image.new("RGBA", (10, 10), (*PLAIN["green"], 0))
    assert dominant_colours(picture) == []
    picture.paste((*PLAIN["pink"], 255), (0, 0, 2, 2))
    assert dominant_colours(picture) == ["pink"]


def test_hues_are_those_of_pillow() -> None:
    pixels = numpy.random.default_rng(0).integers(0, 256, (500, 3), numpy.uint8)
    theirs = numpy.asarray(Image.fromarray(pixels[None]).convert("HSV"))[0].astype(float)
    hue, saturation, value = hue_saturation_value(pixels)
    apart = numpy.abs(hue / 360 * 255 - theirs[:, 0])
    assert numpy.minimum(apart, 255 - apart).max() < 1.5
    assert numpy.abs(saturation * 255 - theirs[:, 1]).max() < 1.5
    assert numpy.abs(value * 255 - theirs[:, 2]).max() < 0.5
