"""Precision and recall where the regions are plain to see."""

from __future__ import annotations

import pytest
import torch

from safelight.errors import BadInput
from safelight.evaluation.manifold import precision, recall, within


def cloud(count: int, centre: float, seed: int) -> torch.Tensor:
    return centre + torch.rand(count, 2, generator=torch.Generator().manual_seed(seed))


def test_a_set_lies_in_its_own_region() -> None:
    points = cloud(40, 0, 0)
    assert precision(points, points).value == recall(points, points).value == 1


def test_sets_far_apart_have_nothing_in_common() -> None:
    found = precision(cloud(40, 0, 0), cloud(40, 100, 1))
    assert found.value == found.low == 0
    assert found.high > 0


def test_a_model_that_draws_half_of_what_there_is() -> None:
    """All it draws is good; of what there is, half is drawn."""
    drawn, real = cloud(100, 0, 0), torch.cat([cloud(100, 0, 1), cloud(100, 50, 2)])
    assert precision(drawn, real).value > 0.9
    assert 0.4 < recall(drawn, real).value <= 0.5


def test_the_radius_reaches_to_the_third_neighbour() -> None:
    region = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0]])  # the ball around 4 reaches 3 far, beyond 4 on the right
    assert within(torch.tensor([[6.99], [7.01], [-2.99], [-3.01]]), region).tolist() == [True, False, True, False]


def test_too_few() -> None:
    with pytest.raises(BadInput, match="3 pictures stand for no region; at least 4"):
        precision(cloud(10, 0, 0), cloud(3, 0, 1))
