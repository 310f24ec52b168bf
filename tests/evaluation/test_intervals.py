"""The intervals hold the truth about as often as they say."""

from __future__ import annotations

import pytest
import torch

from safelight.errors import BadInput
from safelight.evaluation.intervals import mean, share


def test_published_bounds() -> None:
    """Newcombe 1998, table I, method 3 (Wilson's score): 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    table = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0, 0.1611), (1, 29): (0.0061, 0.1718)}
    for (hits, count), bounds in table.items():
        found = share(hits, count)
        assert (found.low, found.high) == pytest.approx(bounds, abs=5e-5)
        assert found.value == hits / count


@pytest.mark.parametrize("truth", [0.5, 0.9])
def test_a_share_lies_within(truth: float) -> None:
    hits = torch.binomial(torch.full((2000,), 60.0), torch.tensor(truth), generator=torch.Generator().manual_seed(0))
    held = sum((found := share(int(each), 60)).low <= truth <= found.high for each in hits)
    assert 0.93 <= held / 2000 <= 0.98


@pytest.mark.parametrize(("hits", "count"), [(0, 0), (3, 2), (-1, 5)])
def test_no_share(hits: int, count: int) -> None:
    with pytest.raises(BadInput, match="is no share"):
        share(hits, count)


def test_a_mean_lies_within() -> None:
    generator = torch.Generator().manual_seed(1)
    held = 0
    for seed in range(300):
        found = mean(torch.rand(40, generator=generator).square(), seed=seed)
        held += found.low <= 1 / 3 <= found.high
    assert 0.9 <= held / 300 <= 0.98


def test_pictures_of_one_prompt_count_as_one() -> None:
    """Ten copies of each value say no more than one."""
    values = torch.rand(30, generator=torch.Generator().manual_seed(2))
    once, copied = mean(values), values.repeat_interleave(10)
    grouped = mean(copied, [number // 10 for number in range(300)])
    alone = mean(copied)
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.1)
    assert alone.high - alone.low < 0.5 * (once.high - once.low)
    assert grouped.value == pytest.approx(once.value)


def test_no_mean() -> None:
    with pytest.raises(BadInput, match="no value"):
        mean(torch.empty(0))
