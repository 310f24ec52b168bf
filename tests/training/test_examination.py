"""The examination of a new model: which prompts it is asked, and how the judge's answers are counted."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch

from safelight.configs import ClassifierConfig
from safelight.data.collection import Record
from safelight.evaluation.classifier import Classifier, save_classifier
from safelight.training import examination
from safelight.training.examination import Marks, examine, questions
from safelight.weights import save_folder
from tests.data.shapes import SHAPES, SIDE, records
from tests.training.tiny_tasks import parts


def answers(steps: Generator[int, None, Marks]) -> tuple[list[int], Marks]:
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return seen, end.value


def test_a_concept_is_asked_for_by_its_commonest_first_caption() -> None:
    def record(key: str, split: str, *captions: str) -> Record:
        return Record(key, captions, {"concept": "fox", "split": split}, bytes)

    asked = questions(
        [
            record("a", "train", "a fox", "x"),
            record("b", "train", "a red fox", "x"),
            record("c", "train", "a fox", "x"),
            *[record(f"v{number}", "val", "a grey fox") for number in range(5)],
        ]
    )
    assert asked == {"fox": "a fox"}


@pytest.mark.parametrize("names", [SHAPES, SHAPES[::-1]])
def test_the_judge_who_sees_only_circles_finds_a_quarter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    save_folder(tmp_path / "model", parts())
    judge = Classifier(ClassifierConfig(size=32, channels=(8, 8), groups=4), {"concept": names})
    save_classifier(tmp_path / "judge", judge)

    def circles(_: Any, pictures: Any) -> dict[str, torch.Tensor]:
        answer = torch.zeros(len(pictures), len(names))
        answer[:, names.index("circle")] = 1
        return {"concept": answer}

    monkeypatch.setattr(examination, "classify", circles)
    seen, marks = answers(examine(tmp_path / "model", tmp_path / "judge", records(), seeds=2, steps=2))
    assert seen == [1, 2, 3, 4]
    assert (marks.found.value, marks.pictures) == (0.25, 8)
    assert marks.found.low < 0.25 < marks.found.high
    assert marks.by_concept == {"bar": 0, "circle": 1, "cross": 0, "square": 0}
    assert marks.worst == ["bar", "cross", "square"]
    assert marks.sheet.height == SIDE


def test_the_judge_sees_what_the_model_drew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_folder(tmp_path / "model", parts())
    judge = Classifier(ClassifierConfig(size=32, channels=(8,), groups=4), {"concept": SHAPES})
    save_classifier(tmp_path / "judge", judge)
    shown: list[Any] = []
    monkeypatch.setattr(
        examination, "classify", lambda _, pictures: shown.append(pictures) or {"concept": torch.eye(len(SHAPES))[:1]}
    )
    _, marks = answers(examine(tmp_path / "model", tmp_path / "judge", records(), seeds=1, steps=2))
    assert [len(pictures) for pictures in shown] == [1] * len(SHAPES)
    assert marks.sheet.crop((0, 0, SIDE, SIDE)).tobytes() == shown[0][0].tobytes()
