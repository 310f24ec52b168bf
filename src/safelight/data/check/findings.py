"""What may be wrong with a collection, found by comparing the looks at its pictures, its captions and its splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from safelight.data.check.likeness import alike
from safelight.data.check.look import Look
from safelight.data.check.report import Report
from safelight.data.fields import written
from safelight.data.record import BadSample, Record

Looked = tuple[Record, Look | BadSample]


def words(caption: str) -> int:
    """The length of a caption where no vocabulary says how many tokens it has."""
    return len(caption.split())


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What counts as too small, in pixels, and as too long, in what `length` counts."""

    least_side: int = 64
    longest_caption: int = 77
    length: Callable[[str], int] = words


def check(own: Sequence[Looked], other: Sequence[Looked], limits: Limits) -> Report:
    """Everything that was found in a collection; `other` is one that it should have no picture in common with."""
    splits = Counter(record.split for record, _ in own)
    report = Report(len(own), dict(sorted(splits.items())))
    keys: set[str] = set()
    for record, look in own:
        if record.key in keys:
            report.add("same key", repr(record.key))
        keys.add(record.key)
        if record.split not in ("train", "val"):
            report.add("other split", f"{record.key!r}: {record.split}")
        _check_picture(report, record, look, limits)
        _check_captions(report, record, limits)
    _check_twins(report, own, other)
    return report


def _check_picture(report: Report, record: Record, look: Look | BadSample, limits: Limits) -> None:
    if isinstance(look, BadSample):
        report.add("unreadable", str(look))
        return
    if look.faults:
        report.add("companion", " ".join(look.faults))
    if min(look.size) < limits.least_side:
        report.add("small", f"{record.key!r}: {look.size[0]} x {look.size[1]}, below {limits.least_side}")
    for name in look.odd:
        report.add(name, repr(record.key))


def _check_captions(report: Report, record: Record, limits: Limits) -> None:
    if not record.captions:
        report.add("no caption", repr(record.key))
    elif any(not caption.strip() for caption in written(record.fields)):
        report.add("empty caption", repr(record.key))
    for caption in record.captions:
        if (length := limits.length(caption)) > limits.longest_caption:
            said = f"{caption[:50]!r} ..."
            report.add("long caption", f"{record.key!r}: {length}, above {limits.longest_caption}: {said}")
            break


@dataclass
class _Twins:
    """Samples that show the very same, by their places in both collections together, first ones first."""

    places: list[int]
    look: Look


def _check_twins(report: Report, own: Sequence[Looked], other: Sequence[Looked]) -> None:
    together = [*own, *other]
    names = [record.key for record, _ in together]
    groups = _same(report, together, len(own))
    leaks: dict[int, int] = {}
    shared: dict[int, int] = {}
    near: dict[int, int] = {}
    for one, another in _close(groups):
        if one is not another and another.places[0] < len(own):
            near.setdefault(another.places[0], one.places[0])
        for places, beside in ((one.places, another.places), (another.places, one.places)):
            training = [place for place in beside if place < len(own) and own[place][0].split == "train"]
            foreign = [place for place in beside if place >= len(own)]
            for place in (place for place in places if place < len(own)):
                if training and own[place][0].split != "train":
                    leaks.setdefault(place, training[0])
                if foreign:
                    shared.setdefault(place, foreign[0])
    for cause, pairs in (("near", near), ("leak", leaks), ("against", shared)):
        for place, twin in sorted(pairs.items()):
            report.add(cause, f"{names[place]!r} and {names[twin]!r}")


def _same(report: Report, together: Sequence[Looked], own: int) -> list[_Twins]:
    """The samples in groups that show the same, those of the first `own` that repeat another one told."""
    by_content: dict[bytes, _Twins] = {}
    by_pixels: dict[bytes, _Twins] = {}
    for place, (record, look) in enumerate(together):
        if isinstance(look, BadSample):
            continue
        cause = "same bytes" if look.content in by_content else "same pixels"
        group = by_content.get(look.content) or by_pixels.get(look.pixels)
        if group is None:
            group = _Twins([], look)
        elif place < own:
            report.add(cause, f"{record.key!r} and {together[group.places[0]][0].key!r}")
        group.places.append(place)
        by_content.setdefault(look.content, group)
        by_pixels.setdefault(look.pixels, group)
    return list(by_pixels.values())


def _close(groups: Sequence[_Twins]) -> Iterator[tuple[_Twins, _Twins]]:
    """Each group with itself, then each pair of groups that look alike, in the order of their first samples."""
    yield from ((group, group) for group in groups)
    for one, another in alike([group.look.likeness for group in groups]):
        yield groups[one], groups[another]
