"""Shares of what a judge recognised, counted by hand."""

from __future__ import annotations

import pytest
import torch

from safelight.errors import BadInput
from safelight.evaluation.recognition import recognition
from safelight.evaluation.report import Report

LABELS = ["fox", "owl", "cat", "dog", "hen", "pig"]


def scores(*firsts: str) -> torch.Tensor:
    """Each row prefers that label, and then the others in their order."""
    rows = torch.linspace(0.5, 0.1, len(LABELS)).repeat(len(firsts), 1)
    for row, name in enumerate(firsts):
        rows[row, LABELS.index(name)] = 1
    return rows


def test_shares() -> None:
    asked = ["fox", "owl", "pig", "unicorn", None, "fox"]
    found = recognition("concept", "judge 1", scores(*["fox"] * 6), LABELS, asked, ["a", "a", "b", "b", "a", "b"])
    assert found is not None
    first, five = found.figures
    assert (first.name, first.pictures, first.interval.value) == ("concept first", 4, 0.5)
    assert (five.name, five.interval.value) == ("concept first five", 0.75)  # the pig is sixth
    assert list(found.by_asked()) == ["pig", "owl", "fox"]  # the worst first
    assert found.by_asked()["owl"] == {"pictures": 1, "first": 0.0, "first five": 1.0}
    assert found.by_group()["b"] == {"pictures": 2, "first": 0.5, "first five": 0.5}
    assert found.worst() == ["pig 0%", "owl 0%"]


def test_a_judge_that_cannot_decide_has_not_recognised() -> None:
    found = recognition("concept", "judge", torch.ones(1, 6), LABELS, ["fox"], [None])
    assert found is not None
    assert [figure.interval.value for figure in found.figures] == [0, 0]


def test_a_damaged_judge_is_named() -> None:
    with pytest.raises(BadInput, match="The judge 7 gives scores that are no finite numbers"):
        recognition("concept", "judge 7", torch.full((1, 6), float("nan")), LABELS, ["fox"], [None])


def test_nothing_was_asked_for() -> None:
    assert recognition("concept", "judge", scores("fox"), LABELS, ["unicorn"], [None]) is None


def test_a_report_names_the_judge_in_every_column() -> None:
    report = Report({"model": "m"})
    report.recognised(recognition("concept", "classifier 12ab", scores("fox"), LABELS, ["owl"], ["noto"]))
    assert [figure["column"] for figure in report.json()["figures"]] == [
        "concept first (classifier 12ab)",
        "concept first five (classifier 12ab)",
    ]
    assert report.lines()[1].startswith("concept first (classifier 12ab)")
    assert report.lines()[-1] == "concept (classifier 12ab), found least: owl 0%"
    assert report.json()["recognised"]["concept (classifier 12ab)"]["by_group"] == {
        "noto": {"pictures": 1, "first": 0.0, "first five": 1.0}
    }
