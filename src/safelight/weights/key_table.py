"""Foreign weight names as data: rows of two patterns, ours and theirs, read in either direction.

A pattern names a module or a tensor; `#` stands for a number and means the same number in both patterns of a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

from safelight.weights.packing import PLAIN, Packing

Rows = tuple[tuple[str, str], ...]
LEAVES = (".weight", ".bias")


@dataclass(frozen=True)
class Packed:
    """A row for tensors that differ in more than their names: several of ours, packed in one of theirs."""

    ours: tuple[str, ...]
    theirs: str
    packing: Packing


@dataclass(frozen=True)
class Place:
    """Where the numbers of one foreign tensor belong: these tensors of ours, unpacked in this way."""

    ours: tuple[str, ...]
    packing: Packing


def under(ours: str, theirs: str, rows: Rows) -> Rows:
    """The same rows inside a module that is called `ours` here and `theirs` there."""
    return tuple((f"{ours}.{inner}", f"{theirs}.{outer}") for inner, outer in rows)


def packed_under(ours: str, theirs: str, rows: tuple[Packed, ...]) -> tuple[Packed, ...]:
    """The same packed rows inside a module that is called `ours` here and `theirs` there."""
    return tuple(
        Packed(tuple(f"{ours}.{inner}" for inner in row.ours), f"{theirs}.{row.theirs}", row.packing) for row in rows
    )


@dataclass(frozen=True, kw_only=True)
class KeyTable:
    """How one foreign layout calls the tensors of one of our networks.

    rows: (ours, theirs). packed: those that are fused or of another shape there. older: (ours, theirs) as other
    versions of that layout had it: read, never written. ignored: patterns of foreign tensors that carry no weights.
    """

    rows: Rows
    packed: tuple[Packed, ...] = ()
    older: Rows = ()
    ignored: tuple[str, ...] = ()

    def theirs(self, name: str) -> str:
        """Our name -> the name in the file. Raises KeyError where the table has a hole."""
        for ours, row in self._by_ours.near(name):
            if (translated := _translate(name, ours, row.theirs)) is not None:
                return translated
        raise KeyError(name)

    def ours(self, name: str) -> str | None:
        """The name in the file -> our name (the first, of several), or None where this layout has no such tensor."""
        place = self.place(name)
        return None if place is None else place.ours[0]

    def place(self, name: str) -> Place | None:
        """The name in the file -> all of ours that its tensor holds, or None where this layout has no such tensor."""
        for theirs, row in self._by_theirs.near(name):
            names = tuple(_translate(name, theirs, ours) for ours in row.ours)
            if names[0] is not None:
                return Place(tuple(ours for ours in names if ours is not None), row.packing)
        return None

    def ignores(self, name: str) -> bool:
        """Whether a foreign tensor is known and of no use."""
        return any(_translate(name, pattern, "") is not None for pattern in self.ignored)

    @cached_property
    def _written(self) -> tuple[Packed, ...]:
        return (*(Packed((ours,), theirs, PLAIN) for ours, theirs in self.rows), *self.packed)

    @cached_property
    def _by_ours(self) -> _Index:
        return _Index([(ours, row) for row in self._written for ours in row.ours])

    @cached_property
    def _by_theirs(self) -> _Index:
        older = (Packed((ours,), theirs, PLAIN) for ours, theirs in self.older)
        return _Index([(row.theirs, row) for row in (*self._written, *older)])


class _Index:
    """Rows by what stands before the first number in their pattern, so that a name meets few of them."""

    def __init__(self, rows: list[tuple[str, Packed]]) -> None:
        self.rows: dict[str, list[tuple[str, Packed]]] = {}
        for pattern, row in rows:
            self.rows.setdefault(_steady_part(pattern), []).append((pattern, row))

    def near(self, name: str) -> Iterator[tuple[str, Packed]]:
        """The rows that may fit a name, the most particular first."""
        while name:
            yield from self.rows.get(name, ())
            name = name.rpartition(".")[0]
        yield from self.rows.get("", ())


def _steady_part(pattern: str) -> str:
    steady, number, _ = pattern.partition("#")
    return steady.rpartition(".")[0] if number else pattern


def _translate(name: str, source: str, target: str) -> str | None:
    if "#" not in source:
        leaf = name[len(source) :]
        return target + leaf if name.startswith(source) and (not leaf or leaf in LEAVES) else None
    match = _expression(source).fullmatch(name)
    if match is None:
        return None
    *numbers, leaf = match.groups(default="")
    for number in numbers:
        target = target.replace("#", number, 1)
    return target + leaf


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\#", r"(\d+)") + r"(\.weight|\.bias)?")
