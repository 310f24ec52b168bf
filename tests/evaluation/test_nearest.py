"""The nearest points are those that comparing all pairs one by one finds, whatever the block."""

from __future__ import annotations

import pytest
import torch

from safelight.errors import BadInput
from safelight.evaluation import nearest as module
from safelight.evaluation.nearest import nearest


@pytest.mark.parametrize("block", [1, 7, 512])
def test_as_comparing_each_pair(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    queries, known = (10 + torch.randn(count, 3, 4, generator=generator) for count in (20, 50))
    distance, row = nearest(queries, known, 5)
    every = torch.stack([(known - query).square().flatten(1).sum(1).sqrt() for query in queries])
    expected = every.sort(dim=1)
    assert torch.equal(row, expected.indices[:, :5])
    torch.testing.assert_close(distance.float(), expected.values[:, :5])


def test_small_distances_far_from_the_origin_are_exact() -> None:
    """|q|² - 2 q·k + |k|² alone would lose them in float32."""
    known = torch.tensor([[1000.0, 1000.0], [1000.01, 1000.0], [5.0, 5.0]])
    distance, row = nearest(torch.tensor([[1000.002, 1000.0]]), known, 2)
    assert row.tolist() == [[0, 1]]
    assert distance[0].tolist() == pytest.approx([0.002, 0.008], abs=1e-4)


def test_a_point_is_its_own_nearest() -> None:
    points = torch.randn(30, 8, generator=torch.Generator().manual_seed(1))
    distance, row = nearest(points, points)
    assert row[:, 0].tolist() == list(range(30))
    assert not distance.any()


@pytest.mark.parametrize("count", [0, 4])
def test_more_than_are_known(count: int) -> None:
    with pytest.raises(BadInput, match=rf"count is {count}; 3 points"):
        nearest(torch.zeros(1, 2), torch.zeros(3, 2), count)
