"""Relations and numbers, judged on pictures composed by hand by a judge that tells concepts by their colour."""

from __future__ import annotations

import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from safelight.configs import ClassifierConfig
from safelight.evaluation.classifier import Classifier
from safelight.evaluation.pictures import Pictures, on_white
from safelight.evaluation.scenes import scene_recognitions
from tests.evaluation.tiny_judges import record

# The nearer two colours, the higher the one comes where the other is seen.
CONCEPTS = {
    "fox": (250, 20, 20),
    "hen": (200, 20, 20),
    "cat": (150, 20, 20),
    "dog": (100, 20, 20),
    "pig": (50, 20, 20),
    "owl": (20, 20, 50),
    "ant": (20, 20, 150),
    "bee": (20, 20, 250),
}
PLACES = {
    "left": (20, 80, 110, 170),
    "right": (145, 80, 235, 170),
    "top": (90, 5, 165, 80),
    "bottom": (80, 145, 170, 235),
}


class ByColour(Classifier):
    """Sees which concept's colour the middle of a picture has."""

    def __init__(self) -> None:
        super().__init__(ClassifierConfig(size=16, channels=(8, 8), groups=4), {"concept": tuple(CONCEPTS)})

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        middle = (image[:, :, 8, 8] + 1) * 127.5
        known = torch.tensor(list(CONCEPTS.values())).float()
        return {"concept": -(middle[:, None] - known).abs().sum(2) / 10}


def drawn(**things: str) -> Image.Image:
    """Place -> concept."""
    picture = Image.new("RGB", (256, 256), "white")
    for place, concept in things.items():
        ImageDraw.Draw(picture).ellipse(PLACES[place], fill=CONCEPTS[concept])
    return picture


def found(*asked: tuple[Image.Image, dict[str, str]]) -> dict[str, tuple[float, float, int]]:
    """Of each figure by its name: right at first, right in the first five, and the number of pictures."""
    records = [record(str(number), picture, **fields) for number, (picture, fields) in enumerate(asked)]
    seen = scene_recognitions(Pictures(records, on_white), ByColour(), "judge 1", lambda scenes, count, what: scenes)
    told = {}
    for each in seen:
        first, first_five = each.figures
        told[each.name] = first.interval.value, first_five.interval.value, first.pictures
    return told


def relation(thing: str, word: str, other: str) -> dict[str, str]:
    return {"thing": thing, "relation": word, "other": other}


@pytest.mark.parametrize(
    ("word", "places"),
    [
        ("left", ("left", "right")),
        ("right", ("right", "left")),
        ("above", ("top", "bottom")),
        ("under", ("bottom", "top")),
    ],
)
def test_relations(word: str, places: tuple[str, str]) -> None:
    thing, other = places
    right, wrong = drawn(**{thing: "fox", other: "bee"}), drawn(**{thing: "bee", other: "fox"})
    assert found((right, relation("fox", word, "bee"))) == {"relation": (1, 1, 1)}
    assert found((wrong, relation("fox", word, "bee"))) == {"relation": (0, 0, 1)}


def test_a_thing_in_the_first_five_is_nearly_right() -> None:
    picture = drawn(left="hen", right="bee")
    assert found((picture, relation("fox", "left", "bee"))) == {"relation": (0, 1, 1)}
    assert found((picture, relation("fox", "left", "ant"))) == {"relation": (0, 1, 1)}
    assert found((picture, relation("owl", "left", "bee"))) == {"relation": (0, 0, 1)}


def test_one_thing_alone_is_in_no_relation() -> None:
    assert found((drawn(left="fox"), relation("fox", "left", "bee"))) == {"relation": (0, 0, 1)}
    wide = drawn(left="fox", right="fox")
    assert found((wide, relation("fox", "left", "bee"))) == {"relation": (0, 0, 1)}
    beside = drawn(left="fox", right="bee")
    assert found((beside, relation("fox", "above", "bee")))["relation"][0] == 0


def test_numbers() -> None:
    two, three = drawn(left="fox", right="fox"), drawn(top="fox", left="fox", right="fox")
    assert found((two, {"thing": "fox", "number": "two"})) == {"number": (1, 1, 1)}
    assert found((two, {"thing": "fox", "number": "three"})) == {"number": (0, 0, 1)}
    assert found((two, {"thing": "hen", "number": "two"})) == {"number": (0, 1, 1)}
    assert found((two, {"thing": "bee", "number": "two"})) == {"number": (0, 0, 1)}
    assert found((drawn(left="fox"), {"thing": "fox", "number": "two"})) == {"number": (0, 0, 1)}
    assert found((drawn(right="fox", left="bee"), {"thing": "fox", "number": "two"})) == {"number": (1, 1, 1)}
    both = [(three, {"thing": "fox", "number": number}) for number in ("three", "two")]
    assert found(*both) == {"number": (0.5, 0.5, 2)}


def test_both_together() -> None:
    beside = drawn(left="fox", right="bee")
    asked = [relation("fox", "left", "bee"), {"thing": "fox", "number": "three"}, {"concept": "fox"}]
    assert found(*((beside, fields) for fields in asked)) == {
        "relation": (1, 1, 1),
        "number": (0, 0, 1),
        "relation or number": (0.5, 0.5, 2),
    }


def test_what_the_judge_does_not_know_is_left_out() -> None:
    beside = drawn(left="fox", right="bee")
    asked = [relation("fox", "left", "yak"), {"thing": "yak", "number": "two"}, relation("fox", "behind", "bee")]
    assert found(*((beside, fields) for fields in asked)) == {}
