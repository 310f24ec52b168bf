"""A teacher with random weights, guidance of which changes much, and its students on the coloured shapes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from safelight.autoencoder import Autoencoder
from safelight.data.collection import Record
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.distillation.settings import DistillationConfig
from safelight.training.distillation.task import DistillationTask, distillation_task
from safelight.training.recipe import DistillRecipe
from safelight.unet import UNet
from safelight.weights import Parts
from tests.data.shapes import SIDE, records
from tests.training.tiny_tasks import AUTOENCODER, UNET, parts

METHODS = ("guidance", "consistency", "trajectories")


def teacher_parts(prediction: Any = "v") -> Parts:
    """Random weights, with captions that change much; latents of 8 x 8."""
    made = parts(prediction)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made.autoencoder = Autoencoder(replace(AUTOENCODER, channels=(8, 16, 16))).eval()
        made.unet = UNet(replace(UNET, sample_size=SIDE // 4))
        with torch.no_grad():
            for name, parameter in made.unet.named_parameters():
                if name.endswith("cross_attention.out.weight"):
                    parameter.mul_(10)
    return made


def recipe(method: Any, **changes: Any) -> DistillRecipe:
    """A short way, few of them, and small waves."""
    usual = {"grid": 5, "trajectories": 20, "guidance_width": 16}
    return DistillRecipe(
        distill=DistillationConfig(**{"method": method, **usual, **changes}),
        data=DiffusionDataConfig(colours=("white", "blue"), caption_dropout=0.0),
    )


def student_task(
    folder: Path, method: Any, found: list[Record] | None = None, *, prompts: tuple[str, ...] = (), **changes: Any
) -> DistillationTask:
    """The task of a student."""
    torch.manual_seed(0)
    settings = recipe(method, **changes)
    settings = replace(settings, data=replace(settings.data, prompts=prompts))
    return distillation_task(teacher_parts(), settings, found or records("none"), folder)
