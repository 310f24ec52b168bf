"""Checkpoints of a run: one safetensors file each, written beside and then renamed, so that none is ever half-written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from safelight.errors import BadCheckpoint

KEPT = 2


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
    """Write `step-N.safetensors`, then delete all but the newest two."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step-{step:08d}.safetensors"
    beside = target.with_suffix(".partial")
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, beside, {"facts": json.dumps(dict(facts))}
    )
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(target)
    for old in checkpoints(folder)[:-KEPT]:
        old.unlink()
    return target


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(folder.glob("step-*.safetensors"))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the facts that `save_checkpoint` wrote."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dictionary)
            facts = json.loads(file.metadata()["facts"])
    except Exception as error:
        raise BadCheckpoint(f"The checkpoint {str(path)!r} cannot be read: {error}.") from error
    return tensors, facts


def pack(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names with a prefix, for one file that holds several sets of tensors."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def unpack(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The set that `pack` put under that prefix."""
    return {
        name.removeprefix(f"{prefix}/"): tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}/")
    }


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as named tensors: `parameter number.quantity`."""
    state = optimiser.state_dict()["state"]
    return {f"{number}.{quantity}": value for number, values in state.items() for quantity, value in values.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimiser_tensors` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, quantity = name.split(".", 1)
        state.setdefault(int(number), {})[quantity] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
