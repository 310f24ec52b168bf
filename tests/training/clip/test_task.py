"""CLIP's training: its loss against that of transformers, what it is shown, and what it finds again."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import pytest
import torch
from torch import Generator
from torch.nn import functional

from safelight.data.backdrop import COLOURS, on_colour
from safelight.data.collection import Record
from safelight.errors import BadInput
from safelight.images import to_tensor
from safelight.text import Tokenizer
from safelight.training.clip.settings import ClipDataConfig
from safelight.training.clip.task import contrastive_loss, names_a_side, ranking, tokenizer_of_run
from safelight.weights import load_clip
from tests.data.shapes import draw, png, records
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import clip_task, loop_config, run, tokenizer


def test_the_loss_is_that_of_transformers() -> None:
    clip = pytest.importorskip("transformers.models.clip.modeling_clip")
    images, texts = functional.normalize(torch.randn(2, 7, 5, generator=Generator().manual_seed(0)), dim=-1)
    scale = torch.tensor(2.6593)
    loss = getattr(clip, "image_text_contrastive_loss", None) or clip.clip_loss  # its name before transformers 5
    expected = loss(texts @ images.T * scale.exp())
    torch.testing.assert_close(contrastive_loss(images, texts, scale), expected)


def test_the_scale_is_held_at_a_hundred() -> None:
    images, texts = functional.normalize(torch.randn(2, 7, 5, generator=Generator().manual_seed(0)), dim=-1)
    at_limit = contrastive_loss(images, texts, torch.tensor(math.log(100)))
    torch.testing.assert_close(contrastive_loss(images, texts, torch.tensor(9.0)), at_limit)


def test_it_overfits_one_batch(tmp_path: Path) -> None:
    losses = losses_of_one_batch(clip_task(tmp_path), range(8), steps=120, rate=5e-3)
    assert losses[0] > 1.5  # it knows nothing: about log 8, or more
    assert losses[-1] < 0.05


def test_it_finds_the_captions_of_its_training_pictures(tmp_path: Path) -> None:
    found = [Record(one.key, one.captions, {**one.fields, "split": split}, one.read) for one in records("none")
             for split in ("train", "val")]  # fmt: skip
    task = clip_task(tmp_path, found, white_share=1.0)
    before = task.evaluate()
    run(task, loop_config(steps=80, batch_size=16, learning_rate=1e-2, average_decay=0.9), tmp_path)
    after = task.evaluate()
    assert before["retrieval_first"] < 0.3
    assert after["retrieval_first"] > 0.9
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
        sample = task.sample(2, Random(seed))
        text = "".join(names[int(i)] for i in sample["ids"][1 : int(sample["end"])]).replace("</w>", " ").strip()
        assert text.startswith("a red bar")
        colour = text.split()[-2] if text.endswith(" background") else "white"
        assert torch.equal(sample["image"], to_tensor(on_colour(draw("red", "bar", "none"), COLOURS[colour])))
        seen.add(colour)
    assert seen == set(COLOURS)
    opaque = clip_task(tmp_path, records("white"))
    assert len({tuple(opaque.sample(2, Random(seed))["ids"].tolist()) for seed in range(20)}) == 1


def test_pictures_whose_caption_names_a_side_are_not_mirrored(tmp_path: Path) -> None:
    assert names_a_side("a Left-handed fox")
    assert names_a_side("right")
    assert not names_a_side("a bright fox, upright, leftovers")
    lopsided = draw("red", "square").transform((32, 32), 0, (1, 0, 6, 0, 1, 0), fillcolor="white")
    picture = to_tensor(lopsided)
    for caption, expected in (("a square on the left", {False}), ("a square", {False, True})):
        record = Record("a", (caption,), {"split": "train"}, lambda: png(lopsided))
        task = clip_task(tmp_path, [record])
        assert {not torch.equal(task.sample(0, Random(i))["image"], picture) for i in range(20)} == expected


def test_ranking_counts_hits() -> None:
    scores = torch.eye(8)
    right = torch.tensor([0, 1, 2, 3, 4, 5, 0, 0])
    assert ranking("x", scores, right)["x_first"] == 6 / 8
    assert ranking("x", scores.roll(1, dims=1), torch.arange(8))["x_first"] == 0
    assert ranking("x", torch.arange(8.0).expand(4, 8), torch.tensor([7, 3, 2, 0]))["x_first5"] == 2 / 4
    assert ranking("x", torch.ones(1, 1), torch.tensor([0])) == {"x_first": 1, "x_first5": 1}


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


def test_the_same_captions_give_the_same_tokenizer() -> None:
    # Many pairs of letters are equally frequent in them, and which is merged first must not be left to chance.
    made = [tokenizer() for _ in range(6)]
    assert [(one.vocabulary, one.merges) for one in made] == [(made[0].vocabulary, made[0].merges)] * 6


def test_nothing_need_be_held_out_or_have_a_concept(tmp_path: Path) -> None:
    plain = [Record(one.key, one.captions, {"split": one.split}, one.read) for one in records()]
    with torch.no_grad():
        assert set(clip_task(tmp_path, plain).evaluate()) == {"retrieval_first", "retrieval_first5"}
        assert clip_task(tmp_path, [one for one in plain if one.split == "train"]).evaluate() == {}
        assert len(clip_task(tmp_path, plain[:3] + records()[3:]).evaluate()) == 4


def test_every_sample_needs_a_caption(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="1 of 17 samples have no caption, the first is 'silent'"):
        clip_task(tmp_path, [*records(), Record("silent", (), {"split": "train"}, bytes)])
