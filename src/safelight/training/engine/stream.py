"""The endless sequence of training batches; what is at place n in it follows from the seed and n alone.

Threads load ahead, not processes. What takes long (reading, decoding, resizing) leaves Python's lock; all threads share
the task's one cache of pictures; and none of them is left over when a trainer is killed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from safelight.training.engine.noise import SampleNoise
from safelight.training.engine.processes import ALONE, Processes
from safelight.training.engine.samples import Samples, Spent
from safelight.training.engine.settings import LoopConfig
from safelight.training.engine.task import Task

AHEAD = 2  # batches that each thread has loaded, or begun, before they are needed


@dataclass(frozen=True)
class Batch:
    """Samples that pass through the network together, and the source of the random numbers drawn for each.

    bad: how many unreadable ones these replace.
    """

    samples: Any
    noise: SampleNoise
    bad: int = 0


def batches(
    task: Task[Any], config: LoopConfig, first_step: int, processes: Processes = ALONE
) -> Generator[Batch, None, None]:
    """All batches from the step after `first_step` to the last, `accumulate` to a step, on the device of training.

    Of each batch this process gets its own share.
    """
    size = config.batch_size
    positions = range(first_step * config.accumulate * size, config.steps * config.accumulate * size)
    samples = Samples(task, config)

    def load(start: int) -> Batch:
        places = processes.share(range(start, start + size))
        drawn = draw(places)
        noise = SampleNoise(config.seed, places, step=start // (config.accumulate * size))
        return Batch(default_collate([sample for sample, _ in drawn]), noise, sum(bad for _, bad in drawn))

    def draw(places: Sequence[int]) -> list[tuple[Any, int]]:
        given_up = 0
        while True:
            try:
                found = [samples.at(place + given_up * size) for place in places]
            except Spent:
                given_up += 1  # those of the next batch stand in for all of them: the shape of a batch is one
            else:
                return [(sample, bad + (given_up > 0)) for sample, bad in found]

    device = torch.device(config.device)
    for batch in in_order(load, positions[::size], config.workers):
        yield Batch(_to(batch.samples, device), batch.noise, batch.bad)


def in_order(load: Callable[[int], Batch], places: Iterable[int], threads: int) -> Generator[Batch, None, None]:
    """`load` of each place, in their order, loaded ahead by that many threads; with none, when it is asked for."""
    if not threads:
        yield from map(load, places)
        return
    left = iter(places)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="loader")
    try:
        begun = deque(pool.submit(load, place) for place in islice(left, AHEAD * threads))
        while begun:
            yield begun.popleft().result()
            begun.extend(pool.submit(load, place) for place in islice(left, 1))
    finally:
        pool.shutdown(cancel_futures=True)


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: _to(value, device) for name, value in batch.items()}
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return [_to(value, device) for value in batch]
    return batch
