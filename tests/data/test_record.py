"""One sample: its split, its picture, the pictures that belong to it, and the error that lets training go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from safelight.data.collection import open_collection
from safelight.data.record import BadSample, Record, keys
from safelight.errors import BadInput
from tests.data.shapes import draw, png, samples, write_folder, write_shard


def test_companions_are_read_in_their_own_mode() -> None:
    numbers = Image.new("L", (4, 4), 7)
    record = Record("fox", (), {}, lambda: png(draw("red", "bar")), {"map": lambda: png(numbers), "mask": lambda: b""})
    assert (record.companion("map").mode, record.companion("map").getpixel((0, 0))) == ("L", 7)
    with pytest.raises(BadInput, match=r"'fox' has no picture 'fox.depth.png'; it has map, mask"):
        record.companion("depth")
    with pytest.raises(BadSample, match="The mask picture of sample 'fox' cannot be read"):
        record.companion("mask")
    with pytest.raises(BadInput, match="it has none"):
        Record("fox", (), {}, bytes).companion("depth")


def test_a_picture_that_is_gone_is_a_bad_sample(tmp_path: Path) -> None:
    write_folder(tmp_path)
    found = open_collection(tmp_path)
    (tmp_path / f"{found[0].key}.png").unlink()
    with pytest.raises(BadSample, match=f"{found[0].key!r} cannot be read: No such file or directory"):
        found[0].picture()


def test_keys_are_names_without_endings_as_far_as_they_differ() -> None:
    assert list(keys(["a/fox.png", "a/fox.jpg", "b.fox.jpg", "v1.5"])) == ["a/fox", "a/fox.jpg", "b.fox", "v1.5"]


def test_a_split_that_no_field_names_follows_from_the_key() -> None:
    found = [Record(f"{i}", ("x",), {}, bytes) for i in range(4000)]
    held_out = [record.key for record in found if record.split == "val"]
    assert 0.02 < len(held_out) / 4000 < 0.04
    again = [Record(f"{i}", ("another caption",), {"style": "photo"}, bytes) for i in reversed(range(4000))]
    assert held_out == [record.key for record in reversed(again) if record.split == "val"]


@pytest.mark.parametrize("nothing", ["", None])
def test_a_split_that_is_empty_follows_from_the_key(nothing: str | None) -> None:
    found = {Record(f"{i}", ("x",), {"split": nothing}, bytes).split for i in range(200)}
    assert found == {"train", "val"}


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    whole = samples()["red-bar"][0]
    shard = write_shard(tmp_path / "a.tar", {"x/cut.png": whole[: len(whole) // 2], "x/cut.txt": b"a red bar"})
    (record,) = open_collection(shard)
    with pytest.raises(BadSample, match=r"sample 'x/cut' cannot be read"):
        record.picture()


def test_a_picture_too_large_for_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16)
    with pytest.raises(BadSample, match="'red-bar' cannot be read"):
        next(record for record in open_collection(write_folder(tmp_path)) if record.key == "red-bar").picture()
