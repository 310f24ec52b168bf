"""Findings: each cause on a collection that has it once, and silence on one that has none."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from safelight.data.check.findings import Limits, check
from safelight.data.check.look import looks
from safelight.data.check.report import CAUSES, EXAMPLES, Report
from safelight.data.record import Record
from tests.data.check.test_likeness import scene, squeezed
from tests.data.shapes import png

LIMITS = Limits(least_side=100, longest_caption=5)


def record(
    key: str, picture: bytes, split: str = "train", captions: Sequence[str] = ("a scene",), **fields: Any
) -> Record:
    return Record(key, tuple(captions), {"split": split, "captions": list(captions), **fields}, lambda: picture)


def plain(count: int = 3) -> list[Record]:
    return [record(f"s{seed}", png(scene(seed))) for seed in range(count)]


def report_of(own: list[Record], other: Sequence[Record] = ()) -> Report:
    return check(list(zip(own, looks(own), strict=True)), list(zip(other, looks(other), strict=True)), LIMITS)


def found(report: Report) -> dict[str, list[str]]:
    for finding in report.findings.values():
        assert min(finding.count, EXAMPLES) == len(finding.examples)
    return {cause: finding.examples for cause, finding in report.findings.items() if finding.count}


def other_pixels(picture: Image.Image) -> bytes:
    """Almost the same picture."""
    changed = picture.copy()
    changed.putpixel((0, 0), (1, 2, 3, 255))
    return png(changed)


def webp(picture: Image.Image) -> bytes:
    """The same pixels in another file."""
    file = io.BytesIO()
    picture.save(file, "WEBP", lossless=True)
    return file.getvalue()


def test_a_sound_collection_has_no_findings() -> None:
    report = report_of(plain())
    assert found(report) == {}
    assert report.sentences() == ["3 samples (3 train); nothing to say about them."]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (record("x", b"GIF89a"), {"unreadable": ["cannot be read"]}),
        (record("x", png(scene(9).resize((90, 120)))), {"small": ["'x': 90 x 120, below 100"]}),
        (record("x", png(scene(0))), {"same bytes": ["'x' and 's0'"]}),
        (record("x", webp(scene(0))), {"same pixels": ["'x' and 's0'"]}),
        (record("x", png(squeezed(scene(0)))), {"near": ["'x' and 's0'"]}),
        (record("x", other_pixels(scene(1)), "val"), {"near": ["'x' and 's1'"], "leak": ["'x' and 's1'"]}),
        (
            record("x", png(scene(1)), "test"),
            {"same bytes": ["'x' and 's1'"], "leak": ["'x' and 's1'"], "other split": ["'x': test"]},
        ),
        (record("s2", png(scene(9))), {"same key": ["'s2'"]}),
        (record("x", png(scene(9)), captions=()), {"no caption": ["'x'"]}),
        (record("x", png(scene(9)), text=" ", captions=("a", " ")), {"empty caption": ["'x'"]}),
        (
            record("x", png(scene(9)), captions=("a", "one two three four five six")),
            {"long caption": ["'x': 6, above 5"]},
        ),
        (record("x", png(scene(9).convert("L"))), {"grey": ["'x'"]}),
        (record("x", png(Image.new("RGBA", (200, 200), (9, 9, 9, 9)))), {"alpha": ["'x'"]}),
    ],
)
def test_each_cause_is_told_with_its_sample(extra: Record, expected: dict[str, list[str]]) -> None:
    extra = replace(extra, captions=tuple(caption for caption in extra.captions if caption.strip()))
    told = found(report_of([*plain(), extra]))
    assert list(told) == list(expected)
    for cause, examples in expected.items():
        assert len(told[cause]) == 1
        assert examples[0] in told[cause][0]


def test_companions_are_looked_at() -> None:
    good, small = (lambda: png(scene(0))), (lambda: png(scene(0).resize((80, 60))))
    wide, bad = (lambda: png(Image.new("L", (100, 20)))), (lambda: b"")
    own = [
        replace(each, others={"mask": good, "depth": other})
        for each, other in zip(plain(), (small, wide, bad), strict=True)
    ]
    told = found(report_of(own))
    assert list(told) == ["companion"]
    assert "The depth picture of sample 's1' has another shape: 100 x 20 beside 160 x 120" in told["companion"][0]
    assert "The depth picture of sample 's2' cannot be read" in told["companion"][1]


def test_another_collection_is_compared_and_its_own_twins_are_not_told() -> None:
    other = [
        record(f"o{i}", png(picture)) for i, picture in enumerate((scene(0), scene(0), squeezed(scene(2)), scene(7)))
    ]
    told = found(report_of(plain(), other))
    assert told == {"against": ["'s0' and 'o0'", "'s2' and 'o2'"]}


def test_a_split_that_is_never_used_is_told() -> None:
    own = [record("t", png(scene(0))), record("v", png(scene(1)), "val"), record("o", png(scene(2)), "validation")]
    assert found(report_of(own)) == {"other split": ["'o': validation"]}


def test_a_leak_is_seen_through_copies() -> None:
    """The held-out picture looks like one whose exact copy is in training, under another name."""
    own = [record("v", png(scene(0)), "val"), record("w", png(squeezed(scene(0))), "val")]
    own.append(record("t", webp(squeezed(scene(0)))))
    assert found(report_of(own))["leak"] == ["'v' and 't'", "'w' and 't'"]


def test_counts_go_beyond_the_examples_and_every_cause_is_in_the_facts() -> None:
    own = [record(f"x{i}", png(scene(0))) for i in range(EXAMPLES + 3)]
    report = report_of(own)
    assert report.count("same bytes") == EXAMPLES + 2
    facts = report.facts()
    assert (facts["samples"], facts["splits"], list(facts["findings"])) == (
        EXAMPLES + 3,
        {"train": EXAMPLES + 3},
        list(CAUSES),
    )
    assert facts["findings"]["same bytes"]["count"] == EXAMPLES + 2
    assert report.sentences()[-1].strip() == "..."
