"""Drawn pictures are kept, found again, and never mixed with others'."""

from __future__ import annotations

from pathlib import Path

import pytest

from safelight.data.collection import open_collection
from safelight.errors import BadInput
from safelight.evaluation.drawn_folder import DrawnFolder
from safelight.evaluation.prompts import Prompt
from tests.evaluation.tiny_judges import plain

PROMPTS = [Prompt("a fox", concept="fox"), Prompt("an owl", background="red"), Prompt("")]
SETTINGS = {"model": "m", "steps": 5}


def folder(path: Path, prompts: list[Prompt] = PROMPTS, **changes: object) -> DrawnFolder:
    return DrawnFolder(path / "drawn", prompts, 7, {**SETTINGS, **changes})


def test_what_is_there_is_not_missing(tmp_path: Path) -> None:
    drawn = folder(tmp_path)
    drawn.begin()
    assert drawn.missing() == [0, 1, 2]
    drawn.write(1, plain("red"))
    again = folder(tmp_path)
    again.begin()
    assert again.missing() == [0, 2]
    assert [record.captions for record in again.records()] == [("an owl",)]


def test_the_folder_is_a_collection(tmp_path: Path) -> None:
    drawn = folder(tmp_path)
    drawn.begin()
    for number in (0, 1, 2):
        drawn.write(number, plain("red"))
    found, own = open_collection(drawn.path), drawn.records()
    assert [each.captions for each in found] == [each.captions for each in own] == [("a fox",), ("an owl",), ()]
    assert [each.fields["seed"] for each in found] == [7, 8, 9]
    assert found[0].fields["concept"] == own[0].fields["concept"] == "fox"


def test_an_interrupted_picture_is_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = folder(tmp_path)
    drawn.begin()

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("safelight.evaluation.drawn_folder.write_picture", stopped)
    with pytest.raises(KeyboardInterrupt):
        drawn.write(0, plain("red"))
    assert drawn.missing() == [0, 1, 2]
    assert drawn.records() == []


def test_more_prompts_go_on(tmp_path: Path) -> None:
    drawn = folder(tmp_path, PROMPTS[:1])
    drawn.begin()
    drawn.write(0, plain("red"))
    longer = folder(tmp_path)
    longer.begin()
    assert longer.missing() == [1, 2]


def test_pictures_drawn_in_another_way_are_refused(tmp_path: Path) -> None:
    folder(tmp_path).begin()
    with pytest.raises(BadInput, match="drawn with steps 5, not 9; name a new folder"):
        folder(tmp_path, steps=9).begin()


def test_pictures_of_other_prompts_are_refused(tmp_path: Path) -> None:
    drawn = folder(tmp_path)
    drawn.begin()
    drawn.write(0, plain("red"))
    other = folder(tmp_path, [Prompt("a cat")])
    other.begin()
    with pytest.raises(BadInput, match="another prompt than 'a cat'"):
        other.missing()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "holiday.png").write_bytes(b"mine")
    with pytest.raises(BadInput, match="holds something that no evaluation drew"):
        folder(tmp_path).begin()
    assert [file.name for file in (tmp_path / "drawn").iterdir()] == ["holiday.png"]


def test_a_damaged_companion(tmp_path: Path) -> None:
    drawn = folder(tmp_path)
    drawn.begin()
    drawn.write(0, plain("red"))
    drawn.file(0).with_suffix(".json").write_text("{", "utf-8")
    with pytest.raises(BadInput, match=r"000000\.json' cannot be read.*delete it, and its picture is drawn again"):
        drawn.missing()
    drawn.file(0).with_suffix(".json").unlink()
    assert 0 in drawn.missing()
    (drawn.path / "evaluation.json").write_text("{", "utf-8")
    with pytest.raises(BadInput, match=r"cannot be read.*name a new folder with --pictures"):
        folder(tmp_path).begin()
