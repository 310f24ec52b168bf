"""Weights into a network, strictly: every tensor in its place, or one error that lists all that is wrong.

The network is built without weights, so that nothing is drawn or allocated only to be overwritten. It takes the file's
own tensors, which stay on disk until they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from safelight.errors import BadCheckpoint
from safelight.weights.empty import without_weights
from safelight.weights.key_table import KeyTable, Place
from safelight.weights.packing import PLAIN

Network = TypeVar("Network", bound=nn.Module)

LISTED = 40  # names of each kind of fault that a message spells out
FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def load_strictly(
    part: str,
    build: Callable[[], Network],
    table: KeyTable,
    file: Path,
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype | None,
) -> Network:
    """The network that `build` makes, holding the tensors of `file`.

    part: what the error calls it. dtype: None keeps the file's; in converting, each tensor of the file leaves memory as
    soon as its copy is made, unless the caller still holds it. Raises BadCheckpoint that lists missing, extra and
    misshapen tensors under their names in the file.
    """
    with without_weights():
        network = build()
    expected = network.state_dict()
    found, extra = _placed(table, tensors, expected)
    filled = {ours for match in found for ours in match.place.ours}
    faults = {
        "missing": sorted({table.theirs(ours) for ours in expected if ours not in filled}),
        "extra": extra,
        "misshapen": [
            f"{match.name} is {_shape(match.tensor.shape)}, expected {_shape(wanted)}"
            for match in found
            if match.tensor.shape != (wanted := match.shape(expected))
        ],
        "of a wrong type": [
            f"{match.name} is {_type(match.tensor)}" for match in found if match.tensor.dtype not in FLOATS
        ],
    }
    if any(faults.values()):
        raise BadCheckpoint(_complaint(part, file, faults))
    network.load_state_dict({ours: tensor for match in found for ours, tensor in match.unpacked()}, assign=True)
    found.clear()
    return network if dtype is None else network.to(dtype)


def foreign_tensors(network: nn.Module, table: KeyTable) -> dict[str, Tensor]:
    """The network's tensors under the names, and in the shapes, that the other library reads."""
    own = network.state_dict()
    foreign: dict[str, Tensor] = {}
    for name in own:
        if (theirs := table.theirs(name)) not in foreign:
            place = table.place(theirs) or Place((name,), PLAIN)
            foreign[theirs] = place.packing.pack([own[ours] for ours in place.ours])
    return foreign


@dataclass(frozen=True)
class _Match:
    """A tensor of the file and where it belongs."""

    name: str
    tensor: Tensor
    place: Place

    def shape(self, expected: Mapping[str, Tensor]) -> torch.Size:
        """The shape that it should have."""
        return self.place.packing.pack([expected[ours] for ours in self.place.ours]).shape

    def unpacked(self) -> Iterator[tuple[str, Tensor]]:
        """Our names and tensors."""
        return zip(self.place.ours, self.place.packing.unpack(self.tensor, len(self.place.ours)), strict=True)


def _placed(
    table: KeyTable, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[list[_Match], list[str]]:
    """The tensors that have a place in the network, and the names of those that have none or come twice."""
    found: list[_Match] = []
    filled: set[str] = set()
    extra: list[str] = []
    for name, tensor in tensors.items():
        if table.ignores(name):
            continue
        place = table.place(name)
        if place is None or not filled.isdisjoint(place.ours) or not expected.keys() >= set(place.ours):
            extra.append(name)
        else:
            found.append(_Match(name, tensor, place))
            filled.update(place.ours)
    return found, extra


def _complaint(part: str, file: Path, faults: Mapping[str, list[str]]) -> str:
    lines = [f"{part}: the tensors of {str(file)!r} do not fit its configuration."]
    for kind, names in faults.items():
        if names:
            rest = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
            lines.append(f"{len(names)} {kind}: {'; '.join(sorted(names)[:LISTED])}{rest}.")
    return " ".join(lines)


def _shape(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "a scalar"


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
