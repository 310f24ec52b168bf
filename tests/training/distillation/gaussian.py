"""A teacher that is known exactly: pixels drawn from N(0, SPREAD^2), whose ways have a formula."""

from __future__ import annotations

import torch
from torch import Tensor

from safelight.configs import ScheduleConfig
from safelight.diffusion.schedule import Schedule
from safelight.training.distillation.consistency import boundary

SPREAD = 0.5
SCHEDULE = Schedule(ScheduleConfig(prediction="x0"))


def sigma_of(timestep: Tensor) -> Tensor:
    return SCHEDULE.sigma(timestep).float().reshape(-1, 1, 1, 1)


def teacher(latent: Tensor, timestep: Tensor, guidance: Tensor) -> Tensor:
    """The posterior mean of a picture (Karras et al. 2022, equation 57, with one Gaussian)."""
    sigma = sigma_of(timestep)
    return SPREAD**2 / (SPREAD**2 + sigma**2) * latent * (1 + sigma**2).sqrt()


def moved(latent: Tensor, timestep: Tensor, target: Tensor) -> Tensor:
    """Where the way through a latent stands at another timestep: the solution of dx / dsigma = (x - D) / sigma."""
    start, end = sigma_of(timestep), sigma_of(target)
    x = latent * (1 + start**2).sqrt()
    return x * ((SPREAD**2 + end**2) / (SPREAD**2 + start**2)).sqrt() / (1 + end**2).sqrt()


def exact_student(latent: Tensor, timestep: Tensor, guidance: Tensor) -> Tensor:
    """What a student must predict for its jump to reach the end of the way; nothing can be asked of it there."""
    skip, out = boundary(timestep)
    wanted = moved(latent, timestep, torch.zeros_like(timestep))
    return torch.where(out > 0, (wanted - skip * latent) / out.clamp(min=1e-6), 0)
