"""The background that was asked for, told from the border of pictures of known colours."""

from __future__ import annotations

import pytest

from safelight.data.backdrop import COLOURS, on_colour, with_background
from safelight.evaluation.backgrounds import asked_background, background_figure, border_colour, named_colour
from safelight.evaluation.judging import Beside, Judges, judge
from safelight.evaluation.pictures import Pictures, own_backdrop
from safelight.evaluation.report import Report
from tests.evaluation.tiny_judges import cut_out, plain, record


@pytest.mark.parametrize("name", COLOURS)
def test_every_background_is_told_by_name(name: str) -> None:
    picture = on_colour(cut_out("red", 64), COLOURS[name])
    assert border_colour(picture).tolist() == pytest.approx(COLOURS[name], abs=0.5)
    assert named_colour(border_colour(picture)) == name


def test_a_thing_that_hides_not_quite_half_of_the_border_does_not_count() -> None:
    picture = on_colour(cut_out("black", 64), COLOURS["green"])
    picture.paste("black", (0, 0, 60, 10))
    picture.paste("black", (0, 10, 10, 60))
    assert named_colour(border_colour(picture)) == "green"


@pytest.mark.parametrize("name", [name for name in COLOURS if name != "white"])
def test_what_prompts_ask_for(name: str) -> None:
    assert asked_background(with_background("a fox", name)) == name


@pytest.mark.parametrize("text", ["a red fox", "a fox on a table", "a fox on a redder background", ""])
def test_prompts_that_ask_for_none(text: str) -> None:
    assert asked_background(text) is None


def test_share() -> None:
    pictures = [plain("#dc3c3c"), plain("#dc3c3c"), plain("white")]
    found = background_figure(pictures, ["red", "blue", None])
    assert found is not None
    assert (found.interval.value, found.pictures) == (0.5, 2)
    assert background_figure(pictures, [None, None, None]) is None


def test_a_prompt_asks_for_one_in_words_or_by_its_field() -> None:
    asked = [("a fox on a red background", None), ("a fox", "blue"), ("a fox", "white"), ("a fox", None)]
    found = [
        record(str(number), plain("red"), prompt, **({"background": name} if name else {}))
        for number, (prompt, name) in enumerate(asked)
    ]
    report = Report({})
    alone = Beside(real=None, held_out=None, training=[], concepts=[], kept=None, fewest=2)
    judge(report, Pictures(found, own_backdrop, 8), alone, Judges(), lambda things, *_: things)
    (figure,) = [each for each in report.figures if each.name == "background"]
    assert (figure.pictures, figure.interval.value) == (2, 0.5)
