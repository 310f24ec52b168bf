"""CLIP's training: its loss against that of transformers, what it is shown, and what it finds again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from safelight.data.backdrop import COLOURS, on_colour
from safelight.data.collection import Record
from safelight.errors import BadInput
from safelight.evaluation.clip_judge import pixels_of
from safelight.images import to_tensor
from safelight.text import Tokenizer
from safelight.training.clip.settings import ClipDataConfig, ClipLossConfig
from safelight.training.clip.task import cropped, tokenizer_of_run
from safelight.weights import load_clip
from tests.data.shapes import SIDE, draw, png, records
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import clip_task, loop_config, run, tokenizer

FIGURES = ("first", "first5", "chance")
RETRIEVAL = {f"{way}_{figure}" for way in ("image_to_text", "text_to_image") for figure in FIGURES}
CONCEPT = {f"concept_{figure}" for figure in FIGURES}


def test_it_overfits_one_batch(tmp_path: Path) -> None:
    losses = losses_of_one_batch(clip_task(tmp_path), range(8), steps=120, rate=5e-3)
    assert losses[0] > 1.5  # it knows nothing: about log 8, or more
    assert losses[-1] < 0.05


def test_it_finds_the_captions_of_its_training_pictures(tmp_path: Path) -> None:
    found = [Record(one.key, one.captions, {**one.fields, "split": split}, one.read) for one in records("none")
             for split in ("train", "val")]  # fmt: skip
    task = clip_task(tmp_path, found, white_share=1.0)
    before = task.evaluate()
    run(task, loop_config(steps=120, batch_size=16, learning_rate=5e-3, average_decay=0.9), tmp_path)
    after = task.evaluate()
    assert before["image_to_text_first"] < 0.3
    assert after["text_to_image_first"] > 0.9
    assert after["image_to_text_first"] > 0.9
    assert after["concept_first"] > before["concept_first"]
    loaded = load_clip(tmp_path / "clip")
    picture = to_tensor(on_colour(draw("red", "circle", "none"), COLOURS["white"]))[None]
    tokens = Tokenizer.load(tmp_path / "tokenizer")([f"a red {shape}" for shape in ("bar", "circle", "cross")])
    with torch.no_grad():
        scores = loaded.embed_image(picture) @ loaded.embed_text(tokens.ids, tokens.end).T
    assert scores.argmax() == 1


def test_captions_and_backgrounds_agree(tmp_path: Path) -> None:
    task = clip_task(tmp_path, flip_share=0.0)
    names = dict(zip(task.tokenizer.vocabulary.values(), task.tokenizer.vocabulary, strict=True))
    seen = set()
    for seed in range(80):
        sample = task.sample(2, Random(f"{seed}"))
        text = "".join(names[int(i)] for i in sample["ids"][1 : int(sample["end"])]).replace("</w>", " ").strip()
        assert text.startswith("a red bar")
        colour = text.split()[-2] if text.endswith(" background") else "white"
        assert torch.equal(sample["image"], to_tensor(on_colour(draw("red", "bar", "none"), COLOURS[colour])))
        seen.add(colour)
    assert seen == set(COLOURS)
    opaque = clip_task(tmp_path, records("white"))
    assert len({tuple(opaque.sample(2, Random(seed))["ids"].tolist()) for seed in range(20)}) == 1


def test_pictures_whose_caption_names_a_side_are_not_mirrored(tmp_path: Path) -> None:
    lopsided = draw("red", "square").transform((32, 32), 0, (1, 0, 6, 0, 1, 0), fillcolor="white")
    picture = to_tensor(lopsided)
    for caption, expected in (("a square on the left", {False}), ("a square", {False, True})):
        record = Record("a", (caption,), {"split": "train"}, lambda: png(lopsided))
        task = clip_task(tmp_path, [record])
        assert {not torch.equal(task.sample(0, Random(i))["image"], picture) for i in range(20)} == expected


def test_a_run_keeps_the_tokenizer_that_it_began_with(tmp_path: Path) -> None:
    data = ClipDataConfig(vocabulary=600)
    first = tokenizer_of_run(tmp_path, records(), data, length=12)
    other = [Record("x", ("zebra zebra zebra quagga quagga",) * 4, {"split": "train"}, bytes)]
    assert tokenizer_of_run(tmp_path, other, data, length=12).vocabulary != first.vocabulary  # it has not begun
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-00000001.safetensors").touch()
    kept = tokenizer_of_run(tmp_path, records(), data, length=12)
    assert "zebra</w>" in kept.vocabulary
    assert "circle</w>" in first.vocabulary
    assert len(first.vocabulary) <= 600


def test_a_finished_run_writes_its_tokenizer_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = clip_task(tmp_path)
    task.export(tmp_path)
    assert Tokenizer.load(tmp_path / "tokenizer").vocabulary == task.tokenizer.vocabulary

    def torn(tokenizer: Tokenizer, folder: Path) -> None:
        (folder / "vocab.json").write_text("{")
        raise KeyboardInterrupt

    monkeypatch.setattr(Tokenizer, "save", torn)
    task.export(tmp_path)  # what the run goes on with stays as it is
    with pytest.raises(KeyboardInterrupt):
        task.export(tmp_path / "new")
    assert Tokenizer.load(tmp_path / "tokenizer").vocabulary == task.tokenizer.vocabulary
    assert not (tmp_path / "new" / "tokenizer").exists()


def test_a_clip_taken_out_of_its_run_still_says_how_it_sees(tmp_path: Path) -> None:
    task = clip_task(tmp_path)
    task.export(tmp_path)
    alone = (tmp_path / "clip").rename(tmp_path / "elsewhere")
    pixels, words = pixels_of(alone, alone, SIDE)
    picture = on_colour(records("none")[0].picture(), COLOURS["white"])
    torch.testing.assert_close(pixels(picture), to_tensor(picture), rtol=0, atol=1e-6)
    assert words.endswith("-1 to 1")


def test_the_same_captions_give_the_same_tokenizer() -> None:
    # Many pairs of letters are equally frequent in them, and which is merged first must not be left to chance.
    made = [tokenizer() for _ in range(6)]
    assert [(one.vocabulary, one.merges) for one in made] == [(made[0].vocabulary, made[0].merges)] * 6


def test_nothing_need_be_held_out_or_have_a_concept(tmp_path: Path) -> None:
    plain = [Record(one.key, one.captions, {"split": one.split}, one.read) for one in records()]
    with torch.no_grad():
        assert set(clip_task(tmp_path, plain).evaluate()) == RETRIEVAL
        assert clip_task(tmp_path, [one for one in plain if one.split == "train"]).evaluate() == {}
        assert set(clip_task(tmp_path, plain[:3] + records()[3:]).evaluate()) == RETRIEVAL | CONCEPT


def test_every_sample_needs_a_caption(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="1 of 17 samples have no caption, the first is 'silent'"):
        clip_task(tmp_path, [*records(), Record("silent", (), {"split": "train"}, bytes)])


def test_crops_are_squares_of_the_picture_at_its_own_size() -> None:
    across = numpy.tile(numpy.arange(0, 256, 4, dtype=numpy.uint8), (64, 1))
    picture = Image.fromarray(numpy.stack([across, across.T, across, numpy.full_like(across, 255)], axis=-1))
    assert cropped(picture, 1.0, Random(0)) is picture
    spans, starts = [], []
    for seed in range(200):
        crop = cropped(picture, 0.25, Random(seed))
        assert crop.size == picture.size
        red, green = (numpy.asarray(crop)[..., channel].astype(int) for channel in (0, 1))
        spans.append((red[32, -3] - red[32, 2], green[-3, 32] - green[2, 32]))
        starts.append(red[32, 0])
    assert all(abs(wide - high) < 12 for wide, high in spans)  # as wide as it is high
    assert min(spans)[0] < 0.6 * 256
    assert all(wide > 0.46 * 256 * 0.92 for wide, _ in spans)  # a quarter of the area: half of each side
    assert max(starts) > 90


def test_captions_that_are_lists_of_tags_are_shuffled(tmp_path: Path) -> None:
    tags = "a red bar, a blue cross, a green circle, a black square"
    record = replace(records()[0], captions=(tags, "a bar"))
    other = records()[1]
    plain = clip_task(tmp_path, [record, other], first_caption_share=1.0)
    assert len({tuple(plain.sample(0, Random(seed))["ids"].tolist()) for seed in range(9)}) == 1
    mixed = clip_task(tmp_path, [record, other], first_caption_share=1.0, shuffle_share=1.0)
    shuffled = {tuple(mixed.sample(0, Random(seed))["ids"].tolist()) for seed in range(9)}
    assert len(shuffled) > 2
    assert len({ids[:4] for ids in shuffled}) == 1  # the first tag stays


def test_names_are_asked_for_only_where_they_differ(tmp_path: Path) -> None:
    task = clip_task(tmp_path, zero_shot={"concept": ("a {}",), "style": ("a {}",), "colour": ("{}",)})
    assert task.names == {
        "concept": ["bar", "circle", "cross", "square"]
    }  # all are of one style, and none has a colour
    with torch.no_grad():
        assert set(task.evaluate()) == RETRIEVAL | CONCEPT


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"zero_shot": {"style": ("a {} {}",)}}, "data.zero_shot.style is ['a {} {}']; it must list sentences"),
        ({"zero_shot": {"style": ()}}, "data.zero_shot.style is []; it must list sentences that have {} once each"),
        ({"least_crop": 0.0}, "data.least_crop is 0.0; it must be from 0.05 to 1"),
        ({"keep_tags": -1}, "data.keep_tags is -1; it must be at least 0"),
        ({"tag_dropout": 2.0}, "data.tag_dropout is 2.0; it must be from 0 to 1"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as error:
        ClipDataConfig(**settings)
    assert message in str(error.value)
    with pytest.raises(BadInput, match=r"loss\.at_once is -1; it must be at least 0"):
        ClipLossConfig(at_once=-1)
