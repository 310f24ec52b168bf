"""Random numbers for the samples of a batch, each sample's from a source of its own.

So what is drawn for a sample does not depend on its neighbours: many small batches see the same noise as a large one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy
import torch
from torch import Generator, Tensor


class SampleNoise:
    """What is drawn for the samples at these positions of the training sequence; always on the CPU, in float32.

    step: the one that the samples are part of, counted from 0, for a loss that changes in the course of training.
    """

    def __init__(self, seed: int, positions: Sequence[int], step: int = 0) -> None:
        self.seed = seed
        self.positions = positions
        self.step = step

    def uniform(self, *shape: int) -> Tensor:
        """(b, *shape) from 0 to 1."""
        return torch.stack([torch.rand(shape, generator=source) for source in self._sources])

    def normal(self, *shape: int) -> Tensor:
        """(b, *shape) of mean 0 and variance 1."""
        return torch.stack([torch.randn(shape, generator=source) for source in self._sources])

    @cached_property
    def _sources(self) -> list[Generator]:
        states = [numpy.random.SeedSequence([self.seed, position]) for position in self.positions]
        return [Generator().manual_seed(int(state.generate_state(1, numpy.uint64)[0] >> 1)) for state in states]
