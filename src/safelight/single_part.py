"""One part of a model from wherever it is: to put it in another model's place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from safelight.autoencoder import Autoencoder, TinyAutoencoder, TinyDecoder, WithTinyDecoder
from safelight.errors import BadInput
from safelight.text import BertEncoder, TextEncoder
from safelight.unet import UNet
from safelight.weights.folder import LOADERS
from safelight.weights.formats import read_file
from safelight.weights.network_folder import CONFIG, class_of
from safelight.weights.parts import AnyAutoencoder
from safelight.weights.recognition import recognise
from safelight.weights.single_file import open_part

Slot = Literal["autoencoder", "text_encoder", "unet"]

# Each slot of Parts: its sub-folder in a whole model, and the networks that can fill it.
SLOTS: dict[Slot, tuple[str, tuple[type[nn.Module], ...]]] = {
    "autoencoder": ("vae", (Autoencoder, TinyAutoencoder, TinyDecoder)),
    "text_encoder": ("text_encoder", (TextEncoder, BertEncoder)),
    "unet": ("unet", (UNet,)),
}


def open_single_part(path: Path, slot: Slot, dtype: torch.dtype | None = None) -> nn.Module:
    """The network for a slot: from a folder, its own or a whole model's, or from a file of any layout, alone or not.

    dtype: None keeps the file's. Raises BadInput where something else is there, BadCheckpoint for what is damaged.
    """
    inside, kinds = SLOTS[slot]
    if path.is_dir():
        folder = path / inside if (path / inside / CONFIG).is_file() else path
        name = class_of(folder)
        found: nn.Module = LOADERS[name](folder, dtype, None) if name in LOADERS else nn.Identity()
    else:
        among = recognise(read_file(path).tensors)
        _, found = open_part(path, dtype, slot if among.part(slot) is not None else None)
    if not isinstance(found, kinds):
        raise BadInput(f"{os.fspath(path)!r} is no {slot.replace('_', ' ')} but a {type(found).__name__}.")
    return found


def in_place_of(own: AnyAutoencoder, other: nn.Module) -> AnyAutoencoder:
    """Another autoencoder in place of a model's own, or a tiny decoder beside its encoder."""
    if isinstance(other, Autoencoder | TinyAutoencoder):
        return other
    if not isinstance(own, Autoencoder) or not isinstance(other, TinyDecoder):
        raise BadInput(
            f"A {type(other).__name__} cannot stand in for the decoder of a {type(own).__name__}; "
            "a tiny decoder can, for that of a KL autoencoder."
        )
    return WithTinyDecoder(own, other)
