"""DDIM (Song, Meng & Ermon 2021, equation 12 with sigma_t = 0): in the sigma picture it is Euler's method.

What makes it DDIM is its grid: whole timesteps, leading, ending at the cleanest level of training.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.euler import euler
from safelight.diffusion.samplers.step import Step


def ddim(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Iterator[Step]:
    """One network call a step; first order; draws no noise."""
    return euler(denoiser, x, sigmas, noise)
