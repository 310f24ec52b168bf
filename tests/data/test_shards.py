"""Shards: what WebDataset writes is read the same, and nothing in them does any harm."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import pytest
import webdataset
from PIL import Image
from webdataset import tariterators

from safelight.data.shards import read_shard, spelled_out
from safelight.errors import BadInput
from tests.data.shapes import draw, members, png, samples, write_shard


def by_webdataset(shard: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The samples as WebDataset's own reader gives them, in its safe mode."""
    monkeypatch.setattr(webdataset.utils, "enforce_security", True)
    with shard.open("rb") as stream:
        files = tariterators.tar_file_expander([{"url": str(shard), "stream": stream}])
        return list(tariterators.group_by_keys(files))


def test_shards_written_by_webdataset_are_read_as_webdataset_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webdataset.ShardWriter(str(tmp_path / "s-%03d.tar"), maxcount=6, verbose=0) as writer:
        for name, (picture, fields) in samples().items():
            writer.write({"__key__": f"shapes/{name}", "png": picture, "json": fields, "txt": "another", "cls": 3})
    shards = sorted(tmp_path.glob("*.tar"))
    assert len(shards) == 3
    for shard in shards:
        theirs, ours = by_webdataset(shard, monkeypatch), read_shard(shard)
        assert [record.key for record in ours] == [sample["__key__"] for sample in theirs]
        for record, sample in zip(ours, theirs, strict=True):
            assert record.read() == sample["png"]
            assert record.fields | {"captions": None} == json.loads(sample["json"]) | {"captions": None}
            assert set(record.captions) == {*json.loads(sample["json"])["captions"], sample["txt"].decode()}
            assert record.picture().tobytes() == Image.open(io.BytesIO(sample["png"])).convert("RGBA").tobytes()


class Bomb:
    """A pickle that leaves a mark when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def test_nothing_in_a_shard_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "mark"
    bomb = pickle.dumps(Bomb(mark))
    pickle.loads(bomb)
    assert mark.exists(), "the bomb works"
    mark.unlink()
    endings = ("pyd", "pickle", "pkl", "pth", "npy", "py", "sh", "yaml")
    content = {"a.png": png(draw("red", "bar")), "a.txt": b"a bar", **{f"a.{ending}": bomb for ending in endings}}
    shard = write_shard(tmp_path / "s" / "a.tar", content)
    (record,) = read_shard(shard)
    assert (record.captions, record.picture().size) == (("a bar",), (32, 32))
    assert not mark.exists()
    assert sorted(tmp_path.rglob("*")) == [shard.parent, shard]
    (sample,) = by_webdataset(shard, monkeypatch)
    with pytest.raises(ValueError, match="not allowed for security reasons"):
        webdataset.autodecode.decoders["pyd"](sample["pyd"])
    with pytest.raises(BadInput, match="cannot be read as UTF-8 text or as JSON"):
        read_shard(write_shard(tmp_path / "s" / "b.tar", {"a.png": b"", "a.json": bomb}))


def test_a_name_that_comes_again_is_another_sample(tmp_path: Path) -> None:
    first, again = png(draw("red", "bar")), png(draw("blue", "bar"))
    one = write_shard(tmp_path / "a.tar", {"x.json": b'{"caption": "red"}', "x.png": first})
    other = write_shard(tmp_path / "b.tar", {"x.json": b'{"caption": "blue"}', "x.png": again})
    end = 2 * tarfile.BLOCKSIZE
    both = tmp_path / "c.tar"
    with tarfile.open(one) as shard:
        last = shard.getmembers()[-1]
        stop = last.offset_data + -(-last.size // 512) * 512
    both.write_bytes(one.read_bytes()[:stop] + other.read_bytes() + bytes(end))
    found = read_shard(both)
    assert [(record.key, record.captions, record.read()) for record in found] == [
        ("x", ("red",), first),
        ("x", ("blue",), again),
    ]


def test_members_that_a_mac_leaves_are_passed_over(tmp_path: Path) -> None:
    content = members()
    hidden = {f"a/._{name}": b"\0\5\x16\7" for name in content}
    assert len(read_shard(write_shard(tmp_path / "a.tar", hidden | content))) == len(content) // 2


def test_companions_belong_to_their_picture(tmp_path: Path) -> None:
    edges = png(draw("black", "cross"))
    content = {"x/0.png": png(draw("red", "bar")), "x/0.control.png": edges, "x/0.txt": b"a bar", "y.mask.png": edges}
    found = read_shard(write_shard(tmp_path / "a.tar", content))
    assert [(record.key, sorted(record.others)) for record in found] == [("x/0", ["control"]), ("y.mask", [])]
    assert found[0].companion("control").tobytes() == draw("black", "cross").tobytes()


def test_patterns_in_braces() -> None:
    def names(pattern: str) -> list[str]:
        return [str(path) for path in spelled_out(Path(pattern))]

    assert names("a-{008..011}.tar") == ["a-008.tar", "a-009.tar", "a-010.tar", "a-011.tar"]
    assert names("{a,b}/{1..2}.tar") == ["a/1.tar", "a/2.tar", "b/1.tar", "b/2.tar"]
    assert names("plain.tar") == ["plain.tar"]
    assert names("a,b/{1,2}.tar,") == ["a", "b/1.tar", "b/2.tar"]


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
    found = read_shard(shard)
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
        read_shard(tmp_path / "bad.tar")


@pytest.mark.parametrize("order", [(".json", ".txt"), (".txt", ".json")])
def test_fields_and_captions_may_stand_in_two_members(tmp_path: Path, order: tuple[str, str]) -> None:
    contents = {".json": b'{"caption": null, "style": "photo"}', ".txt": b"a fox", ".png": png(draw("red", "bar"))}
    shard = write_shard(tmp_path / "a.tar", {f"0{suffix}": contents[suffix] for suffix in (*order, ".png")})
    (record,) = read_shard(shard)
    assert record.captions == ("a fox",)
    assert record.fields["style"] == "photo"
