"""The endless shuffled sequence of training samples; place n in it follows from the seed and n alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

import numpy
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset

from safelight.training.settings import LoopConfig
from safelight.training.task import Task


class Stream(Dataset[Any]):
    """Positions in the sequence -> samples; each epoch has an order of its own."""

    def __init__(self, task: Task[Any], seed: int) -> None:
        self.task = task
        self.seed = seed
        self.order: tuple[int, numpy.ndarray] = (-1, numpy.empty(0, dtype=int))

    def __getitem__(self, position: int) -> Any:
        epoch, place = divmod(position, self.task.size)
        if self.order[0] != epoch:
            self.order = (epoch, numpy.random.default_rng([self.seed, epoch]).permutation(self.task.size))
        return self.task.sample(int(self.order[1][place]), Random(f"{self.seed}/{position}"))


def batches(task: Task[Any], config: LoopConfig, first_step: int) -> Iterator[Any]:
    """The batch of each step from `first_step` to the last, on the device of training."""
    positions = range(first_step * config.batch_size, config.steps * config.batch_size)
    loader = DataLoader(Stream(task, config.seed), config.batch_size, sampler=positions, num_workers=config.workers)
    device = torch.device(config.device)
    return (_to(batch, device) for batch in loader)


def noise_of_step(seed: int, step: int) -> Generator:
    """The source of all random numbers that the loss of one step draws."""
    return Generator().manual_seed(int(numpy.random.SeedSequence([seed, step]).generate_state(1, numpy.uint64)[0] >> 1))


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: _to(value, device) for name, value in batch.items()}
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return [_to(value, device) for value in batch]
    return batch
