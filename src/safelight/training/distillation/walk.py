"""A way from noise to a picture, step by step, with all its places kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from safelight.diffusion.denoiser import Network, as_denoiser
from safelight.diffusion.plan import plan
from safelight.diffusion.schedule import Schedule

# As in Luo et al. 2023; a grid that begins with noise alone and ends at the cleanest level.
SAMPLER, GRID = "ddim", "trailing"


@dataclass(frozen=True)
class Walk:
    """places: (b, steps, c, h, w), variance preserving, the first one noise. timesteps: (steps,). end: (b, c, h, w)."""

    places: Tensor
    timesteps: Tensor
    end: Tensor


def walk(network: Network, schedule: Schedule, start: Tensor, steps: int) -> Walk:
    """The way of `network` from noise (b, c, h, w) to the pictures at its end."""
    run = plan(schedule, SAMPLER, GRID, steps)
    denoiser = as_denoiser(network, schedule, run.timestep_of)
    places = [start]
    for step in run.sampler(denoiser, start * run.start_scale, run.sigmas, _no_noise):
        places.append(step.latent)
    return Walk(torch.stack(places[:-1], dim=1), run.timestep_of(run.sigmas[:-1]).long(), places[-1])


def _no_noise() -> Tensor:
    raise AssertionError(f"{SAMPLER} draws no noise")
