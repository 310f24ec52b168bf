"""Plurals of names as captions have them, and names that have none."""

from __future__ import annotations

import sys

import pytest

from safelight.data.plurals import _rules, plural
from safelight.errors import BadInput


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a fox", "foxes"),
        ("a strawberry", "strawberries"),
        ("an African lion", "African lions"),
        ("a wolf", "wolves"),
        ("a sheep", "sheep"),
        ("a bus", "buses"),
        ("a DVD", "DVDs"),
        ("a cup of tea", "cups of tea"),
        ("a cloud with lightning and rain", "clouds with lightning and rain"),
        ("a bridge at night", "bridges at night"),
        ("a person", "people"),
        ("a person walking", "people walking"),
        ("a woman wearing a headscarf", "women wearing a headscarf"),
        ("a levitating person in a suit", "levitating people in a suit"),
        ("a walking man", "walking men"),
        ("a slightly smiling face", "slightly smiling faces"),
        ("a grinning squinting face", "grinning squinting faces"),
        ("an office building", "office buildings"),
    ],
)
def test_sure_plurals(caption: str, expected: str) -> None:
    assert plural(caption) == expected


@pytest.mark.parametrize(
    "caption",
    [
        "grapes",
        "the Statue of Liberty",
        "a hand pointing right",
        "a fist facing left",
        "a magnifying glass tilted left",
        "a face blowing a kiss",
        "a glass pouring liquid",
        "a fork and knife",
        "a face with its tongue out",
        "a ",
        "",
    ],
)
def test_names_without_a_sure_plural(caption: str) -> None:
    assert plural(caption) is None


def test_without_inflect(monkeypatch: pytest.MonkeyPatch) -> None:
    _rules.cache_clear()
    monkeypatch.setitem(sys.modules, "inflect", None)
    with pytest.raises(BadInput, match=r"pip install 'safelight\[scenes\]'"):
        plural("a fox")
