"""All that training changes: the weights, their averages, the optimiser's memory, and how far the run has come."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from safelight.errors import BadCheckpoint, BadInput
from safelight.placement import placement_for
from safelight.training.engine.average import WeightAverage
from safelight.training.engine.blocks import compile_blocks, recompute_blocks
from safelight.training.engine.checkpoint import (
    check_same_network,
    newest_whole,
    optimiser_tensors,
    pack,
    restore_optimiser,
    save_checkpoint,
    unpack,
)
from safelight.training.engine.optimiser import LAYING_OUT, optimiser_for
from safelight.training.engine.processes import ALONE, Processes
from safelight.training.engine.settings import LoopConfig
from safelight.training.engine.shards import is_spread, laid_out_like
from safelight.training.engine.spread import Lone, Spread
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
    more_averages: Mapping[str, WeightAverage] = field(default_factory=dict)  # by their decay, as it is written
    processes: Processes = ALONE
    spread: Spread = field(default_factory=Lone)
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
    def averaged(self, average: WeightAverage) -> Iterator[None]:
        """The network with averaged weights, ready to be evaluated; afterwards it goes on learning."""
        with self.changing():
            average.swap()
        self.network.eval()
        try:
            yield
        finally:
            self.network.train()
            with self.changing():
                average.swap()

    def tensors(self) -> dict[str, Mapping[str, Tensor]]:
        """What a checkpoint holds, by the prefix of its names."""
        return {
            "weights": dict(self.network.named_parameters()),
            "average": self.average.averages,
            **{f"average@{name}": average.averages for name, average in self.more_averages.items()},
            "optimiser": optimiser_tensors(self.optimiser),
        }


def begin(
    network: nn.Module,
    config: LoopConfig,
    terms: Mapping[str, Any],
    processes: Processes = ALONE,
    frozen: Sequence[nn.Module] = (),
) -> State:
    """The state before the first step; raises BadInput for a device or a package that this machine lacks.

    frozen: networks that the loss passes through, and that do not learn.
    """
    device = placement_for(config.device, None).device
    spread = processes.spread(config)
    layout = spread.memory_format if config.optimiser not in LAYING_OUT else torch.contiguous_format
    network = network.to(device, memory_format=layout)  # type: ignore[call-overload]  # torch's stubs lack it
    for each in (network, *frozen):
        if config.recompute:
            recompute_blocks(each)
        if config.compile:
            compile_blocks(each)
    spread.place(network)
    return State(
        network=network,
        optimiser=optimiser_for(network, config),
        scaler=torch.amp.GradScaler(device.type, enabled=config.precision == "fp16"),
        average=WeightAverage(network, config.average_decay),
        terms=terms,
        more_averages={str(decay): WeightAverage(network, decay) for decay in config.more_averages},
        processes=processes,
        spread=spread,
    )


def save(state: State, folder: Path, keep: int) -> None:
    """Write a checkpoint of all of it into `folder`; raises BadInput for weights that are no longer worth keeping."""
    parts = state.tensors()
    if not state.spread.finite(parts["weights"]):
        raise BadInput(
            f"The weights after step {state.place.step} are not finite, so they are not saved; the checkpoint of "
            f"step {state.saved.step} is the last good one. Try a lower loop.learning_rate."
        )
    tensors: dict[str, Tensor] = {}
    for prefix, named in parts.items():
        tensors |= pack(prefix, state.spread.whole(named))
    facts = {**dataclasses.asdict(state.place), "terms": dict(state.terms), "scaler": state.scaler.state_dict()}
    if state.processes.main:
        save_checkpoint(folder, state.place.step, tensors, facts, keep=keep)
    state.saved = replace(state.place)


def resume(state: State, folder: Path, allowed: Sequence[str]) -> None:
    """Bring `state` to the newest whole checkpoint in `folder`, if there is one.

    Raises BadCheckpoint where that is of another network or none is whole, BadInput where the run began under other
    terms, except for those `allowed`; `state` is then as it was.
    """
    with state.processes.main_first():  # it sets damaged ones aside
        found = newest_whole(folder)
    if found is None:
        return
    path, tensors, facts = found
    weights, average = unpack("weights", tensors), unpack("average", tensors)
    more = {name: unpack(f"average@{name}", tensors) or average for name in state.more_averages}  # or a new one
    for stored in (weights, average, *more.values()):
        check_same_network(path, state.average.averages, stored)
    if not isinstance(facts.get("step"), int):
        raise BadCheckpoint(f"The checkpoint {str(path)!r} does not say after which step it was written.")
    began = facts.get("terms", {})
    check_same_terms(began, state.terms, allowed, str(folder.parent))
    copy_into(state.average.parameters, weights)
    copy_into(state.average.averages, average)
    for name, stored in more.items():
        copy_into(state.more_averages[name].averages, stored)
    if began.get("optimiser") in (None, state.terms.get("optimiser")):  # another one remembers something else
        restore_optimiser(state.optimiser, unpack("optimiser", tensors))
    if facts.get("scaler"):
        state.scaler.load_state_dict(facts["scaler"])
    # A checkpoint of an earlier version tells only the step, and was written after its evaluation.
    known = {entry.name: facts[entry.name] for entry in dataclasses.fields(Place) if entry.name in facts}
    state.place = Place(**{"reported": facts["step"], **known})
    state.saved = replace(state.place)


@torch.no_grad()
def copy_into(present: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> None:
    """Write whole tensors into those of the same names, wherever these lie."""
    for name, tensor in present.items():
        tensor.copy_(laid_out_like(tensor, stored[name]) if is_spread(tensor) else stored[name])
