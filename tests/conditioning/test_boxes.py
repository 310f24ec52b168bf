"""Labelled boxes as tokens: the published builder's example, its layout, and what is refused."""

from __future__ import annotations

import pytest
import torch

from safelight.conditioning import Box, box_tokens, most_boxes, open_images_number
from safelight.conditioning.boxes import corner_token
from safelight.conditioning.open_images import NAMES
from safelight.configs import BertConfig
from safelight.errors import BadInput

LAYOUT = BertConfig(vocabulary=8192, length=92, width=512, layers=16)  # layout2img-openimages256
WHOLE = {"left": 0.0, "top": 0.0, "right": 1.0, "bottom": 1.0}


def test_the_example_of_the_published_code() -> None:
    """16 tokens make a grid of 4 x 4, whose third place in the second row is 6, and whose last is 15."""
    assert corner_token(2 / 3, 1 / 3, 4) == 6
    assert corner_token(1, 1, 4) == 15
    assert corner_token(0, 0, 4) == 0


def test_boxes_are_laid_out_as_published() -> None:
    boxes = [
        Box(label=17, left=0.1, top=0.25, right=0.5, bottom=0.875),
        Box(label=300, left=0, top=0.5, right=0.3333, bottom=1),
    ]
    tokens = box_tokens(boxes, LAYOUT)
    assert tokens.shape == (1, 92)
    assert tokens.dtype == torch.int64
    row = tokens[0].tolist()
    # Corners on a grid of 90 x 90, the largest square below 8192: row times 90, plus column; 0.5 * 89 rounds to even.
    assert row[:6] == [17, 22 * 90 + 9, 78 * 90 + 44, 300, 44 * 90, 89 * 90 + 30]
    assert set(row[6:90]) == {8191}
    assert row[90:] == [0, 89 * 90 + 89]  # the whole picture


def test_every_corner_is_told_from_its_neighbours() -> None:
    places = [n / 89 for n in range(90)]
    assert [corner_token(x, y, 90) for y in places for x in places] == list(range(8100))


def test_thirty_boxes_fill_the_published_length() -> None:
    assert most_boxes(LAYOUT) == 30
    assert 8191 not in box_tokens([Box(label=1, **WHOLE)] * 30, LAYOUT)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([], "holds 0 boxes; this model takes 1 to 30"),
        ([Box(label=1, **WHOLE)] * 31, "holds 31 boxes"),
        ([Box(label=8191, **WHOLE)], "label is 8191; this model knows 0 to 8190"),
        ([{"label": 1, **WHOLE}], "boxes holds {'label': 1, .*each must be a safelight.conditioning.Box"),
    ],
)
def test_what_the_model_cannot_read_is_refused(boxes: list[Box], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        box_tokens(boxes, LAYOUT)


def test_a_text_transformer_is_no_reader_of_boxes() -> None:
    with pytest.raises(BadInput, match="reads 93 tokens"):
        box_tokens([Box(label=1, **WHOLE)], BertConfig(vocabulary=8192, length=93))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": -1}, "label is -1"),
        ({"label": "dgo"}, "label 'dgo' is unknown.*such as .*dog"),
        ({"label": 1.5}, "label is 1.5"),
        ({"label": True}, "label is True"),
        ({"left": -0.1}, "left is -0.1"),
        ({"right": 1.1}, "right is 1.1"),
        ({"top": float("nan")}, "top is nan"),
        ({"bottom": "low"}, "bottom is 'low'"),
        ({"left": 0.5, "right": 0.5}, "is empty; left must be less"),
        ({"top": 0.9, "bottom": 0.1}, "is empty"),
    ],
)
def test_an_impossible_box_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Box(**{"label": 1, **WHOLE, **change})  # type: ignore[arg-type]


def test_names_are_numbered_by_their_identifiers_in_openimages() -> None:
    """340 of 352 are left; /m/011k07 is the first, /m/0zvk5 the last before suitcases (class-descriptions-boxable)."""
    assert len(set(NAMES)) == 340
    assert [NAMES[0], *NAMES[-2:]] == ["Tortoise", "Helmet", "Suitcase"]
    places = [NAMES.index(name) for name in ("Bird", "Person", "Cat", "House", "Dog", "Car")]  # 015p6 ... 0k4j
    assert places == sorted(places)
    assert box_tokens([Box(label="Tortoise", **WHOLE)], LAYOUT)[0, 0] == 0


def test_names_are_read_in_any_case_and_some_mean_the_same() -> None:
    assert open_images_number("traffic LIGHT") == NAMES.index("Traffic light")
    assert open_images_number("woman") == open_images_number("Person") == 37
    assert open_images_number("Bull") == open_images_number("Cattle")
