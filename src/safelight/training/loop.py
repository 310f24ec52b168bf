"""The one training loop: batches in, optimiser steps, an average of the weights, checkpoints, logs.

A run is the function of its configuration: the samples of step n, and every random number drawn for them, follow from
the seed and n alone. So a resumed run sees just what it would have seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Generic, Protocol, TypeVar

import numpy
import torch
from PIL import Image
from torch import Generator, Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter

from safelight.training.checkpoint import (
    checkpoints,
    load_checkpoint,
    optimiser_tensors,
    pack,
    restore_optimiser,
    save_checkpoint,
    unpack,
)
from safelight.training.settings import LoopConfig

Batch = TypeVar("Batch")


class Task(Protocol[Batch]):
    """What is trained: a network with its data, its loss and its figures."""

    network: nn.Module

    @property
    def size(self) -> int:
        """The number of training samples."""
        ...

    def sample(self, index: int, random: Random) -> Any:
        """One training sample, with its random choices (crop, caption, background) drawn from `random`."""
        ...

    def loss(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """Scalars by name; the one called `loss` is minimised."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Figures of the network on held-out data, on fixed noise."""
        ...

    def sheet(self) -> Image.Image | None:
        """A picture that shows how far the network has come."""
        ...

    def export(self, folder: Path) -> None:
        """Write the network in the form that `safelight.load` opens."""
        ...


@dataclass(frozen=True)
class Progress:
    """What the loop yields after each step."""

    step: int
    total: int
    figures: dict[str, float]
    samples_per_second: float


class _Stream(Dataset[Any], Generic[Batch]):
    """Positions of the endless shuffled sequence of samples -> samples."""

    def __init__(self, task: Task[Batch], seed: int) -> None:
        self.task = task
        self.seed = seed
        self.order: tuple[int, numpy.ndarray] = (-1, numpy.empty(0, dtype=int))

    def __getitem__(self, position: int) -> Any:
        epoch, place = divmod(position, self.task.size)
        if self.order[0] != epoch:
            self.order = (epoch, numpy.random.default_rng([self.seed, epoch]).permutation(self.task.size))
        return self.task.sample(int(self.order[1][place]), Random(f"{self.seed}/{position}"))


class WeightAverage:
    """An exponential moving average of a network's parameters (EMA), shorter while training is young."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = list(network.parameters())
        self.names = [name for name, _ in network.named_parameters()]
        self.averages = [parameter.detach().clone() for parameter in self.parameters]

    def update(self, step: int) -> None:
        """Move a little towards the present weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.averages, [parameter.detach() for parameter in self.parameters], 1 - decay)

    def state(self) -> dict[str, Tensor]:
        """The averages by parameter name."""
        return dict(zip(self.names, self.averages, strict=True))

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        for name, average in zip(self.names, self.averages, strict=True):
            average.copy_(state[name])

    def swap(self) -> None:
        """Exchange weights and averages; a second call exchanges them back."""
        for parameter, average in zip(self.parameters, self.averages, strict=True):
            present = parameter.detach().clone()
            parameter.data.copy_(average)
            average.copy_(present)


def train(task: Task[Any], config: LoopConfig, folder: Path) -> Iterator[Progress]:
    """Train `task` in `folder`, from its newest checkpoint if it has one; yields after each step.

    At the end the averaged weights are exported. Closing the generator (Ctrl-C) saves a checkpoint first.
    """
    device = torch.device(config.device)
    network = task.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=config.learning_rate,
        betas=(0.9, config.beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )
    average = WeightAverage(network, config.average_decay)
    step = _resume(folder, network, optimiser, average)
    positions = range(step * config.batch_size, config.steps * config.batch_size)
    stream: _Stream[Any] = _Stream(task, config.seed)
    loader = DataLoader(stream, config.batch_size, sampler=positions, num_workers=config.workers, drop_last=True)
    log = SummaryWriter(str(folder / "log"))
    saved = step

    def save() -> None:
        tensors = (
            pack("weights", dict(network.named_parameters()))
            | pack("average", average.state())
            | pack("optimiser", optimiser_tensors(optimiser))
        )
        save_checkpoint(folder / "checkpoints", step, tensors, {"step": step})

    def report() -> dict[str, float]:
        average.swap()
        network.eval()
        with torch.no_grad(), autocast(config):
            figures = task.evaluate()
            sheet = task.sheet()
        network.train()
        average.swap()
        for name, figure in figures.items():
            log.add_scalar(f"held-out/{name}", figure, step)
        if sheet is not None:
            (folder / "sheets").mkdir(exist_ok=True)
            sheet.save(folder / "sheets" / f"step-{step:08d}.png")
            log.add_image("sheet", numpy.asarray(sheet), step, dataformats="HWC")
        return figures

    network.train()
    try:
        for batch in loader:
            started = time.perf_counter()
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(config, step)
            generator = Generator().manual_seed(_seed_of(config.seed, step))
            with autocast(config):
                losses = task.loss(_to(batch, device), generator)
            losses["loss"].backward()
            nn.utils.clip_grad_norm_(network.parameters(), config.gradient_clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            step += 1
            average.update(step)
            figures = {name: float(value.detach()) for name, value in losses.items()}
            for name, figure in figures.items():
                log.add_scalar(f"training/{name}", figure, step)
            if step % config.evaluate_every == 0 or step == config.steps:
                figures |= report()
            if step % config.save_every == 0 or step == config.steps:
                save()
                saved = step
            yield Progress(step, config.steps, figures, config.batch_size / (time.perf_counter() - started))
    finally:
        if step > saved:
            save()
        log.close()
    average.swap()
    network.eval()
    task.export(folder)


def learning_rate(config: LoopConfig, step: int) -> float:
    """The learning rate of a step: a linear rise, then half a cosine down to a hundredth, or none."""
    rise = min(1.0, (step + 1) / max(1, config.warmup))
    share = min(1.0, step / config.steps)
    fall = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)) if config.decay == "cosine" else 1.0
    return config.learning_rate * rise * fall


def autocast(config: LoopConfig) -> AbstractContextManager[Any]:
    """Mixed precision in which the forward pass runs."""
    if config.precision == "fp32":
        return nullcontext()
    return torch.autocast(torch.device(config.device).type, dtype=torch.bfloat16)


def _resume(folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer, average: WeightAverage) -> int:
    found = checkpoints(folder / "checkpoints")
    if not found:
        return 0
    tensors, facts = load_checkpoint(found[-1])
    network.load_state_dict(unpack("weights", tensors), strict=False)
    average.restore(unpack("average", tensors))
    restore_optimiser(optimiser, unpack("optimiser", tensors))
    return int(facts["step"])


def _seed_of(seed: int, step: int) -> int:
    return int(numpy.random.SeedSequence([seed, step]).generate_state(1, numpy.uint64)[0] >> 1)


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: _to(value, device) for name, value in batch.items()}
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return [_to(value, device) for value in batch]
    return batch
