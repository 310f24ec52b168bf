"""Backgrounds: what the caption says is what the picture shows."""

from __future__ import annotations

from random import Random

from PIL import Image

from safelight.data.backdrop import (
    COLOURS,
    is_cut_out,
    on_colour,
    on_random_colour,
    to_square,
    with_background,
)
from tests.data.shapes import draw


def test_only_transparent_pictures_are_cut_out() -> None:
    assert is_cut_out(draw("red", "circle", "none"))
    assert not is_cut_out(draw("red", "circle", "white"))


def test_a_caption_names_every_background_but_white() -> None:
    assert with_background("a fox", "white") == "a fox"
    assert with_background("a fox", "blue") == "a fox on a blue background"
    assert with_background("a fox", "orange") == "a fox on an orange background"


def test_the_colour_stands_where_the_picture_is_transparent_and_nowhere_else() -> None:
    for colour in COLOURS.values():
        picture = on_colour(draw("red", "square", "none"), colour)
        assert (picture.mode, picture.getpixel((0, 0))) == ("RGB", colour)
        assert picture.getpixel((16, 16)) == (220, 40, 40)


def test_half_transparent_pixels_are_mixed() -> None:
    picture = on_colour(Image.new("RGBA", (1, 1), (255, 255, 255, 128)), (0, 0, 0))
    assert picture.getpixel((0, 0)) == (128, 128, 128)


def test_random_colours_follow_from_the_source_and_are_often_white() -> None:
    picture = draw("red", "square", "none")
    corners = [on_random_colour(picture, Random(seed)).getpixel((0, 0)) for seed in range(300)]
    assert corners == [on_random_colour(picture, Random(seed)).getpixel((0, 0)) for seed in range(300)]
    assert 0.25 < corners.count((255, 255, 255)) / 300 < 0.42
    assert len(set(corners)) > 150


def test_the_centre_square_is_kept() -> None:
    wide = Image.new("RGBA", (30, 10), "red")
    wide.paste("blue", (10, 0, 20, 10))
    square = to_square(wide, 10)
    assert square.size == (10, 10)
    assert square.getcolors() == [(100, (0, 0, 255, 255))]
    assert to_square(wide.rotate(90, expand=True), 10).getcolors() == square.getcolors()
    assert to_square(wide, 7).size == (7, 7)
    assert to_square(square, 10) is square
