"""KID against its definition, its expectation, and many repetitions."""

from __future__ import annotations

import itertools

import pytest
import torch

from safelight.errors import BadInput
from safelight.evaluation import kernel_distance
from safelight.evaluation.kernel_distance import kid, kid_interval, kid_of_pairs, kid_of_pairs_interval


def normal(count: int, generator: torch.Generator, width: int = 4) -> torch.Tensor:
    return torch.randn(count, width, generator=generator)


@pytest.mark.parametrize("block", [3, 1024])
def test_as_defined(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over pairs, written out (Binkowski et al. 2018, equation 4)."""
    monkeypatch.setattr(kernel_distance, "BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    one, other = normal(7, generator).double(), normal(5, generator).double() + 1

    def kernel(x: torch.Tensor, y: torch.Tensor) -> float:
        return float((x @ y / 4 + 1) ** 3)

    within = [
        sum(kernel(x, y) for x, y in itertools.permutations(points, 2)) / (len(points) * (len(points) - 1))
        for points in (one, other)
    ]
    across = sum(kernel(x, y) for x in one for y in other) / 35
    assert kid(one, other) == pytest.approx(sum(within) - 2 * across, rel=1e-12)


def test_no_bias() -> None:
    """Of two sets of one distribution it is zero on average, however few they are, and may be below."""
    generator = torch.Generator().manual_seed(1)
    values = torch.tensor([kid(normal(10, generator), normal(15, generator)) for _ in range(2000)])
    assert abs(float(values.mean())) < 3 * float(values.std()) / 2000**0.5
    assert (values < 0).float().mean() > 0.3


def test_of_distributions_apart_it_does_not_depend_on_how_many() -> None:
    generator = torch.Generator().manual_seed(2)
    few = torch.tensor([kid(normal(8, generator), normal(8, generator) + 1) for _ in range(1500)])
    many = torch.tensor([kid(normal(200, generator), normal(200, generator) + 1) for _ in range(30)])
    assert float(few.mean()) == pytest.approx(float(many.mean()), abs=3 * float(few.std()) / 1500**0.5)


def test_the_interval_holds_the_true_distance() -> None:
    generator = torch.Generator().manual_seed(3)
    truth = sum(kid(normal(1500, generator, 2), normal(1500, generator, 2) + 1) for _ in range(12)) / 12
    rounds = [kid_interval(normal(80, generator, 2), normal(60, generator, 2) + 1, seed=i) for i in range(150)]
    held = sum(found.low <= truth <= found.high for found in rounds)
    assert 0.88 <= held / len(rounds) <= 0.99


def test_the_interval_follows_from_the_seed() -> None:
    one, other = torch.eye(6), torch.eye(6).flip(0) * 2
    assert kid_interval(one, other, seed=1) == kid_interval(one, other, seed=1)
    assert kid_interval(one, other, seed=1) != kid_interval(one, other, seed=2)


def test_what_an_autoencoder_gives_back_unchanged() -> None:
    """Nothing has moved, and nothing is what is told; comparing each picture with itself would tell less than that."""
    generator = torch.Generator().manual_seed(4)
    points = normal(20, generator)
    assert kid_of_pairs(points, points) == pytest.approx(0, abs=1e-12)
    assert kid(points, points) < -0.1
    found = kid_of_pairs_interval(points, points)
    assert (found.low, found.high) == pytest.approx((0, 0), abs=1e-12)


def test_pairs_that_have_nothing_in_common() -> None:
    """Their KID is on average that of two sets."""
    generator = torch.Generator().manual_seed(5)
    sets = [(normal(8, generator), normal(8, generator) + 1) for _ in range(1500)]
    apart, pairs = (torch.tensor([measure(*each) for each in sets]) for measure in (kid, kid_of_pairs))
    assert float(pairs.mean()) == pytest.approx(float(apart.mean()), abs=3 * float((pairs - apart).std()) / 1500**0.5)


def test_the_interval_of_pairs_holds_the_true_distance() -> None:
    generator, held = torch.Generator().manual_seed(6), 0
    truth = sum(kid(normal(1500, generator, 2), 0.5 * normal(1500, generator, 2)) for _ in range(12)) / 12
    for seed in range(150):
        points = normal(80, generator, 2)
        found = kid_of_pairs_interval(points, 0.5 * points, seed=seed)
        held += found.low <= truth <= found.high
    assert 0.88 <= held / 150 <= 0.99


def test_pairs_of_two_and_three() -> None:
    with pytest.raises(BadInput, match="pairs need as many of each"):
        kid_of_pairs(torch.zeros(2, 3), torch.zeros(3, 3))


@pytest.mark.parametrize("shapes", [((10, 3), (10, 4)), ((1, 3), (10, 3))])
def test_what_cannot_be_compared(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(BadInput, match="KID needs"):
        kid(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
