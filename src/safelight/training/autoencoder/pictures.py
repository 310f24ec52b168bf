"""Which pictures an autoencoder learns from and is judged by: photos and illustrations, apart."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import islice

from safelight.data.collection import BadSample, Record

EVALUATED = {"photo": 48, "illustration": 96}  # held-out pictures at most, of each kind
notes = logging.getLogger(__name__)


def by_kind(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Photos and illustrations apart: the field `style` says which is a photo."""
    kinds: dict[str, list[Record]] = {"photo": [], "illustration": []}
    for record in records:
        kinds["photo" if record.fields.get("style") == "photo" else "illustration"].append(record)
    return kinds


def judged(held_out: Sequence[Record]) -> dict[str, list[Record]]:
    """The held-out pictures that figures are of, by kind; only kinds that have some."""
    mixed = sorted(held_out, key=lambda record: record.key[::-1])  # all sources mixed
    chosen = {kind: readable(found, EVALUATED[kind]) for kind, found in by_kind(mixed).items()}
    return {kind: found for kind, found in chosen.items() if found}


def readable(records: Sequence[Record], count: int) -> list[Record]:
    """The first `count` whose pictures can be read; a warning names each that cannot."""
    return list(islice(filter(_can_be_read, records), count))


def _can_be_read(record: Record) -> bool:
    try:
        record.picture()
    except BadSample as error:
        notes.warning("%s It is left out of the figures.", error)
        return False
    return True
