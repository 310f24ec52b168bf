"""Choosing captions: the shares that were asked for, tags in every order, and sides."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from safelight.data.captions import CaptionSettings, choose, names_a_side
from safelight.errors import BadInput

DRAWN = 4000


def shares(settings: CaptionSettings, *captions: str) -> dict[str, float]:
    random = Random(0)
    counts = Counter(choose(captions, settings, random) for _ in range(DRAWN))
    return {caption: count / DRAWN for caption, count in counts.items()}


def test_captions_come_as_often_as_they_should() -> None:
    found = shares(CaptionSettings(dropout=0.2, first_share=0.25), "one", "two")
    for caption, share in {"": 0.2, "one": 0.8 * 0.625, "two": 0.8 * 0.375}.items():
        assert found[caption] == pytest.approx(share, abs=0.03)
    assert shares(CaptionSettings(dropout=0, first_share=1), "one", "two") == {"one": 1}
    assert shares(CaptionSettings(dropout=0)) == {"": 1}


def test_tags_are_shuffled_behind_those_that_are_kept() -> None:
    found = shares(CaptionSettings(dropout=0, shuffle_share=1, keep_tags=1), "fox, red ,big,, old")
    orders = [f"fox, {a}, {b}, {c}" for a, b, c in ("rbo", "rob", "bro", "bor", "orb", "obr")]
    names = {"r": "red", "b": "big", "o": "old"}
    expected = {", ".join(names.get(part, part) for part in order.split(", ")) for order in orders}
    assert set(found) == expected
    assert min(found.values()) > 0.12
    half = shares(CaptionSettings(dropout=0, shuffle_share=0.5, keep_tags=0), "a,b")
    assert half["a,b"] == pytest.approx(0.5, abs=0.03), "untouched where it is not shuffled"


def test_tags_are_left_out_but_for_those_that_are_kept() -> None:
    found = shares(CaptionSettings(dropout=0, tag_dropout=0.5, keep_tags=1), "fox, red, big")
    assert set(found) == {"fox", "fox, red", "fox, big", "fox, red, big"}
    assert all(share == pytest.approx(0.25, abs=0.03) for share in found.values())


def test_the_choice_follows_from_the_source() -> None:
    settings = CaptionSettings(shuffle_share=0.5, tag_dropout=0.3)
    drawn = [[choose(("a, b, c", "d"), settings, Random(seed)) for seed in range(50)] for _ in range(2)]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dropout": 1.5}, "captions.dropout is 1.5; it must be from 0 to 1"),
        ({"tag_dropout": float("nan")}, "captions.tag_dropout is nan"),
        ({"keep_tags": -1}, "captions.keep_tags is -1; it must be at least 0"),
    ],
)
def test_bad_settings_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        CaptionSettings(**change)


@pytest.mark.parametrize(
    "caption", ["a fox on the left.", "Left-handed", "RIGHT", "an arrow (right)", "the leftmost cup"]
)
def test_sides_are_seen(caption: str) -> None:
    assert names_a_side(caption)


@pytest.mark.parametrize("caption", ["a bright fox", "upright, leftovers", "copyright", ""])
def test_what_only_looks_like_a_side_is_none(caption: str) -> None:
    assert not names_a_side(caption)
