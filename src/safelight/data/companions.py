"""Pictures that belong to another picture, by their names: `fox.control.png` to `fox.png`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from safelight.data.record import COMPANIONS, Record


def with_companions(records: Sequence[Record]) -> list[Record]:
    """The records without those that are named after another one, which has them as its companions.

    One that is named after nothing, such as `fox.control` where there is no `fox`, stays what it is.
    """
    keys = {record.key for record in records}
    others: dict[str, dict[str, Callable[[], bytes]]] = {}
    owners = []
    for record in records:
        key, _, name = record.key.rpartition(".")
        if name in COMPANIONS and key in keys:
            others.setdefault(key, {})[name] = record.read
        else:
            owners.append(record)
    return [replace(record, others={**record.others, **others.get(record.key, {})}) for record in owners]
