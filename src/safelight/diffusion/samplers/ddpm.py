"""DDPM (Ho et al. 2020, Algorithm 2, posterior variance): in the sigma picture it is Euler's method with fresh noise.

What makes it DDPM is its grid: whole timesteps, leading. With as many steps as levels it is the paper's sampler.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.euler_ancestral import euler_ancestral
from safelight.diffusion.samplers.step import Step


def ddpm(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Iterator[Step]:
    """One network call and one noise a step."""
    return euler_ancestral(denoiser, x, sigmas, noise)
