"""The mathematics of consistency: a jump from any place on the teacher's way to that way's end.

Song et al. 2023, equation 5; its form for latents, Luo et al. 2023, section 4.1. All latents are variance preserving.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from safelight.diffusion.denoiser import Network, as_denoiser
from safelight.diffusion.samplers.moves import toward
from safelight.diffusion.schedule import Schedule

# noisy latent (b, c, h, w), timestep (b,), guidance scale (b,) -> what a network predicts of it, (b, c, h, w)
Guided = Callable[[Tensor, Tensor, Tensor], Tensor]

SIGMA_DATA = 0.5  # both as in Luo et al. 2023, appendix
TIMESTEP_SCALE = 10.0


def boundary(timestep: Tensor) -> tuple[Tensor, Tensor]:
    """Timesteps (b,) -> the shares of the latent itself and of the clean estimate in a jump, (b, 1, 1, 1) each.

    At timestep 0 they are 1 and 0, so that a jump from the end of the way stays where it is (Karras et al. 2022).
    """
    scaled = (TIMESTEP_SCALE * timestep.float()).reshape(-1, 1, 1, 1)
    total = scaled**2 + SIGMA_DATA**2
    return SIGMA_DATA**2 / total, scaled / total.sqrt()


def clean_estimate(network: Network, schedule: Schedule, latent: Tensor, timestep: Tensor) -> Tensor:
    """What is left of latents (b, c, h, w) at timesteps (b,) without the noise that `network` sees in them."""
    scale = _in_sigma_picture(schedule, latent, timestep)
    denoiser = as_denoiser(network, schedule, lambda _: timestep)
    return denoiser(latent * scale, schedule.sigma(timestep))


def jump(network: Network, schedule: Schedule, latent: Tensor, timestep: Tensor) -> Tensor:
    """The end of the way on which latents (b, c, h, w) lie at timesteps (b,), as `network` sees it in one call."""
    skip, out = boundary(timestep)
    return skip * latent + out * clean_estimate(network, schedule, latent, timestep)


def solver_step(
    network: Network, schedule: Schedule, latent: Tensor, timestep: Tensor, next_timestep: Tensor
) -> Tensor:
    """One step of DDIM along the way of `network`: latents at timesteps (b,) -> latents at `next_timestep` (b,)."""
    clean = clean_estimate(network, schedule, latent, timestep)
    start, end = (schedule.sigma(each).to(latent).reshape(-1, 1, 1, 1) for each in (timestep, next_timestep))
    x = latent * _in_sigma_picture(schedule, latent, timestep)
    return toward(x, clean, start, end) / _in_sigma_picture(schedule, latent, next_timestep)


def pseudo_huber(error: Tensor, width: float) -> Tensor:
    """(b, c, h, w) -> (b,): the mean of sqrt(error^2 + width^2) - width (Song & Dhariwal 2023, section 3.3)."""
    return ((error.square() + width**2).sqrt() - width).flatten(1).mean(1)


def _in_sigma_picture(schedule: Schedule, latent: Tensor, timestep: Tensor) -> Tensor:
    """What a variance-preserving latent is multiplied by: (b, 1, 1, 1)."""
    return torch.sqrt(1 + schedule.sigma(timestep).to(latent).reshape(-1, 1, 1, 1) ** 2)
