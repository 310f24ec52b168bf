"""How much the pictures of a prompt differ, where that is known."""

from __future__ import annotations

import pytest
import torch

from safelight.evaluation.diversity import diversity_figure


def test_the_mean_over_pairs() -> None:
    """At 0, 90 and 180 degrees: 1 - cos of the three pairs is 1, 1 and 2."""
    features = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0]])
    found = diversity_figure("judge", features, ["a", "a", "a"])
    assert found is not None
    assert found.interval.value == pytest.approx(4 / 3)
    assert found.pictures == 3


def test_the_same_for_every_seed() -> None:
    found = diversity_figure("judge", torch.tensor([[1.0, 2.0]] * 2 + [[5.0, 1.0]] * 2), ["a", "a", "b", "b"])
    assert found is not None
    assert found.interval.value == pytest.approx(0, abs=1e-12)


def test_pictures_of_different_prompts_are_not_compared() -> None:
    assert diversity_figure("judge", torch.eye(3), ["a", "b", "c"]) is None
