"""Collections: folders and shards, chosen samples, splits, and everything that can be wrong with them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from safelight.data import collection
from safelight.data.collection import Record, check_captions, open_collection, split_up
from safelight.errors import BadInput
from tests.data.shapes import draw, members, png, samples, write_folder, write_shard


def summary(records: list[Record]) -> dict[str, tuple[tuple[str, ...], str, bytes]]:
    return {record.key: (record.captions, record.split, record.picture().tobytes()) for record in records}


def test_a_folder_and_a_shard_give_the_same_records(tmp_path: Path) -> None:
    folder = open_collection(write_folder(tmp_path / "folder"))
    shard = open_collection(write_shard(tmp_path / "shards" / "000.tar", members()).parent)
    alone = open_collection(tmp_path / "shards" / "000.tar")
    assert summary(folder) == summary(shard) == summary(alone)
    assert len(folder) == 16
    assert summary(folder)["red-circle"] == (("a red circle",), "train", draw("red", "circle").tobytes())


def test_text_companions_hold_one_caption_a_line(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "fox.png").write_bytes(png(draw("red", "bar")))
    (tmp_path / "sub" / "fox.txt").write_text("\ufeffa fox\n\n  ein roter Füchs \r\na fox\n", "utf-8")
    (record,) = open_collection(tmp_path)
    assert (record.key, record.captions) == ("sub/fox", ("a fox", "ein roter Füchs"))


@pytest.mark.parametrize("order", [(".json", ".txt"), (".txt", ".json")])
def test_fields_and_captions_may_stand_in_two_members(tmp_path: Path, order: tuple[str, str]) -> None:
    contents = {".json": b'{"caption": null, "style": "photo"}', ".txt": b"a fox", ".png": png(draw("red", "bar"))}
    shard = write_shard(tmp_path / "a.tar", {f"0{suffix}": contents[suffix] for suffix in (*order, ".png")})
    (record,) = open_collection(shard)
    assert record.captions == ("a fox",)
    assert record.fields["style"] == "photo"


def test_where_keeps_what_is_asked_for(tmp_path: Path) -> None:
    found = open_collection(write_folder(tmp_path), {"concept": ["bar", "cross"], "split": ["val"]})
    assert sorted(record.key for record in found) == ["black-bar", "black-cross"]


def test_where_that_keeps_nothing_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"concept in \['moon'\]; its values there are: bar, circle, cross, square"):
        open_collection(write_folder(tmp_path), {"concept": ["moon"]})


def test_a_split_that_no_field_names_follows_from_the_key() -> None:
    found = [Record(f"{i}", ("x",), {}, bytes) for i in range(4000)]
    held_out = [record.key for record in found if record.split == "val"]
    assert 0.02 < len(held_out) / 4000 < 0.04
    again = [Record(f"{i}", ("another caption",), {"style": "photo"}, bytes) for i in reversed(range(4000))]
    assert held_out == [record.key for record in reversed(again) if record.split == "val"]


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


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    whole = samples()["red-bar"][0]
    shard = write_shard(tmp_path / "a.tar", {"x/cut.png": whole[: len(whole) // 2], "x/cut.txt": b"a red bar"})
    (record,) = open_collection(shard)
    with pytest.raises(BadInput, match=r"sample 'x/cut' cannot be read"):
        record.picture()


def test_a_picture_too_large_for_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16)
    with pytest.raises(BadInput, match="'red-bar' cannot be read"):
        next(record for record in open_collection(write_folder(tmp_path)) if record.key == "red-bar").picture()


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 8), "red")
    tag = Image.Exif()
    tag[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=tag)
    (tmp_path / "a.txt").write_text("red")
    assert open_collection(tmp_path)[0].picture().size == (8, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "cannot be read as UTF-8 text or as JSON"),
        (b"{", "cannot be read as UTF-8 text or as JSON"),
        (b"[" * 200_000, "cannot be read as UTF-8 text or as JSON"),
        (b'["a", "b"]', "holds list"),
        (b'{"captions": [1]}', "captions must be text"),
        (b'{"caption": {"en": "a"}}', "captions must be text"),
    ],
)
def test_bad_fields_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    shard = write_shard(tmp_path / "a.tar", {"bad.json": content, "bad.png": png(draw("red", "bar"))})
    with pytest.raises(BadInput, match=f"bad.*{message}"):
        open_collection(shard)


def test_fields_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "LARGEST_FIELDS", 100)
    shard = write_shard(tmp_path / "a.tar", {"bad.json": b" " * 101, "bad.png": png(draw("red", "bar"))})
    with pytest.raises(BadInput, match=r"bad\.json' has 101 bytes"):
        open_collection(shard)


def test_hostile_members_are_left_out_and_nothing_is_written(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(draw("red", "bar")))
    shard = tmp_path / "shards" / "a.tar"
    shard.parent.mkdir()
    kinds = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE, "folder": tarfile.DIRTYPE}
    with tarfile.open(shard, "w") as file:
        for name, kind in kinds.items():
            member = tarfile.TarInfo(f"{name}.png")
            member.type, member.linkname = kind, str(secret)
            file.addfile(member)
        for name, content in {"../up": png(draw("blue", "bar")), "/root": png(draw("green", "bar"))}.items():
            for suffix, part in ((".png", content), (".json", json.dumps({"caption": name}).encode())):
                member = tarfile.TarInfo(name + suffix)
                member.size = len(part)
                file.addfile(member, io.BytesIO(part))
    before = sorted(tmp_path.rglob("*"))
    found = open_collection(shard.parent)
    assert [(record.key, record.captions) for record in found] == [("../up", ("../up",)), ("/root", ("/root",))]
    assert found[0].picture().tobytes() == draw("blue", "bar").tobytes()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("damage", ["text", "cut in a header", "cut in a picture", "a header overwritten", "squeezed"])
def test_a_damaged_shard_is_named(tmp_path: Path, damage: str) -> None:
    whole = write_shard(tmp_path / "whole.tar", members()).read_bytes()
    content = {
        "text": b"no tar at all" * 100,
        "cut in a header": whole[: 2 * 512 + 100],
        "cut in a picture": whole[: 512 + 20],
        "a header overwritten": whole[: 2 * 512] + b"?" * 512 + whole[3 * 512 :],
        "squeezed": gzip.compress(whole),
    }[damage]
    (tmp_path / "bad.tar").write_bytes(content)
    with pytest.raises(BadInput, match=r"bad\.tar' is not a readable, uncompressed tar shard"):
        open_collection(tmp_path / "bad.tar")


def test_paths_that_hold_nothing_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        open_collection(tmp_path / "absent")
    with pytest.raises(BadInput, match="holds no pictures"):
        open_collection(tmp_path)
