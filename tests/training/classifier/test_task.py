"""The classifier's training: what it is shown, what it learns, and what its figures count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from safelight.configs import ClassifierConfig
from safelight.data.record import BadSample, Record
from safelight.errors import BadInput
from safelight.evaluation.classifier import classify, load_classifier
from safelight.images import to_tensor
from safelight.training.classifier.settings import ClassifierDataConfig, ClassifierLossConfig, VariationConfig
from safelight.training.classifier.task import ClassifierTask, label_of, labels_of, shares
from safelight.training.engine.noise import SampleNoise
from tests.data.shapes import SIDE, draw, png, records
from tests.training.engine.real_runs import differing, outcome
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import loop_config, run

NETWORK = ClassifierConfig(size=SIDE, channels=(8, 16), groups=4)
STILL = VariationConfig(shift=0, scale=0, turn=0, light=0, soft_share=0, jpeg_share=0)
PLAIN = ClassifierLossConfig(smoothing=0, dropout=0)


def coloured(found: list[Record]) -> list[Record]:
    """With the colour as their style, so that there are several."""
    return [replace(one, fields={**one.fields, "style": one.key.split("-")[0]}) for one in found]


def task(
    found: list[Record] | None = None,
    variation: VariationConfig = STILL,
    loss: ClassifierLossConfig = PLAIN,
    **data: Any,
) -> ClassifierTask:
    torch.manual_seed(0)
    return ClassifierTask(NETWORK, ClassifierDataConfig(**data), variation, loss, found or coloured(records("none")))


def test_it_overfits_one_batch() -> None:
    losses = losses_of_one_batch(task(), range(14), steps=100, rate=5e-3)
    assert losses[0] > 1.2  # the logarithm of four names, of either head
    assert losses[-1] < 0.05


def test_it_learns_its_pictures_and_judges_after_it_was_exported(tmp_path: Path) -> None:
    judge = task(white_share=1.0)
    before = judge.evaluate()
    run(judge, loop_config(steps=150, batch_size=14, learning_rate=5e-3, average_decay=0.9), tmp_path)
    after = judge.evaluate()
    assert before["concept_seen"] < 0.6
    assert after["concept_seen"] == after["style_seen"] == 1
    assert after["concept_chance"] == 1 / 4
    opened = load_classifier(tmp_path)
    found = classify(opened, [draw("red", "circle", "none"), draw("blue", "square", "white")])
    assert [opened.labels["concept"][i] for i in found["concept"].argmax(dim=1)] == ["circle", "square"]
    assert [opened.labels["style"][i] for i in found["style"].argmax(dim=1)] == ["red", "blue"]


def test_a_run_that_was_stopped_comes_to_the_same_end(tmp_path: Path) -> None:
    def turn(folder: Path, *stops: int) -> dict[str, bytes]:
        for stop in (*stops, 10**9):
            judge = task(variation=VariationConfig(), loss=ClassifierLossConfig(dropout=0.5))
            run(judge, loop_config(precision="bf16", workers=2, save_every=2, evaluate_every=3), folder, stop)
        exported = {name: (folder / "classifier" / name).read_bytes() for name in ("config.json", "model.safetensors")}
        return {**outcome(folder), **exported}

    assert not differing(turn(tmp_path / "whole"), turn(tmp_path / "stopped", 3, 4))


def test_dropout_is_drawn_from_the_noise_of_the_samples_alone() -> None:
    judge = task(loss=ClassifierLossConfig(smoothing=0, dropout=0.5))
    batch = {"image": torch.stack([judge.sample(2, Random(0))["image"]] * 3), "labels": torch.zeros(3, 2).long()}

    def loss(judge: ClassifierTask, seed: int) -> float:
        return judge.loss(batch, SampleNoise(seed, range(3)))["loss"].item()

    assert loss(judge, 0) == loss(judge, 0) != loss(judge, 1)
    with torch.no_grad():
        features = judge.network.features(batch["image"])
        kept = SampleNoise(0, range(3)).uniform(features.shape[1]) >= 0.5
        scores = judge.network.scores(features * kept * 2)  # what is left stands for what is not
        surprise = [-rows.log_softmax(dim=1)[:, 0].mean().item() for rows in scores.values()]
    assert loss(judge, 0) == pytest.approx(sum(surprise) / 2, rel=1e-4)
    without = task(loss=PLAIN)
    assert loss(without, 0) == loss(without, 1)


def test_a_sample_without_a_label_counts_for_the_other_heads_only() -> None:
    found = coloured(records())
    found[2] = replace(found[2], fields={"style": "red", "split": "train"})
    judge = task(found)
    samples = [judge.sample(index, Random(0)) for index in (2, 5)]
    assert samples[0]["labels"].tolist() == [-1, judge.labels["style"].index("red")]
    batch = {name: torch.stack([one[name] for one in samples]) for name in ("image", "labels")}
    second = {name: rows[1:] for name, rows in batch.items()}
    with torch.no_grad():
        both, alone = judge.loss(batch, SampleNoise(0, range(2))), judge.loss(second, SampleNoise(0, range(1)))
    torch.testing.assert_close(both["loss_concept"], alone["loss_concept"] / 2)
    torch.testing.assert_close(both["loss"], (both["loss_concept"] + both["loss_style"]) / 2)
    nothing = {"image": batch["image"], "labels": torch.full((2, 2), -1)}
    assert judge.loss(nothing, SampleNoise(0, range(2)))["loss"] == 0


def test_pictures_whose_captions_name_a_side_are_not_mirrored() -> None:
    lopsided = draw("red", "square").transform((SIDE, SIDE), 0, (1, 0, 6, 0, 1, 0), fillcolor="white")
    other = Record("b", ("b",), {"split": "train", "concept": "b"}, lambda: png(lopsided))
    for captions, concept, expected in (
        (("a hand", "a left hand"), "hand", {False}),
        ((), "hand, right", {False}),
        (("a hand",), "hand", {False, True}),
    ):
        record = Record("a", captions, {"split": "train", "concept": concept}, lambda: png(lopsided))
        judge = task([record, other])
        plain = to_tensor(lopsided)
        assert {not torch.equal(judge.sample(0, Random(i))["image"], plain) for i in range(20)} == expected


def test_labels_are_what_differs_between_the_training_samples() -> None:
    assert task(records()).labels.keys() == {"concept"}  # all are of one style
    assert list(task(labels=["style", "concept"]).network.labels) == ["style", "concept"]
    assert labels_of(records(), ["caption"])["caption"][:2] == ["a black bar", "a black circle"]
    assert label_of(Record("a", (), {}, bytes), "caption") == ""
    with pytest.raises(BadInput, match=r"data\.labels is \['shape'\]; none of these differs between the 14 training"):
        task(labels=["shape"])
    with pytest.raises(BadInput, match="Their fields are: captions, concept, split, style"):
        task(records(), labels=["style"])


def test_figures_tell_held_out_pictures_apart_by_a_field() -> None:
    found = coloured(records())
    found[14] = replace(found[14], fields={**found[14].fields, "style": "another", "concept": "unheard of"})
    figures = task(found).evaluate()
    assert figures.keys() == {
        *(f"{head}_{figure}" for head in ("concept", "style") for figure in ("chance", "seen", "first", "first5")),
        "concept_first@black",  # of the other style's picture, neither label is known
        "style_first@black",
    }
    assert task(found, by="").evaluate().keys() == {name for name in figures if "@" not in name}
    assert task([one for one in found if one.split == "train"]).evaluate().keys() == {
        f"{head}_{figure}" for head in ("concept", "style") for figure in ("chance", "seen")
    }


def test_shares_leave_out_what_is_not_known() -> None:
    nan = torch.nan
    hits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [nan, nan]])
    assert shares({"first": hits[:, :1], "five": hits}) == {"first": pytest.approx(1 / 3), "five": pytest.approx(2 / 3)}
    assert shares({"first": hits[3:]}) == {}


def test_evaluations_pass_over_pictures_that_cannot_be_read() -> None:
    found = coloured(records())
    for damaged in (3, 15):
        found[damaged] = replace(found[damaged], read=lambda: b"no picture")
    judge = task(found)
    assert judge.evaluate()["concept_first"] in (0, 1)  # one is left
    with pytest.raises(BadSample):
        judge.sample(3, Random(0))


def test_certainty_is_spread_over_the_other_names() -> None:
    judge = task(loss=ClassifierLossConfig(smoothing=0.2, dropout=0))
    sample = judge.sample(1, Random(0))
    batch = {name: sample[name][None] for name in ("image", "labels")}
    with torch.no_grad():
        surprise = -judge.network(batch["image"])["concept"].log_softmax(dim=1)[0]
        found = judge.loss(batch, SampleNoise(0, [0]))["loss_concept"]
    torch.testing.assert_close(found, 0.8 * surprise[sample["labels"][0]] + 0.2 * surprise.mean())


def test_other_labels_of_the_same_pictures_are_another_collection() -> None:
    found = records()
    swapped = [replace(found[0], fields=found[1].fields), replace(found[1], fields=found[0].fields), *found[2:]]
    assert task(found).fingerprint != task(swapped).fingerprint
