"""Weights into a network, strictly: every tensor in its place, or one error that lists all that is wrong.

The network is built on the meta device, so that nothing is initialised or allocated only to be overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from safelight.errors import BadCheckpoint
from safelight.weights.files import as_dtype
from safelight.weights.key_table import KeyTable

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

    part: what the error calls it. dtype: None keeps the file's. Raises BadCheckpoint that lists missing, extra and
    misshapen tensors under their names in the file.
    """
    with torch.device("meta"):
        network = build()
    expected = network.state_dict()
    found, extra = _renamed(table, tensors)
    faults = {
        "missing": [table.theirs(name) for name in expected if name not in found],
        "extra": extra + [name for ours, (name, _) in found.items() if ours not in expected],
        "misshapen": [
            f"{name} is {_shape(tensor)}, expected {_shape(expected[ours])}"
            for ours, (name, tensor) in found.items()
            if ours in expected and tensor.shape != expected[ours].shape
        ],
        "of a wrong type": [
            f"{name} is {_type(tensor)}" for name, tensor in found.values() if tensor.dtype not in FLOATS
        ],
    }
    if any(faults.values()):
        raise BadCheckpoint(_complaint(part, file, faults))
    network.load_state_dict(as_dtype({ours: tensor for ours, (_, tensor) in found.items()}, dtype), assign=True)
    return network


def foreign_tensors(network: nn.Module, table: KeyTable) -> dict[str, Tensor]:
    """The network's tensors under the names that the other library reads."""
    return {table.theirs(name): tensor for name, tensor in network.state_dict().items()}


def _renamed(table: KeyTable, tensors: Mapping[str, Tensor]) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """Our name -> (name in the file, tensor), and the names that this layout does not have or has twice."""
    found: dict[str, tuple[str, Tensor]] = {}
    extra: list[str] = []
    for name, tensor in tensors.items():
        if table.ignores(name):
            continue
        ours = table.ours(name)
        if ours is None or ours in found:
            extra.append(name)
        else:
            found[ours] = (name, tensor)
    return found, extra


def _complaint(part: str, file: Path, faults: Mapping[str, list[str]]) -> str:
    lines = [f"{part}: the tensors of {str(file)!r} do not fit its configuration."]
    for kind, names in faults.items():
        if names:
            rest = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
            lines.append(f"{len(names)} {kind}: {'; '.join(sorted(names)[:LISTED])}{rest}.")
    return " ".join(lines)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
