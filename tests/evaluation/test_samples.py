"""Which samples are asked for, compared with, and counted as known."""

from __future__ import annotations

from pathlib import Path

import pytest

from safelight.data.collection import Record
from safelight.errors import BadInput
from safelight.evaluation.pictures import Pictures, mixed_backdrops, on_white, own_backdrop
from safelight.evaluation.samples import Samples, open_samples
from tests.data.shapes import records, write_folder
from tests.evaluation.tiny_judges import cut_out, record


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "data", "none")


@pytest.mark.parametrize(("real", "count"), [("val", 2), ("train", 14), ("all", 16)])
def test_splits(data: Path, real: str, count: int) -> None:
    found = open_samples(data, {}, real)
    assert (len(found.training), len(found.held_out), len(found.real)) == (14, 2, count)
    assert found.to_ask_for == found.held_out


def test_what_is_left_out_is_still_a_concept_to_choose_from(data: Path) -> None:
    found = open_samples(data, {"concept": ["circle"]}, "train")
    assert {record.fields["concept"] for record in found.real} == {"circle"}
    assert found.concepts == ["bar", "circle", "cross", "square"]
    assert found.to_ask_for == found.training  # nothing of it is held out


def test_an_empty_split(data: Path) -> None:
    with pytest.raises(BadInput, match="--real is 'val', and that split is empty; there are: train 4, val 0, all 4"):
        open_samples(data, {"concept": ["circle"]}, "val")
    with pytest.raises(BadInput, match="--real 'vel' is unknown"):
        open_samples(data, {}, "vel")


def test_pictures_are_read_when_asked_for() -> None:
    found = Pictures(records("none"), on_white, 8)
    assert (len(found), found[0].size, found[0].mode) == (16, (8, 8), "RGB")
    assert found[0].getpixel((0, 0)) == (255, 255, 255)
    assert [picture.tobytes() for picture in found[2:4]] == [found[2].tobytes(), found[3].tobytes()]


def test_fingerprints_tell_files_sizes_and_backgrounds_apart() -> None:
    sample, other = [record("1", cut_out("red"))], [record("1", cut_out("blue"))]
    white, on_blue = Pictures(sample, on_white, 8), Pictures(sample, lambda _: "blue", 8)
    different = [white, on_blue, Pictures(sample, on_white, 9), Pictures(other, on_white, 8)]
    assert len({pictures.fingerprint() for pictures in different}) == 4
    again = [Pictures(sample, mixed_backdrops(1)).fingerprint() for _ in range(2)]
    assert again[0] == again[1]


def test_what_cannot_be_read_is_left_out_and_told(data: Path) -> None:
    (data / "black-bar.png").write_bytes(b"no picture")  # of the two that are held out
    found = open_samples(data, {}, "all")
    assert (len(found.held_out), len(found.real)) == (1, 15)
    assert found.remarks == ["1 samples cannot be read and are left out; `safelight data check` names them."]
    (data / "black-cross.png").write_bytes(b"nor this")
    with pytest.raises(BadInput, match="None of the 2 samples of --real val can be read"):
        open_samples(data, {}, "val")


@pytest.mark.parametrize(
    ("fields", "name"), [({"background": "red"}, "red"), ({"background": "beach"}, "white"), ({}, "white")]
)
def test_a_background_that_is_no_colour(fields: dict[str, str], name: str) -> None:
    assert own_backdrop(record("x", cut_out("red"), **fields)) == name


def test_unseen_pairs_are_held_out_and_of_concepts_that_are_known_in_other_styles() -> None:
    def sample(concept: str, style: str) -> Record:
        return record(f"{style}-{concept}", cut_out("red"), concept=concept, style=style)

    held_out = [sample("fox", "oil"), sample("fox", "ink"), sample("yak", "oil")]
    samples = Samples([sample("fox", "ink"), sample("hen", "oil")], held_out, held_out, [], [])
    assert [each.key for each in samples.unseen_pairs] == ["oil-fox"]
    assert [each.key for each in samples.everything] == ["ink-fox", "oil-hen", "oil-fox", "ink-fox", "oil-yak"]
