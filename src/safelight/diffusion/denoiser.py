"""A network becomes D(x, sigma) -> denoised, the one thing that samplers and losses see.

Karras et al. 2022, equation 7: D(x, sigma) = c_skip x + c_out F(c_in x, timestep). Here F is trained in the
variance-preserving picture, so c_in = 1 / sqrt(1 + sigma^2) takes x to a latent, and what F predicts decides the rest.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from safelight.diffusion.schedule import Schedule

Denoiser = Callable[[Tensor, Tensor], Tensor]  # (b, c, h, w), sigma scalar or (b,) -> denoised (b, c, h, w)
Network = Callable[[Tensor, Tensor], Tensor]  # latent (b, c, h, w), timestep (b,) float32 -> prediction (b, c, h, w)
TimestepOf = Callable[[Tensor], Tensor]  # sigma, scalar or (b,) -> timestep of the same shape

# What the network predicts -> (c_skip, c_out) at sigma.
SCALINGS: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {
    "epsilon": lambda sigma: (torch.ones_like(sigma), -sigma),
    "v": lambda sigma: (1 / (1 + sigma**2), -sigma / (1 + sigma**2).sqrt()),
    "x0": lambda sigma: (torch.zeros_like(sigma), torch.ones_like(sigma)),
}


def as_denoiser(network: Network, schedule: Schedule, timestep_of: TimestepOf | None = None) -> Denoiser:
    """The denoiser that `network` is under `schedule`.

    `timestep_of` says which timestep the network is told for a sigma; by default `schedule.timestep`, which
    interpolates. A plan for a sampler brings its own. Gradients flow through, so a training loss may use the result.
    """
    lookup = timestep_of or schedule.timestep
    scalings = SCALINGS[schedule.config.prediction]

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        timestep = lookup(sigma).to(x.device, torch.float32).expand(len(x))
        level = sigma.to(x.dtype) if sigma.ndim == 0 else sigma.to(x).reshape(-1, *[1] * (x.ndim - 1))
        c_skip, c_out = scalings(level)
        prediction = network(x / (1 + level**2).sqrt(), timestep)
        return c_skip * x + c_out * prediction.to(x.dtype)

    return denoiser
