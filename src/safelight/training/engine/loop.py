"""The one training loop: batches in, optimiser steps, an average of the weights, checkpoints, logs.

A run is the function of its configuration: the samples of step n, and every random number drawn for them, follow from
the seed and n alone. So a resumed run sees just what it would have seen, and comes to the same weights and log.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from safelight.errors import BadInput
from safelight.training.engine.disk import sweep, writing
from safelight.training.engine.lock import Claim
from safelight.training.engine.log import Log, NoLog
from safelight.training.engine.processes import ALONE, Processes
from safelight.training.engine.settings import LoopConfig
from safelight.training.engine.shards import whole
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


class OutOfPatience(BadInput):
    """Too many steps in a row had gradients that are not finite; every process comes to this after the same step."""


def train(
    task: Task[Any], config: LoopConfig, folder: Path, claim: Claim | None = None, processes: Processes = ALONE
) -> Generator[Progress, None, None]:
    """Train `task` in `folder`, from its newest checkpoint if it has one: a generator that yields after each step.

    At the end the averaged weights are exported. Closing the generator earlier saves a checkpoint.
    claim: of the folder, where the caller has taken it already; it is released when training ends.
    processes: those that train together, each in this function; all close their generators after the same step, or
    none does. `config` is what `processes.placed` made of it.
    Raises at once BadCheckpoint where no checkpoint is whole or they are of another network, and BadInput where another
    trainer has the folder, or the settings change what a step of this run means.
    """
    claim = claim or processes.claim(folder)
    claim.take()
    try:
        if processes.main:
            sweep(folder)
        state = begin(task.network, config, terms_of(task, config), processes, getattr(task, "frozen", ()))
        resume(state, folder / "checkpoints", config.allow)
    except BaseException:
        claim.release()
        raise
    return _steps(task, config, folder, state, claim)


def _steps(
    task: Task[Any], config: LoopConfig, folder: Path, state: State, claim: Claim
) -> Generator[Progress, None, None]:
    place, processes = state.place, state.processes
    state.network.train()
    with (
        claim,
        closing(Log(folder, place.step, place.logged) if processes.main else NoLog()) as log,
        closing(batches(task, config, place.step, processes)) as loaded,
    ):
        try:
            with processes.heard():
                yield from _turn(task, config, folder, state, loaded, log)
        except (GeneratorExit, OutOfPatience):  # in all processes at once
            keep_unsaved(state, config, folder, log)
            processes.wait()
            raise
        except BaseException:
            if not state.spread.needs_all:
                keep_unsaved(state, config, folder, log)
            raise
        keep_unsaved(state, config, folder, log)
        processes.wait()
        leave_behind(task, state, folder)


def _turn(
    task: Task[Any], config: LoopConfig, folder: Path, state: State, loaded: Iterator[Batch], log: Log | NoLog
) -> Generator[Progress, None, None]:
    place = state.place
    if place.reported < place.step and due(config.evaluate_every, config, place.step):
        report(task, config, state, folder / "sheets", log)  # the one that the run was interrupted in
    while place.step < config.steps:
        figures = take_step(task, config, state, islice(loaded, config.accumulate), log)
        check_patience(config, state)
        if due(config.evaluate_every, config, place.step):
            figures |= report(task, config, state, folder / "sheets", log)
        if due(config.save_every, config, place.step):
            keep(state, config, folder, log)
            state.processes.wait()
        yield Progress(place.step, config.steps, figures)


def take_step(
    task: Task[Any], config: LoopConfig, state: State, loaded: Iterable[Batch], log: Log | NoLog
) -> dict[str, float]:
    """One step of the optimiser; returns the terms of the loss before it.

    Where the gradients are not finite, the weights stay as they are, and the step counts as skipped.
    """
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(config, state.place.step)
    losses, bad = gradients(task, config, state, loaded)
    state.scaler.unscale_(state.optimiser)
    norm = whole(nn.utils.clip_grad_norm_(state.network.parameters(), config.gradient_clip))
    figures = figures_of(losses, bad, state.processes)
    with state.changing():
        place = state.place
        place.step += 1
        if torch.isfinite(norm):
            state.optimiser.step()
            for average in (state.average, *state.more_averages.values()):
                average.update(place.step)
            place.in_a_row = 0
        else:
            place.skipped += 1
            place.in_a_row += 1
        state.scaler.update()
        if place.skipped:
            figures["skipped"] = place.skipped
        log.figures("training", place.step, figures)
    state.optimiser.zero_grad(set_to_none=True)
    return figures


def gradients(
    task: Task[Any], config: LoopConfig, state: State, loaded: Iterable[Batch]
) -> tuple[dict[str, Tensor], int]:
    """Add up the gradients of several batches, as if they were one.

    Returns the means of their losses' terms, and how many bad samples were replaced; in this process.
    """
    means: dict[str, Tensor] = {}
    bad = 0
    for number, batch in enumerate(loaded, 1):
        shared = nullcontext() if number == config.accumulate else state.spread.adding_up()
        with shared:
            with autocast(config):
                losses = state.spread.learn(partial(task.loss, batch.samples, batch.noise))
            state.scaler.scale(losses["loss"] / config.accumulate).backward()
        for name, value in losses.items():
            share = value.detach() / config.accumulate
            means[name] = means[name] + share if name in means else share
        bad += batch.bad
    return means, bad


def figures_of(losses: Mapping[str, Tensor], bad: int, processes: Processes) -> dict[str, float]:
    """A step's figures, of all processes; `bad` among them where samples were bad."""
    here = {name: float(value) for name, value in losses.items()}
    figures = processes.means({**here, "bad": bad})
    replaced = round(figures.pop("bad") * processes.count)
    return {**figures, "bad": replaced} if replaced else figures


def check_patience(config: LoopConfig, state: State) -> None:
    """Raise OutOfPatience after too many skipped steps in a row; the weights are those of the last step that was taken.

    In fp16 that counts only once the scale of the loss has come down: the first steps find out how high it may be.
    """
    place = state.place
    if place.in_a_row < config.patience or state.scaler.get_scale() > 1:
        return
    count, place.in_a_row = place.in_a_row, 0
    raise OutOfPatience(
        f"The gradients of {count} steps in a row, up to step {place.step}, were not finite; the weights of step "
        f"{place.step - count} are kept. Try a loop.learning_rate below {config.learning_rate:g}, or "
        f'loop.precision = "fp32".'
    )


def report(task: Task[Any], config: LoopConfig, state: State, sheets: Path, log: Log | NoLog) -> dict[str, float]:
    """Evaluate the averaged weights, and draw a sheet with them; those of further averages have `@DECAY` in the names.

    Every process does, for none can wait for minutes in the middle of a step; the main one writes.
    """
    step = state.place.step
    with state.averaged(state.average), torch.no_grad(), autocast(config):
        figures = state.spread.look(task.evaluate)
        sheet = state.spread.look(task.sheet)
    for name, average in state.more_averages.items():
        with state.averaged(average), torch.no_grad(), autocast(config):
            found = state.spread.look(task.evaluate)
        figures |= {f"{figure}@{name}": value for figure, value in found.items()}
    if sheet is not None and state.processes.main:
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


def keep(state: State, config: LoopConfig, folder: Path, log: Log | NoLog) -> None:
    """Write a checkpoint, once the log has reached the disk up to its step."""
    state.place.logged = log.sync()
    save(state, folder / "checkpoints", config.keep)


def keep_unsaved(state: State, config: LoopConfig, folder: Path, log: Log | NoLog) -> None:
    """Write a checkpoint of what none holds yet, unless it is torn."""
    if state.whole and state.place != state.saved:
        keep(state, config, folder, log)


def leave_behind(task: Task[Any], state: State, folder: Path) -> None:
    """Export what was learnt: each average, the main one in the run's own folder, where the network is left with it."""
    for name, average in state.more_averages.items():
        beside_it = folder / "averages" / name
        with writing(beside_it):
            beside_it.mkdir(parents=True, exist_ok=True)
        with state.averaged(average):
            export(task, state, beside_it)
    state.average.swap()
    state.network.eval()
    export(task, state, folder)


def export(task: Task[Any], state: State, folder: Path) -> None:
    """The network as it is now, written by the main process while the others wait."""
    with state.spread.exporting():
        if state.processes.main:
            with writing(folder):
                task.export(folder)
    state.processes.wait()


def due(every: int, config: LoopConfig, step: int) -> bool:
    """Whether what happens every so many steps, and at the end, happens after this one."""
    return step % every == 0 or step == config.steps


def learning_rate(config: LoopConfig, step: int) -> float:
    """The learning rate of a step: a linear rise, then half a cosine down to a hundredth (Loshchilov & Hutter 2017)."""
    rise = min(1.0, (step + 1) / max(1, config.warmup))
    share = min(1.0, max(0, step - config.warmup) / max(1, config.steps - config.warmup))
    fall = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)) if config.decay == "cosine" else 1.0
    return config.learning_rate * rise * fall


def autocast(config: LoopConfig) -> AbstractContextManager[Any]:
    """Mixed precision in which the forward pass runs."""
    if config.precision == "fp32":
        return nullcontext()
    dtype = torch.float16 if config.precision == "fp16" else torch.bfloat16
    return torch.autocast(torch.device(config.device).type, dtype=dtype)
