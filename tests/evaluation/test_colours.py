"""The colour that was asked for, told from things of known colours on backgrounds of others."""

from __future__ import annotations

import pytest

from safelight.data.backdrop import COLOURS, on_colour
from safelight.evaluation.colours import colour_figure
from safelight.evaluation.composed_prompts import COLOURS as ASKED
from tests.evaluation.tiny_judges import cut_out, plain


@pytest.mark.parametrize("colour", ASKED)
@pytest.mark.parametrize("backdrop", ["white", "black"])
def test_a_thing_of_that_colour(colour: str, backdrop: str) -> None:
    picture = on_colour(cut_out("#{:02x}{:02x}{:02x}".format(*COLOURS[colour]), 64), COLOURS[backdrop])
    found = colour_figure([picture], [colour])
    assert found is not None
    assert found.interval.value == 1


def test_the_background_is_not_the_thing() -> None:
    blue_on_red = on_colour(cut_out("blue", 64), COLOURS["red"])
    found = colour_figure([blue_on_red, blue_on_red, blue_on_red, plain("red")], ["blue", "red", None, "red"])
    assert found is not None
    assert (found.interval.value, found.pictures) == (1 / 3, 3)


def test_nothing_was_asked_for() -> None:
    assert colour_figure([plain("red")], [None]) is None
