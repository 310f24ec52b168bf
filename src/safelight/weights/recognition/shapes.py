"""The shapes of one part's tensors, by their names without the part's prefix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from safelight.errors import BadCheckpoint

GROUPS = 32  # of every published network's norms


class Shapes:
    """What a configuration is inferred from."""

    def __init__(self, part: str, tensors: Mapping[str, Tensor]) -> None:
        self.part = part
        self.tensors = tensors

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def of(self, name: str, dimensions: int) -> tuple[int, ...]:
        """The shape of a tensor that must be there; raises BadCheckpoint."""
        shape = tuple(self.tensors[name].shape) if name in self.tensors else ()
        if len(shape) != dimensions or 0 in shape:
            found = "x".join(map(str, shape)) if shape else "missing"
            raise BadCheckpoint(
                f"{self.part}: the tensor {name!r} is {found}; it is needed, with {dimensions} dimensions."
            )
        return shape

    def count(self, pattern: str) -> int:
        """How many of the tensors `pattern` with # replaced by 0, 1, 2, ... follow one another."""
        number = 0
        while pattern.replace("#", str(number)) in self.tensors:
            number += 1
        return number


def likely_groups(channels: Sequence[int]) -> int:
    """The groups of the norms, which no shape shows: 32, or where that cannot be the largest power of 2 that can."""
    together = math.gcd(*channels)
    groups = GROUPS
    while together % groups:
        groups //= 2
    return groups
