"""The simplest test of a trainer: shown one batch again and again, with the same noise, it learns it by heart."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import torch
from torch.utils.data import default_collate

from safelight.training.engine.noise import SampleNoise


def losses_of_one_batch(task: Any, indices: Sequence[int], *, steps: int, rate: float) -> list[float]:
    """The loss before each of `steps` steps."""
    batch = default_collate([task.sample(index, Random(index)) for index in indices])
    optimiser = torch.optim.Adam(task.network.parameters(), lr=rate)
    losses = []
    for _ in range(steps):
        loss = task.loss(batch, SampleNoise(0, indices))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses
