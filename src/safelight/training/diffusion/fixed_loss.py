"""The loss on fixed noise and fixed levels: the same question at every evaluation, so that figures can be compared."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils.data import default_collate

from safelight.data.record import BadSample
from safelight.training.diffusion.latents import LatentSet
from safelight.training.diffusion.objective import Question
from safelight.training.diffusion.shown import Shown

MOST = 256  # views that are asked about
AT_ONCE = 32
QUARTERS = 4  # of the levels, from the cleanest

notes = logging.getLogger(__name__)

Errors = Callable[[Mapping[str, Any], Question], Tensor]  # a batch, its question -> the loss (b,) of each sample


def fixed_errors(latents: LatentSet, shown: Shown, errors: Errors, levels: int) -> tuple[Tensor, Tensor]:
    """The timesteps (n,) of up to 256 views, and the loss (n,) of each; those that cannot be shown are passed over.

    Raises BadSample where none can.
    """
    generator = Generator().manual_seed(0)
    rows: list[int] = torch.randperm(len(latents), generator=generator)[:MOST].tolist()
    asked, losses = [], []
    for stack in range(len(latents.stacks)):
        alike = [row for row in rows if latents.stack(row) == stack]
        for start in range(0, len(alike), AT_ONCE):
            part = list(_shown(latents, shown, alike[start : start + AT_ONCE]))
            if not part:
                continue
            latent = torch.stack([latents[row] for row, _ in part])
            timestep = torch.randint(0, levels, (len(part),), generator=generator)
            noise = torch.randn(latent.shape, generator=generator)
            entries = default_collate([entries for _, entries in part])
            losses.append(errors({"latent": latent, **entries}, Question(timestep, noise)))
            asked.append(timestep)
    if not asked:
        raise BadSample(f"Of {len(rows)} pictures that figures are to be of, none can be shown to the network.")
    return torch.cat(asked), torch.cat(losses).cpu()


def _shown(latents: LatentSet, shown: Shown, rows: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows that can be shown, each with its entries; a warning names each that cannot."""
    for row in rows:
        try:
            yield row, shown.fixed_entries(latents.views[row])
        except BadSample as error:
            notes.warning("%s It is left out of the figures.", error)


def quarters(name: str, asked: Tensor, losses: Tensor, levels: int) -> dict[str, float]:
    """The mean loss in each quarter of the levels in which anything was asked."""
    there = asked * QUARTERS // levels
    return {f"{name}_quarter_{number + 1}": float(losses[there == number].mean()) for number in there.unique().tolist()}
