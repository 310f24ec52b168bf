"""What tells one collection from another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from safelight.data.fingerprint import content_hash, fingerprint
from safelight.data.record import Record
from tests.data.shapes import records

CHANGES: dict[str, Callable[[Record], Record]] = {
    "key": lambda record: replace(record, key="another"),
    "caption": lambda record: replace(record, captions=("another",)),
    "one more": lambda record: replace(record, captions=(*record.captions, "another")),
    "field": lambda record: replace(record, fields={"style": "another"}),
    "picture": lambda record: replace(record, read=lambda: b"another"),
    "companion": lambda record: replace(record, others={"mask": lambda: b"another"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_hash_of_the_content_tells_every_change(change: str) -> None:
    before = records()
    after = [CHANGES[change](before[0]), *before[1:]]
    assert content_hash(before) == content_hash(records()) != content_hash(after)


def test_the_fingerprint_tells_keys_captions_and_order_and_reads_no_picture() -> None:
    def refused() -> bytes:
        raise AssertionError

    before = [replace(record, read=refused) for record in records()]
    assert fingerprint(before) == fingerprint(records()) != fingerprint(before[::-1])
    for change in ("key", "caption", "one more"):
        assert fingerprint([CHANGES[change](before[0]), *before[1:]]) != fingerprint(before)


def test_names_cannot_run_into_one_another() -> None:
    one, other = ([Record(key, captions, {}, bytes)] for key, captions in (("a", ("b", "c")), ("a", ('b", "c',))))
    assert fingerprint(one) != fingerprint(other)


def test_a_picture_that_is_gone_counts_as_none() -> None:
    def gone() -> bytes:
        raise FileNotFoundError

    assert content_hash([Record("a", (), {}, gone)]) == content_hash([Record("a", (), {}, bytes)])
