"""What samples hold of each condition: dropped as often as asked, cut and turned as the picture is, or refused."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from safelight.conditioning import Box, box_tokens
from safelight.configs import BertConfig, ClassEmbedderConfig, ScheduleConfig
from safelight.data.record import BadSample, Record
from safelight.errors import BadInput
from safelight.tasks import upscaling
from safelight.training.diffusion.kinds import shown_of
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.diffusion.shown import ShownText, Together
from safelight.training.diffusion.shown.boxes import ShownBoxes, boxes_of
from safelight.training.diffusion.shown.labels import ClassNames, ShownClass
from safelight.training.diffusion.shown.map import ShownMap
from safelight.training.diffusion.shown.picture import ShownDepth, ShownInstruction
from safelight.training.diffusion.shown.small_picture import NOISIEST, USUAL, ShownNoisySmall, shrunken
from safelight.training.diffusion.views import View
from tests.data.shapes import SIDE, png, records
from tests.training.diffusion.tiny_kinds import all_records
from tests.training.tiny_tasks import parts

BERT = BertConfig(vocabulary=102, length=8, width=16, layers=1, heads=2, head_width=8)


def view_of(record: Record, **changes: Any) -> View:
    return View(**{"record": record, "colour": "white", "size": (SIDE, SIDE), **changes})


def wide(**others: Image.Image) -> Record:
    """A picture twice as wide as high with a box in its left half, and its companions."""
    fields = {"boxes": [{"label": 3, "left": 0.0, "top": 0.25, "right": 0.25, "bottom": 0.75}]}
    readers = {name: (lambda it=picture: png(it)) for name, picture in others.items()}
    return Record("wide", ("a picture",), fields, lambda: png(Image.new("RGB", (2 * SIDE, SIDE), "red")), readers)


def with_fields(**fields: Any) -> Record:
    return replace(records()[0], fields=fields)


def test_captions_are_dropped_and_their_tags_shuffled_as_the_settings_say() -> None:
    data = DiffusionDataConfig(caption_dropout=0.3, first_caption_share=0.5, shuffle_share=1.0, keep_tags=1)
    view = view_of(replace(records()[0], captions=("a, b, c", "x")))
    drawn = [ShownText(data).entries(view, Random(seed))["caption"] for seed in range(1000)]
    assert drawn.count("") / 1000 == pytest.approx(0.3, abs=0.05)
    assert drawn.count("x") / 1000 == pytest.approx(0.7 * 0.25, abs=0.04)
    assert set(drawn) == {"", "x", "a, b, c", "a, c, b"}


def test_an_instruction_and_its_picture_are_dropped_alone_and_together() -> None:
    # Brooks et al. 2023, section 3.2.1: text, picture, and both, 5 % each
    shown = ShownInstruction(ShownText(DiffusionDataConfig(kind="instruction", caption_dropout=0.2)))
    view = view_of(all_records()[0])
    drawn = [shown.entries(view, Random(seed)) for seed in range(600)]
    pairs = [(entries["caption"] == "", entries["sighted"] == 0) for entries in drawn]
    for pair, share in (((True, False), 0.2), ((True, True), 0.2), ((False, True), 0.2), ((False, False), 0.4)):
        assert pairs.count(pair) / 600 == pytest.approx(share, abs=0.06)
    with pytest.raises(BadInput, match=r"data.caption_dropout is 0.4; .* it must be from 0 to 0.333"):
        ShownInstruction(ShownText(DiffusionDataConfig(caption_dropout=0.4)))


def test_classes_are_numbers_or_words_in_their_order(tmp_path: Path) -> None:
    words = ClassNames(all_records(), "concept")
    assert words.names == ["bar", "circle", "cross", "square"]
    assert [words.number(record) for record in all_records()[:4]] == [1, 3, 0, 2]
    words.write(tmp_path / "classes.txt")
    assert (tmp_path / "classes.txt").read_text("utf-8").splitlines() == words.names
    numbers = ClassNames(all_records(), "number")
    assert (numbers.count, numbers.number(all_records()[-1])) == (4, 3)


@pytest.mark.parametrize("label", [None, -1, 1.5, True, ""])
def test_a_wrong_class_is_named_with_its_sample(label: Any) -> None:
    with pytest.raises(BadInput, match=r"Sample 'red-circle' has class = .*; its class must be a word, or a number"):
        ClassNames([with_fields(**{"class": label})], "class")


def test_too_many_classes_are_refused() -> None:
    made = parts()
    made.unet.config = replace(made.unet.config, classes=3)
    with pytest.raises(BadInput, match="'concept' holds 4 classes, and the model knows 3"):
        ShownClass(made, ClassNames(all_records(), "concept"), 0.1)


def test_only_a_table_with_an_entry_for_no_class_drops_it() -> None:
    made, names, view = parts(), ClassNames(all_records(), "concept"), view_of(all_records()[0])
    made.unet.config = replace(made.unet.config, classes=4)
    own = ShownClass(made, names, 0.5)
    assert {own.entries(view, Random(seed))["label"] for seed in range(50)} == {1}
    made.class_embedder = type("Embedder", (), {"config": ClassEmbedderConfig(classes=6, width=16)})()  # type: ignore
    embedded = ShownClass(made, names, 0.5)
    drawn = [embedded.entries(view, Random(seed))["label"] for seed in range(400)]
    assert drawn.count(5) / 400 == pytest.approx(0.5, abs=0.08)
    assert set(drawn) == {1, 5}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({}, None),
        ({"place": 0.0}, (0.0, 0.25, 0.5, 0.75)),
        ({"place": 0.0, "flipped": True}, (0.5, 0.25, 1.0, 0.75)),
        ({"size": (2 * SIDE, SIDE)}, (0.0, 0.25, 0.25, 0.75)),
        ({"size": (2 * SIDE, SIDE), "flipped": True}, (0.75, 0.25, 1.0, 0.75)),
    ],
)
def test_boxes_are_cut_and_turned_as_the_picture_is(changes: dict[str, Any], place: Any) -> None:
    shown = ShownBoxes(BERT, [wide()])
    tokens = shown.fixed_entries(view_of(wide(), **changes))["boxes"]
    if place is None:  # the middle of the picture has none
        assert tokens[:6].tolist() == [101] * 6
    else:
        box = Box(label=3, **dict(zip(("left", "top", "right", "bottom"), place, strict=True)))
        assert torch.equal(tokens, box_tokens([box], BERT)[0])
        assert shown.request(view_of(wide(), **changes)) == {"boxes": [box]}


def test_boxes_come_in_any_order_and_only_as_many_as_are_read() -> None:
    boxes = [{"label": n, "left": 0.1 * n, "top": 0, "right": 1, "bottom": 1} for n in range(4)]
    view = view_of(with_fields(boxes=boxes))
    shown = ShownBoxes(BERT, [view.record])
    drawn = {tuple(shown.entries(view, Random(seed))["boxes"][[0, 3]].tolist()) for seed in range(200)}
    assert len(drawn) == 12  # ordered pairs of four
    assert shown.fixed_entries(view)["boxes"][[0, 3]].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("boxes", "fault"),
    [
        (None, "has boxes = None; it must be a list"),
        ([], "it must be a list of objects with label, left"),
        ([{"label": 1}], "it must have label, left, top, right, bottom"),
        ([{"label": 1, "left": 0.5, "top": 0, "right": 0.2, "bottom": 1}], "is empty"),
        ([{"label": 101, "left": 0, "top": 0, "right": 1, "bottom": 1}], "has the label 101; the model knows 0 to 100"),
        ([{"label": "Unicorn", "left": 0, "top": 0, "right": 1, "bottom": 1}], "'Unicorn' is unknown"),
    ],
)
def test_wrong_boxes_are_named_with_their_sample(boxes: Any, fault: str) -> None:
    with pytest.raises(BadInput, match=rf"Sample 'red-circle' .*{fault}"):
        boxes_of(with_fields(boxes=boxes), 101)


def test_maps_are_cut_and_turned_as_the_picture_is_and_never_mixed() -> None:
    labels = numpy.arange(2 * SIDE * SIDE).reshape(SIDE, 2 * SIDE) % 7
    record = wide(map=Image.fromarray(labels.astype("uint8")))
    left = ShownMap(7).fixed_entries(view_of(record, place=0.0))["map"]
    assert numpy.array_equal(left.numpy(), labels[:, :SIDE])
    turned = ShownMap(7).fixed_entries(view_of(record, place=1.0, flipped=True))["map"]
    assert numpy.array_equal(turned.numpy(), labels[:, SIDE:][:, ::-1])
    small = ShownMap(7).fixed_entries(view_of(record, size=(SIDE // 2, SIDE // 2)))["map"]
    assert set(numpy.unique(small)) <= set(range(7))
    with pytest.raises(BadSample, match="The map of sample 'wide' holds the label 6; the model knows 0 to 5"):
        ShownMap(6).fixed_entries(view_of(record))
    with pytest.raises(BadInput, match="The map picture of sample 'wide' is in RGB; it must be grey"):
        ShownMap(7).fixed_entries(view_of(wide(map=Image.new("RGB", (8, 8)))))


def test_depths_of_sixteen_bits_are_kept() -> None:
    depths = (numpy.arange(SIDE * SIDE).reshape(SIDE, SIDE) * 60).astype("uint16")
    file = io.BytesIO()
    Image.fromarray(depths).save(file, "PNG")
    record = replace(records()[0], others={"depth": file.getvalue})
    found = ShownDepth().fixed_entries(view_of(record))["depth"]
    assert numpy.array_equal(found.numpy()[0], depths.astype("float32"))


def test_the_small_picture_gets_the_noise_of_its_level() -> None:
    shown, view = ShownNoisySmall(ScheduleConfig(), 2, 200), view_of(records()[0])
    small = torch.from_numpy(numpy.asarray(shrunken(view, 2)).copy()).permute(2, 0, 1).float() / 127.5 - 1
    drawn = [shown.entries(view, Random(seed)) for seed in range(300)]
    levels = [entries["small_level"] for entries in drawn]
    assert (min(levels), max(levels)) == (pytest.approx(0, abs=5), pytest.approx(199, abs=5))
    for entries in drawn[:20]:
        alpha_bar = float(shown.schedule.alpha_bar[entries["small_level"]])
        noise = (entries["small"] - alpha_bar**0.5 * small) / (1 - alpha_bar) ** 0.5
        assert float(noise.std()) == pytest.approx(1, abs=0.1)
    fixed = shown.fixed_entries(view)
    assert fixed["small_level"] == USUAL
    assert torch.equal(fixed["small"], shown.fixed_entries(view)["small"])


def test_levels_of_the_small_pictures_noise_are_those_that_are_drawn_with() -> None:
    assert (NOISIEST, USUAL) == (upscaling.NOISIEST, upscaling.NOISE_LEVEL)


def test_conditions_go_together() -> None:
    shown = Together(ShownText(DiffusionDataConfig(caption_dropout=0)), ShownDepth())
    view = view_of(all_records()[0])
    assert set(shown.entries(view, Random(0))) == set(shown.fixed_entries(view)) == {"caption", "depth"}
    assert set(shown.request(view)) == {"prompt", "depth_map"}


def test_a_missing_companion_is_named(tmp_path: Path) -> None:
    made = parts()
    made.unet.config = replace(made.unet.config, in_channels=5)
    with pytest.raises(BadInput, match=r"16 of 16 samples have no depth picture.*put red-circle.depth.png beside it"):
        shown_of(made, DiffusionDataConfig(kind="depth"), records())


def test_a_kind_that_cannot_be_trained_is_named() -> None:
    made = parts()
    made.unet.config = replace(made.unet.config, class_vector=8)
    with pytest.raises(BadInput, match="of the kind 'variation' cannot be trained; allowed: text, "):
        shown_of(made, DiffusionDataConfig(), records())
