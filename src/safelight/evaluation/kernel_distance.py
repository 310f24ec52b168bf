"""The kernel distance of two sets of pictures, KID (Binkowski et al. 2018).

It is the squared maximum mean discrepancy of their features, estimated without bias, so that it may be told of few
pictures, and compared between sets of different sizes.

All pairs are counted. The mean over random subsets, which other programs print, has the same expectation and adds the
noise of their choice.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from safelight.errors import BadInput
from safelight.evaluation.figure import Interval

BLOCK = 1024  # rows compared at once
ROUNDS = 400  # of the bootstrap


def kid(one: Tensor, other: Tensor) -> float:
    """The unbiased KID of the features (n, d) and (m, d): section 4 and equation 4 of the paper; may be below zero.

    Raises BadInput for sets of fewer than two, or of features of different lengths.
    """
    weights = [torch.ones(len(features), 1, dtype=torch.float64, device=features.device) for features in (one, other)]
    return float(_weighted(one, other, weights[0], weights[1])[0])


def kid_interval(one: Tensor, other: Tensor, seed: int = 0) -> Interval:
    """The KID with its 95 % interval, by drawing both sets anew, with replacement, from themselves (Efron 1979).

    A picture that is drawn twice makes no pair with itself, so that these draws have no bias either.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = [_redrawn(len(features), generator).to(features.device) for features in (one, other)]
    return _interval(kid(one, other), _weighted(one, other, drawn[0], drawn[1]))


def kid_of_pairs(one: Tensor, other: Tensor) -> float:
    """The KID of features (n, d) whose rows belong together, such as a picture and what an autoencoder makes of it.

    A picture is not compared with its own counterpart (Gretton et al. 2012, equation 4). In `kid` these n comparisons,
    which are of two like pictures, would push the value of a good autoencoder below zero. Raises BadInput as `kid`.
    """
    return float(_weighted_pairs(one, other, torch.ones(len(one), 1, dtype=torch.float64, device=one.device))[0])


def kid_of_pairs_interval(one: Tensor, other: Tensor, seed: int = 0) -> Interval:
    """The same with its 95 % interval, by drawing the pairs anew."""
    drawn = _redrawn(len(one), torch.Generator().manual_seed(seed)).to(one.device)
    return _interval(kid_of_pairs(one, other), _weighted_pairs(one, other, drawn))


def cubic_kernel(one: Tensor, other: Tensor) -> Tensor:
    """(x·y / d + 1)³ of the features (n, d) and (m, d): (n, m), in float64."""
    return (one.double() @ other.double().T / one.shape[1] + 1) ** 3


def _weighted(one: Tensor, other: Tensor, ones: Tensor, others: Tensor) -> Tensor:
    """The KID of each column of weights: how often each row of `one` (n, r) and of `other` (m, r) counts: (r,)."""
    _check(one, other)
    products = sum((ones[rows] * (cubic_kernel(one[rows], other) @ others)).sum(0) for rows in _blocks(len(one)))
    across = products / (ones.sum(0) * others.sum(0))
    return (_apart(one, one, ones) + _apart(other, other, others) - 2 * across).cpu()


def _weighted_pairs(one: Tensor, other: Tensor, weights: Tensor) -> Tensor:
    """The same of pairs, each of which counts so often (n, r)."""
    _check(one, other)
    if len(one) != len(other):
        raise BadInput(f"There are {len(one)} and {len(other)} features; pairs need as many of each.")
    across = _apart(one, other, weights)
    return (_apart(one, one, weights) + _apart(other, other, weights) - 2 * across).cpu()


def _apart(one: Tensor, other: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of the kernel over each row of the one and all rows of the other but that of its number."""
    total = torch.zeros_like(weights[0])
    for rows in _blocks(len(one)):
        kernel = cubic_kernel(one[rows], other)
        kernel[torch.arange(len(kernel)), torch.arange(rows.start, rows.start + len(kernel))] = 0
        total += (weights[rows] * (kernel @ weights)).sum(0)
    return total / (weights.sum(0).square() - weights.square().sum(0))


def _interval(value: float, values: Tensor) -> Interval:
    """A value with bounds from those of the draws."""
    values = values[values.isfinite()]  # where a round draws one picture alone, there is nothing to compare it with
    low, high = (values - values.mean()).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Interval(value, value + low, value + high)


def _check(one: Tensor, other: Tensor) -> None:
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1] or min(len(one), len(other)) < 2:
        raise BadInput(
            f"The features are {tuple(one.shape)} and {tuple(other.shape)}; KID needs two sets of at least two, "
            "of one length."
        )


def _redrawn(count: int, generator: torch.Generator) -> Tensor:
    """How often each of `count` is drawn in each round: (count, ROUNDS)."""
    drawn = torch.randint(count, (count, ROUNDS), generator=generator)
    times = torch.zeros(count, ROUNDS, dtype=torch.float64)
    return times.scatter_add_(0, drawn, torch.ones_like(drawn, dtype=torch.float64))


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, BLOCK):
        yield slice(start, start + BLOCK)
