"""Checkpoints of a run: one safetensors file each, whole or not there, with a checksum that tells a damaged one.

A file is written in a folder of its own, reaches the disk, and only then takes its name: a run that is killed, at any
moment, leaves good checkpoints.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from safelight.errors import BadCheckpoint
from safelight.training.engine.disk import UNFINISHED, sync, writing
from safelight.training.engine.shards import laid_out_like, own_part

NUMBER = "="  # behind the name of what is a plain number in an optimiser's state
LISTED = 40  # names of each kind of fault that a message spells out
notes = logging.getLogger(__name__)


def save_checkpoint(
    folder: Path, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], *, keep: int
) -> Path:
    """Write `step-N.safetensors`, then delete all but the newest `keep`; raises BadInput where the disk refuses."""
    target = folder / f"step-{step:08d}.safetensors"
    unfinished = folder / UNFINISHED / target.name
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    told = {**facts, "sha256": checksum(contiguous, facts)}
    with writing(target):
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        save_file(contiguous, unfinished, {"facts": json.dumps(told)})
        sync(unfinished)
        unfinished.replace(target)
        unfinished.parent.rmdir()
        sync(folder)
        for old in checkpoints(folder)[:-keep]:
            old.unlink()
    return target


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(folder.glob("step-*.safetensors"))


def newest_whole(folder: Path) -> tuple[Path, dict[str, Tensor], dict[str, Any]] | None:
    """The newest checkpoint that is not damaged, with its tensors and facts; None for a run that has none at all.

    Damaged ones are set aside as `step-N.damaged`, with a warning. Raises BadCheckpoint where no other is left.
    """
    found = checkpoints(folder)
    for path in reversed(found):
        try:
            return path, *load_checkpoint(path)
        except BadCheckpoint as error:
            if path == found[0]:
                raise BadCheckpoint(f"{error} No other is left; delete {str(folder)!r} to begin again.") from error
            notes.warning("%s The run goes on from the one before; this one is set aside.", error)
            with writing(path):
                path.replace(path.with_suffix(".damaged"))
    return None


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the facts that `save_checkpoint` wrote; raises BadCheckpoint where they are not those any more.

    Checkpoints of an earlier version, which have no checksum, are taken as they are.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dictionary)
            facts = dict(json.loads(file.metadata()["facts"]))
    except Exception as error:
        raise BadCheckpoint(f"The checkpoint {str(path)!r} cannot be read: {error}.") from error
    if facts.pop("sha256", None) not in (None, checksum(tensors, facts)):
        raise BadCheckpoint(f"The checkpoint {str(path)!r} is damaged: its contents do not have its checksum.")
    return tensors, facts


def checksum(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    """SHA-256 of the facts and of every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(dict(facts)).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


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
    """An optimiser's state as named tensors: `parameter number.quantity`, with `=` behind it for a plain number."""
    tensors = dict(_flat("", optimiser.state_dict()["state"]))
    places = {name: own_part(tensor).untyped_storage().data_ptr() for name, tensor in tensors.items()}
    first = {place: name for name, place in reversed(places.items())}
    # A table that several parameters share goes into the file for each: safetensors takes no memory twice.
    return {name: tensor if first[places[name]] == name else tensor.clone() for name, tensor in tensors.items()}


def _flat(prefix: str, values: Mapping[Any, Any]) -> Iterator[tuple[str, Tensor]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value)
        elif isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        else:
            yield f"{prefix}{name}{NUMBER}", torch.tensor(value)


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimiser_tensors` took.

    Optimisers read parameter and moments as flat memory, so the moments must lie in memory as their parameter does
    (channels-last); files hold them contiguous.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for path, tensor in tensors.items():
        number, *within, name = path.split(".")
        values = state.setdefault(int(number), {})
        for each in within:
            values = values.setdefault(each, {})
        if name.endswith(NUMBER):
            values[name.removesuffix(NUMBER)] = tensor.item()
        else:
            like = parameters[int(number)]
            values[name] = laid_out_like(like, tensor) if tensor.shape == like.shape else tensor.detach()
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
