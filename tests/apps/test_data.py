"""`safelight data check`: what it says of sound and of odd collections, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from safelight.apps.cli import main
from safelight.text import Tokenizer
from tests.data.shapes import draw, png, write_folder


def facts(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main(["data", "check", *map(str, words), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    return {**said, "findings": {cause: each for cause, each in said["findings"].items() if each["count"]}}


def test_a_sound_collection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path)
    assert main(["data", "check", str(tmp_path), "--least-side", "32"]) == 0
    assert capsys.readouterr().out == "16 samples (14 train, 2 val); nothing to say about them.\n"


def test_findings_are_no_error_and_are_told_with_examples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    (tmp_path / "again.png").write_bytes(png(draw("red", "circle")))
    draw("red", "cross").convert("CMYK").resize((64, 64)).save(tmp_path / "press.jpg")
    said = facts(capsys, tmp_path, "--least-side", 33)["findings"]
    assert {cause: each["count"] for cause, each in said.items()} == {
        "unreadable": 1,
        "small": 17,
        "same bytes": 1,
        "near": 1,
        "no caption": 3,
        "cmyk": 1,
    }
    assert said["same bytes"]["examples"] == ["'red-circle' and 'again'"]
    assert main(["data", "check", str(tmp_path)]) == 0
    assert "       1  same bytes: files that repeat an earlier one byte for byte\n" in capsys.readouterr().out


def test_another_collection_must_share_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, other = write_folder(tmp_path / "own"), tmp_path / "other"
    other.mkdir()
    draw("blue", "bar").save(other / "secret.png")
    said = facts(capsys, own, "--least-side", 8, "--against", other)["findings"]
    assert said["against"]["examples"] == ["'blue-bar' and 'secret'"]


def test_captions_are_counted_in_tokens_where_there_is_a_vocabulary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "data")
    tokenizer = Tokenizer.train(["a red bar"] * 9, size=600, length=5)
    tokenizer.save(tmp_path / "tokenizer")
    assert [len(tokenizer.words(caption)) for caption in ("a red bar", "a blue bar")] == [3, 6]
    said = facts(capsys, tmp_path / "data", "--least-side", 8, "--tokenizer", tmp_path / "tokenizer")["findings"]
    assert said["long caption"]["count"] == 15
    assert "above 3" in said["long caption"]["examples"][0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data"], "ACTION"),
        (["data", "check"], "PATH"),
        (["data", "check", "absent"], "'absent' does not exist; give a folder of pictures or of .tar shards, a shard"),
        (["data", "check", ".", "--least-side", "0"], "--least-side is 0; it must be at least 1"),
        (["data", "check", ".", "--tokenizer", "absent"], "The tokenizer in 'absent' cannot be read"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    try:
        code: Any = main(words)
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr().err
    assert (code, said.count("\n")) == (2, 1)
    assert message in said
