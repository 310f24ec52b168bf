"""What the methods of Liu et al. 2022 average over several network calls: the noise, or the velocity.

The paper averages the noise, and so does a network that predicts noise. Where a network predicts v, the published
pipelines average v and turn the average into noise at the step's start, which costs the method its order but is the
picture that everyone else gets. The plan of a run picks one by what the network predicts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from safelight.diffusion.samplers.moves import noise_estimate


@dataclass(frozen=True)
class Averaging:
    """estimate: x, denoised, sigma -> what is averaged. noise: an average, x, sigma -> the noise in x that it says."""

    estimate: Callable[[Tensor, Tensor, Tensor], Tensor]
    noise: Callable[[Tensor, Tensor, Tensor], Tensor]


def velocity_estimate(x: Tensor, denoised: Tensor, sigma: Tensor) -> Tensor:
    """v = (noise - sigma denoised) / sqrt(1 + sigma^2), of x (b, c, h, w) in the sigma picture (Salimans & Ho 2022)."""
    return (noise_estimate(x, denoised, sigma) - sigma * denoised) / (1 + sigma**2).sqrt()


def noise_of_velocity(velocity: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    """The noise in x (b, c, h, w) that a velocity says; undoes `velocity_estimate`."""
    return velocity / (1 + sigma**2).sqrt() + sigma * x / (1 + sigma**2)


OF_NOISE = Averaging(noise_estimate, lambda average, x, sigma: average)
OF_VELOCITY = Averaging(velocity_estimate, noise_of_velocity)
