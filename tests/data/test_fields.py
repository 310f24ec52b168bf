"""Captions and fields: what is written beside a picture, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from safelight.data import fields
from safelight.data.collection import open_collection
from safelight.data.fields import captions_of
from safelight.errors import BadInput
from tests.data.shapes import draw, png, write_shard


def test_captions_have_three_names_and_come_once_each() -> None:
    assert captions_of("a", {"text": "a fox "}) == ("a fox",)
    assert captions_of("a", {"caption": ["a fox", " ", "a fox", "red"], "text": "no"}) == ("a fox", "red")
    assert captions_of("a", {"captions": [], "caption": "", "text": None}) == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "cannot be read as UTF-8 text or as JSON"),
        (b"{", "cannot be read as UTF-8 text or as JSON"),
        (b"[" * 200_000, "cannot be read as UTF-8 text or as JSON"),
        (b'["a", "b"]', "holds list"),
        (b'{"captions": [1]}', "captions must be text"),
        (b'{"caption": {"en": "a"}}', "captions must be text"),
    ],
)
def test_bad_fields_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    shard = write_shard(tmp_path / "a.tar", {"bad.json": content, "bad.png": png(draw("red", "bar"))})
    with pytest.raises(BadInput, match=f"bad.*{message}"):
        open_collection(shard)


def test_fields_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "LARGEST_FIELDS", 100)
    shard = write_shard(tmp_path / "a.tar", {"bad.json": b" " * 101, "bad.png": png(draw("red", "bar"))})
    with pytest.raises(BadInput, match=r"bad\.json' has 101 bytes"):
        open_collection(shard)
