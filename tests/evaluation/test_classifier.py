"""The classifier as a network, as a folder, and as a judge of pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from safelight.configs import ClassifierConfig
from safelight.errors import BadCheckpoint, BadInput
from safelight.evaluation.classifier import Classifier, classify, load_classifier, save_classifier
from safelight.images import to_tensor
from tests.data.shapes import draw

CONFIG = ClassifierConfig(size=16, channels=(8, 16), groups=4, blocks_per_level=2)
LABELS = {"concept": ("bar", "circle", "cross"), "a style, of any name": ("flat", "3D")}


def classifier() -> Classifier:
    """A small one that knows nothing."""
    torch.manual_seed(0)
    return Classifier(CONFIG, LABELS).eval()


def test_each_head_gives_probabilities() -> None:
    found = classify(classifier(), [draw("red", "bar"), draw("blue", "circle", "none"), Image.new("L", (40, 9))])
    assert {head: tuple(rows.shape) for head, rows in found.items()} == {
        "concept": (3, 3),
        "a style, of any name": (3, 2),
    }
    for rows in found.values():
        torch.testing.assert_close(rows.sum(dim=1), torch.ones(3))
        assert not rows.requires_grad
    assert [rows.shape[0] for rows in classify(classifier(), []).values()] == [0, 0]


def test_what_is_judged_is_the_middle_square_over_white() -> None:
    judge = classifier()
    wide = Image.new("RGBA", (48, 16), "black")
    wide.paste(draw("red", "cross").resize((16, 16)), (16, 0))
    square = wide.crop((16, 0, 32, 16))
    hole = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    with torch.no_grad():
        expected = judge(to_tensor(square)[None])["concept"].softmax(dim=1)
        white = judge(torch.ones(1, 3, 16, 16))["concept"].softmax(dim=1)
    found = classify(judge, [wide, square, hole])["concept"]
    torch.testing.assert_close(found, torch.cat([expected, expected, white]))


def test_a_verdict_does_not_depend_on_the_pictures_beside_it() -> None:
    pictures = [draw("red", "bar"), draw("blue", "circle")] * 40
    alone = classify(classifier(), pictures[:1])["concept"]
    torch.testing.assert_close(classify(classifier(), pictures)["concept"][78:79], alone)


def test_every_level_halves_the_size() -> None:
    shapes = []
    judge = classifier()
    for block in judge.blocks:
        block.register_forward_hook(lambda *call: shapes.append(tuple(call[-1].shape[1:])))
    judge(torch.zeros(1, 3, 16, 16))
    assert shapes == [(8, 8, 8), (8, 8, 8), (16, 4, 4), (16, 4, 4)]


def test_a_larger_patch_looks_at_more_pixels_in_as_many_positions() -> None:
    judge = Classifier(replace(CONFIG, size=32, patch=4), LABELS)
    shapes = []
    judge.blocks[0].register_forward_hook(lambda *call: shapes.append(tuple(call[-1].shape[1:])))
    image = torch.zeros(1, 3, 32, 32, requires_grad=True)
    judge(image)["concept"].sum().backward()
    assert shapes == [(8, 8, 8)]
    assert image.grad is not None
    assert (image.grad != 0).any(dim=1).all()  # every pixel counts


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, size=32, patch=8)])
def test_it_is_the_same_after_a_file(tmp_path: Path, config: ClassifierConfig) -> None:
    judge = Classifier(config, LABELS).eval()
    save_classifier(tmp_path / "run" / "classifier", judge)
    for folder in (tmp_path / "run", tmp_path / "run" / "classifier"):
        opened = load_classifier(folder)
        assert (opened.config, opened.labels) == (config, LABELS)
        assert not opened.training
        pictures = [draw("red", "bar"), draw("blue", "circle")]
        for head, rows in classify(judge, pictures).items():
            assert torch.equal(classify(opened, pictures)[head], rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": {}}, "labels is {}; it must give a list of names for at least one head"),
        ({"labels": {"concept": ["bar", 3]}}, "it must give a list of names for each head"),
        ({"labels": {"concept": "bar"}}, "it must give a list of names for each head"),
        ({"labels": 3}, "labels is 3; it must be an object"),
        ({"size": 0}, "size is 0; it must be a whole number from 1"),
        ({"patch": 3}, "patch is 3; it must be an even number"),
        ({"patch": 4}, "do not fit its configuration"),
        ({"channels": [8, 15]}, "groups is 4; it must divide 15"),
        ({"channels": [8, 16, 16]}, "6 missing"),
        ({"labels": {"concept": ["bar", "circle"]}}, "do not fit its configuration"),
    ],
)
def test_a_wrong_folder_is_refused_in_words(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    save_classifier(tmp_path / "classifier", classifier())
    config = tmp_path / "classifier" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    with pytest.raises(BadCheckpoint) as error:
        load_classifier(tmp_path)
    assert message in str(error.value)


def test_a_folder_without_a_classifier_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"config\.json' is missing"):
        load_classifier(tmp_path)
    save_classifier(tmp_path / "classifier", classifier())
    (tmp_path / "classifier" / "model.safetensors").unlink()
    with pytest.raises(BadCheckpoint, match=r"model\.safetensors' is missing"):
        load_classifier(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": 5}, "groups is 5; it must divide 32"),
        ({"channels": ()}, "channels has 0 levels"),
        (
            {"size": 8, "channels": (8, 8, 8, 8)},
            "channels has 4 levels; it must have at least one, and at most 3: size, 8, over patch, 2, halves no more",
        ),
        ({"size": 16, "patch": 4, "channels": (8, 8, 8, 8)}, "channels has 4 levels; it must have at least one, and"),
        ({"size": 0}, "size is 0; it must be at least 1"),
        ({"patch": 3}, "patch is 3; it must be an even number from 2"),
        ({"patch": 0}, "patch is 0; it must be an even number from 2"),
    ],
)
def test_impossible_shapes_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as error:
        ClassifierConfig(**settings)
    assert message in str(error.value)
