"""One look at each picture of a collection, which remembers what a comparison needs and forgets the pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from PIL import Image

from safelight.data.backdrop import is_cut_out
from safelight.data.check.likeness import Likeness, likeness
from safelight.data.decoding import decoded, oddities, opened, to_rgba
from safelight.data.record import BadSample, Record

SHAPE_SLACK = 0.02  # of the ratio of sides, by which a companion may differ from its picture


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one picture looks like, and in what it is odd.

    size: width and height, upright. content, pixels: hashes of the file and of what it shows. faults: sentences about
    the pictures that belong to it.
    """

    size: tuple[int, int]
    odd: tuple[str, ...]
    content: bytes
    pixels: bytes
    likeness: Likeness
    faults: tuple[str, ...] = ()


def looks(records: Iterable[Record]) -> Iterator[Look | BadSample]:
    """A look at each record in turn, or why there is none."""
    for record in records:
        try:
            yield look(record)
        except BadSample as error:
            yield error


def look(record: Record) -> Look:
    """Read a picture and what belongs to it; raises BadSample where the picture cannot be read."""
    return record.seen(lambda content: _look(record, content))


def _look(record: Record, content: bytes) -> Look:
    with opened(content) as picture:
        odd = oddities(picture)
    plain = to_rgba(decoded(content))
    return Look(
        size=plain.size,
        odd=(*odd, "alpha") if is_cut_out(plain) else odd,
        content=hashlib.sha256(content).digest(),
        pixels=hashlib.sha256(str(plain.size).encode() + plain.tobytes()).digest(),
        likeness=likeness(plain),
        faults=tuple(_faults(record, plain)),
    )


def _faults(record: Record, plain: Image.Image) -> Iterator[str]:
    for name in record.others:
        try:
            other = record.companion(name)
        except BadSample as error:
            yield str(error)
            continue
        if abs(other.width * plain.height / (other.height * plain.width) - 1) > SHAPE_SLACK:
            sizes = f"{other.width} x {other.height} beside {plain.width} x {plain.height}"
            yield f"The {name} picture of sample {record.key!r} has another shape: {sizes}."
