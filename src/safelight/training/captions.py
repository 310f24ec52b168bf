"""The captions and the split of a handful of pictures that nobody wrote captions for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from safelight.data.record import Record

FEW = 50  # pictures, of which none is held out unless they say so themselves


def with_caption(records: Sequence[Record], caption: str) -> list[Record]:
    """The records, those without a caption having this one; an empty one changes nothing."""
    return [record if record.captions or not caption else replace(record, captions=(caption,)) for record in records]


def with_captions(records: Sequence[Record], captions: Sequence[str]) -> list[Record]:
    """The records, each with these captions instead of its own."""
    return [replace(record, captions=tuple(captions)) for record in records]


def all_of_few(records: Sequence[Record]) -> list[Record]:
    """The records; where they are few and none names its split, all are for training."""
    if len(records) > FEW or any("split" in record.fields for record in records):
        return list(records)
    return [replace(record, fields={**record.fields, "split": "train"}) for record in records]
