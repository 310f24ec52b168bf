"""Checkpoints of a run: one safetensors file each, written beside and then renamed, so that none is half-written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from safelight.errors import BadCheckpoint, BadInput

KEPT = 2
LISTED = 40  # names of each kind of fault that a message spells out


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
    """Write `step-N.safetensors`, then delete all but the newest two; raises BadInput where the disk refuses."""
    target = folder / f"step-{step:08d}.safetensors"
    beside = target.with_suffix(".partial")
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(contiguous, beside, {"facts": json.dumps(dict(facts))})
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(target)
    except (OSError, SafetensorError) as error:
        beside.unlink(missing_ok=True)
        raise BadInput(f"The checkpoint {str(target)!r} cannot be written: {error}.") from error
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
            facts = dict(json.loads(file.metadata()["facts"]))
    except Exception as error:
        raise BadCheckpoint(
            f"The checkpoint {str(path)!r} cannot be read: {error}. Delete it to go on from the one before."
        ) from error
    return tensors, facts


def check_same_network(path: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise BadCheckpoint that lists what is missing, extra and misshapen in a checkpoint, if anything is."""
    faults = {
        "missing": [name for name in expected if name not in found],
        "extra": [name for name in found if name not in expected],
        "misshapen": [
            f"{name} is {tuple(tensor.shape)}, the recipe's is {tuple(expected[name].shape)}"
            for name, tensor in found.items()
            if name in expected and tensor.shape != expected[name].shape
        ],
    }
    lists = [
        f"{len(names)} {kind}: {'; '.join(sorted(names)[:LISTED])}{', ...' if len(names) > LISTED else ''}"
        for kind, names in faults.items()
        if names
    ]
    if lists:
        raise BadCheckpoint(
            f"The checkpoint {str(path)!r} is of another network than the recipe's ({'. '.join(lists)}); "
            "give the recipe that the run began with, or another folder."
        )


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
    """Put back what `optimiser_tensors` took.

    Fused AdamW reads parameter and moments as flat memory, so the moments must lie in memory as their parameter does
    (channels-last); files hold them contiguous.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, quantity = name.split(".", 1)
        like = parameters[int(number)]
        laid_out = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor
        state.setdefault(int(number), {})[quantity] = laid_out.detach()
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
