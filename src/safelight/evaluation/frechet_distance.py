"""The Fréchet distance of two sets of pictures, FID (Heusel et al. 2017, equation 6).

    |m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁C₂)^½)

of the means and covariances of their features. The root is never taken: with C₁ = R₁ᵀR₁ and C₂ = R₂ᵀR₂, its trace is
the sum of the singular values of R₁R₂ᵀ, which are positive and well defined however few the pictures are.

FID is biased: fewer pictures give a larger one (Binkowski et al. 2018, section 3), so that a FID of few pictures can be
compared with nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from safelight.errors import BadInput
from safelight.evaluation.figure import Interval
from safelight.evaluation.intervals import Z

FEWEST = 2000  # pictures, of which a FID is told without being asked for


@dataclass(frozen=True)
class Spread:
    """Features around their mean: a row of `places` (n, k) times `root` (k, d) is how far one lies from it.

    The covariance is rootᵀ root. The rows of places have the mean 0 and the mean square n - 1 over n.
    """

    mean: Tensor
    root: Tensor
    places: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Spread:
        """The spread of features (n, d), in float64; raises BadInput for fewer than two."""
        if features.ndim != 2 or len(features) < 2:
            raise BadInput(f"The features are {tuple(features.shape)}; FID needs two sets of at least two pictures.")
        features = features.double()
        middle = features.mean(0)
        scale = (len(features) - 1) ** 0.5
        places, root = torch.linalg.qr((features - middle) / scale)
        return cls(middle, root, places * scale)


def fid(one: Tensor, other: Tensor) -> float:
    """The Fréchet distance of the features (n, d) and (m, d); raises BadInput where they are not of one length."""
    return fid_interval(one, other).value


def fid_interval(one: Tensor, other: Tensor) -> Interval:
    """The same with a 95 % interval: how far it would move with other pictures, but no fewer, from the same sources.

    By the infinitesimal jackknife (Jaeckel 1972): the distance is smooth in means and covariances, and its derivative
    along each picture says how far that picture moves it. The bias is not in the interval: it does not move.
    """
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        raise BadInput(f"The features are {tuple(one.shape)} and {tuple(other.shape)}; they must be of one length.")
    first, second = Spread.of(one), Spread.of(other)
    left, values, right = torch.linalg.svd(first.root @ second.root.T, full_matrices=False)
    between = first.mean - second.mean
    total = sum(spread.root.square().sum() for spread in (first, second))
    distance = float(between.square().sum() + total - 2 * values.sum())
    variance = sum(
        float(_moves(spread, away, basis, values).var() / len(spread.places))
        for spread, away, basis in ((first, between, left), (second, -between, right.T))
    )
    reach = Z * variance**0.5
    return Interval(distance, distance - reach, distance + reach)


def _moves(spread: Spread, away: Tensor, basis: Tensor, values: Tensor) -> Tensor:
    """How far each picture of a set moves the distance: its derivative (n,), up to a constant.

    With c from the mean: 2 c·(m₁ - m₂) + |c|² - cᵀTc, where T is the map of the one normal distribution onto the other,
    T = C₂^½ (C₂^½ C₁ C₂^½)^-½ C₂^½. Of a place p = (R₁ᵀ)⁻¹ c, cᵀTc is the sum of s (u·p)² over singular vectors u and
    values s, so that nothing is inverted.
    """
    offsets = spread.places @ spread.root
    along = (spread.places @ basis).square() @ values
    return 2 * offsets @ away + offsets.square().sum(1) - along
