"""What tells one collection from another: by its words, which is quick, or by all that it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence

from safelight.data.record import Record


def fingerprint(records: Sequence[Record], fields: Sequence[str] = ()) -> str:
    """A hash of the records' keys, their order, their captions and those fields; no picture is read."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(_written([record.key, *record.captions]))
        if fields:
            digest.update(_written([record.fields.get(field) for field in fields]))
    return digest.hexdigest()


def picture_digests(records: Iterable[Record]) -> Iterator[bytes]:
    """The SHA-256 of each record's picture; one that cannot be read counts as empty."""
    return (hashlib.sha256(_content(record.read)).digest() for record in records)


def content_hash(records: Sequence[Record]) -> str:
    """A hash of all that the records hold, pictures, companions, captions and fields, and of their order.

    A sample that cannot be read counts as one without a picture, for that is how training takes it.
    """
    digest = hashlib.sha256()
    for record in records:
        digest.update(_written([record.key, record.captions, record.fields]))
        for name, read in [("", record.read), *sorted(record.others.items())]:
            digest.update(_written([name]) + hashlib.sha256(_content(read)).digest())
    return digest.hexdigest()


def _written(facts: list[object]) -> bytes:
    """The same bytes for the same facts; a line end divides them, which JSON never holds."""
    return (json.dumps(facts, sort_keys=True, default=str) + "\n").encode()


def _content(read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except (OSError, ValueError):
        return b""
