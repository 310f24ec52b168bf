"""FID against what is known of normal distributions, and its interval against many repetitions."""

from __future__ import annotations

import numpy
import pytest
import torch

from safelight.errors import BadInput
from safelight.evaluation.frechet_distance import fid, fid_interval


def whitened(count: int, width: int, seed: int) -> torch.Tensor:
    """Points whose mean is exactly 0 and whose covariance is exactly the identity."""
    points = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    points -= points.mean(0)
    root = torch.linalg.cholesky(points.T @ points / (count - 1))
    return torch.linalg.solve_triangular(root, points.T, upper=False).T


def test_of_two_normal_distributions_that_share_their_axes() -> None:
    """|m₁ - m₂|² + Σ (σ₁ - σ₂)² (Dowson and Landau 1982, section 1)."""
    ours, theirs = torch.tensor([1.0, 2.0, 0.5]).double(), torch.tensor([3.0, 2.0, 0.1]).double()
    shift = torch.tensor([0.0, -1.0, 4.0]).double()
    expected = 17 + 4 + 0 + 0.16
    assert fid(whitened(60, 3, 0) * ours, whitened(90, 3, 1) * theirs + shift) == pytest.approx(expected, rel=1e-9)


def test_of_covariances_that_do_not_commute() -> None:
    """tr(C₁ + C₂ - 2 (C₁C₂)^½), the root taken through the eigenvalues of the product."""
    generator = torch.Generator().manual_seed(3)
    one = whitened(80, 4, 0) @ torch.randn(4, 4, generator=generator).double()
    other = whitened(70, 4, 1) @ torch.randn(4, 4, generator=generator).double()
    first, second = numpy.cov(one.numpy(), rowvar=False), numpy.cov(other.numpy(), rowvar=False)
    root = numpy.sqrt(numpy.linalg.eigvals(first @ second).astype(complex)).real.sum()
    assert fid(one, other) == pytest.approx(numpy.trace(first) + numpy.trace(second) - 2 * root, rel=1e-9)


@pytest.mark.parametrize("count", [5, 40])
def test_of_a_set_and_itself(count: int) -> None:
    """Zero, also of fewer pictures than features, where the root of the product is ill-defined."""
    points = torch.randn(count, 16, generator=torch.Generator().manual_seed(2))
    assert fid(points, points.flip(0)) == pytest.approx(0, abs=1e-9)


def test_fewer_pictures_make_it_larger() -> None:
    generator = torch.Generator().manual_seed(4)
    few, many = (fid(*torch.randn(2, count, 32, generator=generator)) for count in (100, 1000))
    assert few > 5 * many > 0


def test_the_interval_holds_the_true_distance() -> None:
    """In about 95 of 100 repetitions, where there are so many pictures that the bias is small beside it."""
    generator = torch.Generator().manual_seed(5)
    scale, shift = torch.tensor([1.5, 0.7]), torch.tensor([1.0, 0.0])
    truth, held, rounds = 1 + 0.25 + 0.09, 0, 300
    for _ in range(rounds):
        one = torch.randn(400, 2, generator=generator)
        found = fid_interval(one, torch.randn(300, 2, generator=generator) * scale + shift)
        held += found.low <= truth <= found.high
    assert 0.91 <= held / rounds <= 0.985


@pytest.mark.parametrize("shapes", [((10, 3), (10, 4)), ((1, 3), (10, 3)), ((10,), (10, 3))])
def test_what_cannot_be_compared(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(BadInput, match="The features are"):
        fid(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
