"""How pictures are varied: each change by itself, and that it follows from its random numbers alone."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy
import pytest
from PIL import Image, ImageDraw

from safelight.data.backdrop import COLOURS
from safelight.errors import BadInput
from safelight.training.classifier.settings import ClassifierDataConfig, ClassifierLossConfig, VariationConfig
from safelight.training.classifier.variation import moved, random_colour, relit, softened, through_jpeg, varied
from tests.data.shapes import SIDE, draw

STILL = VariationConfig(shift=0, scale=0, turn=0, light=0, soft_share=0, jpeg_share=0)


def dot(x: int, y: int) -> Image.Image:
    """A red square of four pixels on nothing, whose upper left corner is at (x, y)."""
    picture = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    ImageDraw.Draw(picture).rectangle((x, y, x + 3, y + 3), fill="red")
    return picture


def place(picture: Image.Image) -> tuple[float, float]:
    """The centre of what is not transparent."""
    alpha = numpy.asarray(picture.getchannel("A"), dtype=float)
    down, across = numpy.indices(alpha.shape) + 0.5
    return float((across * alpha).sum() / alpha.sum()), float((down * alpha).sum() / alpha.sum())


def pixels(picture: Image.Image) -> numpy.ndarray:
    return numpy.asarray(picture.convert("RGB"), dtype=float)


def test_without_variation_the_picture_stays() -> None:
    picture = draw("red", "cross")
    assert pixels(varied(picture, 1.0, STILL, Random(0))).tolist() == pixels(picture).tolist()


def test_the_same_numbers_give_the_same_picture() -> None:
    everything = VariationConfig(soft_share=1, jpeg_share=1)
    made = [varied(draw("red", "bar", "none"), 0.5, everything, Random(7)).tobytes() for _ in range(2)]
    assert made[0] == made[1]
    assert len({varied(draw("red", "bar", "none"), 0.5, everything, Random(i)).tobytes() for i in range(9)}) == 9


def test_pictures_move_as_far_as_they_may() -> None:
    settings = VariationConfig(shift=0.25, scale=0, turn=0)
    places = [place(moved(dot(14, 14), settings, Random(i))) for i in range(60)]
    for axis in zip(*places, strict=True):
        assert min(axis) < 16 - 5
        assert max(axis) > 16 + 5
        assert all(16 - 8.1 <= value <= 16 + 8.1 for value in axis)


def test_pictures_grow_and_shrink_about_the_middle() -> None:
    settings = VariationConfig(shift=0, scale=0.5, turn=0)
    distances = [place(moved(dot(22, 14), settings, Random(i)))[0] - 16 for i in range(60)]
    assert 8 / 1.5 - 0.1 <= min(distances) < 6
    assert 10.5 < max(distances) <= 8 * 1.5 + 0.1
    assert all(abs(place(moved(dot(14, 14), settings, Random(i)))[0] - 16) < 0.01 for i in range(9))


def test_pictures_turn_about_the_middle_and_keep_their_size() -> None:
    settings = VariationConfig(shift=0, scale=0, turn=30)
    offsets = [numpy.subtract(place(moved(dot(22, 14), settings, Random(i))), 16) for i in range(60)]
    angles = [float(numpy.degrees(numpy.arctan2(down, across))) for across, down in offsets]
    assert -30.5 <= min(angles) < -20
    assert 20 < max(angles) <= 30.5
    assert all(abs(float(numpy.hypot(*offset)) - 8) < 0.2 for offset in offsets)


def test_no_dark_fringe_comes_from_what_is_transparent() -> None:
    shown = moved(dot(14, 14), VariationConfig(), Random(0))
    red, green, blue, alpha = numpy.asarray(shown, dtype=int).reshape(-1, 4).T
    assert (red[alpha > 20] > 235).all()
    assert (numpy.maximum(green, blue)[alpha > 20] < 20).all()


def test_what_is_behind_a_cut_out_picture() -> None:
    corners = {varied(draw("red", "bar", "none"), 0.5, STILL, Random(i)).getpixel((0, 0)) for i in range(300)}
    assert {*COLOURS.values()} <= corners
    assert len(corners) > 60
    assert {varied(draw("red", "bar", "none"), 1.0, STILL, Random(i)).getpixel((0, 0)) for i in range(30)} == {
        (255, 255, 255)
    }
    assert len({random_colour(Random(i)) for i in range(100)}) > 50


def test_light_changes_within_bounds_and_soft_pictures_lose_detail() -> None:
    grey = Image.new("RGB", (8, 8), (100, 100, 100))
    levels = {int(pixels(relit(grey, VariationConfig(light=0.2), Random(i)))[0, 0, 0]) for i in range(60)}
    assert min(levels) in range(79, 85)
    assert max(levels) in range(116, 122)
    board = Image.fromarray((numpy.indices((32, 32)).sum(axis=0) % 2 * 255).astype("uint8")).convert("RGB")
    soft = softened(board, VariationConfig(least_detail=0.3), Random(2))
    assert soft.size == board.size
    assert pixels(soft).std() < pixels(board).std() / 2


def test_jpeg_is_near_the_picture_but_not_the_same() -> None:
    picture = draw("red", "cross").convert("RGB")
    difference = numpy.abs(pixels(through_jpeg(picture, Random(0))) - pixels(picture))
    assert 0 < difference.mean() < 12


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (VariationConfig, {"shift": 0.6}, "variation.shift is 0.6; it must be from 0 to 0.5"),
        (VariationConfig, {"turn": -1.0}, "variation.turn is -1.0; it must be from 0 to 180"),
        (VariationConfig, {"soft_share": 2.0}, "variation.soft_share is 2.0; it must be from 0 to 1"),
        (VariationConfig, {"least_detail": 0.0}, "variation.least_detail is 0.0; it must be from 0.05 to 1"),
        (ClassifierLossConfig, {"dropout": 1.0}, "loss.dropout is 1.0; it must be from 0 to 0.9"),
        (ClassifierDataConfig, {"white_share": 2.0}, "data.white_share is 2.0; it must be from 0 to 1"),
        (ClassifierDataConfig, {"labels": ()}, "data.labels is []; it must name at least one field"),
        (ClassifierDataConfig, {"labels": ("a", "a")}, "data.labels is ['a', 'a']; it must name at least one field"),
    ],
)
def test_wrong_settings_are_named(kind: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as error:
        kind(**settings)
    assert message in str(error.value)
