"""Foreign weight names as data: rows of two patterns, ours and theirs, read in either direction.

A pattern names a module or a tensor; `#` stands for a number and means the same number in both patterns of a row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

Rows = tuple[tuple[str, str], ...]


def under(ours: str, theirs: str, rows: Rows) -> Rows:
    """The same rows inside a module that is called `ours` here and `theirs` there."""
    return tuple((f"{ours}.{inner}", f"{theirs}.{outer}") for inner, outer in rows)


@dataclass(frozen=True, kw_only=True)
class KeyTable:
    """How one foreign layout calls the tensors of one of our networks.

    rows: (ours, theirs). older: (ours, theirs) as other versions of that layout had it: read, never written.
    ignored: patterns of foreign tensors that carry no weights.
    """

    rows: Rows
    older: Rows = ()
    ignored: tuple[str, ...] = ()

    def theirs(self, name: str) -> str:
        """Our name -> the name in the file. Raises KeyError where the table has a hole."""
        for ours, theirs in self.rows:
            if (translated := _translate(name, ours, theirs)) is not None:
                return translated
        raise KeyError(name)

    def ours(self, name: str) -> str | None:
        """The name in the file -> our name, or None where this layout has no such tensor."""
        for ours, theirs in (*self.rows, *self.older):
            if (translated := _translate(name, theirs, ours)) is not None:
                return translated
        return None

    def ignores(self, name: str) -> bool:
        """Whether a foreign tensor is known and of no use."""
        return any(_expression(pattern).fullmatch(name) for pattern in self.ignored)


def _translate(name: str, source: str, target: str) -> str | None:
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
