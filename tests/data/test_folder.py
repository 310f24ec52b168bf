"""Folders: captions beside each picture or in one file, companions, and files that are none of ours."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from safelight.data.collection import open_collection
from safelight.data.folder import read_folder
from safelight.errors import BadInput
from tests.data.shapes import draw, png

RED, BLUE = png(draw("red", "bar")), png(draw("blue", "bar"))


def test_text_companions_hold_one_caption_a_line(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "fox.png").write_bytes(png(draw("red", "bar")))
    (tmp_path / "sub" / "fox.txt").write_text("\ufeffa fox\n\n  ein roter Füchs \r\na fox\n", "utf-8")
    (record,) = open_collection(tmp_path)
    assert (record.key, record.captions) == ("sub/fox", ("a fox", "ein roter Füchs"))


CAPTION_FILES = {
    "captions.txt": "a.png\ta red bar\nsub/b.png\ta blue bar\na.png\tred\n",
    "captions.csv": 'file,caption\na.png,a red bar\nsub/b.png,"a blue bar"\na.png,red\n',
    "captions.tsv": "image\ttext\na.png\ta red bar\nsub/b.png\ta blue bar\na.png\tred\n",
    "captions.jsonl": '{"file": "a.png", "captions": ["a red bar", "red"]}\n\n'
    '{"file": "sub/b.png", "text": "a blue bar"}',
    "metadata.jsonl": '{"file_name": "./a.png", "text": ["a red bar", "red"]}\n'
    '{"file_name": "sub/b.png", "text": "a blue bar"}',
}


@pytest.mark.parametrize("name", CAPTION_FILES)
def test_one_file_holds_all_captions(tmp_path: Path, name: str) -> None:
    (tmp_path / "sub").mkdir()
    for picture, content in {"a.png": RED, "sub/b.png": BLUE, "sub/c.png": BLUE}.items():
        (tmp_path / picture).write_bytes(content)
    (tmp_path / name).write_text(CAPTION_FILES[name], "utf-8")
    assert {record.key: (record.captions, record.read()) for record in read_folder(tmp_path)} == {
        "a": (("a red bar", "red"), RED),
        "sub/b": (("a blue bar",), BLUE),
        "sub/c": ((), BLUE),
    }


def test_each_folder_may_have_a_file_of_its_own_and_rows_without_a_picture_stay(tmp_path: Path) -> None:
    for folder, content in {"train": RED, "val": BLUE}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(content)
        rows = [{"file_name": name, "text": folder, "split": folder} for name in ("a.png", "gone.png")]
        (tmp_path / folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = read_folder(tmp_path)
    assert [(record.key, record.captions[0], record.split) for record in found] == [
        ("train/a", "train", "train"),
        ("val/a", "val", "val"),
        ("train/gone", "train", "train"),
        ("val/gone", "val", "val"),
    ]
    with pytest.raises(BadInput, match="'train/gone' cannot be read"):
        found[2].picture()


def test_two_files_of_captions_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(RED)
    for name in ("captions.csv", "metadata.jsonl"):
        (tmp_path / name).write_text(CAPTION_FILES[name])
    with pytest.raises(BadInput, match=r"holds both 'captions\.csv' and 'metadata\.jsonl'; keep one"):
        read_folder(tmp_path)


def test_a_picture_may_be_called_captions(tmp_path: Path) -> None:
    (tmp_path / "captions.png").write_bytes(RED)
    (tmp_path / "captions.txt").write_text("a picture of captions")
    (record,) = read_folder(tmp_path)
    assert record.captions == ("a picture of captions",)


def test_companions_belong_to_their_picture_and_lonely_ones_are_pictures(tmp_path: Path) -> None:
    for name in ("fox.png", "fox.control.png", "fox.mask.jpg", "fox.old.png", "cat.depth.png"):
        (tmp_path / name).write_bytes(BLUE)
    assert {record.key: sorted(record.others) for record in read_folder(tmp_path)} == {
        "fox": ["control", "mask"],
        "fox.old": [],
        "cat.depth": [],
    }


def test_hidden_files_pipes_and_broken_links_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(RED)
    (tmp_path / "._a.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "a.png").write_bytes(BLUE)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "absent.png")
    assert [record.key for record in read_folder(tmp_path)] == ["a"]


def test_two_pictures_of_one_name_both_count(tmp_path: Path) -> None:
    for name in ("fox.jpg", "fox.png"):
        (tmp_path / name).write_bytes(RED)
    (tmp_path / "fox.txt").write_text("a fox")
    assert [(record.key, record.captions) for record in read_folder(tmp_path)] == [
        ("fox", ("a fox",)),
        ("fox.png", ("a fox",)),
    ]


def test_companions_by_name_and_by_list_go_together_and_are_no_samples(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    for name, content in {"fox.png": RED, "fox.mask.png": BLUE, "maps/fox.png": BLUE, "maps/owl.png": RED}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "metadata.csv").write_text("file_name,text,control\nfox.png,a fox,maps/fox.png\n")
    found = {record.key: sorted(record.others) for record in read_folder(tmp_path)}
    assert found == {"fox": ["control", "mask"], "maps/owl": []}
    (tmp_path / "metadata.csv").write_text("file_name,text,before\nfox.png,a fox,maps/fox.png\nmaps/fox.png,an owl,\n")
    assert {record.key: record.captions for record in read_folder(tmp_path)} == {
        "fox": ("a fox",),
        "maps/fox": ("an owl",),
        "maps/owl": (),
    }
