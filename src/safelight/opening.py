"""Opening a model, wherever it is: inside the package, in a folder, in one file, on the hub."""

from __future__ import annotations

import hashlib
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from safelight.autoencoder import TinyDecoder
from safelight.configs import Prediction
from safelight.errors import BadInput, unknown_name
from safelight.paths import is_there
from safelight.single_part import Slot, in_place_of, open_single_part
from safelight.weights import Parts, open_folder
from safelight.weights.fields import Fields
from safelight.weights.fit import check_fit
from safelight.weights.hub import fetch
from safelight.weights.model_index import NAME
from safelight.weights.network_folder import CONFIG
from safelight.weights.single_file import Given, open_single_file

BUNDLED = Path(__file__).parent / "bundled"
OF_A_RUN = "model"  # where a training run leaves its model
ENDINGS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")

Model = str | os.PathLike[str]
Averaging = Literal["averaged", "raw"]  # which of its weights a training file is opened with


def is_bundled(model: Model | None) -> bool:
    """Whether that names the model inside the package; "./bundled" names a folder."""
    return model is None or model == "bundled"


def open_model(
    model: Model | None,
    dtype: torch.dtype | None = None,
    *,
    variant: str | None = None,
    prediction: Prediction | None = None,
    weights: Averaging = "averaged",
    autoencoder: Model | None = None,
    text_encoder: Model | None = None,
    unet: Model | None = None,
) -> tuple[Parts, str]:
    """The parts of a model, and its name.

    model: None is the bundled one; otherwise a folder in the diffusers layout, one file in any layout, or an id on the
    hub. dtype: None keeps the files'. variant: "fp16" reads the files of that name. prediction: overrules what the
    model is taken to predict. weights: which weights of a training file. autoencoder (or a tiny decoder), text_encoder,
    unet: parts to use instead of the model's own, in a folder or a file. Raises BadInput for what is no model,
    BadCheckpoint for one that is damaged, or whose parts do not fit together.
    """
    if prediction is not None and prediction not in get_args(Prediction):
        raise unknown_name("prediction", prediction, get_args(Prediction))
    if weights not in get_args(Averaging):
        raise unknown_name("weights", weights, get_args(Averaging))
    path = located(model, variant)
    if model is None or is_bundled(model):
        name = "bundled"
    else:
        name = Path(model).resolve().name if is_there(Path(model)) else str(model)
    swaps: dict[Slot, Model | None] = {"autoencoder": autoencoder, "text_encoder": text_encoder, "unet": unet}
    others = {
        slot: open_single_part(located(source), slot, dtype) for slot, source in swaps.items() if source is not None
    }
    if path.is_dir():
        _check_whole(path)
        parts = open_folder(path, dtype, variant)
        if prediction is not None:
            parts.schedule = replace(parts.schedule, prediction=prediction)
    else:
        if variant is not None:
            raise BadInput(f"variant is {variant!r}, and {str(path)!r} is one file; only folders have variants.")
        whole: dict[str, Any] = {slot: each for slot, each in others.items() if not isinstance(each, TinyDecoder)}
        parts = open_single_file(path, dtype, prediction=prediction, weights=weights, given=Given(**whole))
    for slot, other in others.items():
        setattr(parts, slot, in_place_of(parts.autoencoder, other) if slot == "autoencoder" else other)
        if slot == "autoencoder":
            parts.tiny_decoder = None  # it imitates the decoder that was the model's own
    if others:  # all at once: a UNet and the text encoder that it reads may come together
        swapped = (f"the {slot.replace('_', ' ')} of {str(swaps[slot])!r}" for slot in others)
        check_fit(parts, f"{name!r} with {' and '.join(swapped)}")
    return parts, name


def located(model: Model | None, variant: str | None = None) -> Path:
    """Where a model's folder or file is on this machine; what only the hub has is fetched. Raises BadInput.

    The folder of a training run that has come to its end stands for the model in it.
    """
    if model is None or is_bundled(model):
        return BUNDLED
    path = Path(model)
    if is_there(path):
        return path / OF_A_RUN if (path / OF_A_RUN / NAME).is_file() and not (path / NAME).is_file() else path
    text = os.fspath(model)
    a_file = path.suffix in ENDINGS and text.count("/") == 1  # a file on the hub is owner/name/file
    if "/" in text and not path.is_absolute() and not path.parent.is_dir() and not a_file:
        return fetch(text, variant=variant)
    raise BadInput(
        f"model {text!r} is no folder and no file here; give a folder in the diffusers layout, a checkpoint file, "
        "an id on the hub (owner/name), or 'bundled'."
    )


def fingerprint(parts: Parts) -> str:
    """A short name for the weights: a hash of samples of every tensor, quick even for large models."""
    hashed = hashlib.sha256()
    networks = {field.name: getattr(parts, field.name) for field in fields(Parts)}
    first = ("text_encoder", "unet", "autoencoder")  # the order of a text-to-image model's recipes
    for name in sorted(networks, key=lambda name: (first.index(name) if name in first else len(first), name)):
        if not isinstance(networks[name], nn.Module):
            continue
        for tensor_name, tensor in networks[name].state_dict().items():
            hashed.update(f"{tensor_name}{tuple(tensor.shape)}".encode())
            hashed.update(_first(tensor, 4).float().cpu().numpy().tobytes())
    return hashed.hexdigest()[:16]


def _first(tensor: Tensor, count: int) -> Tensor:
    """The first numbers of a tensor, without a copy of the whole, as flattening one stored channels-last would make."""
    while tensor.ndim > 1 and tensor.numel():
        rows = tensor[: -(-count // max(tensor[0].numel(), 1))]
        if len(rows) > 1:
            return rows.flatten()[:count]
        tensor = rows[0]
    return tensor.flatten()[:count]


def _check_whole(folder: Path) -> None:
    """Raise BadInput for a folder that is no model but holds one, or a part of one."""
    if (folder / NAME).is_file():
        return
    if (folder / CONFIG).is_file():
        kind = Fields.read(folder / CONFIG).values.get("_class_name", "network")
        raise BadInput(f"{str(folder)!r} is a part, a {kind}, and no whole model: it has no {NAME}.")
    files = sorted(file.name for file in folder.iterdir() if file.suffix in ENDINGS)
    if files:
        raise BadInput(
            f"{str(folder)!r} has no {NAME}; if one of its files is meant, name it: {', '.join(files[:20])}."
        )
