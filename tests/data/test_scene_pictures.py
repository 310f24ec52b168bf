"""Derived pictures of scenes: each thing lies where the caption says, and what is known of one thing is not kept."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from PIL import Image

from safelight.data.decoding import decoded
from safelight.data.record import Record
from safelight.data.scene_pictures import companions, laid_out, scenes, what_joins
from safelight.data.scenes import LAYOUTS, Place, Scene
from safelight.data.shard_writing import NewSample
from safelight.data.variations import Skipped
from tests.data.shapes import draw, png

RED, BLUE = (220, 40, 40), (50, 80, 220)


def thing(colour: str, key: str, caption: str, **fields: Any) -> Record:
    content = png(draw(colour, "square", fields.pop("backdrop", "none")).resize((64, 64)))
    return Record(key, (caption,), {"split": "train", "style": "drawing", **fields}, lambda: content)


FOX = thing("red", "fox", "a fox", concept="fox", label="Fox", tags=["animal"], source="me", licence="CC0-1.0")
GRAPES = thing("red", "grapes", "grapes")  # of which there are no two
OWL = thing("blue", "owl", "an owl", concept="owl", source="you", licence="MIT")


def made(record: Record, others: list[Record], count: int) -> list[NewSample]:
    found = list(scenes(record, others, count))
    assert all(isinstance(each, NewSample) for each in found)
    return [each for each in found if isinstance(each, NewSample)]


def why(record: Record, others: list[Record], count: int) -> list[str]:
    return [each.why for each in scenes(record, others, count) if isinstance(each, Skipped)]


def middle(picture: Image.Image, colour: tuple[int, int, int]) -> tuple[float, float]:
    """Where that colour lies, across and down, in shares of the side."""
    pixels = numpy.asarray(picture.convert("RGBA")).astype(int)
    near = (abs(pixels[..., :3] - colour).max(2) < 60) & (pixels[..., 3] > 200)
    down, across = near.nonzero()
    return float(across.mean()) / picture.width, float(down.mean()) / picture.height


def test_each_thing_lies_where_the_caption_says() -> None:
    pairs = [sample for sample in made(FOX, [FOX, OWL], 40) if sample.fields["beside"] == ["owl"]]
    assert len(pairs) > 20
    said = set()
    for sample in pairs:
        picture, caption = decoded(sample.content), sample.fields["captions"][0]
        assert (picture.mode, picture.size) == ("RGBA", (64, 64))
        (fox_x, fox_y), (owl_x, owl_y) = middle(picture, RED), middle(picture, BLUE)
        first_is_fox = caption.index("fox") < caption.index("owl")
        word = next(word for word in ("left", "right", "above", "under", "") if word in caption.split() or not word)
        said.add(word)
        x, y = (fox_x - owl_x, fox_y - owl_y) if first_is_fox else (owl_x - fox_x, owl_y - fox_y)
        assert {"left": x < -0.2, "right": x > 0.2, "above": y < -0.2, "under": y > 0.2, "": True}[word], caption
    assert said >= {"left", "right", "above", "under"}


def test_several_of_a_kind() -> None:
    counted = [
        sample for sample in made(FOX, [OWL], 60) if sample.fields["captions"][0] in ("two foxes", "three foxes")
    ]
    assert {sample.fields["captions"][0]: sample.fields["beside"] for sample in counted} == {
        "two foxes": ["fox"],
        "three foxes": ["fox", "fox"],
    }
    assert not any(name.startswith("beside_") for sample in counted for name in sample.fields)


def test_what_is_known_of_one_thing_is_not_kept_and_the_other_is_named() -> None:
    found = made(FOX, [OWL], 40)
    assert [sample.key for sample in found] == [f"fox-scene-{number}" for number in range(1, 41)]
    sample = next(sample for sample in found if sample.fields["beside"] == ["owl"])
    fields = dict(sample.fields)
    assert set(fields.pop("colors")) == {"red", "blue"}
    assert isinstance(fields.pop("captions"), list)
    assert fields == {
        "split": "train",
        "style": "drawing",
        "source": "me",
        "licence": "CC0-1.0",
        "derived_from": "fox",
        "beside": ["owl"],
        "beside_source": "you",
        "beside_licence": "MIT",
    }


def test_nothing_is_said_of_where_the_other_is_from_if_it_is_not_known() -> None:
    found = [sample for sample in made(OWL, [GRAPES], 9) if sample.fields["beside"] == ["grapes"]]
    assert found
    assert not any(name.startswith("beside_") for sample in found for name in sample.fields)


def test_the_style_is_named_where_the_thing_says_how() -> None:
    (sample,) = made(thing("red", "fox", "a fox", style_phrase="line icon"), [OWL], 1)
    bare, named = sample.fields["captions"]
    assert named == f"{bare}, line icon"


def test_the_same_call_makes_the_same_and_a_larger_count_only_adds() -> None:
    assert made(FOX, [OWL], 2) == made(FOX, [OWL], 5)[:2]


def test_other_things_get_other_scenes() -> None:
    vixen = Record("vixen", FOX.captions, FOX.fields, FOX.read)
    captions = [[sample.fields["captions"] for sample in made(record, [OWL], 9)] for record in (FOX, vixen)]
    assert captions[0] != captions[1]


def test_what_cannot_be_read_leaves_the_others_in() -> None:
    ruin = Record("bad", ("a ruin",), {"split": "train"}, lambda: b"nothing")
    beside = [sample.fields["beside"] for sample in made(GRAPES, [ruin, OWL], 9)]
    assert beside == [["owl"]] * 9


def test_things_of_one_style_and_split_stand_together() -> None:
    held_out, other = thing("red", "a", "an ape", split="val"), thing("red", "b", "a bat", style="line")
    alike = companions([FOX, held_out, OWL, other])
    assert alike[what_joins(FOX)] == [FOX, OWL]
    assert alike[what_joins(held_out)] == [held_out]
    assert alike[what_joins(other)] == [other]


@pytest.mark.parametrize(
    ("record", "others", "reasons"),
    [
        (GRAPES, [GRAPES], ["nothing of its style beside it"] * 2),
        (GRAPES, [thing("blue", "whole", "a wall", backdrop="white")], ["nothing of its style beside it"] * 2),
        (
            GRAPES,
            [Record("bad", ("a ruin",), {"split": "train"}, lambda: b"nothing")],
            ["nothing of its style beside it"] * 2,
        ),
        (thing("red", "whole", "a wall", backdrop="white"), [OWL], ["not cut out"]),
        (thing("red", "twice", "a fox", derived_from="fox"), [OWL], ["derived itself"]),
    ],
)
def test_what_makes_no_scene(record: Record, others: list[Record], reasons: list[str]) -> None:
    assert why(record, others, 2) == reasons


PAIRS = {layout: there.places for layout, there in LAYOUTS.items() if len(there.places) == 2}


def at(place: Place, picture: Image.Image) -> Image.Image:
    left, top, side = (picture.width * each // 16 for each in (place.left, place.top, place.size))
    return picture.crop((left, top, left + side, top + side))


@pytest.mark.parametrize("layout", PAIRS)
def test_places_are_those_of_the_layout(layout: str) -> None:
    small = Image.new("RGBA", (40, 40), "red"), Image.new("RGBA", (40, 40), "blue")
    picture = laid_out(Scene(layout, (FOX, OWL), ""), small, 32)
    for place, one in zip(PAIRS[layout], small, strict=True):
        assert at(place, picture).getcolors() == [((2 * place.size) ** 2, one.getpixel((0, 0)))]
    covered = sum((2 * place.size) ** 2 for place in PAIRS[layout])
    assert sum(count for count, colour in picture.getcolors() or [] if colour[3] == 255) == covered


@pytest.mark.parametrize("layout", PAIRS)
def test_things_keep_their_shape(layout: str) -> None:
    long = Image.new("RGBA", (40, 20), "red"), Image.new("RGBA", (20, 40), "blue")
    picture = laid_out(Scene(layout, (FOX, OWL), ""), long, 128)
    for place, (across, down) in zip(PAIRS[layout], ((0, 1), (1, 0)), strict=True):
        side, quarter = 8 * place.size, 2 * place.size
        x, y = across * quarter, down * quarter
        assert at(place, picture).getchannel("A").getbbox() == (x, y, side - x, side - y)


def test_a_scene_is_as_large_as_the_longer_side_of_its_first_thing() -> None:
    content = png(draw("red", "square", "none").resize((64, 32)))
    (sample,) = made(Record("wide", ("a bench",), {"split": "train", "style": "drawing"}, lambda: content), [OWL], 1)
    assert decoded(sample.content).size == (64, 64)
