"""The nearest of some known points to each of others, in blocks, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from safelight.errors import BadInput

BLOCK = 512  # rows compared at once
SPARE = 4  # candidates beyond those asked for, whose distances are then taken exactly


def nearest(queries: Tensor, known: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """The Euclidean distances (n, count) to the nearest of `known`, rising, and which rows these are (n, count).

    queries: (n, ...), known: (m, ...), of the same shape but for the first dimension; pictures are points too.
    Raises BadInput where fewer than `count` are known.
    """
    queries, known = queries.flatten(1), known.flatten(1)
    if not 1 <= count <= len(known):
        raise BadInput(f"count is {count}; {len(known)} points are known, so that it may be 1 to {len(known)}.")
    distances, places = [], []
    for start, squares in squared_distances(queries, known):
        rough = squares.topk(min(count + SPARE, len(known)), largest=False).indices
        block = queries[start : start + len(rough), None]
        exact = (known[rough].double() - block.double()).square().sum(-1).sqrt()
        best = exact.topk(count, largest=False)
        distances.append(best.values)
        places.append(rough.gather(1, best.indices))
    return torch.cat(distances), torch.cat(places)


def squared_distances(queries: Tensor, known: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The first row of each block of queries (n, d), and its rows' squared distances (block, m) to `known` (m, d).

    By |q|² - 2 q·k + |k|², of points moved to the middle of the known ones, so that little is lost to rounding.
    """
    middle = known.mean(0)
    known = known - middle
    lengths = known.square().sum(1)
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK] - middle
        squares = block.square().sum(1, keepdim=True) - 2 * block @ known.T + lengths
        yield start, squares.clamp(min=0)
