"""The teacher's ways are walked once, kept, and walked again where they are of something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

from safelight.data.collection import Record
from safelight.errors import BadInput
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.distillation.pictures import captions_of
from safelight.training.distillation.walk import Walk
from safelight.training.distillation.ways import Terms, walked
from tests.data.shapes import records

CAPTIONS = [f"thing {number}" for number in range(20)]
TERMS: dict[str, Any] = {
    "teacher": "t",
    "steps": 3,
    "guidance": (2.0, 4.0),
    "steered": (0.0, 1.0),
    "shape": (2, 4, 4),
    "seed": 0,
}


class Leader:
    """Walks three steps, halving what it is given, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, captions: Sequence[str], start: Tensor, guidance: Tensor) -> Walk:
        self.asked.append(list(captions))
        places = torch.stack([start, start / 2, start / 4], dim=1)
        return Walk(places, torch.tensor([999, 666, 333]), start / 8 + guidance.reshape(-1, 1, 1, 1))


def test_a_sample_is_a_place_on_a_way_with_its_end(tmp_path: Path) -> None:
    ways = walked(Leader(), CAPTIONS, Terms(**TERMS), tmp_path)
    assert ways.size == 20
    seen = set()
    for seed in range(40):
        one = ways.sample(seed % 20, Random(seed))
        share = {999: 1, 666: 2, 333: 4}[int(one["timestep"])]
        seen.add(share)
        expected = one["latent"].float() * share / 8 + one["guidance"]
        torch.testing.assert_close(one["end"].float(), expected, rtol=0.02, atol=0.02)
        assert 2 <= one["guidance"] <= 4
        assert one["caption"] == CAPTIONS[seed % 20]
    assert seen == {1, 2, 4}
    first = ways.first()
    assert first["caption"] == CAPTIONS[:16]
    assert first["start"].std() == pytest.approx(1, abs=0.1)


def test_ways_are_walked_once_and_a_file_that_is_lost_or_damaged_again(tmp_path: Path) -> None:
    ways = walked(Leader(), CAPTIONS, Terms(**TERMS), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    kept = ("latent", "end", "guidance")
    before = {name: value.clone() for name, value in ways.sample(17, Random(0)).items() if name in kept}
    again = Leader()
    walked(again, CAPTIONS, Terms(**TERMS), tmp_path)
    assert again.asked == []
    (tmp_path / "00001.safetensors").write_bytes(b"damaged")
    walked(again, CAPTIONS, Terms(**TERMS), tmp_path)
    assert again.asked == [CAPTIONS[16:]]
    after = ways.sample(17, Random(0))
    assert all(torch.equal(before[name], after[name]) for name in kept)


@pytest.mark.parametrize(
    "change", [{"teacher": "u"}, {"steps": 4}, {"guidance": (2.0, 5.0)}, {"steered": (0.0, 0.5)}, {"seed": 1}]
)
def test_ways_on_other_terms_are_walked_anew(change: dict[str, Any], tmp_path: Path) -> None:
    walked(Leader(), CAPTIONS, Terms(**TERMS), tmp_path)
    again = Leader()
    ways = walked(again, CAPTIONS, Terms(**{**TERMS, **change}), tmp_path)
    assert len(again.asked) == 2
    assert ways.fingerprint != walked(Leader(), CAPTIONS, Terms(**TERMS), tmp_path).fingerprint


def test_a_way_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    few = walked(Leader(), CAPTIONS[:3], Terms(**TERMS), tmp_path / "few")
    many = walked(Leader(), CAPTIONS, Terms(**TERMS), tmp_path / "many")
    one, other = few.sample(2, Random(0)), many.sample(2, Random(0))
    assert all(torch.equal(one[name], other[name]) for name in ("latent", "end", "guidance", "timestep"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match=r"file.ways' cannot be made a folder"):
        walked(Leader(), CAPTIONS, Terms(**TERMS), tmp_path / "file" / "ways")


def test_few_captions_are_of_all_kinds_of_a_sorted_collection() -> None:
    """Sixteen records by colour; the first four of one order would all be red."""
    settings = DiffusionDataConfig(caption_dropout=0.0)
    found = [captions_of(records(), settings, 8, seed) for seed in range(4)]
    assert len({tuple(captions) for captions in found}) == 4
    for captions in found:
        assert len(set(captions)) == 8
        assert len({caption.split()[1] for caption in captions}) > 2
    assert captions_of(records(), settings, 4, 0) == found[0][:4]


def test_captions_come_of_every_picture_in_turn_with_its_backgrounds() -> None:
    settings = DiffusionDataConfig(colours=("white", "blue"), white_share=0.5, caption_dropout=0.0)
    found = captions_of(records("none")[:3], settings, 60, seed=0)
    assert found == captions_of(records("none")[:3], settings, 60, seed=0)
    assert found != captions_of(records("none")[:3], settings, 60, seed=1)
    plain = [caption.removesuffix(" on a blue background") for caption in found]
    assert sorted(plain[:3]) == ["a red bar", "a red circle", "a red square"]
    assert plain == plain[:3] * 20
    assert 8 < sum(caption.endswith("blue background") for caption in found) < 24
    unreadable = Record("bad", ("a thing",), {}, bytes)
    assert captions_of([unreadable], settings, 2, seed=0) == ["a thing"] * 2
    opaque = captions_of(records()[:3], settings, 60, seed=0)
    assert not any(caption.endswith("background") for caption in opaque)
