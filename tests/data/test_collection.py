"""Collections: folders and shards, chosen samples, splits, and everything that can be wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safelight.data.collection import Record, check_captions, open_collection, some_of, split_up
from safelight.errors import BadInput
from tests.data.shapes import draw, members, records, samples, write_folder, write_shard


def summary(records: list[Record]) -> dict[str, tuple[tuple[str, ...], str, bytes]]:
    return {record.key: (record.captions, record.split, record.picture().tobytes()) for record in records}


def test_a_folder_and_a_shard_give_the_same_records(tmp_path: Path) -> None:
    folder = open_collection(write_folder(tmp_path / "folder"))
    shard = open_collection(write_shard(tmp_path / "shards" / "000.tar", members()).parent)
    alone = open_collection(tmp_path / "shards" / "000.tar")
    assert summary(folder) == summary(shard) == summary(alone)
    assert len(folder) == 16
    assert summary(folder)["red-circle"] == (("a red circle",), "train", draw("red", "circle").tobytes())


def test_shards_and_pictures_in_one_folder_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    write_shard(folder / "more.tar", members())
    with pytest.raises(
        BadInput, match=r"holds shards \(more\.tar\) and pictures \(black-bar\.png\); put the shards into a"
    ):
        open_collection(folder)
    assert len(open_collection(folder / "more.tar")) == 16


def test_where_keeps_what_is_asked_for(tmp_path: Path) -> None:
    found = open_collection(write_folder(tmp_path), {"concept": ["bar", "cross"], "split": ["val"]})
    assert sorted(record.key for record in found) == ["black-bar", "black-cross"]


def test_where_that_keeps_nothing_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"concept in \['moon'\]; its values there are: bar, circle, cross, square"):
        open_collection(write_folder(tmp_path), {"concept": ["moon"]})


def test_split_up_takes_only_the_named_splits_and_needs_something_to_train_on() -> None:
    found = [Record(name, ("x",), {"split": name}, bytes) for name in ("train", "val", "test")]
    assert [[record.key for record in part] for part in split_up(found)] == [["train"], ["val"]]
    assert split_up(found[:1])[1] == []
    with pytest.raises(BadInput, match="None of the 2 samples is for training; their split is test, val"):
        split_up(found[1:])


def test_pictures_without_captions_are_found_and_named_where_captions_are_needed(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "red-bar.json").unlink()
    (tmp_path / "red-cross.json").write_text('{"captions": [" "]}')
    found = open_collection(tmp_path)
    assert len(found) == 16
    with pytest.raises(BadInput, match=r"2 of 16 samples have no caption, the first is 'red-bar'"):
        check_captions(found)


def test_paths_that_hold_nothing_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        open_collection(tmp_path / "absent")
    with pytest.raises(BadInput, match="holds no pictures"):
        open_collection(tmp_path)


def test_every_form_of_a_collection_gives_the_same_records(tmp_path: Path) -> None:
    """A folder of companions, a list outside it, a file of captions inside it, and shards in braces."""
    expected = summary(open_collection(write_folder(tmp_path / "folder")))
    rows = []
    bare = tmp_path / "bare"
    bare.mkdir()
    for name, (picture, fields) in samples().items():
        (bare / f"{name}.png").write_bytes(picture)
        rows.append({"file_name": f"{name}.png", **fields})
    (tmp_path / "bare" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    beside = [{**row, "file_name": f"bare/{row['file_name']}"} for row in rows]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in beside), "utf-8")
    halves = list(members().items())
    write_shard(tmp_path / "shards" / "s-007.tar", dict(halves[:20]))
    write_shard(tmp_path / "shards" / "s-008.tar", dict(halves[20:]))
    assert summary(open_collection(bare)) == expected
    listed = summary(open_collection(tmp_path / "list.jsonl"))
    assert {key.removeprefix("bare/"): value for key, value in listed.items()} == expected
    assert summary(open_collection(tmp_path / "shards" / "s-{007..008}.tar")) == expected
    assert summary(open_collection(tmp_path / "shards" / "s-00{7,8}.tar")) == expected
    assert len(open_collection(tmp_path / "shards" / "s-{008..008}.tar")) == 6


def test_a_missing_shard_of_several_is_named(tmp_path: Path) -> None:
    write_shard(tmp_path / "s-0.tar", members())
    with pytest.raises(BadInput, match=r"s-1\.tar' does not exist"):
        open_collection(tmp_path / "s-{0..2}.tar")


def test_some_of_a_sorted_collection_are_of_all_its_kinds() -> None:
    found = some_of(records(), 6)
    assert len(found) == 6
    assert len({record.captions[0].split()[1] for record in found}) > 2
    assert [one.key for one in found] == [one.key for one in some_of(records(), 6)]
    assert [one.key for one in some_of(records(), 99)] == [one.key for one in records()]
