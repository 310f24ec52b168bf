"""The one training loop: batches in, optimiser steps, an average of the weights, checkpoints, logs.

A run is the function of its configuration: the samples of step n, and every random number drawn for them, follow from
the seed and n alone. So a resumed run sees just what it would have seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import nn

from safelight.errors import BadInput
from safelight.training.log import Log, open_log
from safelight.training.settings import LoopConfig
from safelight.training.state import State, begin, resume, save
from safelight.training.stream import batches, noise_of_step
from safelight.training.task import Task


@dataclass(frozen=True)
class Progress:
    """What the loop yields after each step."""

    step: int
    total: int
    figures: dict[str, float]
    samples_per_second: float


def train(task: Task[Any], config: LoopConfig, folder: Path) -> Generator[Progress, None, None]:
    """Train `task` in `folder`, from its newest checkpoint if it has one: a generator that yields after each step.

    At the end the averaged weights are exported. Closing the generator earlier saves a checkpoint.
    Raises BadCheckpoint at once where the checkpoint is damaged or of another network.
    """
    state = begin(task.network, config)
    resume(state, folder / "checkpoints")
    return _steps(task, config, folder, state)


def _steps(task: Task[Any], config: LoopConfig, folder: Path, state: State) -> Generator[Progress, None, None]:
    log = open_log(folder / "log", state.step)
    state.network.train()
    try:
        clock = time.perf_counter()
        for batch in batches(task, config, state.step):
            figures = take_step(task, config, state, batch)
            rate = config.batch_size / (time.perf_counter() - clock)
            for name, figure in figures.items():
                log.add_scalar(f"training/{name}", figure, state.step)
            if state.step % config.evaluate_every == 0 or state.step == config.steps:
                figures |= report(task, config, state, folder / "sheets", log)
            if state.step % config.save_every == 0 or state.step == config.steps:
                save(state, folder / "checkpoints")
            yield Progress(state.step, config.steps, figures, rate)
            clock = time.perf_counter()
    finally:
        if state.whole and state.step > state.saved:
            save(state, folder / "checkpoints")
        log.close()
    state.average.swap()
    state.network.eval()
    task.export(folder)


def take_step(task: Task[Any], config: LoopConfig, state: State, batch: Any) -> dict[str, float]:
    """One step of the optimiser; returns the terms of the loss before it. Raises BadInput where they are not finite."""
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(config, state.step)
    with autocast(config):
        losses = task.loss(batch, noise_of_step(config.seed, state.step))
    losses["loss"].backward()
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), config.gradient_clip)
    if not torch.isfinite(norm):
        raise BadInput(
            f"The gradients of step {state.step + 1} are not finite (the loss is {losses['loss'].item():.4g}); "
            f'try a loop.learning_rate below {config.learning_rate:g}, or loop.precision = "fp32".'
        )
    with state.changing():
        state.optimiser.step()
        state.step += 1
        state.average.update(state.step)
    state.optimiser.zero_grad(set_to_none=True)
    return {name: float(value.detach()) for name, value in losses.items()}


def report(task: Task[Any], config: LoopConfig, state: State, sheets: Path, log: Log) -> dict[str, float]:
    """Evaluate the averaged weights, and draw a sheet with them."""
    with state.averaged(), torch.no_grad(), autocast(config):
        figures = task.evaluate()
        sheet = task.sheet()
    for name, figure in figures.items():
        log.add_scalar(f"held-out/{name}", figure, state.step)
    if sheet is not None:
        sheets.mkdir(parents=True, exist_ok=True)
        sheet.save(sheets / f"step-{state.step:08d}.png")
        log.add_image("sheet", numpy.asarray(sheet), state.step, dataformats="HWC")
    return figures


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
