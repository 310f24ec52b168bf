"""The order in which samples are seen: endless, each epoch shuffled anew, a function of the seed and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Any, Protocol

import numpy

from safelight.training.engine.settings import LoopConfig
from safelight.training.engine.task import Task


class Order(Protocol):
    """Which sample stands at which position of the sequence."""

    def __getitem__(self, position: int) -> int:
        """The index of the sample."""
        ...

    def another(self, position: int, random: Random) -> int:
        """The index of a sample that may stand there instead."""
        ...


def order_of(task: Task[Any], config: LoopConfig) -> Order:
    """The order of a task's samples; by buckets where the task has the attribute `buckets`, see `Task`."""
    buckets = getattr(task, "buckets", None)
    if buckets is None:
        return Shuffled(task.size, config.seed)
    return Bucketed(buckets, config.batch_size, config.seed)


class Shuffled:
    """Every sample once an epoch."""

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.epoch = lru_cache(maxsize=2)(lambda epoch: numpy.random.default_rng([seed, epoch]).permutation(size))

    def __getitem__(self, position: int) -> int:
        epoch, place = divmod(position, self.size)
        return int(self.epoch(epoch)[place])

    def another(self, position: int, random: Random) -> int:
        """Any sample."""
        return random.randrange(self.size)


class Bucketed:
    """Batches of samples of one bucket each, every sample at least once an epoch.

    What is left over in a bucket makes a batch with others of the same bucket, which are then seen a second time.
    """

    def __init__(self, buckets: Sequence[int], batch_size: int, seed: int) -> None:
        self.buckets = numpy.asarray(buckets)
        self.members = [numpy.flatnonzero(self.buckets == bucket) for bucket in numpy.unique(self.buckets)]
        self.batch_size = batch_size
        self.batches = sum(-(-len(members) // batch_size) for members in self.members)  # in an epoch
        self.seed = seed
        self.epoch = lru_cache(maxsize=2)(self._epoch)

    def __getitem__(self, position: int) -> int:
        batch, place = divmod(position, self.batch_size)
        epoch, row = divmod(batch, self.batches)
        return int(self.epoch(epoch)[row, place])

    def another(self, position: int, random: Random) -> int:
        """Any sample of the bucket whose turn it is."""
        bucket = self.buckets[self[position]]
        return int(random.choice(numpy.flatnonzero(self.buckets == bucket)))

    def _epoch(self, epoch: int) -> numpy.ndarray:
        """(batches, batch_size) indices."""
        random = numpy.random.default_rng([self.seed, epoch])
        rows = []
        for members in self.members:
            whole = -(-len(members) // self.batch_size) * self.batch_size
            rows.append(numpy.resize(random.permutation(members), whole).reshape(-1, self.batch_size))
        return random.permutation(numpy.concatenate(rows))
