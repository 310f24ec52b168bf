"""Derived samples: what is made of which record, what is said of it, and that the same call makes the same."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from safelight.data.captions import with_adjective
from safelight.data.collection import open_collection
from safelight.data.colour_names import dominant_colours
from safelight.data.decoding import decoded
from safelight.data.record import Record
from safelight.data.shard_writing import NewSample, write_shard
from safelight.data.variation_captions import before_sky, coloured
from safelight.data.variations import Skipped, contrast, over, paintings, skies_among, under_skies
from tests.data.shapes import draw, png

SKY, NIGHT = Image.new("RGB", (32, 32), (90, 150, 240)), Image.new("RGB", (48, 40), (12, 12, 30))


def record(captions: tuple[str, ...] = ("a circle",), picture: Image.Image | None = None, **fields: Any) -> Record:
    content = png(draw("red", "circle", "none") if picture is None else picture)
    return Record(str(fields.pop("key", "thing")), captions, {"split": "train", **fields}, lambda: content)


def sky(picture: Image.Image, *captions: str, **fields: Any) -> Record:
    return record(captions, picture, style="background", key=captions[0], **fields)


BLUE = sky(SKY, "a blue sky", "a background of a blue sky", "blue sky, background", source="S", licence="CC0-1.0")
STARS = sky(NIGHT, "a field of stars in space")
HELD_OUT = sky(SKY, "an evening sky", split="val")


def made(results: Any) -> list[NewSample]:
    found = list(results)
    assert all(isinstance(each, NewSample) for each in found)
    return found


def why(results: Any) -> list[str]:
    return [each.why for each in results if isinstance(each, Skipped)]


def test_paintings_have_the_colours_that_they_say_and_keep_what_is_known() -> None:
    thing = record(style="drawing", source="me", licence="CC0-1.0", split="val", text="unused", colors=["red"])
    found = made(paintings(thing, 5))
    colours = [sample.key.removeprefix("thing-painted-") for sample in found]
    assert len(set(colours)) == 5
    assert "red" not in colours
    for sample, colour in zip(found, colours, strict=True):
        assert sample.fields["colors"] == dominant_colours(decoded(sample.content)) == [colour]
        assert sample.fields["captions"][0] == with_adjective("a circle", colour)
        about = {name: sample.fields[name] for name in ("style", "source", "licence", "split", "derived_from")}
        assert about == {
            "style": "drawing",
            "source": "me",
            "licence": "CC0-1.0",
            "split": "val",
            "derived_from": "thing",
        }
        assert "text" not in sample.fields


def test_what_a_hash_of_the_key_holds_out_stays_held_out() -> None:
    content = png(draw("red", "circle", "none"))
    things = [Record(str(key), ("a circle",), {}, lambda: content) for key in range(200)]
    held_out = next(thing for thing in things if thing.split == "val")
    assert {sample.fields["split"] for sample in made(paintings(held_out, 5))} == {"val"}


def test_the_same_call_makes_the_same_and_a_larger_count_only_adds() -> None:
    assert made(paintings(record(), 2)) == made(paintings(record(), 4))[:2]
    skies = [BLUE, STARS]
    assert made(under_skies(record(), skies, 1)) == made(under_skies(record(), skies, 2))[:1]
    orders = {tuple(each.key[-4:] for each in made(paintings(record(key=str(key)), 3))) for key in range(5)}
    assert len(orders) > 1


@pytest.mark.parametrize(
    ("thing", "reason"),
    [
        (record(group="people-body"), "people"),
        (record(subgroup="face-smiling"), "people"),
        (record(("a person running",)), "people"),
        (record(("a red circle",)), "a colour in its name"),
        (record(style_phrase="black and white line icon"), "a colour in its name"),
        (record(()), "no caption"),
        (record(picture=draw("red", "circle")), "not cut out"),
        (record(derived_from="other"), "derived itself"),
        (record(style="background"), "a background"),
        (Record("damaged", ("a circle",), {}, lambda: b"nothing"), "unreadable"),
        (record(picture=draw("black", "circle", "none")), "no other colour suits it"),
    ],
)
def test_what_is_not_painted(thing: Record, reason: str) -> None:
    assert why(paintings(thing, 1)) == [reason]


def test_a_colour_that_another_one_lies_beside_does_not_hold() -> None:
    half = draw("red", "square", "none")
    half.paste((40, 180, 60, 255), (8, 8, 24, 15))
    assert why(paintings(record(picture=half), 1)) == ["no other colour suits it"]


def test_skies_are_of_the_things_own_split_and_named() -> None:
    assert skies_among([record(), BLUE, sky(SKY, "sky, background"), STARS]) == [BLUE, STARS]
    (sample,) = made(under_skies(record(split="val"), [BLUE, STARS, HELD_OUT], 1))
    assert sample.fields["backdrop"] == "an evening sky"
    assert why(under_skies(record(split="val"), [BLUE, STARS], 2)) == ["no sky suits it"] * 2
    (sample,) = made(under_skies(record(source="me"), [BLUE], 1))
    picture = decoded(sample.content)
    assert (picture.mode, picture.size) == ("RGB", (32, 32))
    assert dominant_colours(picture) == ["blue", "red"]
    known = {name: sample.fields[name] for name in ("source", "backdrop_source", "backdrop_licence", "colors")}
    assert known == {"source": "me", "backdrop_source": "S", "backdrop_licence": "CC0-1.0", "colors": ["red"]}


def test_a_thing_stands_out_from_its_sky() -> None:
    hidden = record(picture=draw("black", "circle", "none"))
    assert why(under_skies(hidden, [STARS], 1)) == ["no sky suits it"]
    assert made(under_skies(hidden, [STARS, BLUE], 1))[0].fields["backdrop"] == "a blue sky"
    damaged = Record("bad", ("a sky",), {"split": "train"}, lambda: b"nothing")
    assert made(under_skies(hidden, [damaged, BLUE], 1))[0].fields["backdrop"] == "a blue sky"
    assert contrast(Image.new("RGBA", (4, 4)), SKY) == 0
    white = Image.new("RGBA", (4, 4), "white")
    assert contrast(white, Image.new("RGB", (9, 9), "black")) == pytest.approx(1, abs=0.01)


def test_a_thing_lies_in_the_middle() -> None:
    result = over(Image.new("RGBA", (2, 4), "red"), Image.new("RGB", (4, 4), "blue"))
    assert [result.getpixel((x, 0)) for x in range(4)] == [(0, 0, 255), (255, 0, 0), (255, 0, 0), (0, 0, 255)]


@pytest.mark.parametrize(
    ("caption", "colour", "said"),
    [
        ("a fox", "orange", "an orange fox"),
        ("an apple tree", "blue", "a blue apple tree"),
        ("the sun", "green", "the green sun"),
        ("two hearts", "blue", "two blue hearts"),
        ("fog", "pink", "pink fog"),
        ("antlers", "gray", "gray antlers"),
    ],
)
def test_where_the_colour_stands(caption: str, colour: str, said: str) -> None:
    assert with_adjective(caption, colour) == said


FOX = record(
    ("a fox", "a glossy 3D render of a fox", "a fox, mostly red", "a red fox, 3D", "fox, animal", "a foxhole"),
    style_phrase="glossy 3D render",
)


def test_captions_of_a_painted_thing() -> None:
    assert coloured(FOX, "blue") == [
        "a blue fox",
        "a fox, blue",
        "a blue fox, glossy 3D render",
        "a glossy 3D render of a blue fox",
    ]


def test_captions_before_a_sky() -> None:
    seen = {caption for seed in range(40) for caption in before_sky(FOX, BLUE, Random(seed))}
    told = ("under a blue sky", "in front of a blue sky", "against a blue sky")
    renders = {f"a glossy 3D render of a fox {before}" for before in told[1:]}
    assert seen == {*(f"a fox {each}" for each in told), "a fox, a blue sky behind it", *renders}
    many = {caption for seed in range(40) for caption in before_sky(record(("two foxes",)), STARS, Random(seed))}
    stars = "a field of stars in space"
    assert many == {f"two foxes in front of {stars}", f"two foxes against {stars}"}


def test_a_written_shard_is_read_back(tmp_path: Path) -> None:
    samples = [
        *made(paintings(record(key="folder/a.thing"), 2)),
        *made(under_skies(record(("a Häuschen",)), [BLUE], 1)),
    ]
    for name in ("one.tar", "two.tar"):
        write_shard(tmp_path / name, samples)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    for sample, back in zip(samples, open_collection(tmp_path / "one.tar"), strict=True):
        assert (back.key, back.fields, back.read()) == (sample.key, sample.fields, sample.content)
        assert list(back.captions) == sample.fields["captions"]
