"""A tiny new model of every kind, over a collection in which each sample has all that any kind is shown."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from safelight.autoencoder import Autoencoder
from safelight.configs import (
    AutoencoderConfig,
    BertConfig,
    ClassEmbedderConfig,
    RescalerConfig,
    ScheduleConfig,
    UNetConfig,
)
from safelight.data.record import Record
from safelight.training.diffusion.new_model import new_parts
from safelight.training.diffusion.settings import DiffusionDataConfig, ObjectiveConfig
from safelight.training.diffusion.task import DiffusionTask, task_of_model
from safelight.training.recipe import DiffusionRecipe
from safelight.weights.autoencoder import save_autoencoder
from tests.data.shapes import COLOURS, SHAPES, SIDE, draw, png, records
from tests.training.tiny_tasks import UNET, clip_task

AUTOENCODER = AutoencoderConfig(channels=(8, 16), blocks_per_level=1, groups=4, latent_channels=3, codes=16, scale=0.7)
LABELS = 5  # of the maps: the ground, and one for each shape
CROSS = replace(UNET, out_channels=3)
SELF = replace(CROSS, attention=("none", "self"), middle_attention="self")


def network(shape: UNetConfig, **changes: Any) -> dict[str, Any]:
    """The tables of a recipe with that UNet."""
    return {"network": replace(shape, **{"in_channels": 3, **changes})}


# What the recipe of each kind says beside its name, and whether it is on pixels.
RECIPES: dict[str, dict[str, Any]] = {
    "text": network(CROSS),
    "unconditional": network(SELF),
    "class": {**network(CROSS), "class_embedder": ClassEmbedderConfig(classes=5, width=16)},
    "layout": {
        **network(CROSS),
        "boxes": BertConfig(vocabulary=64, length=8, width=16, layers=1, heads=2, head_width=8),
    },
    "semantic": {
        **network(SELF, in_channels=5),
        "rescaler": RescalerConfig(stages=1, in_channels=LABELS, out_channels=2),
    },
    "inpainting": network(CROSS, in_channels=7),
    "filling": network(SELF, in_channels=7),
    "instruction": network(CROSS, in_channels=6),
    "depth": network(CROSS, in_channels=4),
    "upscaling": network(CROSS, in_channels=6, classes=30),
    "restoration": network(SELF, in_channels=6),
}


def all_records() -> list[Record]:
    """The shapes, each with a class, a box, a map, a depth and the picture before it was given its colour."""
    found = []
    for record in records():
        colour, shape = record.key.split("-")
        alpha = draw(colour, shape, "none").getchannel("A")
        left, top, right, bottom = alpha.getbbox() or (0, 0, SIDE, SIDE)
        box = {"left": left / SIDE, "top": top / SIDE, "right": right / SIDE, "bottom": bottom / SIDE}
        number = SHAPES.index(shape)
        others: dict[str, Image.Image] = {
            "before": draw("black" if colour != "black" else "red", shape),
            "depth": alpha.point(lambda value: value // 2 + 20),
            "map": alpha.point(lambda value, number=number: number + 1 if value > 127 else 0),
        }
        fields = {
            **record.fields,
            "boxes": [{"label": number, **box}],
            "number": list(COLOURS).index(colour),
        }
        readers = {name: partial(png, picture) for name, picture in others.items()}
        found.append(Record(record.key, record.captions, fields, record.read, readers))
    return found


def write_runs(folder: Path) -> Path:
    """What stages one and two leave, with random weights: an autoencoder without spread, and a text encoder."""
    torch.manual_seed(0)
    save_autoencoder(folder / "first" / "vae", Autoencoder(AUTOENCODER))
    clip_task(folder).export(folder / "second")
    return folder


def recipe_of(kind: Any, sample_size: int = SIDE // 2, **data: Any) -> DiffusionRecipe:
    """The recipe of a tiny model of that kind."""
    settings = DiffusionDataConfig(**{"kind": kind, "label_field": "concept", "drawn": 1, **data})
    tables = {**RECIPES[kind], "network": replace(RECIPES[kind]["network"], sample_size=sample_size)}
    return DiffusionRecipe(schedule=ScheduleConfig(prediction="v"), data=settings, **tables)


def kind_task(kind: str, runs: Path, folder: Path, **data: Any) -> DiffusionTask:
    """The task of a tiny model of that kind; `folder` keeps its latents."""
    recipe = recipe_of(kind, **data)
    torch.manual_seed(0)
    pixels = recipe.data.space == "pixels"
    parts = new_parts(recipe, None if pixels else runs / "first", runs / "second")
    return task_of_model(parts, ObjectiveConfig(), recipe.data, all_records(), folder)
