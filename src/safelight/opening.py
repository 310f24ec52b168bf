"""Opening a model, wherever it is: inside the package, in a folder, in one file, on the hub."""

from __future__ import annotations

import hashlib
import os
from dataclasses import fields
from pathlib import Path

from torch import nn

from safelight.errors import BadInput
from safelight.weights import Parts, open_folder

BUNDLED = Path(__file__).parent / "bundled"


def is_bundled(model: str | os.PathLike[str] | None) -> bool:
    """Whether that names the model inside the package; "./bundled" names a folder."""
    return model is None or model == "bundled"


def open_model(model: str | os.PathLike[str] | None) -> tuple[Parts, str]:
    """The parts and the name of a model: None is the bundled one, otherwise a folder in the diffusers layout."""
    if model is None or is_bundled(model):
        return open_folder(BUNDLED), "bundled"
    folder = Path(model)
    if not folder.is_dir():
        raise BadInput(f"model {str(model)!r} is no folder; give a folder in the diffusers layout, or 'bundled'.")
    return open_folder(folder), folder.resolve().name


def fingerprint(parts: Parts) -> str:
    """A short name for the weights: a hash of samples of every tensor, quick even for large models."""
    hashed = hashlib.sha256()
    networks = {field.name: getattr(parts, field.name) for field in fields(Parts)}
    first = ("text_encoder", "unet", "autoencoder")  # in which order the older recipes name them
    for name in sorted(networks, key=lambda name: (first.index(name) if name in first else len(first), name)):
        if not isinstance(networks[name], nn.Module):
            continue
        for tensor_name, tensor in networks[name].state_dict().items():
            hashed.update(f"{tensor_name}{tuple(tensor.shape)}".encode())
            hashed.update(tensor.flatten()[:4].float().cpu().numpy().tobytes())
    return hashed.hexdigest()[:16]
