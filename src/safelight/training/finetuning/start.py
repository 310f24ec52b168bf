"""The model that a fine-tuning starts from: opened for learning, and the same each time that the run goes on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from safelight.errors import BadCheckpoint, BadInput
from safelight.opening import fingerprint, open_model
from safelight.placement import channels_last, placement_for
from safelight.weights import Parts
from safelight.weights.fields import Fields
from safelight.weights.files import write_json

FILE = "start.json"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Start:
    """A model whose weights are all frozen. fingerprint: a hash of them."""

    parts: Parts
    name: str
    fingerprint: str


def open_start(model: str, device: str, frozen: Literal["fp32", "bf16"] = "fp32") -> Start:
    """The model of that name, as `safelight.load` takes it, on the device of training; `frozen` is its precision.

    Raises BadInput for what is no model.
    """
    parts, name = open_model(model, DTYPES[frozen])
    known = fingerprint(parts)
    place = placement_for(device, None).device
    for network in _networks(parts):
        channels_last(network.to(place)).eval().requires_grad_(False)
    return Start(parts=parts, name=name, fingerprint=known)


def check_draws_from_text(start: Start, what: str) -> None:
    """Raise BadInput for a model that draws from something else, or from more; `what` says who needs that."""
    if start.parts.task != "text":
        raise BadInput(
            f"The model {start.name!r} draws from {start.parts.task}; {what} needs one that draws from text."
        )


def check_same_start(folder: Path, start: Start) -> None:
    """Note in the run's folder what the run started from; raises BadInput where that was another model."""
    said = {"model": start.name, "fingerprint": start.fingerprint}
    path = folder / FILE
    if not path.is_file():
        write_json(path, said)
        return
    try:
        began = Fields.read(path).values
    except BadCheckpoint as error:
        raise BadInput(f"What the run in {str(folder)!r} started from is unknown: {error}") from error
    if began.get("fingerprint") != start.fingerprint:
        raise BadInput(
            f"The run in {str(folder)!r} started from the model {began.get('model')!r} with the weights "
            f"{began.get('fingerprint')}, not from {start.name!r} with {start.fingerprint}; "
            "give that model as --model, or another folder as --out."
        )


def dtype_of(parts: Parts) -> torch.dtype:
    """The precision of the UNet's weights."""
    dtype: torch.dtype = parts.unet.conv_in.weight.dtype
    return dtype


def _networks(parts: Parts) -> list[nn.Module]:
    found = (getattr(parts, field.name) for field in fields(Parts))
    return [network for network in found if isinstance(network, nn.Module)]
