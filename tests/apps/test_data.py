"""`safelight data check` and `vary`: what they say of sound and of odd collections, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from safelight.apps.cli import main
from safelight.data import variations
from safelight.data.collection import open_collection
from safelight.data.record import Record
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


def vary(folder: Path, *words: object) -> list[str]:
    return ["data", "vary", str(folder), str(folder.parent / "varied.tar"), *map(str, words)]


def with_sky(folder: Path) -> Path:
    """The sixteen shapes, cut out and without a colour in their names, and one sky for those to train on."""
    write_folder(folder, "none")
    for file in folder.glob("*.json"):
        fields = json.loads(file.read_text("utf-8"))
        file.write_text(json.dumps(fields | {"captions": [f"a {fields['concept']}"]}), "utf-8")
    Image.new("RGB", (32, 32), (250, 220, 170)).save(folder / "sky.png")
    (folder / "sky.json").write_text(
        json.dumps({"captions": ["an evening sky"], "style": "background", "split": "train"})
    )
    return folder


def test_varied_pictures_are_counted_and_read_beside_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = with_sky(tmp_path / "data")
    assert main(vary(folder, "--painted", 2)) == 0
    assert capsys.readouterr().out == (
        f"{tmp_path / 'varied.tar'}: 24 painted, 14 under skies; not painted: no other colour suits it (8), "
        "a background (1); not under skies: no sky suits it (2), a background (1).\n"
    )
    own = open_collection(folder)
    both = open_collection(Path(f"{folder},{tmp_path / 'varied.tar'}"))
    assert [record.key for record in both[: len(own)]] == [record.key for record in own]
    assert len(both) == 17 + 24 + 14
    first = (tmp_path / "varied.tar").read_bytes()
    (tmp_path / "varied.tar").unlink()
    assert main([*vary(folder, "--painted", 2), "--json"]) == 0
    assert (tmp_path / "varied.tar").read_bytes() == first
    assert json.loads(capsys.readouterr().out)["made"] == {"painted": 24, "under skies": 14}


def test_only_chosen_things_are_varied_over_all_skies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = with_sky(tmp_path / "data")
    assert main(vary(folder, "--painted", 0, "--where", "concept=bar,cross")) == 0
    assert ": 6 under skies; " in capsys.readouterr().out
    assert {record.fields["concept"] for record in open_collection(tmp_path / "varied.tar")} == {"bar", "cross"}


def test_scenes_are_made_where_they_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = with_sky(tmp_path / "data")
    assert main(vary(folder, "--painted", 0, "--skies", 0, "--scenes", 2)) == 0
    assert capsys.readouterr().out == (f"{tmp_path / 'varied.tar'}: 32 in scenes; not in scenes: a background (1).\n")
    scenes = open_collection(tmp_path / "varied.tar")
    of_one = {record.key: record.split for record in open_collection(folder)}
    assert {record.split for record in scenes} == {"train", "val"}
    for scene in scenes:
        assert "concept" not in scene.fields
        assert {of_one[key] for key in (scene.fields["derived_from"], *scene.fields["beside"])} == {scene.split}


def test_what_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = with_sky(tmp_path / "data")
    real = variations.under_skies
    asked: list[str] = []

    def until_the_third(record: Record, skies: list[Record], count: int) -> Any:
        asked.append(record.key)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(record, skies, count)

    monkeypatch.setattr(variations, "under_skies", until_the_third)
    assert main(vary(folder)) == 130
    assert len(asked) == 3
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.zip"], "'a.zip' must end in .tar; one shard is written"),
        (["here.tar"], "'here.tar' exists; give another name, or delete it first"),
        (["absent/a.tar"], "its folder 'absent' does not exist"),
        (["a.tar", "--painted", "-1"], "--painted is -1; it must be"),
        (["a.tar", "--painted", "0", "--skies", "0", "--scenes", "0"], "--painted, --skies and --scenes are all 0"),
        (["a.tar", "--where", "style"], "--where is 'style'; it must be a field and its values"),
        (["a.tar", "--where", "style=oil"], "has style in ['oil']"),
        (["a.tar"], "No picture was derived from the 1 in '.': not painted: not cut out (1); not under skies: not cut"),
    ],
)
def test_what_cannot_be_varied_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a square")
    monkeypatch.chdir(tmp_path)
    if "here.tar" in words:
        Path("here.tar").write_bytes(b"mine")
    before = sorted(tmp_path.iterdir())
    assert main(["data", "vary", "." if "here.tar" not in words else "a.png", *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert message in said
    assert sorted(tmp_path.iterdir()) == before
