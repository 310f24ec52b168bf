"""Confidence intervals of 95 %, for shares and for means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from safelight.errors import BadInput
from safelight.evaluation.figure import Interval

Z = 1.959964  # 95 % of a normal distribution lie within so many deviations
ROUNDS = 2000  # of the bootstrap


def share(hits: int, count: int) -> Interval:
    """The share of `hits` among `count`, with the bounds of Wilson (1927), which stay within 0 and 1.

    Raises BadInput where there is nothing to count.
    """
    if not 0 <= hits <= count or count < 1:
        raise BadInput(f"{hits} of {count} is no share; at least one is to be counted.")
    found = hits / count
    middle = (found + Z**2 / (2 * count)) / (1 + Z**2 / count)
    reach = Z / (1 + Z**2 / count) * math.sqrt(found * (1 - found) / count + Z**2 / (4 * count**2))
    # Where all or none hit, rounding would leave the bound a hair beside the value.
    return Interval(found, min(max(middle - reach, 0.0), found), max(min(middle + reach, 1.0), found))


def mean(values: Tensor, groups: Sequence[object] | None = None, seed: int = 0) -> Interval:
    """The mean of values (n,), with bounds by drawing them anew, with replacement (Efron 1979).

    groups: what the values have in common, one for each (the prompt of each picture): whole groups are drawn, for
    pictures of one prompt are alike. Raises BadInput where there is no value.
    """
    if not len(values):
        raise BadInput("There is no value to take the mean of.")
    values = values.double().cpu()
    names = list(range(len(values))) if groups is None else list(groups)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    places = torch.tensor([numbers[name] for name in names])
    sums = torch.zeros(len(numbers), dtype=torch.float64).index_add_(0, places, values)
    sizes = torch.zeros_like(sums).index_add_(0, places, torch.ones_like(values))
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(sums), (ROUNDS, len(sums)), generator=generator)
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = means.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Interval(float(values.mean()), low, high)
