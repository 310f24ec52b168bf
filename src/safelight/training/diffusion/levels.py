"""How often each level of noise is asked about: one law for each name, as the function that turns uniform numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from safelight.diffusion.schedule import Schedule
from safelight.training.diffusion.settings import ObjectiveConfig

Law = Callable[[Schedule, ObjectiveConfig, Tensor], Tensor]  # uniform in [0, 1) (b,) -> timesteps (b,) int64


def skewed(schedule: Schedule, settings: ObjectiveConfig, uniform: Tensor) -> Tensor:
    """Timesteps with a density that rises as a power of them; uniform where the skew is 1 (Ho et al. 2020)."""
    share = uniform ** (1 / settings.level_skew)
    return (schedule.levels * share).long().clamp(max=schedule.levels - 1)


def lognormal(schedule: Schedule, settings: ObjectiveConfig, uniform: Tensor) -> Tensor:
    """The timesteps nearest to sigmas whose logarithm is normal (Karras et al. 2022, table 1 and section 5)."""
    sigma = (settings.sigma_mean + settings.sigma_spread * torch.special.ndtri(uniform.double())).exp()
    return schedule.nearest(sigma).long()


LAWS: dict[str, Law] = {"skewed": skewed, "lognormal": lognormal}
