"""A whole text-to-image model as a folder in the layout of diffusers' StableDiffusionPipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from safelight.errors import BadCheckpoint
from safelight.text import Tokenizer
from safelight.weights.autoencoder import load_autoencoder, save_autoencoder
from safelight.weights.clip import load_text_encoder, save_text_encoder
from safelight.weights.fields import Fields
from safelight.weights.files import write_json
from safelight.weights.fit import check_fit
from safelight.weights.model_index import NAME, check_model_index, write_model_index
from safelight.weights.parts import Parts
from safelight.weights.schedule import load_schedule, save_schedule
from safelight.weights.schedule_config import CLASS as SCHEDULER
from safelight.weights.unet import load_unet, save_unet
from safelight.weights.whole_folder import whole_folder

__all__ = ["Parts", "open_folder", "save_folder"]


def open_folder(path: Path | str, dtype: torch.dtype | None = None, variant: str | None = None) -> Parts:
    """Every part of the model in a folder.

    dtype: None keeps the files'. variant: "fp16" reads the files of that name. Raises BadCheckpoint that says all that
    is wrong with all parts; no part is returned then.
    """
    path = Path(path)
    if not path.is_dir():
        raise BadCheckpoint(f"{str(path)!r} is no folder; a model in this layout is a folder with {NAME}.")
    check_model_index(Fields.read(path / NAME))
    loaders: dict[str, Callable[[], Any]] = {
        "tokenizer": lambda: Tokenizer.load(path / "tokenizer"),
        "text_encoder": lambda: load_text_encoder(path / "text_encoder", dtype, variant),
        "unet": lambda: load_unet(path / "unet", dtype, variant),
        "autoencoder": lambda: load_autoencoder(path / "vae", dtype, variant),
        "schedule": lambda: load_schedule(path / "scheduler"),
    }
    loaded: dict[str, Any] = {}
    faults: list[str] = []
    for name, load in loaders.items():
        try:
            loaded[name] = load()
        except BadCheckpoint as error:
            faults.append(str(error))
    if faults:
        raise BadCheckpoint("\n".join(faults))
    parts = Parts(**loaded)
    check_fit(parts)
    return parts


def save_folder(path: Path | str, parts: Parts) -> None:
    """Write a model that diffusers' StableDiffusionPipeline.from_pretrained opens, whole or not at all.

    Raises BadInput where the parts do not fit together or cannot be said in this layout, where the disk refuses, and
    for a folder that holds something else.
    """
    check_fit(parts)
    with whole_folder(Path(path), mark=NAME) as partial:
        parts.tokenizer.save(partial / "tokenizer")
        save_text_encoder(partial / "text_encoder", parts.text_encoder)
        save_unet(partial / "unet", parts.unet)
        save_autoencoder(partial / "vae", parts.autoencoder)
        save_schedule(partial / "scheduler", parts.schedule)
        write_json(partial / NAME, write_model_index(parts.unet.config, SCHEDULER))
