"""The one training loop: batches in, optimiser steps, an average of the weights, checkpoints, logs.

A run is the function of its configuration: the samples of step n, and every random number drawn for them, follow from
the seed and n alone. So a resumed run sees just what it would have seen, and comes to the same weights and log.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from safelight.errors import BadInput
from safelight.training.engine.disk import sweep, writing
from safelight.training.engine.lock import Claim
from safelight.training.engine.log import Log
from safelight.training.engine.settings import LoopConfig
from safelight.training.engine.state import State, begin, resume, save
from safelight.training.engine.stream import Batch, batches
from safelight.training.engine.task import Task
from safelight.training.engine.terms import terms_of
from safelight.weights.files import beside


@dataclass(frozen=True)
class Progress:
    """What the loop yields after each step."""

    step: int
    total: int
    figures: dict[str, float]
    samples_per_second: float


def train(
    task: Task[Any], config: LoopConfig, folder: Path, claim: Claim | None = None
) -> Generator[Progress, None, None]:
    """Train `task` in `folder`, from its newest checkpoint if it has one: a generator that yields after each step.

    At the end the averaged weights are exported. Closing the generator earlier saves a checkpoint.
    claim: of the folder, where the caller has taken it already; it is released when training ends.
    Raises at once BadCheckpoint where no checkpoint is whole or they are of another network, and BadInput where another
    trainer has the folder, or the settings change what a step of this run means.
    """
    claim = claim or Claim(folder)
    claim.take()
    try:
        sweep(folder)
        state = begin(task.network, config, terms_of(task, config))
        resume(state, folder / "checkpoints", config.allow)
    except BaseException:
        claim.release()
        raise
    return _steps(task, config, folder, state, claim)


def _steps(
    task: Task[Any], config: LoopConfig, folder: Path, state: State, claim: Claim
) -> Generator[Progress, None, None]:
    place = state.place
    state.network.train()
    with (
        claim,
        closing(Log(folder, place.step, place.logged)) as log,
        closing(batches(task, config, place.step)) as loaded,
    ):
        try:
            if place.reported < place.step and due(config.evaluate_every, config, place.step):
                report(task, config, state, folder / "sheets", log)  # the one that the run was interrupted in
            while place.step < config.steps:
                clock = time.perf_counter()
                figures = take_step(task, config, state, islice(loaded, config.accumulate), log)
                rate = config.accumulate * config.batch_size / (time.perf_counter() - clock)
                check_patience(config, state)
                if due(config.evaluate_every, config, place.step):
                    figures |= report(task, config, state, folder / "sheets", log)
                if due(config.save_every, config, place.step):
                    keep(state, config, folder, log)
                yield Progress(place.step, config.steps, figures, rate)
        finally:
            if state.whole and place != state.saved:
                keep(state, config, folder, log)
        state.average.swap()
        state.network.eval()
        with writing(folder):
            task.export(folder)


def take_step(task: Task[Any], config: LoopConfig, state: State, loaded: Iterable[Batch], log: Log) -> dict[str, float]:
    """One step of the optimiser; returns the terms of the loss before it.

    Where the gradients are not finite, the weights stay as they are, and the step counts as skipped.
    """
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(config, state.place.step)
    losses = gradients(task, config, state, loaded)
    state.scaler.unscale_(state.optimiser)
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), config.gradient_clip)
    with state.changing():
        place = state.place
        place.step += 1
        if torch.isfinite(norm):
            state.optimiser.step()
            state.average.update(place.step)
            place.in_a_row = 0
        else:
            place.skipped += 1
            place.in_a_row += 1
        state.scaler.update()
        figures = {name: float(value) for name, value in losses.items()}
        if place.skipped:
            figures["skipped"] = place.skipped
        log.figures("training", place.step, figures)
    state.optimiser.zero_grad(set_to_none=True)
    return figures


def gradients(task: Task[Any], config: LoopConfig, state: State, loaded: Iterable[Batch]) -> dict[str, Tensor]:
    """Add up the gradients of several batches, as if they were one; returns the means of their losses' terms."""
    means: dict[str, Tensor] = {}
    for batch in loaded:
        with autocast(config):
            losses = task.loss(batch.samples, batch.noise)
        state.scaler.scale(losses["loss"] / config.accumulate).backward()
        for name, value in losses.items():
            share = value.detach() / config.accumulate
            means[name] = means[name] + share if name in means else share
    return means


def check_patience(config: LoopConfig, state: State) -> None:
    """Raise BadInput after too many skipped steps in a row; the weights are those of the last step that was taken.

    In fp16 that counts only once the scale of the loss has come down: the first steps find out how high it may be.
    """
    place = state.place
    if place.in_a_row < config.patience or state.scaler.get_scale() > 1:
        return
    count, place.in_a_row = place.in_a_row, 0
    raise BadInput(
        f"The gradients of {count} steps in a row, up to step {place.step}, were not finite; the weights of step "
        f"{place.step - count} are kept. Try a loop.learning_rate below {config.learning_rate:g}, or "
        f'loop.precision = "fp32".'
    )


def report(task: Task[Any], config: LoopConfig, state: State, sheets: Path, log: Log) -> dict[str, float]:
    """Evaluate the averaged weights, and draw a sheet with them."""
    step = state.place.step
    with state.averaged(), torch.no_grad(), autocast(config):
        figures = task.evaluate()
        sheet = task.sheet()
    if sheet is not None:
        with writing(sheets):
            sheets.mkdir(parents=True, exist_ok=True)
            with beside(sheets / f"step-{step:08d}.png") as partial:
                sheet.save(partial, "PNG")
        log.sheet(step, sheet)
    with state.changing():
        if figures:
            log.figures("held-out", step, figures)
        state.place.reported = step
    return figures


def keep(state: State, config: LoopConfig, folder: Path, log: Log) -> None:
    """Write a checkpoint, once the log has reached the disk up to its step."""
    state.place.logged = log.sync()
    save(state, folder / "checkpoints", config.keep)


def due(every: int, config: LoopConfig, step: int) -> bool:
    """Whether what happens every so many steps, and at the end, happens after this one."""
    return step % every == 0 or step == config.steps


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
    dtype = torch.float16 if config.precision == "fp16" else torch.bfloat16
    return torch.autocast(torch.device(config.device).type, dtype=dtype)
