"""All that training changes: the weights, their average, the optimiser's memory, and how far the run has come."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from safelight.errors import BadCheckpoint, BadInput
from safelight.placement import placement_for
from safelight.training.engine.average import WeightAverage
from safelight.training.engine.checkpoint import (
    check_same_network,
    newest_whole,
    optimiser_tensors,
    pack,
    restore_optimiser,
    save_checkpoint,
    unpack,
)
from safelight.training.engine.settings import LoopConfig
from safelight.training.engine.terms import check_same_terms


@dataclass
class Place:
    """How far a run has come. reported: the step of the last evaluation. logged: the bytes of the log's lines.

    skipped: steps that changed no weights, for their gradients were not finite; in_a_row: the last of them.
    """

    step: int = 0
    reported: int = 0
    logged: int = 0
    skipped: int = 0
    in_a_row: int = 0


@dataclass
class State:
    """Where a run stands. terms: what its steps mean. saved: the place of the newest checkpoint.

    whole: no change is half done.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler  # does nothing but in fp16
    average: WeightAverage
    terms: Mapping[str, Any]
    place: Place = field(default_factory=Place)
    saved: Place = field(default_factory=Place)
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


def begin(network: nn.Module, config: LoopConfig, terms: Mapping[str, Any]) -> State:
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
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
    return State(network, optimiser, scaler, WeightAverage(network, config.average_decay), terms)


def save(state: State, folder: Path, keep: int) -> None:
    """Write a checkpoint of all of it into `folder`; raises BadInput for weights that are no longer worth keeping."""
    weights = dict(state.network.named_parameters())
    if not all(weight.isfinite().all() for weight in weights.values()):
        raise BadInput(
            f"The weights after step {state.place.step} are not finite, so they are not saved; the checkpoint of "
            f"step {state.saved.step} is the last good one. Try a lower loop.learning_rate."
        )
    tensors = (
        pack("weights", weights)
        | pack("average", state.average.averages)
        | pack("optimiser", optimiser_tensors(state.optimiser))
    )
    facts = {**dataclasses.asdict(state.place), "terms": dict(state.terms), "scaler": state.scaler.state_dict()}
    save_checkpoint(folder, state.place.step, tensors, facts, keep=keep)
    state.saved = replace(state.place)


def resume(state: State, folder: Path, allowed: Sequence[str]) -> None:
    """Bring `state` to the newest whole checkpoint in `folder`, if there is one.

    Raises BadCheckpoint where that is of another network or none is whole, BadInput where the run began under other
    terms, except for those `allowed`; `state` is then as it was.
    """
    found = newest_whole(folder)
    if found is None:
        return
    path, tensors, facts = found
    weights, average = unpack("weights", tensors), unpack("average", tensors)
    for stored in (weights, average):
        check_same_network(path, state.average.averages, stored)
    if not isinstance(facts.get("step"), int):
        raise BadCheckpoint(f"The checkpoint {str(path)!r} does not say after which step it was written.")
    check_same_terms(facts.get("terms", {}), state.terms, allowed, str(folder.parent))
    with torch.no_grad():
        for name, parameter in state.average.parameters.items():
            parameter.copy_(weights[name])
            state.average.averages[name].copy_(average[name])
    restore_optimiser(state.optimiser, unpack("optimiser", tensors))
    if facts.get("scaler"):
        state.scaler.load_state_dict(facts["scaler"])
    # A checkpoint of an earlier version tells only the step, and was written after its evaluation.
    known = {entry.name: facts[entry.name] for entry in dataclasses.fields(Place) if entry.name in facts}
    state.place = Place(**{"reported": facts["step"], **known})
    state.saved = replace(state.place)
