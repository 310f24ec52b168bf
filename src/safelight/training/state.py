"""All that a training step changes: the weights, their average, the optimiser's memory, and the number of steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from safelight.errors import BadCheckpoint
from safelight.placement import placement_for
from safelight.training.average import WeightAverage
from safelight.training.checkpoint import (
    check_same_network,
    checkpoints,
    load_checkpoint,
    optimiser_tensors,
    pack,
    restore_optimiser,
    save_checkpoint,
    unpack,
)
from safelight.training.settings import LoopConfig


@dataclass
class State:
    """Where a run stands. saved: the step of the newest checkpoint. whole: no change is half done."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    average: WeightAverage
    step: int = 0
    saved: int = 0
    whole: bool = True

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Changes that belong together: a state in which they were broken off is not worth saving."""
        self.whole = False
        yield
        self.whole = True

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network with its averaged weights, ready to be evaluated; afterwards it goes on learning."""
        with self.changing():
            self.average.swap()
        self.network.eval()
        try:
            yield
        finally:
            self.network.train()
            with self.changing():
                self.average.swap()


def begin(network: nn.Module, config: LoopConfig) -> State:
    """The state before the first step; raises BadInput for a device that this machine lacks."""
    device = placement_for(config.device, None).device
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=config.learning_rate,
        betas=(0.9, config.beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )
    return State(network, optimiser, WeightAverage(network, config.average_decay))


def save(state: State, folder: Path) -> None:
    """Write a checkpoint of all of it into `folder`."""
    tensors = (
        pack("weights", dict(state.network.named_parameters()))
        | pack("average", state.average.averages)
        | pack("optimiser", optimiser_tensors(state.optimiser))
    )
    save_checkpoint(folder, state.step, tensors, {"step": state.step})
    state.saved = state.step


def resume(state: State, folder: Path) -> None:
    """Bring `state` to the newest checkpoint in `folder`, if there is one.

    Raises BadCheckpoint where that is damaged or of another network; `state` is then as it was.
    """
    found = checkpoints(folder)
    if not found:
        return
    tensors, facts = load_checkpoint(found[-1])
    weights, average = unpack("weights", tensors), unpack("average", tensors)
    for stored in (weights, average):
        check_same_network(found[-1], state.average.averages, stored)
    if not isinstance(facts.get("step"), int):
        raise BadCheckpoint(f"The checkpoint {str(found[-1])!r} does not say after which step it was written.")
    with torch.no_grad():
        for name, parameter in state.average.parameters.items():
            parameter.copy_(weights[name])
            state.average.averages[name].copy_(average[name])
    restore_optimiser(state.optimiser, unpack("optimiser", tensors))
    state.step = state.saved = facts["step"]
