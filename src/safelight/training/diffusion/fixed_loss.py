"""The loss on fixed noise and fixed levels: the same question at every evaluation, so that figures can be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils.data import default_collate

from safelight.training.diffusion.latents import LatentSet
from safelight.training.diffusion.objective import Question
from safelight.training.diffusion.shown import Shown

MOST = 256  # views that are asked about
AT_ONCE = 32
QUARTERS = 4  # of the levels, from the cleanest

Errors = Callable[[Mapping[str, Any], Question], Tensor]  # a batch, its question -> the loss (b,) of each sample


def fixed_errors(latents: LatentSet, shown: Shown, errors: Errors, levels: int) -> tuple[Tensor, Tensor]:
    """The timesteps (n,) of up to 256 views, and the loss (n,) of each."""
    generator = Generator().manual_seed(0)
    rows: list[int] = torch.randperm(len(latents), generator=generator)[:MOST].tolist()
    asked, losses = [], []
    for stack in range(len(latents.stacks)):
        alike = [row for row in rows if latents.stack(row) == stack]
        for part in (alike[start : start + AT_ONCE] for start in range(0, len(alike), AT_ONCE)):
            entries = [shown.fixed_entries(latents.views[row]) for row in part]
            latent = torch.stack([latents[row] for row in part])
            timestep = torch.randint(0, levels, (len(part),), generator=generator)
            noise = torch.randn(latent.shape, generator=generator)
            losses.append(errors({"latent": latent, **default_collate(entries)}, Question(timestep, noise)))
            asked.append(timestep)
    return torch.cat(asked), torch.cat(losses).cpu()


def quarters(name: str, asked: Tensor, losses: Tensor, levels: int) -> dict[str, float]:
    """The mean loss in each quarter of the levels in which anything was asked."""
    there = asked * QUARTERS // levels
    return {f"{name}_quarter_{number + 1}": float(losses[there == number].mean()) for number in there.unique().tolist()}
